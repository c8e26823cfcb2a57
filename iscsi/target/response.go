package target

import (
	"encoding/binary"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/scsi"
)

// sendAnswer queues what the initiator gets for a finished task: its data in
// Data-In PDUs and its status, in the last of them when it is GOOD, in a SCSI
// Response otherwise (RFC 7143 §11.4, §11.7). mu is held.
func (c *connection) sendAnswer(t *task) {
	var data []byte
	if t.read && t.DataIn != nil {
		data = t.DataIn.Bytes()
		data = data[:min(len(data), t.ExpectedIn)]
	}
	c.counters.DataIn += uint64(len(data))
	residual := t.residual(len(data))
	collapse := len(data) > 0 && t.Status == scsi.StatusGood
	sent := c.sendDataIn(t, data, residual, collapse)
	if !collapse {
		t.encodeResponse(residual, sent)
	}
	t.last.task = t
	t.last.status = true
	t.last.slot = !t.immediate
	c.send(&t.last)
}

// sendDataIn queues the Data-In PDUs and returns how many there are. With
// status in the last one, that is encoded into t.last and left to be queued.
func (c *connection) sendDataIn(t *task, data []byte, residual iscsi.Residual, status bool) (count uint32) {
	segment := int(c.params.PeerMaxRecvDataSegmentLength)
	burst := int(c.params.MaxBurstLength)
	inBurst := 0
	for offset := 0; offset < len(data); count++ {
		n := min(segment, len(data)-offset, burst-inBurst)
		inBurst += n
		last := offset+n == len(data)
		p := iscsi.DataIn{
			Final:             last || inBurst == burst,
			InitiatorTaskTag:  t.itt,
			TargetTransferTag: iscsi.NoTag,
			DataSN:            count,
			BufferOffset:      uint32(offset),
		}
		o := &t.last
		if last && status {
			p.HasStatus = true
			p.Status = t.Status
			p.Residual = residual
		} else {
			o = c.newPDU()
		}
		p.Encode(o.Header())
		o.Data = data[offset : offset+n]
		if o != &t.last {
			c.send(o)
		}
		if inBurst == burst {
			inBurst = 0
		}
		offset += n
	}
	return count
}

// encodeResponse puts a SCSI Response into t.last; dataIn is how many Data-In
// PDUs went before it.
func (t *task) encodeResponse(residual iscsi.Residual, dataIn uint32) {
	p := iscsi.SCSIResponse{
		Status:           t.Status,
		InitiatorTaskTag: t.itt,
		ExpDataSN:        dataIn + t.out.r2tSN,
		Residual:         residual,
	}
	if t.read && t.ExpectedOut > 0 { // bidirectional, which no unit is
		p.BidiRead = iscsi.Residual{Underflow: t.ExpectedIn > 0, Count: uint32(t.ExpectedIn)}
	}
	p.Encode(t.last.Header())
	if t.Status == scsi.StatusCheckCondition {
		b := scsi.AppendSense(t.sense[:2], t.Sense)
		binary.BigEndian.PutUint16(b, uint16(len(b)-2))
		t.last.Data = b
	}
}

// residual compares what the command called for with what the initiator
// expected (SAM-6 §5.4.3, RFC 7143 §11.4.5); sent is the data-in that goes out.
func (t *task) residual(sent int) iscsi.Residual {
	expected, moved := t.ExpectedOut, min(t.Transfer, t.ExpectedOut)
	if t.ExpectedOut == 0 {
		expected, moved = t.ExpectedIn, sent
	}
	switch {
	case t.Transfer > expected:
		return iscsi.Residual{Overflow: true, Count: uint32(t.Transfer - expected)}
	case moved < expected:
		return iscsi.Residual{Underflow: true, Count: uint32(expected - moved)}
	}
	return iscsi.Residual{}
}
