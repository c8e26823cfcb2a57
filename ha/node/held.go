package node

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/lun"
)

// heldQueue keeps the tasks of one logical unit that wait for a way, in the
// order in which they came.
type heldQueue struct {
	mu          sync.Mutex
	first, last *errand
	count       atomic.Int64 // readable without the lock
}

// put appends a task, unless max are held already.
func (q *heldQueue) put(e *errand, max int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count.Load() >= int64(max) {
		return false
	}
	if e.since.IsZero() {
		e.since = time.Now()
	}
	e.next = nil
	if q.last == nil {
		q.first = e
	} else {
		q.last.next = e
	}
	q.last = e
	q.count.Add(1)
	return true
}

func (q *heldQueue) empty() bool { return q.count.Load() == 0 }

// takeReady takes every task whose data-out is not being gathered, in order.
func (q *heldQueue) takeReady() []*errand {
	return q.take(func(e *errand) bool { return !e.busy() })
}

// takeOlder takes the tasks first held before t whose data-out is not being
// gathered.
func (q *heldQueue) takeOlder(t time.Time) []*errand {
	return q.take(func(e *errand) bool { return e.since.Before(t) && !e.busy() })
}

// takeIf takes the tasks that match.
func (q *heldQueue) takeIf(match func(*lun.Task) bool) []*errand {
	return q.take(func(e *errand) bool { return match(e.task) })
}

func (q *heldQueue) take(match func(*errand) bool) []*errand {
	if q.empty() {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var taken []*errand
	var kept *errand
	first := q.first
	q.first, q.last = nil, nil
	for e := first; e != nil; {
		next := e.next
		e.next = nil
		if match(e) {
			taken = append(taken, e)
		} else {
			if kept == nil {
				q.first = e
			} else {
				kept.next = e
			}
			kept, q.last = e, e
		}
		e = next
	}
	q.count.Add(-int64(len(taken)))
	return taken
}
