package node

import (
	"sync"
	"sync/atomic"

	"github.com/tandem-san/tandem/lun"
)

// lostNexuses remembers for a while which nexuses were lost, so that a task of
// one that comes back from another controller later is ended and not held.
type lostNexuses struct {
	count atomic.Uint64 // of losses
	mu    sync.Mutex
	lost  map[lun.Nexus]uint64 // the count of the last loss of each
	// order has the last maxLosses losses; that of count c is at (c-1) % maxLosses.
	order []lun.Nexus
}

// maxLosses is how many losses are remembered; the oldest is forgotten first.
const maxLosses = 4096

// now is the count of losses so far.
func (l *lostNexuses) now() uint64 { return l.count.Load() }

// note remembers a loss.
func (l *lostNexuses) note(n lun.Nexus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = map[lun.Nexus]uint64{}
	}
	count := l.count.Add(1)
	if count <= maxLosses {
		l.order = append(l.order, n)
	} else {
		oldest := &l.order[(count-1)%maxLosses]
		if l.lost[*oldest] == count-maxLosses { // not lost again since
			delete(l.lost, *oldest)
		}
		*oldest = n
	}
	l.lost[n] = count
}

// since reports whether a nexus was lost after the count was what is given.
func (l *lostNexuses) since(n lun.Nexus, count uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost[n] > count
}
