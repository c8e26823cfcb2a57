package node

import (
	"sync"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// errand is a task on its way through a Unit: it stands between the task and
// its transport, so that a task which found no right to serve comes back here
// and not to the initiator. It implements lun.Transport.
//
// A unit may give the task up while the transport still gathers data-out for
// it. The errand then waits here until the data has arrived, because until
// then the transport writes to the task.
type errand struct {
	unit  *Unit
	task  *lun.Task
	upper lun.Transport
	born  uint64 // how many nexuses had been lost when it came
	came  ha.Instant
	epoch uint64    // of the newest grant that was known when it came
	since time.Time // when it was first held; zero while it was not
	next  *errand   // in the queue

	mu        sync.Mutex
	at        lun.Unit // who has the task; nil while it is held
	gathering bool     // the transport was asked for data-out
	over      bool     // the task was aborted: nothing follows
}

// follow hands the task to a unit.
func (e *errand) follow(to lun.Unit) {
	e.mu.Lock()
	e.at = to
	e.mu.Unlock()
	to.Submit(e.task)
}

// ReceiveDataOut implements lun.Transport.
func (e *errand) ReceiveDataOut(t *lun.Task, n int) {
	e.mu.Lock()
	e.gathering = true
	e.mu.Unlock()
	e.upper.ReceiveDataOut(t, n)
}

// dataArrived goes on after the transport has gathered what was asked for.
func (e *errand) dataArrived() {
	e.mu.Lock()
	e.gathering = false
	at, over := e.at, e.over
	e.mu.Unlock()
	switch {
	case over:
	case at != nil:
		at.DataOutReceived(e.task)
	case e.unit.open():
		e.unit.releaseHeld()
	}
}

// busy reports whether the transport still writes to the task.
func (e *errand) busy() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gathering
}

// CommandComplete implements lun.Transport.
func (e *errand) CommandComplete(t *lun.Task) {
	if !t.NotServed {
		e.finish()
		return
	}
	t.NotServed = false
	t.Release()
	if !e.mayRepeat() && !e.busy() { // one whose data is still to come has not run
		e.notReady()
		return
	}
	e.mu.Lock()
	e.at = nil
	e.mu.Unlock()
	e.unit.hold(e)
}

// mayRepeat reports whether a task that may have been executed by a primary
// that was lost can be executed again: what changes reservations or mode pages
// cannot, its initiator has to look first.
func (e *errand) mayRepeat() bool {
	id, _ := scsi.Lookup(e.task.CDB)
	return id == scsi.NoCommand || scsi.Commands[id].Effect != scsi.EffectState || !e.task.Uncertain
}

// notReady answers as a port in transition (SPC-5 §5.18.2.6): the initiator
// tries again or takes another path.
func (e *errand) notReady() {
	e.task.Status = scsi.StatusCheckCondition
	e.task.Sense = scsi.Sense{Key: scsi.NotReady, ASC: scsi.LogicalUnitNotAccessibleAsymmetricAccessStateTransition}
	e.finish()
}

// abort ends the task without an answer of its own.
func (e *errand) abort() {
	e.task.Aborted = true
	e.task.Status = scsi.StatusTaskAborted
	e.finish()
}

// finish gives the task back to its transport. The transport of an aborted task
// may be just about to tell of its data, so such a task keeps its errand, and
// neither is used again.
func (e *errand) finish() {
	u, t, upper := e.unit, e.task, e.upper
	if t.Aborted || t.Status == scsi.StatusTaskAborted {
		e.mu.Lock()
		e.over = true
		e.mu.Unlock()
	} else {
		t.Transport = upper
		e.mu.Lock()
		e.task, e.upper, e.since, e.at, e.gathering = nil, nil, time.Time{}, nil, false
		e.mu.Unlock()
		u.idle.Put(e)
	}
	upper.CommandComplete(t)
}
