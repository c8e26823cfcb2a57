package sim

import (
	"time"

	"github.com/tandem-san/tandem/ha"
)

// plot lets several things happen to a controller one after the other, which
// together are what a rule of the protocol is there for. By chance they meet too
// seldom.
func (n *nemesis) plot(k faultKind, c, other *controller) {
	w := n.w
	switch k {
	case faultAmnesia: // it dies with a request under way, and hears no more once it knows the grants
		d := w.between(5*ms, 30*ms)
		c.crash(false, "killed")
		c.restart(d)
		n.later(d+10*w.plan.latency, d+25*w.plan.latency, func() { n.estrange(c, other) })
	case faultEstranged: // it hears neither its peer nor the arbiter
		n.estrange(c, other)
	case faultLag: // a primary that is alone hears the arbiter late, and then not at all
		c, other = n.pair()
		d := w.between(4*time.Second, 6*time.Second)
		n.cut("link", d, c, other, true)
		n.later(500*ms, 1500*ms, func() { n.lag(c, w.between(300*ms, 900*ms), d) })
		n.later(1800*ms, 2800*ms, func() { n.cutArbiter(c, d) })
	case faultRegain: // it comes back to the arbiter while its peer, which hears late, is about to take over
		c, other = n.pair()
		n.cut("link", 13*time.Second, c, other, true)
		n.later(time.Second, 1100*ms, func() { n.cutArbiter(c, w.between(2300*ms, 2700*ms)) })
		n.later(2200*ms, 2300*ms, func() { n.lag(other, 850*ms, 2500*ms) })
	case faultLateDrop: // the lease is given up so slowly that it is needed again before
		c, other = n.pair()
		c.pause(w.between(400*ms, 450*ms))
		n.late(&w.net.changeLag, other, 380*ms, 600*ms, w.between(2000*ms, 2500*ms))
		n.later(900*ms, time.Second, func() {
			n.cut("link", 4*time.Second, c, other, true)
			n.cutArbiter(c, 800*ms)
		})
	case faultStupor: // it stands still with commands that came, until their clients have given it up
		d := w.between(w.plan.patience+100*ms, w.plan.patience+2*time.Second)
		c.pause(d)
		n.later(5*ms, 100*ms, func() {
			for i := range w.plan.clients {
				n.cutClient(i, c, d+w.between(0, time.Second))
			}
		})
	case faultReborn: // it dies twice, and is not heard in its third life, nor hears of the arbiter
		c, other = n.pair()
		c.crash(false, "killed")
		c.restart(w.between(5*ms, 60*ms))
		n.later(300*ms, 900*ms, func() {
			c.crash(false, "killed again")
			d := w.between(5*ms, 40*ms)
			c.restart(d)
			n.stallStream(c, other, controlStream, w.between(time.Second, 2*time.Second))
			// It has read the grants then, and has not asked to be alone yet.
			n.later(d+3*w.plan.latency, d+9*w.plan.latency, func() { n.cutArbiter(c, w.between(time.Second, 2*time.Second)) })
		})
	case faultReclaim: // what is given up is taken back, and who does stands still
		c, other = n.pair()
		d := w.between(time.Second, 1400*ms)
		n.promoteUnit(other, 0)
		n.later(0, 4*ms, func() {
			n.cutArbiter(other, d)
			n.later(d-3*ms, d+10*ms, func() { c.pause(w.between(300*ms, 800*ms)) })
		})
	case faultDoze: // of who sent commands that are on their way to a primary that cannot ask for less
		c, other = n.pair()
		n.cutArbiter(c, w.between(2*time.Second, 4*time.Second))
		n.later(0, 300*ms, func() {
			w.strikes(other.id, "its loop is late")
			other.stuckTil = w.now + w.between(520*ms, 800*ms)
		})
	case faultInDoubt:
		n.inDoubt(n.pair())
	case faultEarlier:
		n.earlier(n.pair())
	case faultDrowse: // of one that moves data for the primary
		_, other = n.pair()
		other.pause(w.between(700*ms, 1800*ms))
	case faultRevival: // the operator's force meets a primary that comes back, and is lost again
		if w.plan.fence != fenceNone {
			return // nobody takes by force what is taken over by itself
		}
		c, other = n.pair()
		if !c.dark && w.disk.pendingOf(c) {
			w.disk.powerLost(c)
		}
		c.crash(true, "switched off by the operator")
		c.restart(w.between(100*ms, 400*ms))
		n.later(0, 100*ms, func() {
			w.strikes(other.id, "%s: promote by force", w.names[0])
			other.do(func() { other.post(ha.Promote{LUN: w.names[0], Force: true}) })
		})
		n.later(500*ms, 900*ms, func() { c.pause(w.between(900*ms, 1800*ms)) })
	}
}

// estrange keeps from a controller what its peer and the arbiter say.
func (n *nemesis) estrange(c, other *controller) {
	n.cut("link", n.w.between(time.Second, 4*time.Second), c, other, true)
	n.deafen(c, n.w.between(time.Second, 4*time.Second))
}

// inDoubt has a controller ask for what a primary has that stands still, and not
// hear what came of it; then the primary goes on, is heard once, and cut off before
// the request is there.
func (n *nemesis) inDoubt(c, other *controller) {
	w := n.w
	if !w.arbiter.grants[0].Has(other.id) || c.paused || c.life == 0 {
		return
	}
	for i := range w.plan.clients { // what they sent would have it reset the link when it goes on
		n.cutClient(i, c, 4*time.Second)
	}
	n.cutArbiter(c, 4*time.Second)
	back := w.between(700*ms, 1200*ms)
	n.later(100*ms, 100*ms, func() {
		c.pause(back)
		n.late(&w.net.changeLag, other, 0, 900*ms, back-600*ms+w.between(50*ms, 400*ms))
		n.later(back+12*ms, back+40*ms, func() { n.cut("link", 1500*ms, c, other, true) })
	})
}

// earlier has a primary that is alone ask for a candidate while it waits for a
// Settle that it asked for before, because of another logical unit. The answer is
// lost, that of the Settle is not; and what was asked for comes to pass when the two
// hear nothing of each other any more, nor the primary of the arbiter.
func (n *nemesis) earlier(c, other *controller) {
	w := n.w
	if w.plan.units < 2 || w.arbiter.grants[1].Primary != other.id || c.paused || c.life == 0 {
		return
	}
	other.crash(false, "killed")
	other.restart(w.between(1700*ms, 1900*ms))
	n.late(&w.net.changeLag, c, 420*ms, 3300*ms, 2200*ms)
	n.late(&w.net.settleLag, c, 420*ms, 3600*ms, 2*time.Second)
	n.later(2450*ms, 2600*ms, func() { n.cut("link", 4*time.Second, c, other, true) })
	n.later(3750*ms, 3900*ms, func() { n.deafen(c, 3*time.Second) })
}

// late has what a controller asks the arbiter for take longer to get there, from one
// instant to another, both counted from now.
func (n *nemesis) late(of *[ha.MaxNodes + 1]time.Duration, c *controller, from, until, by time.Duration) {
	n.later(from, from, func() {
		n.w.strikes(c.id, "what it asks the arbiter for takes %v longer for %v", by, until-from)
		of[c.id] += by
		n.lasting(until-from, func() { of[c.id] -= by })
	})
}

// pair is the primary of the first logical unit, and one that is not.
func (n *nemesis) pair() (primary, other *controller) {
	w := n.w
	id := max(1, int(w.arbiter.grants[0].Primary))
	return w.controllers[id], w.controllers[1+(id+w.rnd.IntN(w.plan.nodes-1))%w.plan.nodes]
}

// later has something happen from a to b from now, unless all is repaired then.
func (n *nemesis) later(a, b time.Duration, then func()) {
	n.w.after(n.w.between(a, b), func() {
		if !n.w.healed {
			then()
		}
	})
}

// lag has the arbiter's answers to a controller be late.
func (n *nemesis) lag(c *controller, by, d time.Duration) {
	n.w.strikes(c.id, "hears the arbiter %v late for %v", by, d)
	n.w.net.arbiterLag[c.id] += by
	n.lasting(d, func() { n.w.net.arbiterLag[c.id] -= by })
}
