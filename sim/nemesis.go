package sim

import (
	"time"

	"github.com/tandem-san/tandem/ha"
)

// faultKind is a kind of misfortune, or of what an operator does.
type faultKind uint8

const (
	faultCrash faultKind = iota
	faultPower
	faultPause
	faultCutLink
	faultOneWay
	faultReset
	faultStall
	faultCutArbiter
	faultArbiterDown
	faultIsolate
	faultDisk
	faultCutClient
	faultLoop
	faultPromote
	faultShutdown
	faultFlap
	faultPingPong
	faultStorm
	faultMaintenance
	faultDeaf
	faultComa
	faultStalledHandover
	faultStalledSleep
	faultRelapse
	faultVainHandover
	faultAmnesia
	faultEstranged
	faultLag
	faultRegain
	faultStupor
	faultLateDrop
	faultReborn
	faultReclaim
	faultDoze
	faultRevival
	faultInDoubt
	faultEarlier
	faultDrowse
	faultKinds
)

func (k faultKind) String() string {
	return [...]string{
		"crash", "power", "pause", "cut", "one-way", "reset", "stall", "cut-arbiter", "arbiter-down", "isolate",
		"disk", "cut-client", "loop", "promote", "shutdown", "flap", "ping-pong", "storm", "maintenance", "deaf", "coma",
		"stalled-handover", "stalled-sleep", "relapse", "vain-handover", "amnesia", "estranged", "lag", "regain", "stupor", "late-drop", "reborn", "reclaim", "doze", "revival", "in-doubt", "earlier", "drowse",
	}[k]
}

// nemesis brings faults and repairs them.
type nemesis struct {
	w       *World
	sum     int
	repairs []*repair
	last    *controller // who was hit last
}

// repair undoes a fault, once.
type repair struct{ undo func() }

func (r *repair) now() {
	if r.undo != nil {
		undo := r.undo
		r.undo = nil
		undo()
	}
}

func (n *nemesis) init(w *World) {
	n.w = w
	for _, f := range w.plan.faults {
		n.sum += f
	}
}

func (n *nemesis) start() { n.w.after(n.w.between(500*ms, 2500*ms), n.strike) }

// strike brings a fault, and sometimes more right after it.
func (n *nemesis) strike() {
	w := n.w
	if w.healed {
		return
	}
	n.fault(n.pick(), n.victim())
	d := w.between(0, 2*w.plan.every)
	if w.chance(w.plan.aftershock) {
		d = w.between(0, 40*ms)
		if w.chance(0.5) {
			d = w.between(0, 700*ms)
		}
	}
	w.after(d, n.strike)
}

// victim is who is hit: often a primary.
func (n *nemesis) victim() *controller {
	w := n.w
	if p := w.arbiter.grants[w.rnd.IntN(w.plan.units)].Primary; p != 0 && w.chance(0.4) {
		return w.controllers[p]
	}
	return w.controllers[1+w.rnd.IntN(w.plan.nodes)]
}

// moment is told when a controller does what had better not be interrupted.
func (n *nemesis) moment(c *controller) {
	w := n.w
	if w.healed || !w.chance(w.plan.spite) {
		return
	}
	d := w.between(0, 5*ms)
	if w.chance(0.5) {
		d = w.between(0, 100*ms)
	}
	w.after(d, func() {
		if !w.healed {
			n.fault(n.pick(), c)
		}
	})
}

func (n *nemesis) pick() faultKind {
	x := n.w.rnd.IntN(n.sum)
	for k, f := range n.w.plan.faults {
		if x -= f; x < 0 {
			return faultKind(k)
		}
	}
	panic("sim: no fault was picked")
}

// lasting has a fault undone after a while, or when all is repaired.
func (n *nemesis) lasting(d time.Duration, undo func()) {
	r := &repair{undo: undo}
	n.repairs = append(n.repairs, r)
	n.w.after(d, r.now)
}

// a while is how long most faults last: often about as long as a lease.
func (n *nemesis) while() time.Duration {
	switch n.w.rnd.IntN(4) {
	case 0:
		return n.w.between(ms, 100*ms)
	case 1, 2:
		return n.w.between(100*ms, 1200*ms)
	}
	return n.w.between(time.Second, 5*time.Second)
}

// fault lets one thing happen to a controller.
func (n *nemesis) fault(k faultKind, c *controller) {
	w := n.w
	if n.last != nil && w.chance(0.3) {
		c = n.last
	}
	n.last = c
	other := w.controllers[1+(int(c.id)+w.rnd.IntN(w.plan.nodes-1))%w.plan.nodes]
	d := n.while()
	switch k {
	case faultCrash:
		c.crash(false, "killed")
		c.restart(w.between(5*ms, d+100*ms))
	case faultPower:
		c.crash(true, "power lost")
		c.restart(w.between(200*ms, 300*ms+d))
	case faultPause:
		if w.chance(0.15) {
			d = w.between(w.plan.patience, w.plan.patience+3*time.Second)
		}
		c.pause(d)
	case faultCutLink:
		n.cut("link", d, c, other, true)
	case faultOneWay:
		n.cut("one way of the link", d, c, other, false)
	case faultReset:
		if e := w.net.ends[c.id][other.id]; e.pair != 0 {
			w.strikes(c.id, "link to %d is reset", other.id)
			c.do(func() { e.breakDown("reset") })
		}
	case faultStall:
		n.stall(c, other, d)
	case faultCutArbiter:
		n.cutArbiter(c, d)
	case faultArbiterDown:
		w.strikes(0, "the arbiter is down for %v", d)
		w.arbiter.down++
		n.lasting(d, func() {
			if w.arbiter.down--; w.arbiter.down == 0 {
				w.strikes(0, "the arbiter is up")
				w.arbiter.back()
			}
		})
	case faultIsolate:
		n.isolate(c, d)
	case faultDisk:
		w.strikes(c.id, "its disk path is stuck for %v", d)
		w.disk.stuck[c.id] = w.now + d
	case faultCutClient:
		n.cutClient(w.rnd.IntN(w.plan.clients), c, d)
	case faultLoop:
		w.strikes(c.id, "its loop is late by %v", d/4)
		c.stuckTil = w.now + d/4
	case faultPromote:
		n.promote(c)
	case faultShutdown:
		n.shutdown(c)
	case faultFlap:
		n.flap(c, other)
	case faultPingPong:
		for i, d := range [3]time.Duration{0, w.between(5*ms, 400*ms), w.between(200*ms, 900*ms)} {
			w.after(d, func() { n.promote([2]*controller{c, other}[i%2]) })
		}
	case faultStorm:
		for range 3 {
			w.after(w.between(0, 1200*ms), func() {
				if !w.healed {
					c.crash(false, "killed again")
					c.restart(w.between(5*ms, 150*ms))
				}
			})
		}
	case faultMaintenance:
		n.maintain(c, other, d)
	case faultComa: // its clients give it up, and cannot tell it
		d = w.between(w.plan.patience, w.plan.patience+3*time.Second)
		for i := range w.plan.clients {
			n.cutClient(i, c, d+w.between(0, time.Second))
		}
		w.after(w.between(0, 50*ms), func() { c.pause(d) })
	case faultStalledHandover: // and back, while commands are on their way
		n.stallStream(c, other, dataStream, w.between(time.Second, 3*time.Second))
		w.after(w.between(0, 300*ms), func() { n.promote(c) })
		w.after(w.between(time.Second, 1800*ms), func() { n.promote(other) })
	case faultStalledSleep: // of who sent commands that are on their way
		n.stallStream(c, other, dataStream, w.between(time.Second, 3*time.Second))
		w.after(w.between(0, 300*ms), func() { c.stuckTil = w.now + w.between(500*ms, time.Second) })
	case faultRelapse: // it dies, comes back at once, and is not heard by all
		c.crash(false, "killed")
		c.restart(w.between(5*ms, 60*ms))
		w.after(w.between(0, 300*ms), func() {
			if !w.healed {
				n.cut("link", w.between(300*ms, 8*time.Second), c, other, w.chance(0.7))
			}
		})
	case faultVainHandover: // the successor cannot take what was given up for it
		n.promote(c)
		w.after(w.between(0, 4*ms), func() {
			if !w.healed {
				n.cutArbiter(c, w.between(900*ms, 1700*ms))
			}
		})
	case faultDeaf:
		n.deafen(c, d)
	default:
		n.plot(k, c, other)
	}
}

// deafen loses what the arbiter says to a controller.
func (n *nemesis) deafen(c *controller, d time.Duration) {
	w := n.w
	w.strikes(c.id, "hears nothing of the arbiter for %v", d)
	w.net.arbiterDeaf[c.id]++
	n.lasting(d, func() {
		if w.net.arbiterDeaf[c.id]--; c.life != 0 {
			w.arbiter.watchers[c.id].renew(c)
		}
	})
}

// cut lets nothing through between two controllers, or from one to the other
// only. TCP then stalls in the other direction too, because nothing is
// acknowledged there.
func (n *nemesis) cut(what string, d time.Duration, a, b *controller, both bool) {
	w := n.w
	w.strikes(a.id, "%s to %d is cut for %v", what, b.id, d)
	w.counts.Cuts++
	to, from := w.net.ends[a.id][b.id], w.net.ends[b.id][a.id]
	n.cutEnd(to, d)
	if both {
		n.cutEnd(from, d)
		return
	}
	if late := w.between(0, 300*ms); late < d {
		w.after(late, func() {
			if !w.healed {
				n.cutEnd(from, d-late)
			}
		})
	}
}

func (n *nemesis) cutEnd(e *end, d time.Duration) {
	e.cuts++
	n.lasting(d, func() {
		if e.cuts--; e.cuts == 0 {
			e.flow()
		}
	})
}

// stall holds up one stream only.
func (n *nemesis) stall(a, b *controller, d time.Duration) {
	n.stallStream(a, b, n.w.rnd.IntN(streams), d)
}

func (n *nemesis) stallStream(a, b *controller, s int, d time.Duration) {
	e := n.w.net.ends[a.id][b.id]
	n.w.strikes(a.id, "stream %d to %d stalls for %v", s, b.id, d)
	e.stalls[s]++
	n.lasting(d, func() {
		if e.stalls[s]--; e.stalls[s] == 0 {
			e.flow()
		}
	})
}

func (n *nemesis) cutArbiter(c *controller, d time.Duration) {
	w := n.w
	w.strikes(c.id, "cannot reach the arbiter for %v", d)
	w.net.arbiterCuts[c.id]++
	n.lasting(d, func() {
		if w.net.arbiterCuts[c.id]--; w.net.arbiterCuts[c.id] == 0 && c.life != 0 {
			w.arbiter.watchers[c.id].renew(c)
		}
	})
}

func (n *nemesis) cutClient(client int, c *controller, d time.Duration) {
	w := n.w
	w.strikes(0, "client %d cannot reach %d for %v", client, c.id, d)
	w.net.clientCuts[client][c.id]++
	n.lasting(d, func() { w.net.clientCuts[client][c.id]-- })
}

// isolate pulls every cable of a controller.
func (n *nemesis) isolate(c *controller, d time.Duration) {
	n.w.strikes(c.id, "is isolated for %v", d)
	for _, o := range n.w.controllers[1:] {
		if o != c {
			n.cutEnd(n.w.net.ends[c.id][o.id], d)
			n.cutEnd(n.w.net.ends[o.id][c.id], d)
		}
	}
	n.cutArbiter(c, d)
	for i := range n.w.plan.clients {
		n.cutClient(i, c, d)
	}
}

// promote is the operator's wish, who repeats it for a while as the command
// does.
func (n *nemesis) promote(c *controller) { n.promoteUnit(c, n.w.rnd.IntN(n.w.plan.units)) }

func (n *nemesis) promoteUnit(c *controller, u int) {
	w := n.w
	w.strikes(c.id, "%s: promote", w.names[u])
	for i := range 3 {
		w.after(time.Duration(i)*300*ms, func() {
			c.do(func() {
				if c.units[u].way.Kind != ha.RouteServe {
					c.post(ha.Promote{LUN: w.names[u]})
				}
			})
		})
	}
}

// maintain has a controller drained for a while, as another one is told.
func (n *nemesis) maintain(c, by *controller, d time.Duration) {
	w := n.w
	w.strikes(c.id, "is drained for %v", d)
	by.do(func() { by.post(ha.Maintenance{Node: c.id, On: true}) })
	n.lasting(d, func() { c.do(func() { c.post(ha.Maintenance{Node: c.id}) }) })
}

// shutdown hands over what it can, ends the process, and starts it again.
func (n *nemesis) shutdown(c *controller) {
	w := n.w
	if c.life == 0 || c.leaving {
		return
	}
	w.strikes(c.id, "is shut down")
	life, since := c.life, w.now
	c.leaving = true
	c.do(func() { c.post(ha.Shutdown{}) })
	var look func()
	look = func() {
		if c.life != life {
			return
		}
		busy := false
		for _, u := range c.units[:w.plan.units] {
			busy = busy || u.brain != nil || len(u.held) > 0
		}
		if busy && w.now-since < 4*time.Second {
			w.after(20*ms, look)
			return
		}
		c.crash(false, "shut down")
		c.restart(w.between(50*ms, time.Second))
	}
	w.after(20*ms, look)
}

// flap cuts a link, or resets it, heals it, and hits again just when the two
// have found together.
func (n *nemesis) flap(a, b *controller) {
	w := n.w
	d := w.between(300*ms, 1500*ms)
	n.cut("link", d, a, b, true)
	w.after(d+w.between(0, 150*ms), func() {
		if w.healed {
			return
		}
		if w.chance(0.5) {
			n.cut("link", n.while(), a, b, true)
		} else {
			n.isolate(a, n.while())
		}
	})
}

// operate is the operator of a cluster without a fence: when a unit is served
// by nobody for long he makes sure that its primary is off and takes it over
// by force.
func (w *World) operate() {
	if w.plan.fence != fenceNone {
		return
	}
	w.after(w.between(300*ms, time.Second), w.operate)
	for i := range w.plan.units {
		g := w.arbiter.grants[i]
		if g.Epoch == 0 || w.oracle.idle(i) < w.plan.operator {
			continue
		}
		if p := w.controllers[g.Primary]; p.life == 0 || w.chance(0.3) {
			if !p.dark && w.disk.pendingOf(p) {
				w.disk.powerLost(p)
			}
			p.crash(true, "switched off by the operator")
			p.restart(w.between(300*ms, 6*time.Second))
			c := w.controllers[1+w.rnd.IntN(w.plan.nodes)]
			w.strikes(c.id, "%s: promote by force", w.names[i])
			c.do(func() { c.post(ha.Promote{LUN: w.names[i], Force: true}) })
		}
	}
}
