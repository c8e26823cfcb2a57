package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter"
	"github.com/tandem-san/tandem/ha/arbiter/arbitertest"
	"github.com/tandem-san/tandem/ha/arbiter/etcd"
)

func grant(epoch uint64, primary ha.NodeID, candidates ...ha.NodeID) ha.Grant {
	return ha.Grant{Epoch: epoch, Primary: primary, Candidates: candidates}
}

// within is a context for a call that must succeed.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// change makes one change that must be answered.
func change(t testing.TB, s arbiter.Store, c arbiter.Change) ha.Grant {
	t.Helper()
	got, err := s.Change(within(t), []arbiter.Change{c})
	if err != nil {
		t.Fatalf("Change(%v): %v", c, err)
	}
	return got[0]
}

func TestAChangeIsAppliedOnlyFromItsEpoch(t *testing.T) {
	s := arbitertest.Start(t, "1").Store(1)
	steps := []struct {
		name string
		c    arbiter.Change
		want ha.Grant
	}{
		{"none yet, wrong epoch", arbiter.Change{LUN: "a", From: 1, To: grant(2, 1, 1)}, ha.Grant{}},
		{"none yet", arbiter.Change{LUN: "a", From: 0, To: grant(1, 1, 1, 2)}, grant(1, 1, 1, 2)},
		{"made already", arbiter.Change{LUN: "a", From: 0, To: grant(1, 2, 2)}, grant(1, 1, 1, 2)},
		{"next", arbiter.Change{LUN: "a", From: 1, To: grant(2, 2, 2)}, grant(2, 2, 2)},
		{"late", arbiter.Change{LUN: "a", From: 1, To: grant(2, 1, 1)}, grant(2, 2, 2)},
		{"the other unit", arbiter.Change{LUN: "iqn.2016-01.local.beast:target0,lun,0", To: grant(1, 8, 1, 8)}, grant(1, 8, 1, 8)},
		{"holder missing", arbiter.Change{LUN: "a", From: 2, To: grant(3, 1, 1), Held: 1}, grant(2, 2, 2)},
		{"lapsed", arbiter.Change{LUN: "a", From: 2, To: grant(3, 1, 1), Lapsed: 2}, grant(3, 1, 1)},
	}
	for _, st := range steps {
		if got := change(t, s, st.c); !got.Equal(st.want) {
			t.Errorf("%s: got %v, want %v", st.name, got, st.want)
		}
	}
	if _, err := s.Hold(within(t)); err != nil {
		t.Fatal(err)
	}
	if got := change(t, s, arbiter.Change{LUN: "a", From: 3, To: grant(4, 2, 2), Lapsed: 1}); !got.Equal(grant(3, 1, 1)) {
		t.Errorf("lease held, want lapsed: got %v", got)
	}
	if got := change(t, s, arbiter.Change{LUN: "a", From: 3, To: grant(4, 2, 2), Held: 1}); !got.Equal(grant(4, 2, 2)) {
		t.Errorf("lease held: got %v", got)
	}
}

func TestOfThreeStoresExactlyOneWinsEachEpoch(t *testing.T) {
	c := arbitertest.Start(t, "1", "2", "w")
	stores := map[ha.NodeID]*etcd.Store{1: c.StoreAt("1", 1), 2: c.StoreAt("2", 2), 3: c.StoreAt("w", 3)}
	const epochs = 40
	for e := uint64(0); e < epochs; e++ {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var winners []ha.NodeID
		var seen []ha.Grant
		for n, s := range stores {
			wg.Go(func() {
				got, err := s.Change(within(t), []arbiter.Change{{LUN: "a", From: e, To: grant(e+1, n, n)}})
				if err != nil {
					t.Errorf("node %d, epoch %d: %v", n, e, err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if got[0].Primary == n {
					winners = append(winners, n)
				}
				seen = append(seen, got[0])
			})
		}
		wg.Wait()
		if len(winners) != 1 {
			t.Fatalf("epoch %d: winners %v", e+1, winners)
		}
		for _, g := range seen {
			if !g.Equal(grant(e+1, winners[0], winners[0])) {
				t.Fatalf("epoch %d: winner is %d, one store saw %v", e+1, winners[0], g)
			}
		}
	}
}

// TestABatchIsAppliedAsFarAsItsConditionsHold lets two stores fight over
// overlapping batches: a refused transaction must not take those with it
// whose conditions hold.
func TestABatchIsAppliedAsFarAsItsConditionsHold(t *testing.T) {
	c := arbitertest.Start(t, "1")
	stores := map[ha.NodeID]*etcd.Store{1: c.Store(1), 2: c.Store(2)}
	const luns = 1500 // more than fit in one transaction
	var wg sync.WaitGroup
	answers := map[ha.NodeID][]ha.Grant{}
	var mu sync.Mutex
	for n, s := range stores {
		wg.Go(func() {
			var batch []arbiter.Change
			for i := range luns {
				batch = append(batch, arbiter.Change{LUN: fmt.Sprintf("lun%d", (i+int(n-1)*700)%(luns)), To: grant(1, n, n)})
			}
			got, err := s.Change(within(t), batch)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			answers[n] = make([]ha.Grant, luns)
			for i, b := range batch {
				var k int
				fmt.Sscanf(b.LUN, "lun%d", &k)
				answers[n][k] = got[i]
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	st, err := stores[1].Read(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Grants) != luns {
		t.Fatalf("%d grants, want %d", len(st.Grants), luns)
	}
	for i := range luns {
		g := st.Grants[fmt.Sprintf("lun%d", i)]
		if g.Epoch != 1 || !answers[1][i].Equal(g) || !answers[2][i].Equal(g) {
			t.Fatalf("lun%d: %v, but answers %v and %v", i, g, answers[1][i], answers[2][i])
		}
	}
}

func TestAnInvalidChangeIsNotSent(t *testing.T) {
	s := arbitertest.Start(t, "1").Store(1)
	ok := arbiter.Change{LUN: "a", To: grant(1, 1, 1)}
	long := make([]byte, etcd.MaxLUNName+1)
	for i := range long {
		long[i] = 'x'
	}
	for name, batch := range map[string][]arbiter.Change{
		"no name":              {{To: grant(1, 1, 1)}},
		"name too long":        {{LUN: string(long), To: grant(1, 1, 1)}},
		"control character":    {{LUN: "a\nb", To: grant(1, 1, 1)}},
		"epoch skipped":        {{LUN: "a", To: grant(2, 1, 1)}},
		"no primary":           {{LUN: "a", To: grant(1, 0, 1)}},
		"primary not one":      {{LUN: "a", To: grant(1, 2, 1)}},
		"node 9":               {{LUN: "a", To: grant(1, 9, 9)}},
		"candidates unordered": {{LUN: "a", To: grant(1, 1, 2, 1)}},
		"candidate twice":      {{LUN: "a", To: grant(1, 1, 1, 1)}},
		"lease of node 9":      {{LUN: "a", To: grant(1, 1, 1), Held: 9}},
		"unit twice":           {ok, ok},
	} {
		if _, err := s.Change(within(t), append(batch, arbiter.Change{LUN: "other", To: grant(1, 1, 1)})); !errors.Is(err, arbiter.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	st, err := s.Read(within(t))
	if err != nil || len(st.Grants) != 0 {
		t.Errorf("after invalid changes: %v, %v", st.Grants, err)
	}
	if got, err := s.Change(within(t), nil); err != nil || len(got) != 0 {
		t.Errorf("no changes: %v, %v", got, err)
	}
}

func TestWatchSendsThePresentFirstAndThenEachChange(t *testing.T) {
	c := arbitertest.Start(t, "1")
	s, other := c.Store(1), c.Store(2)
	change(t, other, arbiter.Change{LUN: "a", To: grant(1, 2, 2)})
	ctx, cancel := context.WithCancel(t.Context())
	states := s.Watch(ctx)
	next := func(what string, good func(arbiter.State) bool) {
		t.Helper()
		last := int64(0)
		for deadline := time.After(20 * time.Second); ; {
			select {
			case st := <-states:
				if st.Revision <= last {
					t.Fatalf("%s: revision %d after %d", what, st.Revision, last)
				}
				last = st.Revision
				if good(st) {
					return
				}
			case <-deadline:
				t.Fatalf("%s: not seen", what)
			}
		}
	}
	if st := <-states; !st.Grants["a"].Equal(grant(1, 2, 2)) {
		t.Fatalf("first state: %v", st)
	}
	for e := uint64(1); e < 50; e++ {
		change(t, other, arbiter.Change{LUN: "a", From: e, To: grant(e+1, 2, 2)})
	}
	next("fifty epochs", func(st arbiter.State) bool { return st.Grants["a"].Epoch == 50 })
	if _, err := other.Hold(within(t)); err != nil {
		t.Fatal(err)
	}
	next("lease taken", func(st arbiter.State) bool { return st.Holders[2] })
	next("lease lapsed", func(st arbiter.State) bool { return !st.Holders[2] })
	cancel()
	for range states {
	}
}

func TestALaterProcessOfTheSameControllerSupersedesTheEarlier(t *testing.T) {
	c := arbitertest.Start(t, "1")
	old := c.Store(1)
	change(t, old, arbiter.Change{LUN: "a", To: grant(1, 1, 1)})
	if _, err := old.Hold(within(t)); err != nil {
		t.Fatal(err)
	}
	silence(t, old)
	young := c.Store(1)
	if _, err := young.Hold(within(t)); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Change": func() error {
			_, err := old.Change(within(t), []arbiter.Change{{LUN: "a", From: 1, To: grant(2, 1, 1)}})
			return err
		},
		"Settle": func() error { _, err := old.Settle(within(t)); return err },
		"Hold":   func() error { _, err := old.Hold(within(t)); return err },
		"Drop":   func() error { return old.Drop(within(t)) },
	} {
		if err := call(); !errors.Is(err, etcd.ErrSuperseded) {
			t.Errorf("%s: got %v, want ErrSuperseded", name, err)
		}
	}
	st, err := old.Read(within(t))
	if err != nil || !st.Grants["a"].Equal(grant(1, 1, 1)) || !st.Holders[1] {
		t.Errorf("after the earlier process was superseded: %v, %v", st, err)
	}
	if got := change(t, young, arbiter.Change{LUN: "a", From: 1, To: grant(2, 1, 1)}); got.Epoch != 2 {
		t.Errorf("the later process: %v", got)
	}
}

func BenchmarkChangeOfThousandGrants(b *testing.B) {
	s := arbitertest.Start(b, "1", "2", "w").Store(1)
	batch := make([]arbiter.Change, 1000)
	e := uint64(0)
	for b.Loop() {
		for i := range batch {
			batch[i] = arbiter.Change{LUN: fmt.Sprintf("iqn.2016-01.local.beast:target%d,lun,0", i), From: e, To: grant(e+1, 1, 1, 2)}
		}
		got, err := s.Change(within(b), batch)
		if err != nil || !got[999].Equal(batch[999].To) {
			b.Fatal(err)
		}
		e++
	}
}

func BenchmarkChangeOfOneGrant(b *testing.B) {
	s := arbitertest.Start(b, "1", "2", "w").Store(1)
	e := uint64(0)
	for b.Loop() {
		change(b, s, arbiter.Change{LUN: "a", From: e, To: grant(e+1, 1, 1, 2)})
		e++
	}
}

func BenchmarkHold(b *testing.B) {
	s := arbitertest.Start(b, "1", "2", "w").Store(1)
	for b.Loop() {
		if _, err := s.Hold(within(b)); err != nil {
			b.Fatal(err)
		}
	}
}
