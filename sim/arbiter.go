package sim

import (
	"time"

	"github.com/tandem-san/tandem/ha"
)

// arbiter is the store of the grants: linearizable, and for the rest as nasty
// as arbiter.Store allows. Requests and answers are slow or lost; what was
// asked for may be done long after the caller gave up.
type arbiter struct {
	w        *World
	grants   [maxUnits]ha.Grant
	floors   [maxUnits]ha.Stamp // states before them are out of date
	revision int64
	leases   [ha.MaxNodes + 1]time.Duration // when each ends, in true time; 0: not held
	taken    [ha.MaxNodes + 1]uint64        // how often each was taken or renewed
	down     int                            // how many faults keep it from working
	up       time.Duration                  // when it last came back
	// asked numbers what each controller asked for, over all its lives; what
	// is below settled can be done no more.
	asked, settled [ha.MaxNodes + 1]uint64
	watchers       [ha.MaxNodes + 1]watcher
	snapshot       ha.State // of revision, once it was needed
}

// watcher is the watch of one controller.
type watcher struct {
	a      *arbiter
	life   uint64
	busy   bool // a state is on its way
	behind bool // there is a newer one
}

func (a *arbiter) init(w *World) {
	a.w = w
	for id := range a.watchers {
		a.watchers[id].a = a
	}
}

// state is what there is now. It is never changed.
func (a *arbiter) state() ha.State {
	if a.snapshot.Revision == a.revision && a.snapshot.Grants != nil {
		return a.snapshot
	}
	s := ha.State{Revision: a.revision, Grants: make(map[string]ha.Grant, a.w.plan.units), Holders: map[ha.NodeID]bool{}, Floors: map[string]ha.Stamp{}}
	for i, g := range a.grants[:a.w.plan.units] {
		if g.Epoch != 0 {
			s.Grants[a.w.names[i]] = g
			s.Floors[a.w.names[i]] = a.floors[i]
		}
	}
	for id, until := range a.leases {
		if until != 0 {
			s.Holders[ha.NodeID(id)] = true
		}
	}
	a.snapshot = s
	return s
}

// changed tells the watchers.
func (a *arbiter) changed() {
	a.revision++
	for _, c := range a.w.controllers[1:] {
		a.watchers[c.id].notify(c)
	}
}

// trip is how long a request or an answer is on its way.
func (a *arbiter) trip() time.Duration {
	d := a.w.net.delay()
	if a.w.chance(a.w.plan.arbiterSlow) {
		d += a.w.between(0, 900*ms)
		if a.w.chance(a.w.plan.arbiterSlow) {
			d += a.w.between(0, 2500*ms)
		}
	}
	return d
}

// reachable reports whether packets pass between a controller and the arbiter.
func (a *arbiter) reachable(c *controller) bool { return a.w.net.arbiterCuts[c.id] == 0 }

// heard reports whether packets pass from the arbiter to a controller.
func (a *arbiter) heard(c *controller) bool {
	return a.reachable(c) && a.w.net.arbiterDeaf[c.id] == 0
}

// call has the arbiter do something: work is done there and answers what is to
// happen in the process then. Otherwise failed happens there, after patience;
// the work may be done all the same, sooner or later. Without patience the
// answer may come at any time, and failed does not happen.
func (a *arbiter) call(c *controller, patience time.Duration, work func() func(), failed func()) {
	a.callLate(c, 0, patience, work, failed)
}

// callLate is call for what takes longer to get there.
func (a *arbiter) callLate(c *controller, late, patience time.Duration, work func() func(), failed func()) {
	over := false
	if patience > 0 {
		c.timer(patience, func() {
			if !over {
				over = true
				failed()
			}
		})
	}
	number := a.asked[c.id]
	life := c.life
	answer := func(then func()) {
		if !a.heard(c) || patience > 0 && a.w.chance(a.w.plan.arbiterLoses) {
			return
		}
		if c.life == life {
			c.after(a.trip()+a.w.net.arbiterLag[c.id], func() {
				if !over {
					over = true
					then()
				}
			})
		}
	}
	apply := func() {
		if number < a.settled[c.id] {
			return // a later life speaks for this controller
		}
		if over {
			a.w.counts.ChangesLate++
		}
		answer(work())
	}
	there := a.trip() + late
	if patience == 0 && a.w.chance(a.w.plan.lateSettles) {
		there += a.w.between(a.w.plan.lateFrom, a.w.plan.lateTo)
	}
	if patience > 0 && a.w.chance(a.w.plan.lateRequests) {
		there += a.w.between(a.w.plan.lateFrom, a.w.plan.lateTo)
		a.w.nemesis.moment(c)
	}
	a.w.after(there, func() { a.arrive(c, apply) })
}

// arrive is a request at the arbiter's door. One that comes while there is no
// leader may wait for the next one.
func (a *arbiter) arrive(c *controller, apply func()) {
	switch {
	case !a.reachable(c):
	case a.down == 0:
		apply()
	case a.w.chance(0.4):
		a.w.after(a.w.between(50*ms, 400*ms), func() { a.arrive(c, apply) })
	}
}

// change carries out an AskChange.
func (a *arbiter) change(c *controller, ask ha.AskChange) {
	a.w.counts.Changes++
	a.asked[c.id]++
	number := a.asked[c.id]
	failed := func() {
		a.w.counts.ChangesLost++
		c.post(ha.ChangeLost{ID: ask.ID})
	}
	a.callLate(c, a.w.net.changeLag[c.id], arbiterPatience, func() func() {
		if number < a.settled[c.id] {
			return failed
		}
		grants := make([]ha.Grant, len(ask.Changes))
		for i, ch := range ask.Changes {
			grants[i] = a.apply(c, ch)
		}
		return func() { a.answered(c, ask, grants, failed) }
	}, failed)
}

// answered brings a controller what became of its request. One that has taken
// something over first reads what others may have acknowledged without it.
func (a *arbiter) answered(c *controller, ask ha.AskChange, grants []ha.Grant, failed func()) {
	changed := func() { c.post(ha.Changed{ID: ask.ID, Grants: grants}) }
	if !c.takesOver(ask.Changes, grants) {
		changed()
		return
	}
	a.call(c, arbiterPatience, func() func() {
		s := a.state()
		return func() {
			c.judge(s)
			changed()
		}
	}, failed)
}

// takesOver reports whether a request has made a controller the primary of
// something that it does not serve already.
func (c *controller) takesOver(changes []ha.Change, after []ha.Grant) bool {
	for i, ch := range changes {
		if after[i].Equal(ch.To) && ch.To.Primary == c.id && c.units[c.w.unitOf(ch.LUN)].way.Kind != ha.RouteServe {
			return true
		}
	}
	return false
}

// apply is the compare-and-set.
func (a *arbiter) apply(c *controller, ch ha.Change) ha.Grant {
	g := &a.grants[a.w.unitOf(ch.LUN)]
	lease := ch.Held != 0 && a.leases[ch.Held] == 0 || ch.Lapsed != 0 && a.leases[ch.Lapsed] != 0
	a.w.oracle.asked(c, a.w.unitOf(ch.LUN), g.Epoch == ch.From && lease)
	if g.Epoch != ch.From || lease {
		return *g
	}
	if err := ch.To.Validate(); err != nil || ch.To.Epoch != ch.From+1 {
		a.w.violated("S6", "controller %d asked for the impossible grant %v after epoch %d: %v", c.id, ch.To, ch.From, err)
	}
	a.w.oracle.granted(a.w.unitOf(ch.LUN), *g, ch)
	if a.w.telling() {
		a.w.tell(0, "arbiter: %s is now %v", ch.LUN, ch.To)
	}
	*g = ch.To
	a.changed()
	return ch.To
}

// settle carries out a Settle: nothing that was asked for before it is done any
// more. It is tried until it succeeds, and its answer may take long.
func (a *arbiter) settle(c *controller) {
	a.w.counts.Settles++
	a.asked[c.id]++
	number := a.asked[c.id]
	done := false
	var try func()
	try = func() {
		if done {
			return
		}
		a.callLate(c, a.w.net.settleLag[c.id], 0, func() func() {
			a.settled[c.id] = max(a.settled[c.id], number)
			s := a.state()
			return func() {
				if !done {
					done = true
					c.judge(s)
					c.post(ha.Settled{State: s})
				}
			}
		}, nil)
		c.timer(arbiterPatience, try)
	}
	try()
}

// take gives a controller the lease for its time to live, and answers which of
// all it ever had that is.
func (a *arbiter) take(id ha.NodeID) uint64 {
	a.taken[id]++
	fresh := a.leases[id] == 0
	until := a.w.now + a.w.plan.arbiterRate.real(holdTTL)
	a.leases[id] = until
	a.w.at(until, func() { a.expire(id, until) })
	if fresh {
		a.changed()
	}
	return a.taken[id]
}

// drop gives up a lease, unless it has been renewed since.
func (a *arbiter) drop(id ha.NodeID, taken uint64) {
	if a.taken[id] == taken || mutantLateDrop {
		a.release(id)
	}
}

// expire ends a lease that was not renewed. While there is no leader nobody
// counts, and the next one starts anew.
func (a *arbiter) expire(id ha.NodeID, until time.Duration) {
	if a.leases[id] != until {
		return
	}
	if least := a.up + a.w.plan.arbiterRate.real(holdTTL); a.down > 0 || a.w.now < least && a.up > 0 {
		again := max(least, a.w.now+100*ms)
		a.leases[id] = again
		a.w.at(again, func() { a.expire(id, again) })
		return
	}
	a.release(id)
}

func (a *arbiter) release(id ha.NodeID) {
	if a.leases[id] != 0 {
		a.leases[id] = 0
		a.w.tell(0, "arbiter: the lease of %d is over", id)
		a.changed()
	}
}

// renew starts the watch of a new process, or of one that has the arbiter back.
func (v *watcher) renew(c *controller) {
	*v = watcher{a: v.a, life: c.life}
	v.notify(c)
}

// notify brings the newest state to a controller; one is on its way at a time,
// so that none overtakes another.
func (v *watcher) notify(c *controller) {
	if c.life == 0 || v.life != c.life || v.a.down > 0 || !v.a.heard(c) {
		return
	}
	if v.busy {
		v.behind = true
		return
	}
	v.busy, v.behind = true, false
	a := v.a
	s := a.state()
	c.after(a.trip(), func() {
		v.busy = false
		if a.heard(c) {
			c.post(ha.Observed{State: s})
		}
		if v.behind {
			v.notify(c)
		}
	})
}

// back lets everybody watch again after the arbiter was away.
func (a *arbiter) back() {
	a.up = a.w.now
	for _, c := range a.w.controllers[1:] {
		if c.life != 0 {
			a.watchers[c.id].renew(c)
		}
	}
}
