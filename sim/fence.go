package sim

import "github.com/tandem-san/tandem/ha"

// fence keeps another controller from writing and tells the core what came of
// it. What was started goes on when the process that started it does not.
func (c *controller) fence(a ha.Fence) {
	w := c.w
	w.counts.Fences++
	w.fencing++
	life := c.life
	d := w.between(ms, 20*ms)
	if w.chance(w.plan.fenceSlow) {
		d = w.between(50*ms, 2*fencePatience/3)
	}
	fails := w.chance(w.plan.fenceFails) && !w.healed
	target, unit := w.controller(a.Node), w.unitOf(a.LUN)
	began := w.now
	tell := func(ok bool) {
		w.fencing--
		w.tell(c.id, "%s: fence of %d in epoch %d works: %v", a.LUN, a.Node, a.Epoch, ok)
		if ok {
			w.oracle.fenced(unit, target, a.Epoch)
		} else {
			w.counts.FencesFailed++
		}
		if c.life == life {
			c.soon(func() { c.post(ha.Fenced{LUN: a.LUN, Epoch: a.Epoch, OK: ok}) })
		}
	}
	var dead func()
	dead = func() { // wait until its writes have ended
		switch {
		case mutantFenceNotAwaited || target.life == 0 && !w.disk.pendingOf(target):
			tell(true)
		case w.now-began > fencePatience:
			tell(false)
		default:
			w.after(ms, dead)
		}
	}
	w.after(d, func() {
		if fails {
			tell(false)
			return
		}
		switch w.plan.fence {
		case fenceKill:
			if target.life != 0 {
				target.crash(false, "killed by the fence")
				target.restart(w.between(50*ms, 2*ms*1000))
			}
			dead()
		case fencePower:
			w.disk.powerLost(target)
			target.crash(true, "switched off by the fence")
			target.restart(w.between(300*ms, 3*ms*1000))
			tell(true)
		case fenceRegister:
			w.disk.shutOut(target, unit, a.Epoch)
			tell(true)
		default: // in vain; none is never asked for
			tell(true)
		}
	})
}
