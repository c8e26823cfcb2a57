package target

import (
	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// Sense of iSCSI conditions (RFC 7143 §11.4.7.2).
var (
	unexpectedUnsolicitedData = scsi.Sense{Key: scsi.AbortedCommand, ASC: 0x0c0c}
	incorrectAmountOfData     = scsi.Sense{Key: scsi.AbortedCommand, ASC: 0x0c0d}
	protocolServiceCRCError   = scsi.Sense{Key: scsi.AbortedCommand, ASC: 0x4705}
)

// command takes a SCSI Command (§11.3) and hands it to its unit.
func (c *connection) command(h *iscsi.BHS, ahs []byte) error {
	var p iscsi.SCSICommand
	p.Decode(h)
	if c.session.discovery {
		return violation(iscsi.RejectProtocolError, "SCSI Command in a discovery session")
	}
	if p.InitiatorTaskTag == iscsi.NoTag {
		return violation(iscsi.RejectInvalidPDUField, "SCSI Command without a task tag")
	}
	more, err := iscsi.ParseAHS(ahs)
	if err != nil {
		return violation(iscsi.RejectInvalidPDUField, "%v", err)
	}
	if c.session.several() && c.session.holder(p.InitiatorTaskTag) != nil {
		return violation(iscsi.RejectProtocolError, "initiator task tag %08x is in use", p.InitiatorTaskTag)
	}
	c.mu.Lock()
	if c.tasks[p.InitiatorTaskTag] != nil {
		c.mu.Unlock()
		return violation(iscsi.RejectProtocolError, "initiator task tag %08x is in use", p.InitiatorTaskTag)
	}
	if p.Immediate && len(c.tasks) >= 2*c.server.limits.Commands {
		c.mu.Unlock()
		c.reject(iscsi.RejectTooManyImmediate)
		return nil
	}
	t := c.newTask(p.InitiatorTaskTag)
	c.mu.Unlock()
	t.fill(c.session, &p, &more)
	if status, sense := t.takeData(&p, h.DataSegmentLength()); status != scsi.StatusGood {
		t.answer(status, sense)
		return nil
	}
	if n := h.DataSegmentLength(); n > 0 {
		if err := c.immediateData(t, n); err != nil {
			t.Aborted = true
			t.CommandComplete(&t.Task)
			return err
		}
	}
	t.submit()
	return nil
}

// fill sets what the unit is told of the command.
func (t *task) fill(s *session, p *iscsi.SCSICommand, more *iscsi.AdditionalHeader) {
	t.lun = p.LUN
	t.immediate = p.Immediate
	t.read = p.Read
	t.Nexus = s.nexus
	t.Attribute = p.Attribute
	n := copy(t.cdb[:], p.CDB[:])
	n += copy(t.cdb[n:], more.ExtendedCDB)
	t.CDB = t.cdb[:n]
	switch {
	case p.Write:
		t.ExpectedOut = int(p.ExpectedDataTransferLength)
		if p.Read && more.HasReadDataLength {
			t.ExpectedIn = int(more.ReadDataLength)
		}
	case p.Read:
		t.ExpectedIn = int(p.ExpectedDataTransferLength)
	}
}

// submit hands the task to its unit.
func (t *task) submit() {
	s := t.c.session
	n, ok := t.lun.Number()
	if t.unit = nil; ok {
		t.unit = s.target.luns.find(n)
	}
	op := t.CDB[0]
	if !s.begun.Load() && !s.begun.Swap(true) && op == opReportLUNs {
		s.scanning.Store(true)
	}
	t.Scanning = s.scanning.Load()
	switch {
	case op == opReportLUNs, t.unit == nil:
		t.unit = nil
		s.answerAbsent(t, ok)
	case op != opInquiry && op != opRequestSense && s.lunsChanged.CompareAndSwap(true, false):
		t.answer(scsi.StatusCheckCondition, scsi.Sense{Key: scsi.UnitAttention, ASC: scsi.ReportedLUNsDataHasChanged})
	default:
		t.unit.Submit(&t.Task)
	}
}

var _ lun.Transport = (*task)(nil)
