package initiator

import (
	"fmt"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/scsi"
)

// receiveFunction takes the answer to a task management function or a logout
// (RFC 7143 §11.6, §11.15).
func (s *Session) receiveFunction(h *iscsi.BHS) error {
	want, response := iscsi.OpTaskRequest, uint8(0)
	if h.Opcode() == iscsi.OpLogoutResponse {
		var p iscsi.LogoutResponse
		p.Decode(h)
		want, response = iscsi.OpLogoutRequest, uint8(p.Response)
	} else {
		var p iscsi.TaskResponse
		p.Decode(h)
		response = uint8(p.Response)
	}
	tag := h.InitiatorTaskTag()
	s.mu.Lock()
	s.window(h)
	f := s.functions[tag]
	err := s.status(h)
	if err == nil && (f == nil || f.op != want) {
		err = protocolErrorf(h.Opcode(), "initiator task tag %08xh is of no such request", tag)
	}
	if err != nil {
		s.mu.Unlock()
		return err
	}
	delete(s.functions, tag)
	ended, err := s.managed(f, response)
	s.mu.Unlock()
	for _, t := range ended {
		t.finish()
	}
	f.end(response, nil)
	return err
}

// managed ends the tasks a function has ended and returns those that can be
// finished now. The lock is held.
func (s *Session) managed(f *function, response uint8) (finished []*Task, err error) {
	if f.op == iscsi.OpLogoutRequest {
		if f.result == nil {
			return nil, ErrLogoutRequested
		}
		return nil, ErrClosed
	}
	r := scsi.FunctionResponse(response)
	switch {
	case f.abortOf != nil:
		t := s.tags.find(f.abortTag)
		if t != f.abortOf {
			return nil, nil // it ended by itself
		}
		// "Task does not exist": whatever the target had to say of it came before.
		if r != scsi.FunctionComplete && r != scsi.TaskDoesNotExist {
			return nil, fmt.Errorf("%w: response %d to ABORT TASK", ErrAbortFailed, response)
		}
		t.Err = t.aborting
		if s.complete(t) {
			finished = append(finished, t)
		}
	case r == scsi.FunctionComplete && f.ends != nil:
		for t := s.sent.first; t != nil; {
			next := t.next
			if iscsi.Before(t.cmdSN, f.cmdSN) && f.ends(t) {
				t.Err = ErrAborted
				if s.complete(t) {
					finished = append(finished, t)
				}
			}
			t = next
		}
	}
	return finished, nil
}

// receiveAsync takes an asynchronous message (RFC 7143 §11.9).
func (s *Session) receiveAsync(h *iscsi.BHS) error {
	var p iscsi.AsyncMessage
	p.Decode(h)
	data, err := s.in.Data()
	if err != nil {
		return fmt.Errorf("receive from target: %w", err)
	}
	s.mu.Lock()
	s.window(h)
	err = s.status(h)
	if err == nil && p.Event == iscsi.AsyncLogoutRequest && !s.leaving {
		s.leaving = true
		s.leaveBy = time.Now().Add(time.Duration(p.Parameter3) * time.Second)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	switch p.Event {
	case iscsi.AsyncConnectionDrop, iscsi.AsyncSessionDrop:
		return ErrDropped
	case iscsi.AsyncNegotiationRequest:
		// Nothing is open to negotiation: the RFC lets the initiator log out.
		return ErrLogoutRequested
	case iscsi.AsyncSCSIEvent:
		sense, err := decodeSense(data)
		if err != nil {
			return err
		}
		s.tell(AsyncEvent{Message: p, Sense: sense})
	default:
		s.tell(AsyncEvent{Message: p})
	}
	return nil
}

// AsyncEvent is an asynchronous message of the target (RFC 7143 §11.9).
type AsyncEvent struct {
	Message iscsi.AsyncMessage
	Sense   scsi.Sense // of a SCSI event
}

func (s *Session) tell(e AsyncEvent) {
	if s.cfg.OnAsync != nil {
		s.cfg.OnAsync(e)
	}
}

// receiveReject ends the task whose PDU was rejected, or the session when it
// was no command's: nothing else this side sends can be refused and leave
// the session usable (RFC 7143 §11.17).
func (s *Session) receiveReject(h *iscsi.BHS) error {
	var p iscsi.Reject
	p.Decode(h)
	data, err := s.in.Data()
	if err != nil {
		return fmt.Errorf("receive from target: %w", err)
	}
	s.mu.Lock()
	s.window(h)
	if err := s.status(h); err != nil {
		s.mu.Unlock()
		return err
	}
	rejection := &RejectError{p.Reason}
	var t *Task
	if len(data) >= iscsi.BHSLength {
		if bad := (*iscsi.BHS)(data); bad.Opcode() == iscsi.OpSCSICommand {
			t = s.tags.find(bad.InitiatorTaskTag())
		}
	}
	if t == nil || t.state != taskSent {
		s.mu.Unlock()
		return rejection
	}
	t.Err = rejection
	now := s.complete(t)
	s.mu.Unlock()
	if now {
		t.finish()
	}
	return nil
}
