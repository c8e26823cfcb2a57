package etcd_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha/arbiter"
	"github.com/tandem-san/tandem/ha/arbiter/arbitertest"
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
		silence(t, s)
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
	silence(t, former)
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
	t.Parallel()
	c := arbitertest.Start(t, "1", "2", "w")
	s, other := c.StoreAt("w", 1), c.StoreAt("w", 2)
	epoch := uint64(0)
	for round := range 3 {
		eventually(t, "w leads", func() bool { return leader(t, s) == "w" })
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

// TestChangesCutShortAreSettled gives Change less time than it needs, so that
// transactions are left in flight at every stage.
func TestChangesCutShortAreSettled(t *testing.T) {
	s := arbitertest.Start(t, "1").Store(1)
	epoch, applied, lost := uint64(0), 0, 0
	for i := range 300 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%30)*100*time.Microsecond)
		_, err := s.Change(ctx, []arbiter.Change{{LUN: "a", From: epoch, To: grant(epoch+1, 1, 1)}})
		cancel()
		st, serr := s.Settle(within(t))
		if serr != nil {
			t.Fatal(serr)
		}
		got := st.Grants["a"].Epoch
		if got != epoch && got != epoch+1 || err == nil && got != epoch+1 {
			t.Fatalf("from epoch %d: Change %v, then settled at %d", epoch, err, got)
		}
		if err != nil && got == epoch+1 {
			applied++
		} else if err != nil {
			lost++
		}
		if g := change(t, s, arbiter.Change{LUN: "a", From: got, To: grant(got+1, 2, 2)}); !g.Equal(grant(got+1, 2, 2)) {
			t.Fatalf("settled at epoch %d, then found %v", got, g)
		}
		epoch = got + 1
	}
	t.Logf("answers lost: %d of changes that were applied, %d of others", applied, lost)
	if lost == 0 {
		t.Error("no answer was lost: the test shows nothing")
	}
}

// TestChangesAndSettlesMayRunTogether: a Settle must not make a Change fail
// that runs beside it.
func TestChangesAndSettlesMayRunTogether(t *testing.T) {
	s := arbitertest.Start(t, "1").Store(1)
	stop, settled := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { settled <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Settle(within(t)); err != nil {
				t.Error(err)
				return
			}
			n++
		}
	}()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			lun := fmt.Sprintf("lun%d", i)
			for e := range uint64(30) {
				want := grant(e+1, 1, 1)
				if got, err := s.Change(within(t), []arbiter.Change{{LUN: lun, From: e, To: want}}); err != nil || !got[0].Equal(want) {
					t.Errorf("%s: %v, %v, want %v", lun, got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	if n := <-settled; n == 0 {
		t.Error("Settle never ran beside the changes")
	}
}

// TestTheLeaseOutlivesWhatHoldPromised: whoever sees the lease gone sees it
// after the time Hold returned, also when the leader is lost in between.
func TestTheLeaseOutlivesWhatHoldPromised(t *testing.T) {
	t.Parallel()
	c := arbitertest.Start(t, "1", "2", "w")
	s, other := c.StoreAt("1", 1), c.StoreAt("2", 2)
	for e, loseLeader := range []bool{false, true} {
		var until time.Time
		for range 5 {
			u, err := s.Hold(within(t))
			if err != nil {
				t.Fatal(err)
			}
			if !u.After(until) {
				t.Errorf("Hold until %v after %v", u, until)
			}
			until = u
			st, err := other.Read(within(t))
			if err != nil || !st.Holders[1] && time.Now().Before(until) {
				t.Fatalf("while held: %v, %v", st.Holders, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if loseLeader {
			eventually(t, "w leads", func() bool { return leader(t, s) == "w" })
			var err error
			if until, err = s.Hold(within(t)); err != nil {
				t.Fatal(err)
			}
			c.Stop("w")
		}
		takeover := arbiter.Change{LUN: "a", From: uint64(e), To: grant(uint64(e)+1, 2, 2), Lapsed: 1}
		eventually(t, "node 2 takes over", func() bool { return change(t, other, takeover).Equal(takeover.To) })
		if left := time.Until(until); left > 0 {
			t.Errorf("leader lost %v: taken over %v early", loseLeader, left)
		}
	}
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
