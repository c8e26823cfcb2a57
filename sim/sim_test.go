package sim

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seeds    = flag.Int("seeds", 300, "how many lives to live")
	first    = flag.Uint64("first", 0, "the seed of the first life")
	progress = flag.Duration("progress", 0, "how often to say how far it has come; 0: never")
)

// TestEveryPromiseIsKeptInEveryLife lives as many lives as it is told to, from
// consecutive seeds, on all processors: each life has its own world, and no
// goroutine.
func TestEveryPromiseIsKeptInEveryLife(t *testing.T) {
	var next, lived atomic.Uint64
	now := make([]atomic.Uint64, runtime.GOMAXPROCS(0)) // the lives under way
	var wg, watch sync.WaitGroup
	var mu sync.Mutex
	var total Counts
	bad, began := 0, time.Now()
	for i := range now {
		wg.Go(func() {
			for n := next.Add(1) - 1; n < uint64(*seeds); n = next.Add(1) - 1 {
				now[i].Store(n)
				r := Run(*first+n, Options{})
				lived.Add(1)
				mu.Lock()
				total.add(r.Counts)
				if r.Violation != nil {
					if bad++; bad <= 20 {
						t.Errorf("seed %d: %v\nIts story: go run ./cmd/tandem-sim -seed %d -trace", r.Seed, r.Violation, r.Seed)
					}
				}
				mu.Unlock()
			}
		})
	}
	over := make(chan struct{})
	if *progress > 0 {
		watch.Go(func() { sayProgress(&lived, now, began, over) })
	}
	wg.Wait()
	close(over)
	watch.Wait()
	t.Logf("%d lives in %v, %.0f a second, %d bad: %+v", *seeds, time.Since(began).Round(time.Millisecond), float64(*seeds)/time.Since(began).Seconds(), bad, total)
}

// sayProgress says how many lives have been lived, and from which to go on should
// this be stopped: the oldest of those under way.
func sayProgress(lived *atomic.Uint64, now []atomic.Uint64, began time.Time, over <-chan struct{}) {
	tick := time.NewTicker(*progress)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		n, oldest := lived.Load(), now[0].Load()
		for i := range now {
			oldest = min(oldest, now[i].Load())
		}
		fmt.Fprintf(os.Stderr, "sim: %d of %d lives, %.0f a second; go on with FIRST=%d\n", n, *seeds, float64(n)/time.Since(began).Seconds(), *first+oldest)
	}
}

func TestTheSameSeedTellsTheSameStory(t *testing.T) {
	for seed := range uint64(8) {
		var a, b bytes.Buffer
		Run(seed, Options{Story: &a})
		r := Run(seed, Options{Story: &b})
		if a.Len() < 1000 || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Fatalf("seed %d told %d and %d bytes, and not the same ones", seed, a.Len(), b.Len())
		}
		if silent := Run(seed, Options{}); silent.Counts != r.Counts || silent.Lasted != r.Lasted {
			t.Fatalf("seed %d lives another life when its story is told:\n%+v\n%+v", seed, silent, r)
		}
	}
}

// A simulator that meets nothing finds nothing.
func TestLivesMeetEverything(t *testing.T) {
	var total Counts
	modes, fences, nodes, kinds := map[mode]int{}, map[fenceKind]int{}, map[int]int{}, map[string]int{}
	for seed := range uint64(3000) {
		p := draw(seed, "")
		modes[p.mode]++
		fences[p.fence]++
		nodes[p.nodes]++
		kinds[p.theme]++
		if seed < 60 {
			total.add(Run(seed, Options{}).Counts)
		}
	}
	for _, name := range append(Themes(), "") {
		if kinds[name] < 30 {
			t.Errorf("3000 lives have the theme %q only %d times", name, kinds[name])
		}
	}
	if len(modes) != 3 || len(fences) != int(fenceKinds) || len(nodes) != 7 {
		t.Errorf("modes %v, fences %v, controllers %v", modes, fences, nodes)
	}
	for what, n := range map[string]int{
		"takeovers": total.Takeovers, "handovers": total.Handovers, "alone": total.Alone, "widenings": total.Widenings,
		"forwarded": total.Forwarded, "withdrawn": total.Withdrawn, "tickets": total.Tickets, "spared": total.Spared,
		"fences": total.Fences, "failed fences": total.FencesFailed, "lost answers": total.ChangesLost, "late changes": total.ChangesLate,
		"moves asked for": total.MovesAsked, "out of date": total.OutOfDate, "disconnects": total.Disconnects,
	} {
		if n == 0 {
			t.Errorf("60 lives met no %s: %+v", what, total)
		}
	}
}
