package sim

import (
	"slices"

	"github.com/tandem-san/tandem/ha"
)

// request is a command that was sent to the primary and has no answer.
type request struct {
	unit  int
	epoch uint64
	pair  uint64 // of streams it was sent over
	e     *errand

	// Of a command whose data is moved here.

	local    bool
	asked    ha.Instant // when it was sent
	until    ha.Instant // of the ticket
	moving   bool
	detached bool // how that ends the primary is not told
}

// forward ships a command to the primary, or has it admit one whose data is moved
// here.
func (c *controller) forward(e *errand, primary ha.NodeID, epoch uint64, moves bool) {
	p, end := c.w.controller(primary), c.w.net.ends[c.id][primary]
	r := &request{unit: e.u.index, epoch: epoch, pair: end.pair, e: e, local: moves, asked: c.clock()}
	c.w.counts.Forwarded++
	asked := e.asked
	if !end.send(dataStream, func() { p.serve(c, r, asked) }) {
		e.complete(result{notServed: true})
		return
	}
	c.peers[primary].requests = append(c.peers[primary].requests, r)
}

// serve runs a command that a peer has shipped, if this controller serves the
// unit under the epoch that the peer believes in.
func (c *controller) serve(from *controller, r *request, asked bool) {
	answer := func(res result) {
		// Not over other streams than it came by.
		if c.w.net.ends[c.id][from.id].pair == r.pair {
			c.w.net.ends[c.id][from.id].send(dataStream, func() { from.answered(c, r, res) })
		}
	}
	u := c.serves(r.unit, r.epoch)
	if u == nil {
		c.w.counts.Refused++
		answer(result{notServed: true})
		return
	}
	j := &job{cmd: r.e.cmd, from: from, done: answer, asked: asked}
	if r.local {
		j.r, j.pair = r, r.pair
	}
	u.admit(j)
}

// answered ends a command with what the primary says. One that was withdrawn
// is somewhere else. What cannot be moved here is shipped.
func (c *controller) answered(primary *controller, r *request, res result) {
	s := &c.peers[primary.id]
	i := slices.Index(s.requests, r)
	if i < 0 {
		return
	}
	s.requests = slices.Delete(s.requests, i, i+1)
	switch {
	case r.moving: // how that ends decides
		r.detached = true
	case r.local && res.notServed:
		r.e.uncertain = r.e.uncertain || res.uncertain
		c.forward(r.e, primary.id, r.epoch, false)
	default:
		r.e.complete(res)
	}
}

// forwardLoss tells the primary that a session is gone.
func (c *controller) forwardLoss(u *unit, s *session) {
	p, index := c.w.controller(u.way.Primary), u.index
	c.w.net.ends[c.id][p.id].send(dataStream, func() {
		if b := p.units[index].brain; b != nil {
			b.nexusLost(s)
		}
	})
}

// failRequests ends what has no answer after the link was lost, oldest first.
func (c *controller) failRequests(p *controller) {
	requests := c.peers[p.id].requests
	c.peers[p.id].requests = nil
	for _, r := range requests {
		r.fail()
	}
}

// fail ends a request that has no answer.
func (r *request) fail() {
	if r.moving {
		r.detached = true
		return
	}
	r.e.complete(result{notServed: true, uncertain: true})
}

// withdraw ends what a primary of an epoch that is over does not answer.
func (c *controller) withdraw(u *unit, from ha.NodeID, epoch uint64) {
	s := &c.peers[from]
	var back []*request
	s.requests = slices.DeleteFunc(s.requests, func(r *request) bool {
		if r.unit == u.index && r.epoch <= epoch {
			back = append(back, r)
			return true
		}
		return false
	})
	for _, r := range back {
		c.w.counts.Withdrawn++
		r.fail()
	}
}
