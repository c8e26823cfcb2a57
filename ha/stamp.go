package ha

import "fmt"

// Stamp orders the states of a logical unit: by the epoch in which the
// controller that made them became the brain, and within that by version. The
// zero Stamp is before all others: there was no state yet.
type Stamp struct {
	Epoch   uint64 `json:"epoch"`
	Version uint64 `json:"version"`
}

// Before reports whether s is older than o.
func (s Stamp) Before(o Stamp) bool {
	return s.Epoch < o.Epoch || s.Epoch == o.Epoch && s.Version < o.Version
}

// String writes the stamp as "4.2".
func (s Stamp) String() string { return fmt.Sprintf("%d.%d", s.Epoch, s.Version) }
