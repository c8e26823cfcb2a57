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

var (
	limit = flag.Uint64("limit", 2000, "how many lives a planted bug has to hide in")
	all   = flag.Bool("all", false, "look for the elusive ones, too")
)

// elusive are planted bugs that are seen in more lives than that, or not yet: the
// simulator should meet them more often. With -all they are looked for, too.
var elusive = []string{
	"brain-kept", "closed-early", "early-settle", "fence-unrecorded", "force-lingers", "lease-from-answer", "local-unawaited", "no-first-settle",
	"promise-of-earlier-boot", "serve-unsettled", "stale-leases", "unclaimed-promise", "unfenced-lost", "widen-by-old-grant",
}

// TestEveryPlantedBugIsCaught plants one bug after the other, and demands that
// the simulator breaks a promise because of it before long.
func TestEveryPlantedBugIsCaught(t *testing.T) {
	bugs := maps.Clone(ha.Mutants)
	maps.Copy(bugs, Mutants)
	if len(bugs) != len(ha.Mutants)+len(Mutants) {
		t.Fatal("two planted bugs have one name")
	}
	for _, name := range slices.Sorted(maps.Keys(bugs)) {
		t.Run(name, func(t *testing.T) {
			if slices.Contains(elusive, name) && !*all {
				t.Skipf("%s: elusive", name)
			}
			*bugs[name] = true
			defer func() { *bugs[name] = false }()
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
