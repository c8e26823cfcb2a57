package lun

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/scsi"
)

// phase is where a task is on its way through the logical unit.
type phase uint8

const (
	phaseNone      phase = iota
	phaseDormant         // waits for older tasks (SAM-6 §8.5)
	phaseDataOut         // waits for the transport to gather data-out
	phaseRange           // waits for overlapping commands
	phaseParked          // waits for the end of an erasure
	phaseExecuting       // runs, or is about to
	phaseMoving          // its Mover has it
	phaseCompleted       // left the task set
)

// action is what is to be done for a task once the lock is released.
type action uint8

const (
	actionComplete action = iota
	actionReceive
	actionExecute
)

// taskState is what the logical unit keeps about a task between Submit and
// CommandComplete. The lock of the unit protects it, except for aborted, and
// except that the one goroutine that executes the task reads it freely.
type taskState struct {
	nexus *nexus
	// entered is when it came into the task set, since the brain began.
	entered time.Duration
	cmd     scsi.CommandID
	phase   phase
	action  action

	// queued: it is in the queue of actions. calling: its transport is being
	// called for data-out, and whatever is to follow waits until that call has
	// returned: later says that something does.
	queued, calling, later bool

	// need is how much data-out the command calls for, in bytes.
	need int
	// lba and end are the logical blocks [lba, end) that the command is about;
	// hasRange says that they are held in the range lock, exclusive as a write
	// does it.
	lba, end            uint64
	hasRange, exclusive bool
	// sync asks for what is written to be made durable before the status.
	sync bool
	// unsynced: that failed and has lost data, which is told whoever serves now.
	unsynced bool

	// park: it does not end when it was executed, but waits for the end of the
	// erasure it has begun.
	park bool

	// aborted is set, atomically, when the task is to end without effect; tas
	// when it ends with TASK ABORTED status.
	aborted uint32
	tas     bool
	// waiters are told when the aborted task has completed.
	waiters []*waiter

	older, newer         *Task // task set, in order of arrival
	sameBucket           *Task // index of the task set
	next                 *Task // queue of actions
	rangePrev, rangeNext *Task // range lock
}

func (s *taskState) isAborted() bool { return atomic.LoadUint32(&s.aborted) != 0 }

// reset prepares a task for its way through a unit.
func (t *Task) reset() {
	t.Status, t.Sense, t.DataIn, t.Transfer = scsi.StatusGood, scsi.Sense{}, nil, 0
	t.Aborted, t.NotServed = false, false
	t.state = taskState{}
}

// Release gives the data-in buffer back to its pool.
func (t *Task) Release() {
	t.DataIn.Release()
	t.DataIn = nil
}

// check ends the task with CHECK CONDITION.
func (t *Task) check(s scsi.Sense) {
	t.Release()
	t.Status, t.Sense = scsi.StatusCheckCondition, s
}

// fail ends the task with CHECK CONDITION for an error of package scsi, whose
// errors about commands are scsi.Sense.
func (t *Task) fail(err error) {
	var s scsi.Sense
	if !errors.As(err, &s) {
		panic("lun: not sense data: " + err.Error())
	}
	t.check(s)
}

// end ends the task with a status that carries no sense data.
func (t *Task) end(s scsi.Status) {
	t.Release()
	t.Status, t.Sense = s, scsi.Sense{}
}

// notServed marks the task as one for the brain elsewhere.
func (t *Task) notServed() {
	t.end(scsi.StatusGood)
	t.NotServed, t.Transfer = true, 0
}

// taskQueue is a first in, first out queue of tasks linked by taskState.next.
type taskQueue struct{ head, tail *Task }

func (q *taskQueue) push(t *Task) {
	t.state.next = nil
	if q.tail == nil {
		q.head = t
	} else {
		q.tail.state.next = t
	}
	q.tail = t
}

func (q *taskQueue) pop() *Task {
	t := q.head
	if t == nil {
		return nil
	}
	q.head = t.state.next
	if q.head == nil {
		q.tail = nil
	}
	t.state.next = nil
	return t
}

// waiter counts aborted tasks that still run; done is closed when the last one
// has completed. The lock of the unit protects it.
type waiter struct {
	left int
	done chan struct{}
}

func (w *waiter) completed() {
	if w.left--; w.left == 0 {
		close(w.done)
	}
}
