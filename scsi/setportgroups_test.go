package scsi

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSetPortGroupsListsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) GroupState {
			return GroupState{Group: rapid.Uint16().Draw(t, "group"), State: AccessState(rapid.IntRange(0, 15).Draw(t, "state"))}
		}), 0, 8).Draw(t, "groups")
		again, err := DecodeSetPortGroups(AppendSetPortGroups(nil, groups), 8)
		if err != nil || !slices.Equal(again, groups) {
			t.Fatalf("%v came back as %v, %v", groups, again, err)
		}
	})
}

func TestSetPortGroupsListsOfTheWrongLengthAreRefused(t *testing.T) {
	for n, want := range map[int]bool{0: true, 1: false, 3: false, 4: true, 5: false, 8: true, 11: false, 12: true, 16: false} {
		_, err := DecodeSetPortGroups(make([]byte, n), 2)
		var sense Sense
		if ok := err == nil; ok != want || !ok && (!errors.As(err, &sense) || sense.ASC != InvalidFieldInCDB) {
			t.Errorf("%d bytes, at most two descriptors: %v", n, err)
		}
	}
}

func FuzzDecodeSetPortGroups(f *testing.F) {
	f.Add(AppendSetPortGroups(nil, []GroupState{{2, ActiveOptimized}, {3, Standby}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		groups, err := DecodeSetPortGroups(b, 16)
		if err != nil {
			return
		}
		if len(groups) > 16 {
			t.Fatalf("%d descriptors", len(groups))
		}
		if again, err := DecodeSetPortGroups(AppendSetPortGroups(nil, groups), 16); err != nil || !slices.Equal(again, groups) {
			t.Fatalf("% X: %v came back as %v, %v", bytes.Clone(b), groups, again, err)
		}
	})
}
