package node

import (
	"errors"

	"github.com/tandem-san/tandem/ha"
)

// trust says whether the state that a controller has of a logical unit may be
// less than what was acknowledged; see the package comment.
type trust struct {
	// gap is why something may be missing that this controller had once; nil
	// when nothing is.
	gap    error
	judged bool     // the arbiter was asked since the start:
	first  ha.Grant // the grant it told
	floor  ha.Stamp // states before it are out of date
	waived ha.Stamp // floors up to it do not count: the operator has forced
	told   uint64   // the newest epoch with which the arbiter told the floor
	offers map[ha.NodeID]ha.Stamp
}

// Why a logical unit is not served.
var (
	errNoFile    = errors.New("its state is missing on this controller")
	errOutOfDate = errors.New("its state here is older than what another controller has acknowledged")
)

func (t *trust) init(gap error) {
	*t = trust{gap: gap, offers: map[ha.NodeID]ha.Stamp{}}
}

// judge takes what the arbiter says: the grant, and the floor. relied: this
// controller may have acknowledged something that only its file told of. It
// reports whether the gap is closed now.
func (t *trust) judge(g ha.Grant, floor ha.Stamp, relied bool) bool {
	if t.floor.Before(floor) && t.waived.Before(floor) {
		t.floor = floor
	}
	t.told = max(t.told, g.Epoch)
	if t.judged {
		return false
	}
	t.judged, t.first = true, g
	if t.gap != nil && !relied {
		t.gap = nil
		return true
	}
	return t.mend()
}

// offered notes that another controller has shown a state, and reports whether
// the gap is closed now.
func (t *trust) offered(from ha.NodeID, at ha.Stamp) bool {
	if t.gap == nil {
		return false
	}
	t.offers[from] = at
	return t.mend()
}

// mend closes the gap when one of those who offered must have had all that was
// acknowledged: a candidate of the grant as it was when this controller
// started, or a brain since.
func (t *trust) mend() bool {
	for from, at := range t.offers {
		if t.gap != nil && t.judged && (t.first.Has(from) || at.Epoch > t.first.Epoch) {
			t.gap = nil
			return true
		}
	}
	return false
}
