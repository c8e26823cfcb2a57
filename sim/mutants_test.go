//go:build mutants

package sim

import (
	"flag"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/tandem-san/tandem/ha"
)

var limit = flag.Uint64("limit", 2000, "how many lives a planted bug has to hide in")

// TestEveryPlantedBugIsCaught plants one bug after the other, and demands that
// the simulator breaks a promise because of it before long.
func TestEveryPlantedBugIsCaught(t *testing.T) {
	all := maps.Clone(ha.Mutants)
	maps.Copy(all, Mutants)
	if len(all) != len(ha.Mutants)+len(Mutants) {
		t.Fatal("two planted bugs have one name")
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			*all[name] = true
			defer func() { *all[name] = false }()
			r := firstBroken(*limit)
			if r == nil {
				t.Fatalf("%s: not caught in %d lives", name, *limit)
			}
			text := r.Violation.Error()
			t.Logf("%s: caught in life %d by %s: %s", name, r.Seed, r.Violation.Rule, text[:min(len(text), 160)])
		})
	}
}

// firstBroken is the first life that breaks a promise, of those of the seeds below
// a limit; nil when none does.
func firstBroken(limit uint64) *Report {
	workers := uint64(runtime.GOMAXPROCS(0))
	batch := 4 * workers
	reports := make([]Report, batch)
	for first := uint64(0); first < limit; first += batch {
		var all sync.WaitGroup
		for w := range workers {
			all.Go(func() {
				for i := w; i < batch; i += workers {
					reports[i] = Run(first+i, Options{})
				}
			})
		}
		all.Wait()
		if i := slices.IndexFunc(reports, func(r Report) bool { return r.Violation != nil }); i >= 0 {
			return &reports[i]
		}
	}
	return nil
}
