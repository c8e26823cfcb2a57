package ha

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// NodeID names a controller of the cluster, 1 to 8. 0 is no controller.
type NodeID uint8

// MarshalJSON writes a number, so that lists of controllers are lists of
// numbers and not taken for bytes.
func (n NodeID) MarshalJSON() ([]byte, error) {
	return strconv.AppendUint(nil, uint64(n), 10), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (n *NodeID) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseUint(string(b), 10, 8)
	if err != nil {
		return fmt.Errorf("controller id %q: must be 0 to %d", b, MaxNodes)
	}
	*n = NodeID(v)
	return nil
}

// MaxNodes is the largest NodeID.
const MaxNodes = 8

// Grant says who may serve a logical unit. The arbiter keeps one per logical
// unit and changes it only by compare-and-set on its epoch, which grows by
// one with every change. The zero Grant is "never granted".
type Grant struct {
	// Epoch counts the changes; 0 means there has been none.
	Epoch uint64 `json:"epoch"`
	// Primary is the controller with the right to serve.
	Primary NodeID `json:"primary"`
	// Candidates are the controllers that may take over, the primary among
	// them, in ascending order.
	Candidates []NodeID `json:"candidates"`
	// Unfenced are the controllers that may still write in the right of an
	// earlier grant: whom this one was taken from by takeover and, where
	// secondaries write, candidates that were left out. They must be fenced
	// before the primary serves, unless it has served all along. A change after
	// that clears it.
	Unfenced NodeSet `json:"unfenced,omitempty"`
}

// Change moves the grant of one logical unit by compare-and-set.
type Change struct {
	LUN string
	// From is the epoch the grant must have; 0 when there must be none.
	From uint64
	// To is the new grant; To.Epoch is From+1.
	To Grant
	// Held, when not 0, is a controller whose arbiter lease must be held.
	Held NodeID
	// Lapsed, when not 0, is a controller whose arbiter lease must not be
	// held.
	Lapsed NodeID
}

// State is what the arbiter knows at one revision.
type State struct {
	// Revision grows with every change.
	Revision int64
	// Grants by name of the logical unit.
	Grants map[string]Grant
	// Holders are the controllers whose arbiter lease is held.
	Holders map[NodeID]bool
	// Floors by name of the logical unit: a state of it that is before its
	// floor is out of date, and nobody may serve with it.
	Floors map[string]Stamp
}

// Alone reports whether nobody but the primary is a candidate.
func (g Grant) Alone() bool {
	return len(g.Candidates) == 1 && g.Candidates[0] == g.Primary
}

// Has reports whether n is a candidate.
func (g Grant) Has(n NodeID) bool { return slices.Contains(g.Candidates, n) }

// Equal reports whether both grants say the same.
func (g Grant) Equal(o Grant) bool {
	return g.Epoch == o.Epoch && g.Primary == o.Primary && g.Unfenced == o.Unfenced &&
		slices.Equal(g.Candidates, o.Candidates)
}

// String draws the grant as "epoch 4: 1 of {1 2}", or "none".
func (g Grant) String() string {
	if g.Epoch == 0 {
		return "none"
	}
	c := make([]string, len(g.Candidates))
	for i, n := range g.Candidates {
		c[i] = fmt.Sprint(n)
	}
	text := fmt.Sprintf("epoch %d: %d of {%s}", g.Epoch, g.Primary, strings.Join(c, " "))
	if g.Unfenced != 0 {
		text += fmt.Sprintf(", %v not fenced", g.Unfenced)
	}
	return text
}

// Validate reports what no arbiter would keep: a primary that is no candidate,
// candidates out of order or out of range, or parts of a grant that was never
// made.
func (g Grant) Validate() error {
	if g.Epoch == 0 {
		if g.Primary != 0 || len(g.Candidates) != 0 || g.Unfenced != 0 {
			return fmt.Errorf("grant of epoch 0 with primary %d: must be empty", g.Primary)
		}
		return nil
	}
	last := NodeID(0)
	for _, n := range g.Candidates {
		if n <= last || n > MaxNodes {
			return fmt.Errorf("candidates %v: must be 1 to %d and ascending", g.Candidates, MaxNodes)
		}
		last = n
	}
	if !g.Has(g.Primary) {
		return fmt.Errorf("primary %d: is not among the candidates %v", g.Primary, g.Candidates)
	}
	if g.Unfenced.Has(g.Primary) {
		return fmt.Errorf("unfenced %v: must not have the primary, %d", g.Unfenced, g.Primary)
	}
	return nil
}
