package node

import (
	"strconv"
	"testing"

	"github.com/tandem-san/tandem/lun"
)

func TestOfManyLossesTheNewestAreRemembered(t *testing.T) {
	var l lostNexuses
	nexus := func(i int) lun.Nexus { return lun.Nexus{InitiatorPort: strconv.Itoa(i), TargetPort: 1} }
	for i := range 3 * maxLosses {
		l.note(nexus(i))
		l.note(nexus(-1)) // one that is lost again and again is remembered once
	}
	if n := len(l.lost); n > maxLosses {
		t.Errorf("%d are remembered", n)
	}
	last := 3*maxLosses - 1
	for i, want := range map[int]bool{-1: true, last: true, last - maxLosses/2 + 1: true, last - maxLosses/2: false, 0: false} {
		if got := l.since(nexus(i), 0); got != want {
			t.Errorf("the loss of %d is remembered: %v, want %v", i, got, want)
		}
	}
	if now := l.now(); l.since(nexus(last), now) {
		t.Error("a loss counts for what came later")
	}
}
