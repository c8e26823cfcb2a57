package sim

import (
	"bytes"
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	seeds = flag.Int("seeds", 300, "how many lives to live")
	first = flag.Uint64("first", 0, "the seed of the first life")
)

// TestEveryPromiseIsKeptInEveryLife lives as many lives as it is told to, from
// consecutive seeds. What it finds is told by tandem-sim -seed X -trace.
func TestEveryPromiseIsKeptInEveryLife(t *testing.T) {
	var next atomic.Uint64
	var wg sync.WaitGroup
	var mu sync.Mutex
	var total Counts
	bad := 0
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for n := next.Add(1) - 1; n < uint64(*seeds); n = next.Add(1) - 1 {
				r := Run(*first+n, Options{})
				mu.Lock()
				total.add(r.Counts)
				if r.Violation != nil {
					if bad++; bad <= 20 {
						t.Errorf("seed %d: %v", r.Seed, r.Violation)
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d lives, %d bad: %+v", *seeds, bad, total)
}

func TestTheSameSeedTellsTheSameStory(t *testing.T) {
	for seed := range uint64(5) {
		var a, b bytes.Buffer
		Run(seed, Options{Story: &a})
		Run(seed, Options{Story: &b})
		if a.Len() < 1000 || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Fatalf("seed %d told %d and %d bytes, and not the same ones", seed, a.Len(), b.Len())
		}
	}
}
