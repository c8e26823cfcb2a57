package target

import (
	"errors"

	"github.com/tandem-san/tandem/iscsi"
)

// fullFeature takes PDUs until the connection ends, and says why it did. It
// is the reader goroutine.
func (c *connection) fullFeature() error {
	for {
		c.waitForRoom()
		h, ahs, err := c.reader.ReadHeader()
		c.header = h
		if err != nil {
			if errors.Is(err, iscsi.ErrTooLong) {
				return violation(iscsi.RejectProtocolError, "%v", err)
			}
			return err
		}
		c.alive.Store(true)
		c.setBatching(c.reader.Whole())
		if err := c.dispatch(h, ahs); err != nil {
			if errors.Is(err, iscsi.ErrDataDigest) {
				// The PDU is lost, and with it at error recovery level 0 the
				// session (§7.8).
				return violation(iscsi.RejectDataDigestError, "%v in %v", err, h.Opcode())
			}
			return err
		}
		if !c.reader.Ready() {
			c.setBatching(false)
		}
	}
}

// waitForRoom lets the writer catch up when it is far behind.
func (c *connection) waitForRoom() {
	c.mu.Lock()
	for c.queue.full() && !c.dead {
		c.toWriter.Signal() // it may have been left asleep for a batch
		c.toReader.Wait()
	}
	c.mu.Unlock()
}

// setBatching says whether the reader will go on without waiting for the
// network; when not, what is queued is sent.
func (c *connection) setBatching(on bool) {
	c.mu.Lock()
	c.batching = on
	if !on && c.queue.head != nil {
		c.toWriter.Signal()
	}
	c.mu.Unlock()
}

// dispatch handles one PDU.
func (c *connection) dispatch(h *iscsi.BHS, ahs []byte) error {
	op := h.Opcode()
	switch op {
	case iscsi.OpSCSICommand, iscsi.OpNOPOut, iscsi.OpTaskRequest, iscsi.OpTextRequest, iscsi.OpLogoutRequest:
		if take, err := c.session.take(c, h); !take || err != nil {
			return err
		}
		if c.session.several() && !h.Immediate() {
			defer c.session.endTurn()
		}
	}
	switch op {
	case iscsi.OpSCSICommand:
		return c.command(h, ahs)
	case iscsi.OpDataOut:
		return c.dataOut(h)
	case iscsi.OpNOPOut:
		return c.nopOut(h)
	case iscsi.OpTaskRequest:
		return c.manage(h)
	case iscsi.OpTextRequest:
		return c.textRequest(h)
	case iscsi.OpLogoutRequest:
		return c.logout(h)
	case iscsi.OpSNACK:
		// There is nothing to be sent again at error recovery level 0.
		return violation(iscsi.RejectSNACK, "SNACK at error recovery level 0")
	case iscsi.OpLoginRequest:
		return violation(iscsi.RejectProtocolError, "Login Request in full feature phase")
	}
	c.reject(iscsi.RejectCommandNotSupported)
	return nil
}

// take decides by CmdSN whether a command is to be carried out. Outside the
// window it is ignored (RFC 7143 §4.2.2.1). A gap inside the window cannot be
// filled on the only connection of a session; where there may be several, the
// connection waits for its turn.
func (s *session) take(c *connection, h *iscsi.BHS) (bool, error) {
	if h.Immediate() {
		return true, nil
	}
	if s.several() {
		return s.takeTurn(c, h.CmdSN())
	}
	sn, expected := h.CmdSN(), s.expCmdSN.Load()
	if !iscsi.InWindow(sn, expected, s.maxCmdSN.Load()) {
		return false, nil
	}
	if sn != expected {
		return false, violation(iscsi.RejectProtocolError, "CmdSN %d, expected is %d", sn, expected)
	}
	s.expCmdSN.Store(expected + 1)
	return true, nil
}

// respond queues a PDU that answers the command in h.
func (c *connection) respond(h *iscsi.BHS, build func(*pdu)) {
	c.mu.Lock()
	p := c.newPDU()
	build(p)
	p.status = true
	p.slot = !h.Immediate()
	c.send(p)
	c.mu.Unlock()
}

// nopOut echoes a ping, or takes the answer to one of this side (§11.18).
func (c *connection) nopOut(h *iscsi.BHS) error {
	var p iscsi.NOPOut
	p.Decode(h)
	if p.InitiatorTaskTag == iscsi.NoTag {
		c.pong(p.TargetTransferTag)
		if !p.Immediate {
			c.session.maxCmdSN.Add(1)
		}
		return nil
	}
	data, err := c.reader.Data()
	if err != nil {
		return err
	}
	data = data[:min(len(data), int(c.params.PeerMaxRecvDataSegmentLength))]
	c.respond(h, func(o *pdu) {
		iscsi.NOPIn{
			LUN:               p.LUN,
			InitiatorTaskTag:  p.InitiatorTaskTag,
			TargetTransferTag: iscsi.NoTag,
		}.Encode(o.Header())
		o.Data = append(o.own[:0], data...)
		o.copied = len(data)
	})
	return nil
}
