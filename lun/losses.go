package lun

import "slices"

// losses are the nexuses that were lost while something was theirs that ends
// with them: a reservation made with RESERVE, or medium removal that they
// prevent. It is theirs no longer, though that is not stored yet. The lock of
// the unit protects them.
type losses struct {
	last  uint64
	since map[Nexus]uint64 // when, counted in losses
}

func (l *losses) has(n Nexus) bool { return l.since[n] != 0 }

// settle forgets losses that were stored, unless the nexus came and was lost
// again meanwhile.
func (l *losses) settle(stored map[Nexus]uint64) {
	for n, at := range stored {
		if l.since[n] == at {
			delete(l.since, n)
		}
	}
}

// lost ends what ends with a nexus. It is stored by the next change.
func (b *brain) lost(n Nexus) {
	r := b.state.reservations.reserve
	if (r == nil || *r != n) && !slices.Contains(b.state.durable.Prevent, n) {
		return
	}
	l := &b.losses
	if l.since == nil {
		l.since = map[Nexus]uint64{}
	}
	l.last++
	l.since[n] = l.last
}

// forgetLost takes what the lost nexuses had out of a state that is to be the
// next, and answers these losses.
func (b *brain) forgetLost(p *persistent) map[Nexus]uint64 {
	if len(b.losses.since) == 0 {
		return nil
	}
	settled := make(map[Nexus]uint64, len(b.losses.since))
	for n, at := range b.losses.since {
		settled[n] = at
		if r := p.reservations.reserve; r != nil && *r == n {
			p.reservations.reserve = nil
		}
		p.durable.Prevent = p.durable.allowing(n)
	}
	return settled
}
