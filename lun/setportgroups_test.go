package lun_test

import (
	"errors"
	"testing"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

func setPortGroups(n int) []byte { return cdb12(0xA4, 0x0A, 0, uint32(n)) }

func set(group uint16, s scsi.AccessState) scsi.GroupState {
	return scsi.GroupState{Group: group, State: s}
}

func groupList(groups ...scsi.GroupState) []byte { return scsi.AppendSetPortGroups(nil, groups) }

func TestSetTargetPortGroupsTakesOnlyWhatCanBeDone(t *testing.T) {
	c := testConfig()
	asked := 0
	c.HandOver = func(uint16) error { asked++; return nil }
	f := ready(t, c)
	const optimized, nonOptimized = scsi.ActiveOptimized, scsi.ActiveNonOptimized
	for _, tc := range []struct {
		name   string
		groups []scsi.GroupState
		field  int // of the sense data; 0: GOOD
	}{
		{"what is so", []scsi.GroupState{set(2, optimized)}, 0},
		{"what is so, in full", []scsi.GroupState{set(3, nonOptimized), set(2, optimized)}, 0},
		{"an unknown group", []scsi.GroupState{set(9, optimized)}, 6},
		{"an unknown group beside a good one", []scsi.GroupState{set(2, optimized), set(9, nonOptimized)}, 10},
		{"a group twice", []scsi.GroupState{set(2, optimized), set(2, nonOptimized)}, 10},
		{"two that are optimized", []scsi.GroupState{set(2, optimized), set(3, optimized)}, 8},
		{"none that is optimized", []scsi.GroupState{set(2, nonOptimized)}, 4},
		{"standby where nothing stands by", []scsi.GroupState{set(2, optimized), set(3, scsi.Standby)}, 8},
		{"unavailable", []scsi.GroupState{set(3, scsi.Unavailable)}, 4},
		{"offline", []scsi.GroupState{set(3, scsi.Offline)}, 4},
		{"transitioning", []scsi.GroupState{set(3, scsi.Transitioning)}, 4},
	} {
		list := groupList(tc.groups...)
		if tc.field == 0 {
			f.good(t, alice, setPortGroups(len(list)), list)
			continue
		}
		s := f.bad(t, alice, setPortGroups(len(list)), list, scsi.IllegalRequest, scsi.InvalidFieldInParameterList)
		if int(s.Field) != tc.field || !s.FieldInData {
			t.Errorf("%s: the field pointer is at byte %d, want %d", tc.name, s.Field, tc.field)
		}
	}
	f.good(t, alice, setPortGroups(0), nil)
	f.good(t, alice, setPortGroups(4), make([]byte, 4))
	for _, n := range []int{3, 6, 4 + 4*17} {
		f.bad(t, alice, setPortGroups(n), make([]byte, n), scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	}
	if asked != 0 {
		t.Errorf("%d handovers were begun", asked)
	}
}

func TestSetTargetPortGroupsBeginsAHandoverAndIsRunAgain(t *testing.T) {
	c := testConfig()
	var group uint16
	c.HandOver = func(g uint16) error { group = g; return nil }
	f := ready(t, c)
	list := groupList(set(3, scsi.ActiveOptimized))
	task, _ := f.do(t, alice, setPortGroups(len(list)), list)
	if !task.NotServed || !task.HandoverAsked || group != 3 {
		t.Fatalf("not served %t, asked %t, group %d", task.NotServed, task.HandoverAsked, group)
	}
	again := command(alice, task.CDB, list, 0)
	again.HandoverAsked = true

	// The brain is still here: the handover has failed. It is not tried again.
	group = 0
	f.submit(again)
	f.wait(t, again)
	if again.Status != scsi.StatusCheckCondition || again.Sense.Key != scsi.AbortedCommand || again.Sense.ASC != scsi.SetTargetPortGroupsCommandFailed || group != 0 {
		t.Fatalf("after a failed handover: %v, %v, group %d", again.Status, again.Sense, group)
	}

	// The same command at the successor, whose nexuses have been told: who asked
	// is not.
	s := f.unit.Deactivate()
	moved := testAccess
	moved.Local = 3
	moved.Groups = []lun.PortGroup{testAccess.Groups[0], testAccess.Groups[1]}
	moved.Groups[0].State, moved.Groups[1].State = scsi.ActiveNonOptimized, scsi.ActiveOptimized
	f.unit.SetAccess(moved)
	if err := f.unit.Activate(f.device, f.right, s); err != nil {
		t.Fatal(err)
	}
	f.submitAgain(again)
	f.wait(t, again)
	if again.Status != scsi.StatusGood {
		t.Fatalf("at the successor: %v, %v", again.Status, again.Sense)
	}
	f.bad(t, bob, testUnitReady(), nil, scsi.UnitAttention, scsi.AsymmetricAccessStateChanged)
	f.good(t, alice, testUnitReady(), nil)
}

func TestSetTargetPortGroupsFailsSoftlyWhereNobodyCanTakeOver(t *testing.T) {
	c := testConfig()
	c.HandOver = func(uint16) error { return errors.New("controller 2 is drained") }
	f := ready(t, c)
	list := groupList(set(3, scsi.ActiveOptimized))
	f.bad(t, alice, setPortGroups(len(list)), list, scsi.AbortedCommand, scsi.SetTargetPortGroupsCommandFailed)
}
