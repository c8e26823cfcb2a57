package nemesis

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator/multipath"
	"github.com/tandem-san/tandem/workload"
)

var cableRounds = flag.Int("cable-rounds", 1, "how many times each cable is out (TestWhileACableIsOutClientsGoOn)")

const (
	cableOut   = 2 * time.Second        // how long
	settleTime = 500 * time.Millisecond // from when all is well again to the end of a round
	// maxCablePause is how long a client may wait on a machine that is busy with
	// other tests: for its own path, a second; that is what a controller needs
	// too.
	maxCablePause = 3 * time.Second
)

// A cable that is out says nothing: no connection ends, nothing is refused.
// Clients have to find out by themselves, and meanwhile the others have to go
// on without what cannot be heard.
func TestWhileACableIsOutClientsGoOn(t *testing.T) {
	for _, k := range []struct {
		name string
		// cut names what is silent, of the primary and the secondary.
		cut func(primary, secondary int) []port
	}{
		{"all of the primary", func(p, _ int) []port { return []port{{clients, p}, {link, p}, {arbiter, p}} }},
		{"all of the secondary", func(_, s int) []port { return []port{{clients, s}, {link, s}, {arbiter, s}} }},
		{"clients of the primary", func(p, _ int) []port { return []port{{clients, p}} }},
		{"link", func(p, _ int) []port { return []port{{link, p}} }},
		{"arbiter of the primary", func(p, _ int) []port { return []port{{arbiter, p}} }},
		{"witness", func(_, _ int) []port { return []port{{arbiter, witnessHost}} }},
	} {
		t.Run(k.name, func(t *testing.T) {
			if *cableRounds == 1 { // nobody reads the figures
				t.Parallel()
			}
			c := startCluster(t, options{mode: *modeFlag, nodes: 2})
			var pauses []time.Duration
			w, stop := c.busy(t)
			for range *cableRounds {
				primary := c.primary(t)
				var cut []impairment
				for _, p := range k.cut(primary, 3-primary) {
					cut = append(cut, impairment{port: p, in: true, out: true})
				}
				if err := c.fabric.impair(cut); err != nil {
					t.Fatal(err)
				}
				time.Sleep(cableOut)
				if err := c.fabric.impair(nil); err != nil {
					t.Fatal(err)
				}
				c.awaitWhole(t)
				time.Sleep(settleTime)
				pauses = append(pauses, w.TakePause())
			}
			stop()
			slices.Sort(pauses)
			busy, _ := os.ReadFile("/proc/loadavg")
			t.Logf("%-26s%3d times, median %4d ms, worst %4d ms, load average %s", k.name, len(pauses),
				pauses[len(pauses)/2].Milliseconds(), pauses[len(pauses)-1].Milliseconds(), strings.Fields(string(busy))[0])
			if worst := pauses[len(pauses)-1]; worst > maxCablePause {
				t.Errorf("a pause of %v", worst)
			}
		})
	}
}

// busy keeps the first logical unit busy over all paths until stop, which judges
// what was read and verifies what was written.
func (c *cluster) busy(t *testing.T) (w *workload.Workload, stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	d, err := multipath.Open(ctx, multipath.Config{Paths: c.paths("cable"), LUN: iscsi.NewLUN(dataLUN), Policy: multipath.Spread})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	w, err = workload.New(d, workload.Config{
		Slots: 1024, SlotSize: 4096, Workers: 8, ReadPercent: 50, Rest: 2 * time.Millisecond,
		Run: rand.Uint64() | 1, Seed: rand.Uint64(), Hard: multipath.IsHard,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Fill(ctx); err != nil {
		t.Fatal(err)
	}
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- w.Run(t.Context(), end) }()
	return w, func() {
		t.Helper()
		close(end)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if err := w.Verify(t.Context(), d); err != nil {
			t.Error(err)
		}
		if r := w.Result(); !r.Good() || r.AckedWrites == 0 || r.VerifiedReads == 0 {
			t.Errorf("%+v", r)
		}
	}
}

// primary is the host that serves the first logical unit.
func (c *cluster) primary(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), askTime)
	defer cancel()
	for _, x := range c.controllers {
		s, err := x.admin.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range s.LUNs {
			if l.Name == dataName && l.Serving {
				return x.host
			}
		}
	}
	t.Fatal(fmt.Errorf("nobody serves %s", dataName))
	return 0
}

func (c *cluster) awaitWhole(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), *recoveryTime)
	defer cancel()
	if err := c.await(ctx); err != nil {
		t.Fatal(err)
	}
}
