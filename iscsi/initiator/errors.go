package initiator

import (
	"errors"
	"fmt"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/scsi"
)

// What ends a task or a session; test with errors.Is.
var (
	// ErrSessionLost: the session ended before the task did. Everything that
	// ends a task because its session is over is ErrSessionLost too.
	ErrSessionLost = errors.New("iSCSI session is over")
	// ErrClosed: this side closed the session or logged out.
	ErrClosed = errors.New("iSCSI session was closed")
	// ErrLogoutRequested: the target asked for the logout that ended the
	// session (RFC 7143 §11.9.1, event 1).
	ErrLogoutRequested = errors.New("the target asked to log out")
	// ErrDropped: the target announced that it drops the connection or the
	// session (RFC 7143 §11.9.1, events 2 and 3).
	ErrDropped = errors.New("the target drops the session")
	// ErrPingTimeout: the target was silent for too long.
	ErrPingTimeout = errors.New("the target does not answer")
	// ErrTaskTimeout: the task took longer than Config.TaskTimeout and was
	// aborted.
	ErrTaskTimeout = errors.New("the task took too long")
	// ErrAborted: a task management function ended the task.
	ErrAborted = errors.New("the task was aborted")
	// ErrAbortFailed: the target did not confirm that a task is aborted, so
	// the session was ended.
	ErrAbortFailed = errors.New("the target did not abort a task")
	// ErrTooManyTasks: Config.MaxTasks tasks are under way already.
	ErrTooManyTasks = errors.New("too many tasks are under way")
	// ErrAuthentication: CHAP did not convince one of the two sides.
	ErrAuthentication = errors.New("authentication failed")
)

// StatusError tells that the target ended a task with a status other than
// GOOD, or could not carry it out at all (Response).
type StatusError struct {
	Op       byte                  // operation code of the command
	Response iscsi.ServiceResponse // not 0: the target failed, Status means nothing
	Status   scsi.Status
	Sense    scsi.Sense // with CHECK CONDITION
}

// Error names the command, the status and the sense data.
func (e *StatusError) Error() string {
	switch {
	case e.Response != iscsi.CommandCompletedAtTarget:
		return fmt.Sprintf("SCSI command %02xh: target failure, response %02xh", e.Op, uint8(e.Response))
	case e.Status == scsi.StatusCheckCondition:
		return fmt.Sprintf("SCSI command %02xh: %v: %v", e.Op, e.Status, e.Sense)
	}
	return fmt.Sprintf("SCSI command %02xh: %v", e.Op, e.Status)
}

// Unwrap gives the sense data of a CHECK CONDITION.
func (e *StatusError) Unwrap() error {
	if e.Response == iscsi.CommandCompletedAtTarget && e.Status == scsi.StatusCheckCondition {
		return e.Sense
	}
	return nil
}

// ProtocolError tells how the target broke a rule of RFC 7143. It ends the
// session or the login.
type ProtocolError struct {
	Opcode iscsi.Opcode // of the PDU at fault
	Detail string
}

// Error names the PDU and the rule.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("iSCSI protocol error of the target: %v: %s", e.Opcode, e.Detail)
}

func protocolErrorf(op iscsi.Opcode, format string, args ...any) error {
	return &ProtocolError{op, fmt.Sprintf(format, args...)}
}

// RejectError tells that the target rejected the PDU of a task
// (RFC 7143 §11.17).
type RejectError struct {
	Reason iscsi.RejectReason
}

// Error names the reason.
func (e *RejectError) Error() string { return fmt.Sprintf("the target rejected the PDU: %v", e.Reason) }

// LoginError tells that the target refused the login (RFC 7143 §11.13.5).
type LoginError struct {
	Status iscsi.LoginStatus
	// Address is where a target that moved is now (TargetAddress), if it said.
	Address string
}

// Error names the status.
func (e *LoginError) Error() string {
	if e.Address != "" {
		return fmt.Sprintf("login refused: %v, now at %s", e.Status, e.Address)
	}
	return fmt.Sprintf("login refused: %v", e.Status)
}

// Is makes an authentication failure ErrAuthentication.
func (e *LoginError) Is(target error) bool {
	return target == ErrAuthentication && e.Status == iscsi.LoginAuthenticationFailure
}

// lostError is the error of tasks whose session ended for a cause.
type lostError struct{ cause error }

func (e *lostError) Error() string        { return fmt.Sprintf("%v: %v", ErrSessionLost, e.cause) }
func (e *lostError) Is(target error) bool { return target == ErrSessionLost }
func (e *lostError) Unwrap() error        { return e.cause }
