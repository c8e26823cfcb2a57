package sim

import (
	"time"

	"github.com/tandem-san/tandem/ha"
)

// oracle sees everything and says what is wrong.
type oracle struct {
	w        *World
	units    [maxUnits]watched
	history  []*operation
	sequence int64            // of what clients and brains did
	newest   map[place]uint32 // value that a client was told of
}

// watched is what the oracle knows of a logical unit.
type watched struct {
	brain   uint64    // the newest that has had the right to serve
	acked   prState   // the newest registrations that were acknowledged
	unfence []unfence // who must be fenced before anybody serves
	served  time.Duration
	inVain  [ha.MaxNodes + 1]int // requests in a row that a lease was in the way of
}

// unfence is a controller from which the unit was taken.
type unfence struct {
	c     *controller
	epoch uint64
}

func (o *oracle) init(w *World) {
	o.w = w
	o.newest = map[place]uint32{}
	w.at(0, w.operate)
}

func (o *oracle) tick() int64 {
	o.sequence++
	return o.sequence
}

// rightGiven checks S1: while a controller has the right, no other has it. It
// also checks that nobody serves beside a controller that must be fenced.
func (o *oracle) rightGiven(u *unit) {
	if !u.valid() {
		return
	}
	w := o.w
	k := &o.units[u.index]
	k.served = w.now
	if u.brain != nil {
		o.brainServes(u.brain)
	}
	for _, c := range w.controllers[1:] {
		if c == u.c || c.life == 0 {
			continue
		}
		if v := c.units[u.index]; v.valid() {
			w.violated("S1", "%s may be served by %d until %v of its clock (%v now) and by %d until %v of its clock (%v now)",
				u.name, u.c.id, u.right, u.c.clock(), c.id, v.right, c.clock())
		}
	}
	for _, f := range k.unfence {
		// Its own writes a controller waits for before it serves again.
		if f.c != u.c {
			w.violated("S4", "%s may be served by %d, and %d, from which it was taken in epoch %d, is not fenced", u.name, u.c.id, f.c.id, f.epoch)
		}
	}
	k.unfence = nil
}

// idle is for how long nobody has had the right.
func (o *oracle) idle(unit int) time.Duration {
	for _, c := range o.w.controllers[1:] {
		if c.life != 0 && c.units[unit].valid() {
			return 0
		}
	}
	return o.w.now - o.units[unit].served
}

// acknowledged checks that a brain has the right to what it says.
func (o *oracle) acknowledged(b *brain, j *job) {
	if !b.u.valid() {
		o.w.violated("S1", "%s: controller %d acknowledges a %v without the right to serve", b.u.name, b.u.c.id, j.cmd.kind)
	}
	if j.cmd.kind == kindRegister {
		o.units[b.u.index].acked[j.cmd.block] = j.cmd.value
	}
}

// asked checks that the arbiter is not asked again and again for what it cannot
// grant, because a lease is in the way.
func (o *oracle) asked(c *controller, unit int, inVain bool) {
	n := &o.units[unit].inVain[c.id]
	if !inVain {
		*n = 0
	} else if *n++; *n > 80 {
		o.w.violated("L1", "controller %d asks the arbiter in vain for %s, for the %dth time", c.id, o.w.names[unit], *n)
	}
}

// released checks S7: a command that nobody serves, and that has been held for as
// long as it may, is not sent to and fro any more.
func (o *oracle) released(e *errand) {
	if c := e.u.c; e.since != 0 && c.clock()-e.since > o.w.plan.holdTime {
		if e.overdue++; e.overdue > 20 {
			o.w.violated("S7", "controller %d has held a %v for %v, and goes on", c.id, e.cmd, c.clock()-e.since)
		}
	}
}

// waits checks S7: nothing is waited for at a primary that is one no more.
func (o *oracle) waits(c *controller) {
	for id := range c.peers {
		for _, r := range c.peers[id].requests {
			u := c.units[r.unit]
			elsewhere := u.way.Kind != ha.RouteHold && u.way.Primary != ha.NodeID(id)
			if elsewhere && r.epoch < u.way.Epoch && !r.moving && c.clock() > u.wayAt+withdrawAfter+2*lease {
				o.w.violated("S7", "controller %d waits for what it sent to %d in epoch %d: a %v", c.id, id, r.epoch, r.e.cmd)
			}
		}
	}
}

// lent checks S1 where a right is lent to another controller: not for longer than
// this one has it.
func (o *oracle) lent(u *unit, span ha.Instant) {
	if u.c.clock()+span > u.right {
		o.w.violated("S1", "%s: controller %d has the right until %v of its clock and gives a ticket until %v", u.name, u.c.id, u.right, u.c.clock()+span)
	}
}

// landed checks S4: no write of a brain reaches the disk after another brain
// has started.
func (o *oracle) landed(dw *diskWrite) {
	if t := dw.ticket; t != nil && t.over {
		o.w.violated("S4", "%s: a write of value %d to block %d by controller %d lands after controller %d has given the block to others",
			o.w.names[dw.unit], dw.value, dw.block, dw.c.id, t.by.id)
	}
	if told := o.newest[place{unit: dw.unit, block: dw.block}]; dw.value < told {
		o.w.violated("S4", "%s: a write of value %d to block %d by controller %d lands after a client was told of value %d",
			o.w.names[dw.unit], dw.value, dw.block, dw.c.id, told)
	}
	if newest := o.units[dw.unit].brain; dw.brain != newest {
		o.w.violated("S4", "%s: a write of value %d to block %d by controller %d lands after another brain has started",
			o.w.names[dw.unit], dw.value, dw.block, dw.c.id)
	}
}

// granted notes who was taken from.
func (o *oracle) granted(unit int, was ha.Grant, ch ha.Change) {
	k := &o.units[unit]
	w := o.w
	g := ch.To
	switch {
	case was.Epoch == 0 || g.Primary == was.Primary:
		if was.Epoch != 0 && g.Alone() {
			w.counts.Alone++
		}
		if len(g.Candidates) > len(was.Candidates) {
			w.counts.Widenings++
		}
	case g.Unfenced != 0:
		w.counts.Takeovers++
	default:
		w.counts.Handovers++
	}
	if was.Epoch != 0 && g.Primary != was.Primary && g.Alone() && w.plan.fence != fenceNone {
		k.unfence = append(k.unfence, unfence{w.controllers[was.Primary], g.Epoch})
	}
}

// fenced notes that a controller was fenced, in an epoch or after it.
func (o *oracle) fenced(unit int, c *controller, epoch uint64) {
	k := &o.units[unit]
	var left []unfence
	for _, f := range k.unfence {
		if f.c != c || f.epoch > epoch {
			left = append(left, f)
		}
	}
	k.unfence = left
}

// brainServes checks S5 when a brain first has the right to serve: it knows
// every registration that was acknowledged. Each client writes only its own,
// and each value is greater than those before, so a greater one is one that was
// under way.
func (o *oracle) brainServes(b *brain) {
	k := &o.units[b.u.index]
	if b.number <= k.brain {
		return
	}
	k.brain = b.number
	for i, v := range b.state {
		if v < k.acked[i] {
			o.w.violated("S5", "%s: controller %d starts with the registrations %v; %v were acknowledged", b.u.name, b.u.c.id, b.state, k.acked)
		}
	}
}

// began puts an operation into the history.
func (o *oracle) began(op operation) *operation {
	op.call = o.tick()
	op.least = o.newest[op.place()]
	o.history = append(o.history, &op)
	return &op
}

// ended checks S3, and S5 as clients see it, as far as it can be seen at once: of
// each register one client writes greater and greater values, so a read that
// began after somebody was told of a value finds that one or a greater one. What
// this lets pass judge finds at the end.
func (o *oracle) ended(op *operation, value uint32) {
	op.end = o.tick()
	if op.kind == kindMove {
		return
	}
	p := op.place()
	if op.kind == kindRead || op.kind == kindKeys {
		op.value = value
		if value < op.least {
			o.w.violated(p.rule(), "client %d reads %d in %v; %d was there before it asked", op.client, value, p, op.least)
		}
	}
	o.newest[p] = max(o.newest[p], op.value)
}
