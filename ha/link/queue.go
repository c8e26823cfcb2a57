package link

import "sync"

// queue holds the frames of one stream until its writer takes them, and
// counts them until they are written. Senders never wait.
type queue struct {
	mu     sync.Mutex
	filled sync.Cond // signalled when there is something to take
	limit  int
	bytes  int // queued or being written
	closed bool
	next   batch
}

// batch is frames in order: the headers and heads one after the other in
// fixed, and for each frame where its own end there and what follows it.
type batch struct {
	fixed  []byte
	frames []queued
}

type queued struct {
	end   int // of this frame's header and head in batch.fixed
	body  []byte
	owner Releaser
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit}
	q.filled.L = &q.mu
	return q
}

// put queues the frame, or says why not; then the owner stays with the caller.
func (q *queue) put(f *Frame) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrDown
	}
	if q.bytes+f.size() > q.limit {
		return ErrQueueFull
	}
	q.bytes += f.size()
	q.next.fixed = appendHeader(q.next.fixed, f)
	q.next.frames = append(q.next.frames, queued{end: len(q.next.fixed), body: f.Body, owner: f.Owner})
	if len(q.next.frames) == 1 {
		q.filled.Signal()
	}
	return nil
}

// take waits for frames and swaps them against the emptied batch of the
// caller. It answers false when the queue is closed.
func (q *queue) take(b *batch) bool {
	b.fixed, b.frames = b.fixed[:0], b.frames[:0]
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.next.frames) == 0 && !q.closed {
		q.filled.Wait()
	}
	if q.closed {
		return false
	}
	*b, q.next = q.next, *b
	return true
}

// written makes room for n bytes that were taken.
func (q *queue) written(n int) {
	q.mu.Lock()
	q.bytes -= n
	q.mu.Unlock()
}

// close wakes the writer and takes no more frames.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.filled.Signal()
	q.mu.Unlock()
}

// drop closes the queue and lets go of what was queued and never taken. Nothing
// can be queued after it, when nobody would let go of it any more.
func (q *queue) drop() {
	q.mu.Lock()
	q.closed = true
	dropped := q.next.frames
	q.next = batch{}
	q.mu.Unlock()
	releaseAll(dropped)
}

func releaseAll(frames []queued) {
	for _, f := range frames {
		if f.owner != nil {
			f.owner.Release()
		}
	}
}
