package sim

import (
	"slices"

	"github.com/tandem-san/tandem/ha"
)

// In mode 1 the primary admits a read or a write, and the controller that it came
// through moves the data, with a ticket that ends when the primary's right may.

// admission is who may move data, besides the primary: the other candidates of
// the grant by which commands are routed.
type admission struct {
	grant ha.Grant
	floor uint64 // the lowest epoch in which anything is still admitted
}

// routed notes the grant of a route.
func (a *admission) routed(g ha.Grant, r ha.Route) {
	a.grant = ha.Grant{}
	if r.Kind != ha.RouteHold && g.Epoch == r.Epoch {
		a.grant = g
	}
}

func (a *admission) forbid(epoch uint64) { a.floor = max(a.floor, epoch) }

func (a *admission) may(n ha.NodeID, epoch uint64) bool {
	return epoch != 0 && a.grant.Epoch == epoch && a.grant.Has(n) && epoch >= a.floor
}

// ticket lets a controller move the data of one command.
type ticket struct {
	j    *job
	r    *request // at who moves it
	to   *controller
	by   *controller
	pair uint64 // the streams over which it was given
	over bool   // nothing is moved with it any more, as the primary knows
}

// allow gives a ticket for a job, or ends it as not served.
func (b *brain) allow(j *job) {
	c, to := b.u.c, j.from
	span := b.u.ticketSpan(to.id, j.r.epoch)
	e := c.w.net.ends[c.id][to.id]
	if e.pair != j.pair || span <= 0 {
		b.moved(j, false)
		return
	}
	c.w.oracle.lent(b.u, span)
	t := &ticket{j: j, r: j.r, to: to, by: c, pair: j.pair}
	c.w.counts.Tickets++
	if !e.send(dataStream, func() { to.ticketCame(t, span) }) {
		b.moved(j, false)
		return
	}
	c.tickets = append(c.tickets, t)
}

// ticketSpan is for how long a peer may move data: never longer than the right
// lasts here, so that a takeover, which waits for that, waits for tickets too.
func (u *unit) ticketSpan(to ha.NodeID, epoch uint64) ha.Instant {
	if !u.admission.may(to, epoch) {
		return 0
	}
	if mutantTicketBeyondRight {
		return lease
	}
	return min(lease, u.right-u.c.clock())
}

// moved ends a job whose data is certainly not moved elsewhere any more.
func (b *brain) moved(j *job, done bool) {
	if j.phase != phaseMoving {
		return // the brain was stopped
	}
	if done {
		j.answered = true
	} else {
		j.result.notServed = true
	}
	b.finish(j)
}

// lapse ends a ticket.
func (t *ticket) lapse(done bool) {
	t.over = true
	t.by.tickets = slices.DeleteFunc(t.by.tickets, func(o *ticket) bool { return o == t })
	t.j.b.moved(t.j, done)
}

func (c *controller) lapseIf(match func(*ticket) bool) {
	for _, t := range slices.Clone(c.tickets) {
		if match(t) && !t.over {
			t.lapse(false)
		}
	}
}

// lapse carries out the action: what a peer could move in earlier epochs is over.
func (c *controller) lapse(a ha.Lapse) {
	u := c.units[c.w.unitOf(a.LUN)]
	u.admission.forbid(a.Epoch)
	end := func() {
		c.lapseIf(func(t *ticket) bool {
			return t.to.id == a.Node && t.j.b.u.index == u.index && t.r.epoch < a.Epoch
		})
	}
	if !a.Wait || mutantLapseUnawaited {
		c.soon(end)
		return
	}
	c.timer(lease+lease/10, end)
}

// writing counts the writes that a peer may be doing in the right of an earlier
// epoch.
func (c *controller) writing(unit int, node ha.NodeID, before uint64) (n int) {
	for _, t := range c.tickets {
		if t.to.id == node && t.j.b.u.index == unit && t.r.epoch < before && t.j.cmd.kind == kindWrite {
			n++
		}
	}
	return n
}

// spares looks for a while whether a candidate that was left out needs no fence,
// because it writes nothing.
func (c *controller) spares(a ha.Fence, then func(bool)) {
	unit := c.w.unitOf(a.LUN)
	until := c.clock() + sparePatience
	var look func()
	look = func() {
		switch {
		case c.writing(unit, a.Node, a.Epoch) == 0:
			then(true)
		case mutantSparesWriter:
			then(true)
		case !c.peers[a.Node].linked || c.clock() > until:
			then(false)
		default:
			c.timer(5*ms, look)
		}
	}
	c.soon(look)
}

// local is the disk as this controller has it open for another one's brain.
type local struct {
	open  bool
	epoch uint64 // known when it was opened
	using int
	idle  func() // told when it is closed and not used
}

func (u *unit) openLocal() {
	if !u.local.open {
		u.local.open, u.local.epoch = true, u.epoch
	}
}

// closeLocal has no data moved here any more, and waits for that which is.
func (u *unit) closeLocal(then func()) {
	u.local.open = false
	if u.local.using == 0 || mutantLocalUnawaited {
		then()
		return
	}
	u.local.idle = then
}

func (l *local) end() {
	if l.using--; l.using == 0 && l.idle != nil {
		idle := l.idle
		l.idle = nil
		idle()
	}
}

// ticketCame has the data of an admitted command moved here. A ticket that cannot
// be used is given back.
func (c *controller) ticketCame(t *ticket, span ha.Instant) {
	s := &c.peers[t.by.id]
	r := t.r
	u := c.units[r.unit]
	if !slices.Contains(s.requests, r) || !u.local.open {
		c.giveBack(t)
		return
	}
	if mutantTicketFromReceipt {
		r.asked = c.clock()
	}
	r.until, r.moving = r.asked+span, true
	c.stale(t.by.id, r, 1)
	u.local.using++
	c.late(600*ms, func() { c.move(t) })
}

// stale counts what is moved here for a primary, over the present streams or
// earlier ones.
func (c *controller) stale(primary ha.NodeID, r *request, n int) {
	if r.pair != c.w.net.ends[c.id][primary].pair {
		c.earlier[primary] += n
	} else {
		c.moving[primary] += n
	}
}

// giveBack returns a ticket; the primary then says how the command ends.
func (c *controller) giveBack(t *ticket) { c.tellMoved(t, false) }

func (c *controller) tellMoved(t *ticket, done bool) {
	if e := c.w.net.ends[c.id][t.by.id]; e.pair == t.r.pair {
		e.send(dataStream, func() {
			if !t.over {
				t.lapse(done)
			}
		})
	}
}

// move moves the data of a command. The ticket must hold right before the medium
// is touched, and when what was done counts.
func (c *controller) move(t *ticket) {
	r := t.r
	valid := func() bool { return c.clock() < r.until }
	over := func(value uint32, ok bool) {
		c.units[r.unit].local.end()
		c.ended(t, value, ok && valid())
	}
	switch {
	case !valid() && !mutantTicketUnchecked:
		over(0, false)
	case r.e.cmd.kind == kindRead:
		c.w.disk.readFor(c, r.e.cmd, func(value uint32) { over(value, true) })
	default:
		c.w.disk.writeFor(&diskWrite{
			c: c, unit: r.unit, block: r.e.cmd.block, value: r.e.cmd.value,
			brain: t.j.b.number, epoch: c.units[r.unit].local.epoch, ticket: t,
		}, func(ok bool) {
			if !ok { // the disk takes nothing from here any more
				c.refusedByDisk(r.unit)
			}
			over(0, ok)
		})
	}
}

// refusedByDisk opens the disk again after a rest.
func (c *controller) refusedByDisk(unit int) {
	u := c.units[unit]
	u.local.open = false
	c.timer(localRest, func() {
		if u.way.Kind == ha.RouteForward {
			u.openLocal()
		}
	})
}

// ended answers a command whose data was moved here, or gives it back to the
// primary.
func (c *controller) ended(t *ticket, value uint32, done bool) {
	r, s := t.r, &c.peers[t.by.id]
	c.stale(t.by.id, r, -1)
	r.moving = false
	defer c.tellSettled(t.by)
	if !done && !r.detached {
		c.giveBack(t)
		return
	}
	if !r.detached {
		s.requests = slices.DeleteFunc(s.requests, func(o *request) bool { return o == r })
		c.tellMoved(t, true)
	}
	if !done {
		r.e.complete(result{notServed: true, uncertain: true})
		return
	}
	c.w.counts.Moved++
	r.e.complete(result{value: value})
}

// whenSettled has then happen when no data is moved here with tickets that came
// over earlier streams; never when the present ones are lost before.
func (c *controller) whenSettled(p *controller, then func()) {
	s := &c.peers[p.id]
	s.settled = append(s.settled, then)
	c.tellSettled(p)
}

func (c *controller) tellSettled(p *controller) {
	s := &c.peers[p.id]
	for (c.earlier[p.id] == 0 || mutantSettledEarly) && len(s.settled) > 0 {
		then := s.settled[0]
		s.settled = s.settled[1:]
		then()
	}
}

// peerSettled ends the tickets that were given to a peer over earlier streams: it
// has said that it uses them no more.
func (c *controller) peerSettled(p *controller) {
	pair := c.w.net.ends[c.id][p.id].pair
	c.lapseIf(func(t *ticket) bool { return t.to == p && t.pair != pair })
}
