package initiator

import (
	"context"
	"fmt"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/scsi"
)

// function is a request other than a SCSI command that awaits an answer: a
// task management function, a logout, a ping.
type function struct {
	op       iscsi.Opcode
	since    time.Time // entered
	abortOf  *Task     // ABORT TASK of the session's own making
	abortTag uint32    // that task's tag, in case it ends meanwhile
	// ends, when set, says which tasks with a CmdSN before cmdSN are over when
	// the function is complete.
	ends   func(*Task) bool
	cmdSN  uint32
	result chan functionResult
}

type functionResult struct {
	response uint8
	err      error
}

func newFunction() *function { return &function{result: make(chan functionResult, 1)} }

// end tells whoever waits. It is called once.
func (f *function) end(response uint8, err error) {
	if f.result != nil {
		f.result <- functionResult{response, err}
	}
}

// await gives the outcome; an answer other than 0 is not an error.
func (f *function) await(ctx context.Context) error {
	_, err := f.response(ctx)
	return err
}

func (f *function) response(ctx context.Context) (uint8, error) {
	select {
	case r := <-f.result:
		return r.response, r.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// controlPDU is a PDU that goes out before commands and data. Its header is
// complete but for ExpStatSN.
type controlPDU struct {
	header iscsi.BHS
	data   []byte
}

// maxControl bounds the control PDUs waiting to be sent: a target that pings
// without reading answers is dropped, not served with memory.
const maxControl = 256

// maxPingData bounds the data of a ping that is echoed, in bytes.
const maxPingData = 4096

// enter registers f and gives it a tag. The lock is held.
func (s *Session) enter(f *function, op iscsi.Opcode) (tag uint32) {
	for {
		s.lastTag++
		tag = tagControl | s.lastTag
		if _, used := s.functions[tag]; !used && tag != iscsi.NoTag {
			break
		}
	}
	f.op, f.since = op, time.Now()
	s.functions[tag] = f
	return tag
}

// queueControl adds a PDU to those to be sent. The lock is held.
func (s *Session) queueControl(p controlPDU) error {
	if len(s.control) >= maxControl {
		return protocolErrorf(iscsi.OpNOPIn, "%d answers are waiting because the target does not read", len(s.control))
	}
	s.control = append(s.control, p)
	return nil
}

// addAbort queues an ABORT TASK for t. The lock is held.
func (s *Session) addAbort(t *Task, cause error) {
	t.aborting = cause
	f := &function{abortOf: t, abortTag: t.tag}
	var p controlPDU
	iscsi.TaskRequest{
		Immediate:         true,
		Function:          scsi.AbortTask,
		LUN:               t.LUN,
		InitiatorTaskTag:  s.enter(f, iscsi.OpTaskRequest),
		ReferencedTaskTag: t.tag,
		CmdSN:             s.cmdSN,
		RefCmdSN:          t.cmdSN,
	}.Encode(&p.header)
	// There are no more aborts than tasks, so the bound is theirs.
	s.control = append(s.control, p)
}

// addLogout queues a logout of the session.
func (s *Session) addLogout(f *function) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return &lostError{s.err}
	}
	s.leaving = true
	s.control = append(s.control, s.logoutPDU(f))
	s.kick()
	return nil
}

// logoutPDU makes a request to close the session, to be answered to f. The
// lock is held.
func (s *Session) logoutPDU(f *function) (p controlPDU) {
	iscsi.LogoutRequest{
		Immediate:        true,
		Reason:           iscsi.CloseSession,
		InitiatorTaskTag: s.enter(f, iscsi.OpLogoutRequest),
		CmdSN:            s.cmdSN,
	}.Encode(&p.header)
	return p
}

// addPing queues a NOP-Out that asks for an answer. The lock is held.
func (s *Session) addPing() {
	var p controlPDU
	iscsi.NOPOut{
		Immediate:         true,
		InitiatorTaskTag:  s.enter(&function{}, iscsi.OpNOPOut),
		TargetTransferTag: iscsi.NoTag,
		CmdSN:             s.cmdSN,
	}.Encode(&p.header)
	s.control = append(s.control, p)
}

// Manage asks for a task management function other than ABORT TASK on a
// logical unit (RFC 7143 §11.5) and returns the target's answer. Tasks of this
// session that a complete function has ended end with ErrAborted. When ctx
// ends first nothing is known about the function's effect.
func (s *Session) Manage(ctx context.Context, fn scsi.TaskManagementFunction, lun iscsi.LUN) (scsi.FunctionResponse, error) {
	if fn == scsi.AbortTask || fn == scsi.TaskReassign || fn == scsi.QueryTask {
		return 0, fmt.Errorf("initiator: task management function %d concerns a task: cancel the task instead", fn)
	}
	f := newFunction()
	f.ends = endedBy(fn, lun)
	s.mu.Lock()
	if s.err != nil {
		err := &lostError{s.err}
		s.mu.Unlock()
		return 0, err
	}
	f.cmdSN = s.cmdSN
	var p controlPDU
	iscsi.TaskRequest{
		Immediate:         true,
		Function:          fn,
		LUN:               lun,
		InitiatorTaskTag:  s.enter(f, iscsi.OpTaskRequest),
		ReferencedTaskTag: iscsi.NoTag,
		CmdSN:             s.cmdSN,
	}.Encode(&p.header)
	err := s.queueControl(p)
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	s.kick()
	r, err := f.response(ctx)
	return scsi.FunctionResponse(r), err
}

// endedBy says which tasks of this nexus a complete function has ended
// (SAM-6 §7); nil: none.
func endedBy(fn scsi.TaskManagementFunction, lun iscsi.LUN) func(*Task) bool {
	switch fn {
	case scsi.AbortTaskSet, scsi.ClearTaskSet, scsi.LogicalUnitReset:
		return func(t *Task) bool { return t.LUN == lun }
	case scsi.TargetWarmReset, scsi.TargetColdReset, scsi.ITNexusReset:
		return func(*Task) bool { return true }
	}
	return nil
}
