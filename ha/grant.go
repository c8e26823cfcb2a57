package ha

import (
	"fmt"
	"slices"
	"strings"
)

// NodeID names a controller of the cluster, 1 to 8. 0 is no controller.
type NodeID uint8

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
}

// Alone reports whether nobody but the primary is a candidate.
func (g Grant) Alone() bool {
	return len(g.Candidates) == 1 && g.Candidates[0] == g.Primary
}

// Has reports whether n is a candidate.
func (g Grant) Has(n NodeID) bool { return slices.Contains(g.Candidates, n) }

// Equal reports whether both grants say the same.
func (g Grant) Equal(o Grant) bool {
	return g.Epoch == o.Epoch && g.Primary == o.Primary && slices.Equal(g.Candidates, o.Candidates)
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
	return fmt.Sprintf("epoch %d: %d of {%s}", g.Epoch, g.Primary, strings.Join(c, " "))
}
