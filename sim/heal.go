package sim

import (
	"fmt"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// healLimit is how long it may take until all is well again (L1).
const healLimit = 25 * time.Second

// heal repairs everything.
func (w *World) heal() {
	w.healed = true
	w.strikes(0, "all is repaired")
	for _, r := range w.nemesis.repairs {
		r.now()
	}
	w.disk.stuck = [ha.MaxNodes + 1]time.Duration{}
	w.plan.datagrams = false
	w.plan.stuckWrites, w.plan.fenceFails, w.plan.arbiterSlow, w.plan.lateRequests, w.plan.arbiterLoses, w.plan.retransmits = 0, 0, 0, 0, 0, 0
	w.plan.slowOpens, w.plan.lateSettles, w.plan.lateData = 0, 0, 0
	for _, c := range w.controllers[1:] {
		c.resume()
		c.stuckTil = 0
		if c.life == 0 {
			c.restarts = false
			c.restart(w.between(0, 500*ms))
		}
	}
}

// illness is what is not well; "" when the clients are through and every
// controller may take over everything.
func (w *World) illness() string {
	if stuck := w.stuckClient(); stuck != "" {
		return stuck
	}
	if w.fencing > 0 {
		return "a fence is under way"
	}
	for _, c := range w.controllers[1:] {
		if c.life == 0 {
			return fmt.Sprintf("controller %d is not there", c.id)
		}
		for _, s := range c.core.Status() {
			if s.Doing != "" {
				return fmt.Sprintf("%s: controller %d is %s", s.LUN, c.id, s.Doing)
			}
		}
	}
	for i, g := range w.arbiter.grants[:w.plan.units] {
		if p := w.controllers[g.Primary]; g.Epoch == 0 || p == nil || p.units[i] == nil || p.life == 0 || !p.units[i].valid() {
			return fmt.Sprintf("%s is not served: %v", w.names[i], g)
		}
		if len(g.Candidates) != w.plan.nodes {
			return fmt.Sprintf("%s has not all candidates: %v", w.names[i], g)
		}
	}
	return ""
}

// await lets time pass until ill finds nothing, and breaks L1 when that takes
// too long.
func (w *World) await(limit time.Duration, ill func() string) {
	for end := w.now + limit; w.broken == nil; {
		what := ill()
		switch {
		case what == "":
			return
		case w.now >= end:
			w.violated("L1", "%s", what)
			return
		}
		w.run(min(w.now+50*ms, end))
	}
}

// trial lets one last fault happen to a cluster that is well, and stay. Service
// must return by itself all the same.
func (w *World) trial() {
	c := w.controllers[1+w.rnd.IntN(w.plan.nodes)]
	other := w.controllers[1+int(c.id)%w.plan.nodes]
	kind := w.rnd.IntN(7)
	if w.plan.fence == fenceNone && w.leads(c) && kind < 4 {
		kind = 4 // nothing is taken from a primary that is lost
	}
	forever := time.Hour
	switch kind {
	case 0:
		w.buried = c
		c.crash(false, "killed, for good")
	case 1:
		w.buried = c
		c.crash(true, "power lost, for good")
	case 2:
		w.buried = c
		c.pause(forever)
	case 3:
		w.buried = c
		w.nemesis.isolate(c, forever)
	case 4:
		w.nemesis.cut("link", forever, c, other, true)
	case 5:
		w.strikes(0, "the arbiter is down, for good")
		w.arbiter.down++
	case 6:
		w.nemesis.cutArbiter(c, forever)
	}
	for _, k := range w.clients {
		k.quota, k.done = 8, false
		k.next()
	}
	w.await(2*w.plan.patience+10*time.Second, w.stuckClient)
}

// leads reports whether a controller is the primary of something.
func (w *World) leads(c *controller) bool {
	for _, g := range w.arbiter.grants[:w.plan.units] {
		if g.Primary == c.id {
			return true
		}
	}
	return false
}

// stuckClient is a client that does not get through; "" when all do.
func (w *World) stuckClient() string {
	for _, c := range w.clients {
		if !c.done {
			return fmt.Sprintf("client %d does not get through: %+v", c.id, *c.op)
		}
	}
	return ""
}
