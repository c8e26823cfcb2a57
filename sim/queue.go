package sim

import "time"

// event is something that happens at an instant of true time.
type event struct {
	at   time.Duration
	turn uint64 // among those of the same instant
	// who is the process it happens in, nil for the world; it does not happen
	// any more when the process has ended, and later when it stands still.
	who  *controller
	life uint64
	run  func()
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.turn < o.turn
}

// eventQueue gives events in the order in which they happen (a binary heap).
type eventQueue struct {
	heap  []event
	turns uint64
}

func (q *eventQueue) push(e event) {
	q.turns++
	e.turn = q.turns
	h := append(q.heap, e)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(&h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = e
	q.heap = h
}

func (q *eventQueue) pop() event {
	h := q.heap
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	q.heap = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= len(h) {
			break
		}
		if right := down + 1; right < len(h) && h[right].before(&h[down]) {
			down = right
		}
		if !h[down].before(&last) {
			break
		}
		h[i] = h[down]
		i = down
	}
	h[i] = last
	return first
}
