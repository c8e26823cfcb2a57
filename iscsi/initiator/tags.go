package initiator

// Initiator task tags. A task's tag is its index in the table with a
// generation above it, so that an answer to an earlier task is not taken for
// one to its successor. Tags with the top bit set belong to NOP-Out, Logout
// and task management. NoTag (ffffffffh) is never given out (RFC 7143
// §11.2.1.8).
const (
	tagIndexBits = 16
	tagIndexMask = 1<<tagIndexBits - 1
	tagGenMask   = 0x7fff
	tagControl   = 0x80000000
	// maxTasks is how many tasks the index can tell apart.
	maxTasks = 1 << tagIndexBits
)

// tagTable gives tags to tasks and finds the task of a tag. Its size is fixed.
type tagTable struct {
	slots []tagSlot
	free  []uint32 // indices
}

type tagSlot struct {
	task       *Task
	generation uint32
}

func newTagTable(size int) tagTable {
	t := tagTable{slots: make([]tagSlot, size), free: make([]uint32, size)}
	for i := range t.free {
		t.free[i] = uint32(size - 1 - i)
	}
	return t
}

// add gives task a tag; ok is false when all are in use.
func (tt *tagTable) add(task *Task) (ok bool) {
	if len(tt.free) == 0 {
		return false
	}
	i := tt.free[len(tt.free)-1]
	tt.free = tt.free[:len(tt.free)-1]
	s := &tt.slots[i]
	s.generation = (s.generation + 1) & tagGenMask
	s.task = task
	task.tag = s.generation<<tagIndexBits | i
	return true
}

// find returns the task that has the tag now, or nil.
func (tt *tagTable) find(tag uint32) *Task {
	i := tag & tagIndexMask
	if tag&tagControl != 0 || int(i) >= len(tt.slots) {
		return nil
	}
	if t := tt.slots[i].task; t != nil && t.tag == tag {
		return t
	}
	return nil
}

func (tt *tagTable) remove(task *Task) {
	i := task.tag & tagIndexMask
	tt.slots[i].task = nil
	tt.free = append(tt.free, i)
}

// used is how many tasks have a tag.
func (tt *tagTable) used() int { return len(tt.slots) - len(tt.free) }
