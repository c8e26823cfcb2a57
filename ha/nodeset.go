package ha

import (
	"encoding/json"
	"fmt"
	"strings"
)

// NodeSet is a set of controllers; the zero value is empty.
type NodeSet uint16

// Nodes is the set of some controllers, which must be 1 to MaxNodes.
func Nodes(nodes ...NodeID) NodeSet {
	var s NodeSet
	for _, n := range nodes {
		s |= 1 << n
	}
	return s
}

// Has reports whether n is in the set.
func (s NodeSet) Has(n NodeID) bool { return s&(1<<n) != 0 }

// List is the set in ascending order.
func (s NodeSet) List() []NodeID {
	var out []NodeID
	for n := range NodeID(16) {
		if s.Has(n) {
			out = append(out, n)
		}
	}
	return out
}

// String lists the controllers: "1", or "1 and 3".
func (s NodeSet) String() string {
	var words []string
	for _, n := range s.List() {
		words = append(words, fmt.Sprint(n))
	}
	return strings.Join(words, " and ")
}

// MarshalJSON writes a list of numbers.
func (s NodeSet) MarshalJSON() ([]byte, error) { return json.Marshal(s.List()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *NodeSet) UnmarshalJSON(b []byte) error {
	var list []NodeID
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("set of controllers %q: %w", b, err)
	}
	*s = 0
	for _, n := range list {
		if n < 1 || n > MaxNodes {
			return fmt.Errorf("set of controllers %q: must be 1 to %d", b, MaxNodes)
		}
		*s |= Nodes(n)
	}
	return nil
}
