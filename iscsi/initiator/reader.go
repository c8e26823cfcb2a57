package initiator

import (
	"fmt"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/scsi"
)

// read is the life of the reading goroutine: it takes what the target sends
// until the connection or the target's discipline fails.
func (s *Session) read() error {
	for {
		h, _, err := s.in.ReadHeader()
		if err != nil {
			return fmt.Errorf("receive from target: %w", err)
		}
		s.heard.Store(true)
		if err := s.receive(h); err != nil {
			return err
		}
	}
}

// receive acts on one PDU.
func (s *Session) receive(h *iscsi.BHS) error {
	switch h.Opcode() {
	case iscsi.OpDataIn:
		return s.receiveDataIn(h)
	case iscsi.OpSCSIResponse:
		return s.receiveResponse(h)
	case iscsi.OpR2T:
		return s.receiveR2T(h)
	case iscsi.OpNOPIn:
		return s.receiveNOP(h)
	case iscsi.OpTaskResponse, iscsi.OpLogoutResponse:
		return s.receiveFunction(h)
	case iscsi.OpAsyncMessage:
		return s.receiveAsync(h)
	case iscsi.OpReject:
		return s.receiveReject(h)
	}
	return protocolErrorf(h.Opcode(), "has no place in the full feature phase")
}

// window takes note of ExpCmdSN and MaxCmdSN (RFC 7143 §4.2.2.1). The lock is
// held.
func (s *Session) window(h *iscsi.BHS) {
	expected, last := h.ExpCmdSN(), h.MaxCmdSN()
	if iscsi.Before(last, expected-1) {
		return // the RFC says: both are ignored
	}
	if iscsi.Before(s.expCmdSN, expected) {
		s.expCmdSN = expected
	}
	if iscsi.Before(s.maxCmdSN, last) {
		s.maxCmdSN = last
		if s.queued.first != nil {
			s.kick()
		}
	}
}

// status takes note of StatSN in a PDU that advances it: none may be missing
// (RFC 7143 §4.2.2.2). The lock is held.
func (s *Session) status(h *iscsi.BHS) error {
	if n := h.StatSN(); n != s.expStatSN {
		return protocolErrorf(h.Opcode(), "StatSN %d, expected %d", n, s.expStatSN)
	}
	s.expStatSN++
	return nil
}

// sentTask finds the task a PDU of the target is about. The lock is held.
func (s *Session) sentTask(h *iscsi.BHS) (*Task, error) {
	t := s.tags.find(h.InitiatorTaskTag())
	if t == nil || t.state != taskSent {
		return nil, protocolErrorf(h.Opcode(), "initiator task tag %08xh is of no task", h.InitiatorTaskTag())
	}
	return t, nil
}

// receiveDataIn puts data where the task wants it, and ends the task when the
// status comes with it (RFC 7143 §11.7).
func (s *Session) receiveDataIn(h *iscsi.BHS) error {
	var p iscsi.DataIn
	p.Decode(h)
	n := h.DataSegmentLength()
	s.mu.Lock()
	s.window(h)
	t, err := s.sentTask(h)
	if err == nil {
		err = t.expectDataIn(&p, n)
	}
	if err == nil && p.HasStatus {
		err = s.status(h)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	// Only this goroutine ends a task that was sent, so its buffer stays valid
	// without the lock.
	if err := s.in.ReadData(t.DataIn[t.Transferred : t.Transferred+n]); err != nil {
		return fmt.Errorf("receive from target: %w", err)
	}
	t.Transferred += n
	t.dataSN++
	if p.HasStatus {
		s.answered(t, iscsi.CommandCompletedAtTarget, p.Status, p.Residual)
	}
	return nil
}

// expectDataIn refuses data that is not the next of the task's buffer: data
// PDUs and sequences come in order (DataPDUInOrder, DataSequenceInOrder).
func (t *Task) expectDataIn(p *iscsi.DataIn, n int) error {
	switch {
	case int64(p.BufferOffset) != int64(t.Transferred):
		return protocolErrorf(iscsi.OpDataIn, "buffer offset %d, expected %d", p.BufferOffset, t.Transferred)
	case n > len(t.DataIn)-t.Transferred:
		return protocolErrorf(iscsi.OpDataIn, "%d bytes at %d are more than the task's %d", n, t.Transferred, len(t.DataIn))
	case p.DataSN != t.dataSN:
		return protocolErrorf(iscsi.OpDataIn, "DataSN %d, expected %d", p.DataSN, t.dataSN)
	case p.HasStatus && !p.Final:
		return protocolErrorf(iscsi.OpDataIn, "status without the F bit")
	case p.HasStatus && p.Status == scsi.StatusCheckCondition:
		return protocolErrorf(iscsi.OpDataIn, "CHECK CONDITION without sense data")
	}
	return nil
}

// receiveResponse ends a task (RFC 7143 §11.4).
func (s *Session) receiveResponse(h *iscsi.BHS) error {
	var p iscsi.SCSIResponse
	p.Decode(h)
	data, err := s.in.Data()
	if err != nil {
		return fmt.Errorf("receive from target: %w", err)
	}
	s.mu.Lock()
	s.window(h)
	err = s.status(h)
	var t *Task
	if err == nil {
		t, err = s.sentTask(h)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if p.Status == scsi.StatusCheckCondition && p.Response == iscsi.CommandCompletedAtTarget {
		if t.Sense, err = decodeSense(data); err != nil {
			return err
		}
	}
	s.answered(t, p.Response, p.Status, p.Residual)
	return nil
}

// decodeSense reads the data segment of a response: a length of two bytes,
// then the sense data (RFC 7143 §11.4.7).
func decodeSense(data []byte) (scsi.Sense, error) {
	if len(data) < 2 {
		return scsi.Sense{}, protocolErrorf(iscsi.OpSCSIResponse, "CHECK CONDITION without sense data")
	}
	n := int(data[0])<<8 | int(data[1])
	if n > len(data)-2 {
		return scsi.Sense{}, protocolErrorf(iscsi.OpSCSIResponse, "sense length %d in %d bytes", n, len(data)-2)
	}
	sense, err := scsi.DecodeSense(data[2 : 2+n])
	if err != nil {
		return scsi.Sense{}, protocolErrorf(iscsi.OpSCSIResponse, "%v", err)
	}
	return sense, nil
}

// answered ends a task with the target's answer.
func (s *Session) answered(t *Task, r iscsi.ServiceResponse, status scsi.Status, residual iscsi.Residual) {
	t.Response, t.Status, t.Residual = r, status, residual
	s.mu.Lock()
	now := s.complete(t)
	s.mu.Unlock()
	if now {
		t.finish()
	}
}

// receiveR2T queues the burst the target asks for (RFC 7143 §11.8). One R2T
// of a task is outstanding at a time: MaxOutstandingR2T is 1.
func (s *Session) receiveR2T(h *iscsi.BHS) error {
	var p iscsi.R2T
	p.Decode(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window(h)
	t, err := s.sentTask(h)
	if err != nil {
		return err
	}
	offset, length := int64(p.BufferOffset), int64(p.DesiredDataTransferLength)
	switch {
	case t.burst.pending:
		return protocolErrorf(iscsi.OpR2T, "a second one is outstanding, MaxOutstandingR2T is 1")
	case p.TargetTransferTag == iscsi.NoTag:
		return protocolErrorf(iscsi.OpR2T, "the target transfer tag is reserved")
	case p.R2TSN != t.r2tSN:
		return protocolErrorf(iscsi.OpR2T, "R2TSN %d, expected %d", p.R2TSN, t.r2tSN)
	case length == 0 || length > int64(s.params.MaxBurstLength):
		return protocolErrorf(iscsi.OpR2T, "%d bytes asked for, 1 to %d may be", length, s.params.MaxBurstLength)
	case offset+length > int64(len(t.DataOut)):
		return protocolErrorf(iscsi.OpR2T, "%d bytes at %d are more than the task's %d", length, offset, len(t.DataOut))
	}
	t.r2tSN++
	t.burst = burst{tag: p.TargetTransferTag, offset: int(offset), length: int(length)}
	s.bursts.push(t)
	s.kick()
	return nil
}

// receiveNOP answers a ping of the target, or takes the answer to one of ours
// (RFC 7143 §11.19).
func (s *Session) receiveNOP(h *iscsi.BHS) error {
	var p iscsi.NOPIn
	p.Decode(h)
	if h.DataSegmentLength() > maxPingData {
		return protocolErrorf(iscsi.OpNOPIn, "%d bytes of ping data, at most %d are echoed", h.DataSegmentLength(), maxPingData)
	}
	data, err := s.in.Data()
	if err != nil {
		return fmt.Errorf("receive from target: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window(h)
	if p.InitiatorTaskTag != iscsi.NoTag {
		if err := s.status(h); err != nil {
			return err
		}
		if f := s.functions[p.InitiatorTaskTag]; f == nil || f.op != iscsi.OpNOPOut {
			return protocolErrorf(iscsi.OpNOPIn, "initiator task tag %08xh is of no ping", p.InitiatorTaskTag)
		}
		delete(s.functions, p.InitiatorTaskTag)
		return nil
	}
	if p.TargetTransferTag == iscsi.NoTag {
		return nil // only tells the numbers
	}
	var answer controlPDU
	iscsi.NOPOut{
		Immediate:         true,
		LUN:               p.LUN,
		InitiatorTaskTag:  iscsi.NoTag,
		TargetTransferTag: p.TargetTransferTag,
		CmdSN:             s.cmdSN,
	}.Encode(&answer.header)
	if len(data) > 0 {
		answer.data = append([]byte(nil), data[:min(len(data), s.params.MaxSendDataSegmentLength)]...)
	}
	if err := s.queueControl(answer); err != nil {
		return err
	}
	s.kick()
	return nil
}
