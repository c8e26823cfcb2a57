package target

import (
	"errors"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// dataOutState is how far the data-out of a task has come. Data arrives in
// order (DataPDUInOrder and DataSequenceInOrder are Yes): immediate data,
// unsolicited Data-Out, then one burst for each R2T. The connection's lock
// guards it.
type dataOutState struct {
	buffer   *block.Buffer
	received int // bytes, from the start
	// filling: the reader writes into the buffer without holding the lock.
	filling bool
	// unsolicited: Data-Out without R2T is to come, up to offset limit.
	unsolicited bool
	limit       int
	dataSN      uint32 // the next one of the burst
	// broken, when it has a key: data was lost or is not what was asked for.
	// The command ends with it when all data under way has come (RFC 7143
	// §7.8, §7.9).
	broken scsi.Sense

	// wanted is how much the unit asked for and has not been given; 0: nothing.
	wanted int
	// R2Ts of the wanted data: they start at offset start, each but the last
	// for MaxBurstLength; sent and done count them. r2tSN counts those of the
	// whole command.
	start, sent, done int
	r2tSN             uint32
}

// takeData checks the data that comes with and after a command against what
// was negotiated, and gets the buffer for it. Anything but GOOD ends the
// command; what was sent of its data is skipped.
func (t *task) takeData(p *iscsi.SCSICommand, immediate int) (scsi.Status, scsi.Sense) {
	c := t.c
	params := &c.params
	switch {
	case immediate > 0 && (!p.Write || !params.ImmediateData):
		return scsi.StatusCheckCondition, unexpectedUnsolicitedData
	case !p.Final && (!p.Write || params.InitialR2T):
		return scsi.StatusCheckCondition, unexpectedUnsolicitedData
	case immediate > t.ExpectedOut || immediate > int(params.FirstBurstLength):
		return scsi.StatusCheckCondition, incorrectAmountOfData
	case t.ExpectedOut == 0:
		return scsi.StatusGood, scsi.Sense{}
	}
	size := min(t.ExpectedOut, c.server.limits.DataOutPerCommand)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.heldBytes+size > c.server.limits.DataOutPerSession/int(params.MaxConnections) && c.heldBytes > 0 {
		return scsi.StatusTaskSetFull, scsi.Sense{}
	}
	b := c.server.pool.Get(size)
	if b == nil {
		return scsi.StatusTaskSetFull, scsi.Sense{}
	}
	c.heldBytes += size
	t.out.buffer = b
	t.out.unsolicited = !p.Final
	t.out.limit = min(size, int(params.FirstBurstLength))
	return scsi.StatusGood, scsi.Sense{}
}

// immediateData reads n bytes of immediate data; the unit does not know the
// task yet.
func (c *connection) immediateData(t *task, n int) error {
	b := t.out.buffer.Bytes()[:n]
	if err := c.reader.ReadData(b); err != nil {
		return err
	}
	t.DataOut = b
	t.out.received = n
	c.mu.Lock()
	c.counters.DataOut += uint64(n)
	c.mu.Unlock()
	return nil
}

// ReceiveDataOut asks the initiator for the data the unit wants. It is part of
// lun.Transport and may be called on any goroutine, for an aborted task even
// after CommandComplete.
func (t *task) ReceiveDataOut(_ *lun.Task, n int) {
	c := t.c
	c.mu.Lock()
	if t.completed {
		c.mu.Unlock()
		return
	}
	if t.out.buffer == nil || n > len(t.out.buffer.Bytes()) {
		// The initiator announced no data, or more than one command may have.
		c.fail(t, scsi.Illegal(scsi.InvalidFieldInCDB))
		c.mu.Unlock()
		return
	}
	t.out.wanted = n
	ready := c.gather(t)
	c.mu.Unlock()
	if ready {
		t.unit.DataOutReceived(&t.Task)
	}
}

// fail has the unit abort the task, which then ends with sense; mu is held.
func (c *connection) fail(t *task, sense scsi.Sense) {
	t.failure = sense
	m := lun.Management{Function: scsi.AbortTask, Nexus: t.Nexus, Tag: t.Tag}
	unit := t.unit
	// On another goroutine: the unit may be in the middle of calling this side.
	c.functions.Go(func() { unit.Manage(c.ended, m) })
}

// gather goes on with the data-out of a task: it reports true when what the
// unit wants is there, or else sends the R2Ts that may be sent. mu is held.
func (c *connection) gather(t *task) (ready bool) {
	o := &t.out
	if o.wanted == 0 || t.completed || o.broken.Key != scsi.NoSense {
		return false
	}
	if o.received >= o.wanted {
		t.DataOut = o.buffer.Bytes()[:o.wanted]
		o.wanted = 0
		return true
	}
	if o.unsolicited {
		return false
	}
	if o.sent == o.done { // no burst is under way
		o.start, o.sent, o.done = o.received, 0, 0
	}
	burst := int(c.params.MaxBurstLength)
	for o.sent-o.done < int(c.params.MaxOutstandingR2T) {
		offset := o.start + o.sent*burst
		if offset >= o.wanted {
			break
		}
		p := c.newPDU()
		iscsi.R2T{
			LUN:                       t.lun,
			InitiatorTaskTag:          t.itt,
			TargetTransferTag:         t.transferTag(o.r2tSN),
			R2TSN:                     o.r2tSN,
			BufferOffset:              uint32(offset),
			DesiredDataTransferLength: uint32(min(burst, o.wanted-offset)),
		}.Encode(p.Header())
		c.send(p)
		o.r2tSN++
		o.sent++
	}
	return false
}

// transferTag is the target transfer tag of an R2T. Data-Out is found by its
// initiator task tag; this tag tells bursts apart, and tasks that had the same
// initiator task tag. The top bit keeps it from being NoTag or that of a ping.
func (t *task) transferTag(r2tSN uint32) uint32 {
	return (t.serial<<8 | r2tSN&0xff) &^ pingTag
}

// dataOut takes a Data-Out PDU (§11.7). Data of tasks that are not known is
// skipped: they were answered before all their data had come.
func (c *connection) dataOut(h *iscsi.BHS) error {
	var p iscsi.DataOut
	p.Decode(h)
	n := h.DataSegmentLength()
	c.mu.Lock()
	t := c.tasks[p.InitiatorTaskTag]
	if t == nil {
		c.mu.Unlock()
		return nil
	}
	err := t.checkDataOut(&p, n)
	if err != nil || t.out.broken.Key != scsi.NoSense {
		if err == nil && p.Final {
			c.burstEnds(t)
		}
		c.mu.Unlock()
		return err
	}
	t.out.filling = true
	c.mu.Unlock()

	err = c.reader.ReadData(t.out.buffer.Bytes()[t.out.received:][:n])
	spoilt := errors.Is(err, iscsi.ErrDataDigest)
	if spoilt {
		c.reject(iscsi.RejectDataDigestError)
		err = nil
	}

	c.mu.Lock()
	t.out.filling = false
	if t.completed || err != nil {
		if t.completed {
			c.finish(t)
		}
		c.mu.Unlock()
		return err
	}
	if spoilt {
		t.out.broken = protocolServiceCRCError
	}
	t.out.received += n
	t.out.dataSN++
	c.counters.DataOut += uint64(n)
	if p.Final {
		c.burstEnds(t)
	}
	ready := c.gather(t)
	c.mu.Unlock()
	if ready {
		t.unit.DataOutReceived(&t.Task)
	}
	return nil
}

// checkDataOut tells whether a Data-Out PDU with n bytes is the one that comes
// next. When data is missing or too long the task becomes broken; an error
// means that the connection cannot go on. mu is held.
func (t *task) checkDataOut(p *iscsi.DataOut, n int) error {
	o := &t.out
	end, tag := o.limit, iscsi.NoTag
	switch {
	case o.unsolicited:
	case o.sent > o.done:
		tag = t.transferTag(o.r2tSN - uint32(o.sent-o.done))
		end = min(o.start+(o.done+1)*int(t.c.params.MaxBurstLength), o.wanted)
	default:
		return violation(iscsi.RejectInvalidPDUField, "Data-Out of task %08x, which expects none", t.itt)
	}
	if p.TargetTransferTag != tag {
		return violation(iscsi.RejectInvalidPDUField, "Data-Out of task %08x: target transfer tag %08x, expected is %08x",
			t.itt, p.TargetTransferTag, tag)
	}
	if !o.unsolicited && p.LUN != t.lun {
		return violation(iscsi.RejectInvalidPDUField, "Data-Out of task %08x: LUN %v, expected is %v", t.itt, p.LUN, t.lun)
	}
	if o.broken.Key != scsi.NoSense {
		return nil
	}
	after := o.received + n
	switch {
	case p.DataSN != o.dataSN, p.BufferOffset != uint32(o.received):
		o.broken = protocolServiceCRCError
	case after > end, p.Final && after < end && !o.unsolicited:
		o.broken = incorrectAmountOfData
	case !p.Final && after == end:
		return violation(iscsi.RejectInvalidPDUField, "Data-Out of task %08x: F is missing at byte %d", t.itt, end)
	}
	return nil
}

// burstEnds counts the end of the burst under way. A task that is broken fails
// when it was the last one. mu is held.
func (c *connection) burstEnds(t *task) {
	o := &t.out
	o.dataSN = 0
	if o.unsolicited {
		o.unsolicited = false
	} else {
		o.done++
	}
	if o.broken.Key != scsi.NoSense && o.sent == o.done {
		c.fail(t, o.broken)
	}
}
