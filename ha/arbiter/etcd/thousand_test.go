package etcd_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter"
	"github.com/tandem-san/tandem/ha/arbiter/arbitertest"
	"github.com/tandem-san/tandem/ha/arbiter/etcd"
)

// A takeover of everything that a controller served, with the longest names and
// grants there are: how many transactions that is, by etcd's own count.
func TestAThousandGrantsAreTakenOverInFewTransactions(t *testing.T) {
	for _, where := range []struct {
		name         string
		stores       func(*testing.T) (one, two *etcd.Store)
		transactions int64
	}{
		{"embedded", func(t *testing.T) (one, two *etcd.Store) {
			c := arbitertest.Start(t, "1", "2", "w")
			return c.Store(1), c.Store(2)
		}, 1},
		{"an etcd as it comes", func(t *testing.T) (one, two *etcd.Store) {
			endpoint, ca := startEtcd(t)
			return connect(t, 1, ca, endpoint), connect(t, 2, ca, endpoint)
		}, 10},
	} {
		t.Run(where.name, func(t *testing.T) {
			one, two := where.stores(t)
			all := []ha.NodeID{1, 2, 3, 4, 5, 6, 7, 8}
			batch := make([]arbiter.Change, 1000)
			for i := range batch {
				name := fmt.Sprintf("%04d%s", i, strings.Repeat("x", etcd.MaxLUNName-4))
				batch[i] = arbiter.Change{LUN: name, To: grant(1, 1, all...)}
			}
			applied(t, one, batch)
			if _, err := two.Hold(within(t)); err != nil { // takes the ticket of 2
				t.Fatal(err)
			}
			before, err := two.Read(within(t))
			if err != nil {
				t.Fatal(err)
			}
			for i := range batch {
				to := grant(2, 2, all[1:]...)
				to.Unfenced = ha.Nodes(1, 3, 4, 5, 6, 7, 8)
				batch[i].From, batch[i].To, batch[i].Held, batch[i].Lapsed = 1, to, 2, 1
			}
			began := time.Now()
			applied(t, two, batch)
			t.Logf("%s: 1,000 grants in %v", where.name, time.Since(began).Round(time.Millisecond))
			after, err := two.Read(within(t))
			if err != nil {
				t.Fatal(err)
			}
			if n := after.Revision - before.Revision; n != where.transactions {
				t.Errorf("%d transactions, want %d", n, where.transactions)
			}
		})
	}
}

// applied demands that all of a batch is.
func applied(t *testing.T, s *etcd.Store, batch []arbiter.Change) {
	t.Helper()
	got, err := s.Change(within(t), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range got {
		if !g.Equal(batch[i].To) {
			t.Fatalf("%s: %v, want %v", batch[i].LUN, g, batch[i].To)
		}
	}
}
