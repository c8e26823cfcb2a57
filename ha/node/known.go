package node

import (
	"slices"
	"sync"

	"github.com/tandem-san/tandem/lun"
)

// knownNexuses remembers which nexuses use a logical unit through this
// controller while another one has the brain. When that one is lost the copy of
// its state may not name them all; they are to be told that the access state has
// changed (SPC-5 §5.18.2.1), and not, as new ones would be, of a power on that
// there was none of.
type knownNexuses struct {
	mu    sync.RWMutex
	known map[lun.Nexus]struct{}
}

// note remembers a nexus, unless there are as many as a logical unit keeps.
func (k *knownNexuses) note(n lun.Nexus) {
	k.mu.RLock()
	_, known := k.known[n]
	k.mu.RUnlock()
	if known {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = map[lun.Nexus]struct{}{}
	}
	if len(k.known) < lun.DefaultMaxNexuses {
		k.known[n] = struct{}{}
	}
}

// forget drops a nexus that is lost.
func (k *knownNexuses) forget(n lun.Nexus) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, n)
}

// complete adds to a state the nexuses that it does not name, as far as a
// logical unit keeps them.
func (k *knownNexuses) complete(s lun.State) lun.State {
	named := map[lun.Nexus]bool{}
	for _, n := range s.Nexuses {
		named[n.Nexus] = true
	}
	s.Nexuses = slices.Clone(s.Nexuses)
	k.mu.RLock()
	defer k.mu.RUnlock()
	for n := range k.known {
		if !named[n] && len(s.Nexuses) < lun.DefaultMaxNexuses {
			s.Nexuses = append(s.Nexuses, lun.KnownNexus{Nexus: n})
		}
	}
	return s
}
