package etcd_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter"
	"github.com/tandem-san/tandem/ha/arbiter/arbitertest"
	"github.com/tandem-san/tandem/ha/arbiter/etcd"
)

func TestAFloorOnlyRisesAndEverybodySeesIt(t *testing.T) {
	c := arbitertest.Start(t, "1")
	first, second := c.Store(1), c.Store(2)
	steps := []struct {
		by       *etcd.Store
		at, want ha.Stamp
	}{
		{first, ha.Stamp{Epoch: 2, Version: 1}, ha.Stamp{Epoch: 2, Version: 1}},
		{first, ha.Stamp{Epoch: 2, Version: 5}, ha.Stamp{Epoch: 2, Version: 5}},
		{second, ha.Stamp{Epoch: 2, Version: 4}, ha.Stamp{Epoch: 2, Version: 5}},
		{second, ha.Stamp{Epoch: 3, Version: 1}, ha.Stamp{Epoch: 3, Version: 1}},
		{first, ha.Stamp{Epoch: 2, Version: 9}, ha.Stamp{Epoch: 3, Version: 1}},
	}
	for _, st := range steps {
		if err := st.by.RaiseFloor(within(t), "a", st.at); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*etcd.Store{first, second} {
			if got, err := s.Read(within(t)); err != nil || got.Floors["a"] != st.want || len(got.Floors) != 1 {
				t.Fatalf("after %v: floors %v, %v, want %v", st.at, got.Floors, err, st.want)
			}
		}
	}
	if got, err := second.Settle(within(t)); err != nil || got.Floors["a"] != (ha.Stamp{Epoch: 3, Version: 1}) {
		t.Errorf("Settle: %v, %v", got.Floors, err)
	}
}

func TestAFloorOfANameThatIsNoneIsRefused(t *testing.T) {
	s := arbitertest.Start(t, "1").Store(1)
	for _, name := range []string{"", "a\n", strings.Repeat("a", etcd.MaxLUNName+1)} {
		if err := s.RaiseFloor(within(t), name, ha.Stamp{Epoch: 1}); !errors.Is(err, arbiter.ErrInvalid) {
			t.Errorf("%q: got %v, want %v", name, err, arbiter.ErrInvalid)
		}
	}
}
