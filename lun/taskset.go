package lun

import "github.com/tandem-san/tandem/scsi"

// taskSet is the one task set of a logical unit (TST 000b; SAM-6 §8). The lock
// of the unit protects it.
type taskSet struct {
	oldest, newest *Task
	count          int
	// ordered and headOfQueue count the tasks with those attributes; dormant
	// those in phaseDormant.
	ordered, headOfQueue, dormant int
	index                         [taskBuckets]*Task
}

const taskBuckets = 256

func bucket(n *nexus, tag uint64) uint8 {
	h := (tag ^ uint64(n.id)<<32) * 0x9E3779B97F4A7C15
	return uint8(h >> 56)
}

// find answers the task of nexus n with the tag, or nil.
func (s *taskSet) find(n *nexus, tag uint64) *Task {
	for t := s.index[bucket(n, tag)]; t != nil; t = t.state.sameBucket {
		if t.Tag == tag && t.state.nexus == n {
			return t
		}
	}
	return nil
}

// insert enters the task as the newest one.
func (s *taskSet) insert(t *Task) {
	t.state.older, t.state.newer = s.newest, nil
	if s.newest == nil {
		s.oldest = t
	} else {
		s.newest.state.newer = t
	}
	s.newest = t
	b := &s.index[bucket(t.state.nexus, t.Tag)]
	t.state.sameBucket, *b = *b, t
	s.tally(t, 1)
}

// remove takes the task out.
func (s *taskSet) remove(t *Task) {
	st := &t.state
	if st.older == nil {
		s.oldest = st.newer
	} else {
		st.older.state.newer = st.newer
	}
	if st.newer == nil {
		s.newest = st.older
	} else {
		st.newer.state.older = st.older
	}
	for b := &s.index[bucket(st.nexus, t.Tag)]; *b != nil; b = &(*b).state.sameBucket {
		if *b == t {
			*b = st.sameBucket
			break
		}
	}
	st.older, st.newer, st.sameBucket = nil, nil, nil
	s.tally(t, -1)
}

func (s *taskSet) tally(t *Task, by int) {
	s.count += by
	t.state.nexus.tasks += by
	switch t.Attribute {
	case scsi.AttributeOrdered:
		s.ordered += by
	case scsi.AttributeHeadOfQueue:
		s.headOfQueue += by
	}
}

// mayStart reports whether the task may enter the enabled state
// (SAM-6 §8.6): a head of queue task at once, a simple task when no older
// ordered and no head of queue task is left, an ordered task when no older and
// no head of queue task is left.
func (s *taskSet) mayStart(t *Task) bool {
	switch t.Attribute {
	case scsi.AttributeHeadOfQueue:
		return true
	case scsi.AttributeOrdered:
		return s.headOfQueue == 0 && t == s.oldest
	}
	if s.headOfQueue > 0 {
		return false
	}
	if s.ordered == 0 {
		return true
	}
	for o := t.state.older; o != nil; o = o.state.older {
		if o.Attribute == scsi.AttributeOrdered {
			return false
		}
	}
	return true
}
