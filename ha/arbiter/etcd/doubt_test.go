package etcd_test

import (
	"context"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha/arbiter"
	"github.com/tandem-san/tandem/ha/arbiter/arbitertest"
	"github.com/tandem-san/tandem/ha/arbiter/etcd"
)

// TestAfterSettleNoEarlierChangeCanBeApplied holds a transaction back, as a
// slow network would, and lets it go after Settle.
func TestAfterSettleNoEarlierChangeCanBeApplied(t *testing.T) {
	c := arbitertest.Start(t, "1")
	for _, settled := range []bool{false, true} {
		s := c.Store(1)
		lun := map[bool]string{false: "unsettled", true: "settled"}[settled]
		late, err := s.HoldBack(within(t), []arbiter.Change{{LUN: lun, To: grant(1, 1, 1)}})
		if err != nil {
			t.Fatal(err)
		}
		if settled {
			if st, err := s.Settle(within(t)); err != nil || st.Grants[lun].Epoch != 0 {
				t.Fatalf("Settle: %v, %v", st, err)
			}
		}
		applied, err := late(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if applied == settled {
			t.Errorf("settled %v: the late change was applied: %v", settled, applied)
		}
	}
}

// TestARestartedControllerIsRidOfItsFormerLife: its first call that writes
// kills what its former process left on the way.
func TestARestartedControllerIsRidOfItsFormerLife(t *testing.T) {
	c := arbitertest.Start(t, "1")
	former := c.Store(1)
	late, err := former.HoldBack(within(t), []arbiter.Change{{LUN: "a", To: grant(1, 1, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Store(1).Settle(within(t)); err != nil {
		t.Fatal(err)
	}
	if applied, err := late(within(t)); err != nil || applied {
		t.Errorf("the late change was applied: %v, %v", applied, err)
	}
}

// TestAChangeLostWithTheMajorityIsSettledForGood lets the majority go between
// a Change's read and its transaction, so that nobody can tell its fate; once
// the majority is back, what Settle reads stays.
func TestAChangeLostWithTheMajorityIsSettledForGood(t *testing.T) {
	c := arbitertest.Start(t, "1", "2", "w")
	s, other := c.StoreAt("w", 1), c.StoreAt("w", 2)
	epoch := uint64(0)
	for round := range 3 {
		eventually(t, "w leads", func() bool { return leader(t, s) == etcd.Witness })
		lost, err := s.HoldBack(within(t), []arbiter.Change{{LUN: "a", From: epoch, To: grant(epoch+1, 1, 1)}})
		if err != nil {
			t.Fatal(err)
		}
		// The leader keeps the office for up to an election timeout: what it
		// is told now is in its log, and may be applied when others return.
		stopping := make(chan struct{})
		go func() { defer close(stopping); c.Stop("1", "2") }()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		for ctx.Err() == nil && err == nil {
			rctx, rcancel := context.WithTimeout(ctx, 20*time.Millisecond)
			_, err = other.Read(rctx)
			rcancel()
		}
		applied, err := lost(ctx)
		cancel()
		t.Logf("round %d: applied %v, %v", round, applied, err)
		<-stopping
		c.Restart("1")
		c.Restart("2")
		st, err := s.Settle(within(t))
		if err != nil {
			t.Fatal(err)
		}
		settled := st.Grants["a"]
		for range 50 {
			st, err := other.Read(within(t))
			if err != nil || !st.Grants["a"].Equal(settled) {
				t.Fatalf("round %d: settled as %v, then %v, %v", round, settled, st.Grants["a"], err)
			}
		}
		epoch = settled.Epoch
		if got := change(t, s, arbiter.Change{LUN: "a", From: epoch, To: grant(epoch+1, 1, 1)}); got.Epoch != epoch+1 {
			t.Fatalf("round %d: after Settle %v, a change gave %v", round, settled, got)
		}
		epoch++
	}
}

// TestTheLeaseOutlivesWhatHoldPromised: whoever sees the lease gone sees it
// after the time Hold returned, also when the leader is lost in between.
func TestTheLeaseOutlivesWhatHoldPromised(t *testing.T) {
	c := arbitertest.Start(t, "1", "2", "w")
	s, other := c.StoreAt("1", 1), c.StoreAt("2", 2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	states := other.Watch(ctx)
	for _, loseLeader := range []bool{false, true} {
		var until time.Time
		for start := time.Now(); time.Since(start) < 3*time.Second; time.Sleep(200 * time.Millisecond) {
			u, err := s.Hold(within(t))
			if err != nil {
				t.Fatal(err)
			}
			if !u.After(until) {
				t.Errorf("Hold until %v after %v", u, until)
			}
			until = u
			st, err := other.Read(within(t))
			if err != nil || !st.Holders[1] {
				t.Fatalf("while held: %v, %v", st.Holders, err)
			}
		}
		if loseLeader {
			c.Stop(leader(t, s))
		}
		for st := range states {
			if time.Now().Before(until) && !st.Holders[1] && st.Revision > 0 && held(t, other, until) {
				t.Fatal("seen gone before its time")
			}
			if !st.Holders[1] && time.Now().After(until) {
				break
			}
		}
		if left := time.Until(until); left > 0 {
			t.Fatalf("gone %v early", left)
		}
		// Taking over is possible now, and was not before.
		e := uint64(0)
		if loseLeader {
			e = 1
		}
		if got := change(t, other, arbiter.Change{LUN: "a", From: e, To: grant(e+1, 2, 2), Lapsed: 1}); got.Epoch != e+1 {
			t.Errorf("after the lapse: %v", got)
		}
	}
}

// held reports whether a state that came before until shows a lapse: the
// watch's present state may be older than the lease.
func held(t *testing.T, s *etcd.Store, until time.Time) bool {
	st, err := s.Read(within(t))
	return err == nil && !st.Holders[1] && time.Now().Before(until)
}

func TestADroppedLeaseIsGoneAtOnce(t *testing.T) {
	c := arbitertest.Start(t, "1")
	s, other := c.Store(1), c.Store(2)
	if err := s.Drop(within(t)); err != nil {
		t.Errorf("Drop of nothing: %v", err)
	}
	until, err := s.Hold(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(within(t)); err != nil {
		t.Fatal(err)
	}
	st, err := other.Read(within(t))
	if err != nil || st.Holders[1] || time.Now().After(until) {
		t.Errorf("after Drop: %v, %v", st.Holders, err)
	}
	if _, err := s.Hold(within(t)); err != nil {
		t.Errorf("Hold after Drop: %v", err)
	}
}
