package node

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/lun"
)

// lostNexuses remembers for a while which nexuses were lost, so that a task of
// one that comes back from another controller later is ended and not held.
type lostNexuses struct {
	count atomic.Uint64 // of losses
	mu    sync.Mutex
	lost  map[lun.Nexus]loss
}

// loss is when a nexus was lost last.
type loss struct {
	count uint64
	at    time.Time
}

const (
	// rememberLoss is longer than any task is on its way.
	rememberLoss = 10 * time.Minute
	// maxLosses is how many are remembered before old ones are forgotten.
	maxLosses = 4096
)

// now is the count of losses so far.
func (l *lostNexuses) now() uint64 { return l.count.Load() }

// note remembers a loss.
func (l *lostNexuses) note(n lun.Nexus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = map[lun.Nexus]loss{}
	}
	if len(l.lost) >= maxLosses {
		for n, was := range l.lost {
			if time.Since(was.at) > rememberLoss {
				delete(l.lost, n)
			}
		}
	}
	l.lost[n] = loss{l.count.Add(1), time.Now()}
}

// since reports whether a nexus was lost after the count was what is given.
func (l *lostNexuses) since(n lun.Nexus, count uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost[n].count > count
}
