// Package lun is the logical unit: task set, reservations, unit attentions,
// mode pages, and the execution of commands over a block.Device.
//
// One logical unit has one brain. LogicalUnit is that brain; a port reaches it
// through Unit, whether it lives in this process or is shipped to through a
// proxy. A logical unit never looks at sessions, sockets or the network, and
// it does not decide whether it may serve: that right is handed to it
// (Right), and it asks for it when a command starts and again when its effect
// would become visible.
//
// It follows SAM-6 for tasks and task management, SPC-5 and SBC-4 for
// commands.
package lun

import (
	"context"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/scsi"
)

// Nexus names an I_T nexus: who talks through which port (SAM-6 §4.7).
type Nexus struct {
	// InitiatorPort is the SCSI initiator port name; for iSCSI the initiator
	// name, ",i,0x" and the ISID as twelve hexadecimal digits (RFC 7143 §4.2.7).
	InitiatorPort string
	// TargetPort is the relative target port identifier (SPC-5 §7.7.6.7).
	TargetPort uint16
}

// Unit is a logical unit as a target port sees it. All methods may be called
// from many goroutines; commands of one nexus are taken in the order of the
// calls to Submit.
type Unit interface {
	// Submit enters the task into the task set. It does not wait for the
	// command: the answer comes through t.Transport.CommandComplete, perhaps
	// before Submit returns. Between Submit and CommandComplete the task
	// belongs to the unit.
	Submit(t *Task)
	// DataOutReceived goes on with a task after its Transport has gathered the
	// data asked for with ReceiveDataOut. For a task that has completed
	// meanwhile (it was aborted, or not served) it does nothing.
	DataOutReceived(t *Task)
	// Manage performs a task management function and returns when its effect
	// is complete. A task it aborts completes with Task.Aborted set, or with
	// TASK ABORTED status when the TAS bit says so. A unit that does not serve,
	// and one whose ctx ends first, answers FUNCTION REJECTED.
	Manage(ctx context.Context, f Management) scsi.FunctionResponse
	// NexusLost tells that the nexus is gone (SAM-6 §6.3.4): its tasks are
	// aborted, its unit attentions and legacy reservation dropped; persistent
	// registrations stay.
	NexusLost(n Nexus)
}

// Transport is what a target port does for a task (the transport protocol
// services of SAM-6 §5.4). An iSCSI session implements it for tasks of its
// own; the link implements it for tasks that arrived at another controller.
type Transport interface {
	// ReceiveDataOut gathers data-out until t.DataOut holds n bytes, or
	// t.Gathered says so for a task with a Mover
	// (n <= t.ExpectedOut), then calls Unit.DataOutReceived. It does not wait.
	// A transport that cannot go on aborts the task instead.
	ReceiveDataOut(t *Task, n int)
	// CommandComplete hands the finished task back. Status, Sense and DataIn
	// are set. The transport owns the task again and calls t.Release when the
	// data is sent.
	CommandComplete(t *Task)
}

// Task is one command on its way through a logical unit.
type Task struct {
	// Set by the port before Submit and constant until CommandComplete.

	Nexus     Nexus
	Tag       uint64 // unique among the tasks of the nexus
	CDB       []byte // as received; 6 to 260 bytes
	Attribute scsi.TaskAttribute
	Transport Transport
	// Scanning: the initiator began the nexus with REPORT LUNS, which is
	// answered elsewhere. Such a nexus is looking for logical units and is not
	// told POWER ON OCCURRED.
	Scanning bool
	// CopyManager: the copy manager of the port has a hand in it. It admits
	// third-party copy commands this way, and the reads and writes it makes of
	// them, with the rights of the nexus, leave unit attentions pending.
	CopyManager bool
	// ExpectedOut and ExpectedIn are how many bytes the initiator means to
	// send and is ready to take (iSCSI: the expected data transfer length in
	// the direction of the command). The unit never asks for more and need
	// not return less: the port truncates and reports residuals.
	ExpectedOut int
	ExpectedIn  int
	// DataOut holds the data-out that has arrived; it may be shorter than
	// ExpectedOut at Submit (immediate data only). The port grows it when
	// asked (Transport.ReceiveDataOut). The memory is the port's.
	DataOut []byte
	// Mover, when not nil, moves the data: the command is Movable, the
	// Transport gathers data-out for the Mover, and Gathered in place of
	// DataOut says how many bytes of it have arrived.
	Mover    Mover
	Gathered int

	// Set by the unit before CommandComplete.

	Status scsi.Status
	Sense  scsi.Sense // when Status is CHECK CONDITION
	// DataIn is the data for the initiator; nil when there is none. Release
	// gives it back.
	DataIn *block.Buffer
	// Transfer is the number of bytes the command called for in its
	// direction, whatever was expected: the port works out residual counts
	// from it (SAM-6 §5.4.3).
	Transfer int
	// Aborted: a task management function or the loss of the nexus ended the
	// task; the port sends nothing for it unless its protocol asks for a
	// status.
	Aborted bool
	// NotServed: the unit had no right to serve when the command started or
	// when its effect would have become visible. No effect was acknowledged;
	// who routes tasks holds this one and sends it to where the brain lives
	// now. It never reaches an initiator.
	NotServed bool
	// Uncertain: a run that ended with NotServed may have taken effect, or may
	// still until the epoch it ran in is over. A unit only ever sets it, so
	// that it stays true over all runs of the task; the port clears it with
	// the rest of the task.
	Uncertain bool
	// HandoverAsked: a run of SET TARGET PORT GROUPS has begun a handover and
	// ended with NotServed, to be run again when that is over. A unit only ever
	// sets it; the port clears it with the rest of the task.
	HandoverAsked bool

	state taskState
}

// Management is a task management function request (SAM-6 §7).
type Management struct {
	Function scsi.TaskManagementFunction
	Nexus    Nexus
	Tag      uint64 // of the task meant, for ABORT TASK and QUERY TASK
}

// Right is the right to serve a logical unit (one brain at any instant). It
// runs out by itself. Implementations are safe for concurrent use and cost no
// more than reading a clock.
type Right interface {
	// Valid reports whether the right holds at this instant.
	Valid() bool
}
