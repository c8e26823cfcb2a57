package sim

import (
	"github.com/tandem-san/tandem/ha"
)

// unit is a logical unit at one controller: where its commands go, those that
// wait for a way, and what moves the brain.
type unit struct {
	c     *controller
	index int
	name  string

	epoch   uint64    // of the newest grant the core knows
	primary ha.NodeID // of it
	right   ha.Instant

	way    ha.Route   // where commands go now
	wayAt  ha.Instant // since when
	want   ha.Route   // where they are to go
	drains []ha.Drain
	moving bool // the mover is at work
	again  bool // and has more to do

	brain    *brain // nil while it is elsewhere
	proxied  ha.NodeID
	proxyFor uint64 // the epoch in which commands were forwarded last

	held      []*errand
	admission admission
	local     local
	replica   replica
	floor     ha.Stamp // as the arbiter told; states before it are out of date
	told      uint64   // the newest epoch of which it told the floor
	copies    []*copying
}

// valid reports whether the right to serve holds at this instant.
func (u *unit) valid() bool { return u.c.clock() < u.right }

// open reports whether commands can go somewhere now.
func (u *unit) open() bool {
	return u.c.awake() && (u.way.Kind == ha.RouteForward || u.way.Kind == ha.RouteServe && u.valid())
}

// route asks for a new way. Commands stop at once when the way ends; where
// they go next the mover says when that place is ready.
func (u *unit) route(r ha.Route) {
	u.want = r
	if r.Kind == ha.RouteServe {
		u.drains = nil // a handover was given up
	}
	if r.Kind != ha.RouteHold {
		u.serveOn()
	}
	if u.way.Kind != r.Kind || u.way.Primary != r.Primary {
		u.way = ha.Route{LUN: u.name}
	}
	u.nudge()
}

// drain asks for word when the brain has stopped.
func (u *unit) drain(a ha.Drain) {
	u.drains = append(u.drains, a)
	u.serveOn()
	u.way = ha.Route{LUN: u.name}
	u.nudge()
}

// serveOn has the brain go on that was to stop.
func (u *unit) serveOn() {
	if u.brain != nil {
		u.brain.serveOn()
	}
}

// nudge has the mover look.
func (u *unit) nudge() {
	if u.moving {
		u.again = true
		return
	}
	u.moving = true
	u.c.late(400*ms, u.move)
}

// rest is the end of a move.
func (u *unit) rest() {
	u.moving = false
	if u.again {
		u.again = false
		u.nudge()
	}
}

// move takes the steps to the newest route. The brain also stops when another
// controller may have been the primary since it started.
func (u *unit) move() {
	want, drains := u.want, u.drains
	u.drains = nil
	if u.brain != nil && len(drains) > 0 {
		u.brain.vacate(func(vacant bool) {
			if vacant {
				u.moveTo(want, drains)
				return
			}
			u.again = true
			u.rest()
		})
		return
	}
	u.moveTo(want, drains)
}

func (u *unit) moveTo(want ha.Route, drains []ha.Drain) {
	if u.brain != nil && (want.Kind != ha.RouteServe || want.Since != u.brain.since && !mutantBrainKept || len(drains) > 0) {
		u.stop(func() { u.arrange(want, drains) })
		return
	}
	u.arrange(want, drains)
}

// arrange opens the way that is wanted, the brain being stopped if it had to.
func (u *unit) arrange(want ha.Route, drains []ha.Drain) {
	if want.Kind != ha.RouteForward || want.Primary != u.proxied {
		u.closeLocal(func() { u.arrangeNow(want, drains) })
		return
	}
	u.arrangeNow(want, drains)
}

func (u *unit) arrangeNow(want ha.Route, drains []ha.Drain) {
	for _, d := range drains {
		u.c.post(ha.Drained(d))
	}
	switch want.Kind {
	case ha.RouteServe:
		switch {
		case len(drains) > 0: // the core has said hold, or will say serve again
		case u.brain == nil:
			u.begin(want)
			return
		default:
			u.withdraw(want)
			u.openWay(want)
		}
	case ha.RouteForward:
		u.withdraw(want)
		u.proxied, u.proxyFor = want.Primary, want.Epoch
		if u.c.w.plan.mode == modeTickets && u.admission.may(u.c.id, want.Epoch) {
			u.openLocal()
		}
		u.openWay(want)
	case ha.RouteHold:
		u.openWay(want)
	}
	u.rest()
}

// openWay lets commands go, unless another way has been asked for meanwhile:
// then the mover is about to see to that.
func (u *unit) openWay(r ha.Route) {
	u.way, u.wayAt = r, u.c.clock()
	if u.open() {
		u.releaseHeld()
	}
}

// begin opens the backend and makes this controller the brain, with the state
// that the one before left, if that is not out of date: what was acknowledged
// without telling this controller has raised the floor before the grant was had.
func (u *unit) begin(want ha.Route) {
	w := u.c.w
	w.nemesis.moment(u.c)
	later := func() {
		u.c.timer(openRetry, u.nudge)
		u.rest()
	}
	if u.told < want.Since && !mutantFloorUntold {
		w.arbiter.call(u.c, arbiterPatience, func() func() {
			s := w.arbiter.state()
			return func() { u.c.judge(s) }
		}, func() {})
		later()
		return
	}
	if u.outOfDate() {
		w.tell(u.c.id, "%s: the state here is out of date: it is %v, the floor is %v", u.name, u.replica.at, u.floor)
		w.counts.OutOfDate++
		later()
		return
	}
	d := w.between(100*us, ms)
	if w.chance(w.plan.slowOpens) {
		d = w.between(20*ms, 1200*ms)
	}
	u.c.after(d, func() {
		if w.chance(0.01) || !u.replica.set(want.Epoch, u.replica.state) {
			later()
			return
		}
		u.start(want)
	})
}

// start makes this controller the brain, in the epoch of the way that is wanted,
// which may be over by now; what it knows is marked as that of the new brain, so
// that what the one before may still send is older.
func (u *unit) start(want ha.Route) {
	w := u.c.w
	u.broadcast()
	u.brain = newBrain(u, want)
	if w.telling() {
		w.tell(u.c.id, "%s: the brain starts in epoch %d with %v", u.name, want.Epoch, u.brain.state)
	}
	if u.valid() {
		w.oracle.brainServes(u.brain)
	}
	for _, p := range w.controllers[1:] {
		if p != u.c && !u.c.peers[p.id].linked {
			u.brain.portLost(p)
		}
	}
	u.withdraw(want)
	u.openWay(want)
	u.rest()
}

// stop ends the brain here and leaves its state for the next one.
func (u *unit) stop(then func()) {
	b := u.brain
	b.deactivate(func() {
		u.brain = nil
		u.c.w.tell(u.c.id, "%s: the brain has stopped", u.name)
		u.leave(b, then)
	})
}

// withdraw takes back what was forwarded to a primary that is one no more, so
// that it is run where the brain is now.
func (u *unit) withdraw(next ha.Route) {
	from, epoch := u.proxied, u.proxyFor
	if mutantNoWithdrawal || from == 0 || next.Kind == ha.RouteForward && next.Primary == from {
		return
	}
	u.proxied = 0
	if next.Takeover {
		u.c.withdraw(u, from, epoch)
		return
	}
	u.c.timer(withdrawAfter, func() { u.c.withdraw(u, from, epoch) })
}
