package target

import (
	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// manage takes a Task Management Function Request (RFC 7143 §11.5). The
// function runs on a goroutine of its own, since units answer when its effect
// is complete.
func (c *connection) manage(h *iscsi.BHS) error {
	var p iscsi.TaskRequest
	p.Decode(h)
	if c.session.discovery {
		return violation(iscsi.RejectProtocolError, "task management in a discovery session")
	}
	c.mu.Lock()
	busy := c.pending >= c.server.limits.Functions
	if !busy {
		c.pending++
	}
	c.mu.Unlock()
	if busy {
		c.answerFunction(&p, scsi.FunctionRejected)
		return nil
	}
	c.functions.Go(func() {
		response := c.carryOut(&p)
		c.session.drain(c)
		c.mu.Lock()
		c.pending--
		c.mu.Unlock()
		c.answerFunction(&p, response)
		if p.Function == scsi.TargetColdReset && response == scsi.FunctionComplete {
			c.coldReset()
		}
	})
	return nil
}

// answerFunction queues the response.
func (c *connection) answerFunction(p *iscsi.TaskRequest, response scsi.FunctionResponse) {
	c.mu.Lock()
	o := c.newPDU()
	iscsi.TaskResponse{Response: response, InitiatorTaskTag: p.InitiatorTaskTag}.Encode(o.Header())
	o.status = true
	o.slot = !p.Immediate
	c.send(o)
	c.toWriter.Signal()
	c.mu.Unlock()
}

// carryOut has the units perform the function.
func (c *connection) carryOut(p *iscsi.TaskRequest) scsi.FunctionResponse {
	s := c.session
	m := lun.Management{Function: p.Function, Nexus: s.nexus, Tag: c.unitTag(p.ReferencedTaskTag)}
	switch p.Function {
	case scsi.AbortTask, scsi.QueryTask:
		holder, skipped := s.seek(c, p)
		if skipped {
			return scsi.FunctionComplete
		}
		if holder != nil {
			m.Tag = holder.unitTag(p.ReferencedTaskTag)
		}
	case scsi.TaskReassign:
		return scsi.ReassignNotSupported // error recovery level 0
	default:
		s.settle(c, p)
	}
	switch p.Function {
	case scsi.TargetWarmReset, scsi.TargetColdReset:
		worst := scsi.FunctionComplete
		for _, u := range s.target.luns.all() {
			if r := u.Manage(c.ended, m); r != scsi.FunctionComplete {
				worst = r
			}
		}
		return worst
	}
	n, ok := p.LUN.Number()
	var unit lun.Unit
	if ok {
		unit = s.target.luns.find(n)
	}
	if unit == nil {
		return scsi.LUNDoesNotExist
	}
	return unit.Manage(c.ended, m)
}

// coldReset ends all sessions of the target (RFC 7143 §11.5.1).
func (c *connection) coldReset() {
	for _, s := range c.server.live() {
		if s.targetName() == c.session.targetName() {
			s.drop(errReset)
		}
	}
}
