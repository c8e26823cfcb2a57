package target

import (
	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// task is a SCSI command on its way: the lun.Task its unit works on, and the
// lun.Transport that gathers its data and sends its answer.
type task struct {
	lun.Task
	c         *connection
	unit      lun.Unit
	lun       iscsi.LUN
	itt       uint32
	serial    uint32 // counts the tasks of the connection
	immediate bool   // took no slot of the command window
	read      bool   // data goes to the initiator
	cdb       [iscsi.MaxCDBLength]byte
	out       dataOutState

	// failure, when it has a key, is what the command ends with although its
	// unit was made to abort it.
	failure scsi.Sense
	// completed: CommandComplete came while the reader was filling the buffer.
	completed bool

	// last is the PDU that ends the command; sense is its data segment.
	last  pdu
	sense [2 + scsi.MaxSenseLength]byte

	next *task // while idle
}

// newTask takes an empty task and enters it under the initiator task tag,
// which must not be in use; mu is held.
func (c *connection) newTask(itt uint32) *task {
	t := c.idleTasks
	if t == nil {
		t = &task{c: c}
		t.Transport = t
	} else {
		c.idleTasks = t.next
		t.next = nil
	}
	t.itt = itt
	c.serial++
	t.serial = c.serial
	t.Tag = c.unitTag(itt)
	c.tasks[itt] = t
	c.outstanding++
	c.counters.Commands++
	return t
}

// unitTag is the tag by which units know a task. It tells the connections of a
// session apart: an initiator that breaks the rule that its task tags differ on
// all of them confuses only itself.
func (c *connection) unitTag(itt uint32) uint64 { return uint64(c.cid)<<32 | uint64(itt) }

// recycleTask gives back what a task that is through has, and keeps it for use
// again; mu is held. A task that was aborted is not used again: its unit may
// be just about to call ReceiveDataOut, or this side DataOutReceived.
func (c *connection) recycleTask(t *task) {
	t.Release()
	if t.Aborted || t.NotServed || t.Status == scsi.StatusTaskAborted {
		return
	}
	t.DataOut = nil
	t.unit = nil
	t.Status, t.Sense, t.failure = 0, scsi.Sense{}, scsi.Sense{}
	t.Transfer, t.ExpectedIn, t.ExpectedOut = 0, 0, 0
	t.Uncertain, t.HandoverAsked, t.CopyManager = false, false, false
	t.completed = false
	t.out = dataOutState{}
	t.next = c.idleTasks
	c.idleTasks = t
}

// CommandComplete takes the finished task back and sends its answer. It is
// part of lun.Transport and may be called on any goroutine.
func (t *task) CommandComplete(*lun.Task) {
	c := t.c
	c.mu.Lock()
	t.completed = true
	// While the reader fills the buffer it cannot be given back: the reader
	// goes on when it is through.
	if !t.out.filling {
		c.finish(t)
	}
	c.mu.Unlock()
}

// finish ends a completed task; mu is held.
func (c *connection) finish(t *task) {
	delete(c.tasks, t.itt)
	c.outstanding--
	if t.out.buffer != nil {
		c.heldBytes -= len(t.out.buffer.Bytes())
		t.out.buffer.Release()
		t.out.buffer = nil
	}
	switch {
	case t.failure.Key != scsi.NoSense:
		t.Release()
		t.Status, t.Sense = scsi.StatusCheckCondition, t.failure
	case t.NotServed:
		// Who routes tasks should have held it: the initiator may retry.
		t.Status = scsi.StatusCheckCondition
		t.Sense = scsi.Sense{Key: scsi.NotReady, ASC: scsi.LogicalUnitNotAccessibleAsymmetricAccessStateTransition}
	case t.Aborted:
		if !t.immediate {
			c.session.maxCmdSN.Add(1)
		}
		c.recycleTask(t)
		c.wakeReader()
		return
	}
	c.sendAnswer(t)
	c.wakeReader()
}

// wakeReader tells a reader that waits for the last task; mu is held.
func (c *connection) wakeReader() {
	if c.dead && c.outstanding == 0 {
		c.toReader.Broadcast()
	}
}

// answer ends a task that never reaches its unit.
func (t *task) answer(status scsi.Status, sense scsi.Sense) {
	t.Status, t.Sense = status, sense
	t.CommandComplete(&t.Task)
}
