package initiator

import (
	"errors"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/scsi"
)

// Task is one SCSI command. The caller sets the fields of the first group,
// hands it to Submit or Do, and owns it again, with the results, when it has
// ended. A Task may be used again and again, on any session; that costs no
// allocation.
type Task struct {
	LUN       iscsi.LUN
	CDB       [iscsi.CDBLength]byte
	Attribute scsi.TaskAttribute
	// DataOut is what the command sends, DataIn is filled with what it
	// returns. At most one is not empty; up to MaxTransfer bytes.
	DataOut []byte
	DataIn  []byte
	// Done, when set, is called once the task has ended, on a goroutine of the
	// session: it must not wait for anything, nor close the session. It may
	// submit tasks. Do does not use it.
	Done func(*Task)

	// Response, Status and Sense are the target's answer, when Err is nil.
	Response iscsi.ServiceResponse
	Status   scsi.Status
	Sense    scsi.Sense
	// Transferred is how many bytes of DataIn were filled.
	Transferred int
	// Residual is how much more or less data the command called for
	// (RFC 7143 §11.4.5).
	Residual iscsi.Residual
	// Err tells why the task ended without an answer of the target.
	Err error

	wait chan struct{} // tells Do
	sync bool          // Do waits

	// The rest belongs to the session and is guarded by its lock, except
	// where said otherwise.
	state     taskState
	tag       uint32
	cmdSN     uint32
	since     time.Time // handed to the session
	aborting  error     // why it is being aborted
	writing   int       // the writer refers to DataOut
	ended     bool      // ended while the writer referred to DataOut
	prev      *Task
	next      *Task
	nextBurst *Task // in the list of bursts to be sent
	burst     burst
	dataSN    uint32 // of the next Data-In
	r2tSN     uint32 // of the next R2T
}

// MaxTransfer is the largest data transfer of a task in bytes.
const MaxTransfer = 1 << 30

type taskState uint8

const (
	taskIdle   taskState = iota
	taskQueued           // waits for the command window
	taskSent
)

// burst is a sequence of Data-Out PDUs that is to be sent.
type burst struct {
	pending bool
	tag     uint32 // target transfer tag
	offset  int
	length  int
}

// Error is nil when the task ended with GOOD or CONDITION MET, Err when the
// target gave no answer, and a *StatusError otherwise.
func (t *Task) Error() error {
	switch {
	case t.Err != nil:
		return t.Err
	case t.Response == iscsi.CommandCompletedAtTarget &&
		(t.Status == scsi.StatusGood || t.Status == scsi.StatusConditionMet):
		return nil
	}
	return &StatusError{Op: t.CDB[0], Response: t.Response, Status: t.Status, Sense: t.Sense}
}

// validate refuses what cannot be sent.
func (t *Task) validate() error {
	switch {
	case t.state != taskIdle:
		return errors.New("initiator: the task is under way already")
	case len(t.DataOut) > 0 && len(t.DataIn) > 0:
		return errors.New("initiator: bidirectional commands are not supported")
	case len(t.DataOut) > MaxTransfer || len(t.DataIn) > MaxTransfer:
		return errors.New("initiator: the transfer is longer than MaxTransfer")
	}
	return nil
}

// reset clears the results and what the session kept of an earlier use.
func (t *Task) reset(now time.Time) {
	t.Response, t.Status, t.Sense, t.Transferred = 0, 0, scsi.Sense{}, 0
	t.Residual, t.Err = iscsi.Residual{}, nil
	t.since, t.aborting, t.ended, t.burst = now, nil, false, burst{}
	t.dataSN, t.r2tSN, t.cmdSN, t.tag = 0, 0, 0, 0
}

// finish tells whoever waits. The session has let go of the task.
func (t *Task) finish() {
	if t.sync {
		t.wait <- struct{}{}
	} else if t.Done != nil {
		t.Done(t)
	}
}

// taskList is a doubly linked list in order of arrival.
type taskList struct{ first, last *Task }

func (l *taskList) push(t *Task) {
	t.prev, t.next = l.last, nil
	if l.last == nil {
		l.first = t
	} else {
		l.last.next = t
	}
	l.last = t
}

func (l *taskList) remove(t *Task) {
	if t.prev == nil {
		l.first = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		l.last = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.prev, t.next = nil, nil
}
