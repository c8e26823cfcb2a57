//go:build mutants

package sim

import (
	"flag"
	"maps"
	"slices"
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
			for seed := range *limit {
				if r := Run(seed, Options{}); r.Violation != nil {
					text := r.Violation.Error()
					t.Logf("caught by seed %d: %s", seed, text[:min(len(text), 160)])
					return
				}
			}
			t.Errorf("not caught in %d lives", *limit)
		})
	}
}
