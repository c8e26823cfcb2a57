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

// habitats say in which kind of life what each planted bug needs to be seen often
// meets. A life of no theme in particular has each of them now and then, too.
var habitats = map[string]string{
	"ack-unchecked":           "handovers that fail",
	"alone-without-lease":     "alone",
	"brain-kept":              "home again",
	"closed-early":            "a short sleep",
	"commit-early":            "late words",
	"drain-forgets":           "taken back",
	"drained-early":           "taken back",
	"early-settle":            "several doubts",
	"fence-not-awaited":       "slow secondaries",
	"fence-skipped":           "fences that fail",
	"fence-unrecorded":        "each the other",
	"floor-not-raised":        "late words",
	"floor-unchecked":         "alone",
	"floor-untold":            "tickets",
	"force-lingers":           "force",
	"forward-any-epoch":       "commands on their way",
	"held-forever":            "slow disks",
	"held-unread":             "slow secondaries",
	"impatient-client":        "a short sleep",
	"kept-unserved":           "slow secondaries",
	"lapse-unawaited":         "late hands",
	"late-drop":               "a lease given up",
	"lease-from-answer":       "alone",
	"lease-no-margin":         "alone",
	"local-unawaited":         "slow secondaries",
	"loss-forgotten":          "a short sleep",
	"never-shrinks":           "handovers that fail",
	"no-boot-wait":            "slow secondaries",
	"no-clock-margin":         "taken back",
	"no-first-settle":         "estranged",
	"no-lapsed":               "late words",
	"no-promise-wait":         "late words",
	"no-vigil":                "a long sleep",
	"no-withdrawal":           "commands on their way",
	"old-release":             "born again",
	"ousted-copies":           "slow disks",
	"promise-from-receipt":    "taken back",
	"promise-in-doubt":        "several doubts",
	"promise-of-earlier-boot": "born again",
	"release-unanswered":      "handovers that fail",
	"restart-unawaited":       "slow secondaries",
	"serve-after-release":     "force",
	"serve-unsettled":         "estranged",
	"settled-early":           "slow secondaries",
	"silent-witness":          "several doubts",
	"spares-writer":           "slow secondaries",
	"stale-epoch":             "slow disks",
	"stale-leases":            "a lease regained",
	"state-not-stored":        "handovers that fail",
	"states-not-shown":        "late words",
	"ticket-beyond-right":     "slow secondaries",
	"ticket-from-receipt":     "late hands",
	"ticket-unchecked":        "late hands",
	"tickets-unawaited":       "tickets",
	"unclaimed-promise":       "taken back",
	"unfenced-forgotten":      "fences that fail",
	"unfenced-lost":           "fences that fail",
	"widen-by-old-grant":      "estranged",
	"widen-unpromised":        "an operator in a hurry",
	"write-unchecked":         "commands on their way",
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
			theme, known := habitats[name]
			if !known || !slices.Contains(Themes(), theme) {
				t.Fatalf("%s: there is no theme %q to look for it in", name, theme)
			}
			*bugs[name] = true
			defer func() { *bugs[name] = false }()
			r := firstBroken(*limit, theme)
			if r == nil {
				t.Fatalf("%s: not caught in %d lives of theme %q", name, *limit, theme)
			}
			text := r.Violation.Error()
			t.Logf("%s: caught in life %d of theme %q by %s: %s", name, r.Seed, theme, r.Violation.Rule, text[:min(len(text), 160)])
		})
	}
}

// firstBroken is the first life that breaks a promise, of those of a theme and of
// the seeds below a limit; nil when none does.
func firstBroken(limit uint64, theme string) *Report {
	workers := uint64(runtime.GOMAXPROCS(0))
	batch := 4 * workers
	reports := make([]Report, batch)
	for first := uint64(0); first < limit; first += batch {
		var all sync.WaitGroup
		for w := range workers {
			all.Go(func() {
				for i := w; i < batch; i += workers {
					reports[i] = Run(first+i, Options{Theme: theme})
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
