package lun

// rangeLock holds overlapping commands apart: readers share logical blocks, a
// writer has its blocks alone. Requests are granted in the order of arrival
// among those that overlap, so that none starves. The lock of the unit
// protects it.
type rangeLock struct {
	readers, writers, waiting rangeList
}

// rangeList is a list of tasks linked by taskState.rangePrev and rangeNext.
type rangeList struct{ first, last *Task }

func (l *rangeList) add(t *Task) {
	t.state.rangePrev, t.state.rangeNext = l.last, nil
	if l.last == nil {
		l.first = t
	} else {
		l.last.state.rangeNext = t
	}
	l.last = t
}

func (l *rangeList) remove(t *Task) {
	s := &t.state
	if s.rangePrev == nil {
		l.first = s.rangeNext
	} else {
		s.rangePrev.state.rangeNext = s.rangeNext
	}
	if s.rangeNext == nil {
		l.last = s.rangePrev
	} else {
		s.rangeNext.state.rangePrev = s.rangePrev
	}
	s.rangePrev, s.rangeNext = nil, nil
}

// overlaps reports whether a task of the list before stop (all of it when stop
// is nil) overlaps t; when writersOnly, only exclusive ones count.
func (l *rangeList) overlaps(t, stop *Task, writersOnly bool) bool {
	for o := l.first; o != stop; o = o.state.rangeNext {
		if o.state.lba < t.state.end && t.state.lba < o.state.end && (!writersOnly || o.state.exclusive) {
			return true
		}
	}
	return false
}

func (r *rangeLock) held(exclusive bool) *rangeList {
	if exclusive {
		return &r.writers
	}
	return &r.readers
}

// blocked reports whether t must wait for a holder or for a request made
// before stop.
func (r *rangeLock) blocked(t, stop *Task) bool {
	if r.writers.overlaps(t, nil, false) {
		return true
	}
	if t.state.exclusive && r.readers.overlaps(t, nil, false) {
		return true
	}
	return r.waiting.overlaps(t, stop, !t.state.exclusive)
}

// acquire takes the range of t, or queues it and reports false.
func (r *rangeLock) acquire(t *Task) bool {
	if r.blocked(t, nil) {
		r.waiting.add(t)
		return false
	}
	t.state.hasRange = true
	r.held(t.state.exclusive).add(t)
	return true
}

// release gives the range of t back. The caller then asks grant.
func (r *rangeLock) release(t *Task) {
	t.state.hasRange = false
	r.held(t.state.exclusive).remove(t)
}

// forget takes a waiting request back.
func (r *rangeLock) forget(t *Task) { r.waiting.remove(t) }

// grant takes a range that has become free for the oldest request that can
// have it, and answers its task, or nil.
func (r *rangeLock) grant() *Task {
	for t := r.waiting.first; t != nil; t = t.state.rangeNext {
		if r.blocked(t, t) {
			continue
		}
		r.waiting.remove(t)
		t.state.hasRange = true
		r.held(t.state.exclusive).add(t)
		return t
	}
	return nil
}
