package sim

import (
	"slices"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// replica is the newest state of a logical unit that a controller knows.
type replica struct {
	at    ha.Stamp
	state prState
	acked [ha.MaxNodes + 1]ha.Stamp // what each peer has
}

// set makes a state of the brain here the newest one. It reports false when
// there has been a later brain.
func (r *replica) set(epoch uint64, s prState) bool {
	switch {
	case epoch > r.at.Epoch:
		r.at = ha.Stamp{Epoch: epoch, Version: 1}
	case epoch == r.at.Epoch || mutantOustedCopies:
		r.at.Version++
	default:
		return false
	}
	r.state = s
	return true
}

// offer takes a copy when it is newer than what is here.
func (r *replica) offer(at ha.Stamp, s prState) {
	if r.at.Before(at) {
		r.at, r.state = at, s
	}
}

// broadcast sends the newest state to every peer.
func (u *unit) broadcast() {
	for _, p := range u.c.w.controllers[1:] {
		if p != u.c {
			u.c.sendState(p, u)
		}
	}
}

func (c *controller) sendState(p *controller, u *unit) {
	index, at, s := u.index, u.replica.at, u.replica.state
	c.control(p, func() { p.stateReceived(c, index, at, s) })
}

// control sends a message of the node, not of the core.
func (c *controller) control(p *controller, receive func()) {
	c.w.net.ends[c.id][p.id].send(controlStream, receive)
}

// stateReceived takes a copy and tells what is had.
func (c *controller) stateReceived(from *controller, index int, at ha.Stamp, s prState) {
	u := c.units[index]
	r := &u.replica
	if c.w.telling() {
		c.w.tell(c.id, "%s: is offered %v as %v by %d, has %v as %v", u.name, s, at, from.id, r.state, r.at)
	}
	doubted := u.outOfDate()
	r.offer(at, s)
	if doubted {
		c.trustChanged()
	}
	has := r.at
	c.control(from, func() { from.stateTaken(c, index, has) })
}

func (c *controller) stateTaken(peer *controller, index int, at ha.Stamp) {
	u := c.units[index]
	if u.replica.acked[peer.id].Before(at) {
		u.replica.acked[peer.id] = at
		u.lookAtCopies()
	}
}

// linkUp is the beginning of a pair of streams: both sides show each other the
// states they have, and only then the core hears of the peer.
func (c *controller) linkUp(p *controller) {
	c.peers[p.id] = peer{linked: true, owed: true}
	c.showStates(p)
}

// showStates sends a peer every state there is, and says so, unless one of them
// is out of date: the peer must not take that for a copy.
func (c *controller) showStates(p *controller) {
	for _, u := range c.units[:c.w.plan.units] {
		if u.replica.at.Epoch != 0 && !mutantStatesNotShown {
			c.sendState(p, u)
		}
	}
	s := &c.peers[p.id]
	if !s.linked || !s.owed || c.outOfDate() {
		return
	}
	s.owed = false
	c.control(p, func() {
		// Not before what was admitted here over earlier streams is done there.
		p.whenSettled(c, func() {
			p.control(c, func() {
				c.peerSettled(p)
				c.progress(p, func(s *peer) { s.taken = true })
			})
		})
		p.progress(c, func(s *peer) { s.shown = true })
	})
}

// judge takes what the arbiter says about the states: those before the floor are
// out of date. A brain begins only after it was told so with a grant of this
// controller, or a later one.
func (c *controller) judge(s ha.State) {
	for _, u := range c.units[:c.w.plan.units] {
		if floor := s.Floors[u.name]; u.floor.Before(floor) {
			u.floor = floor
		}
		if epoch := s.Grants[u.name].Epoch; u.told < epoch {
			u.told = epoch
			u.nudge()
		}
	}
	c.trustChanged()
}

// trustChanged shows the peers what could not be shown before.
func (c *controller) trustChanged() {
	if c.outOfDate() {
		return
	}
	for _, p := range c.w.controllers[1:] {
		if c.peers[p.id].owed {
			c.showStates(p)
		}
	}
}

// outOfDate reports whether a state here is.
func (c *controller) outOfDate() bool {
	for _, u := range c.units[:c.w.plan.units] {
		if u.outOfDate() {
			return true
		}
	}
	return false
}

func (u *unit) outOfDate() bool { return u.replica.at.Before(u.floor) && !mutantFloorUnchecked }

// progress notes a step of getting to know a peer and tells the core when it
// was the last one.
func (c *controller) progress(p *controller, step func(*peer)) {
	s := &c.peers[p.id]
	before := s.shown && s.taken
	step(s)
	if !before && s.shown && s.taken {
		c.post(ha.PeerUp{Peer: p.id})
	}
}

// linkDown is the end of a pair of streams.
func (c *controller) linkDown(p *controller) {
	c.failRequests(p)
	c.peers[p.id] = peer{}
	c.earlier[p.id] += c.moving[p.id]
	c.moving[p.id] = 0
	for _, u := range c.units[:c.w.plan.units] {
		u.replica.acked[p.id] = ha.Stamp{}
		if u.brain != nil {
			u.brain.portLost(p)
		}
	}
	c.post(ha.PeerDown{Peer: p.id})
}

// copying is a state on its way to the peers that must have it.
type copying struct {
	u        *unit
	at       ha.Stamp
	deadline ha.Instant
	last     bool // of a brain that has stopped: nothing depends on it
	raising  bool // the floor is asked for
	raised   bool
	done     func(bool)
}

// copyState installs a state here and at the peers that must have it. done is
// told whether that is so.
func (u *unit) copyState(b *brain, s prState, patience time.Duration, last bool, done func(bool)) {
	deadline := u.c.clock() + patience
	u.c.soon(func() {
		epoch := b.epoch
		if mutantOustedCopies {
			epoch = u.epoch
		}
		if !u.replica.set(epoch, s) {
			done(false)
			return
		}
		u.copies = append(u.copies, &copying{u: u, at: u.replica.at, deadline: deadline, last: last, done: done})
		if w := u.c.w; w.telling() {
			w.tell(u.c.id, "%s: sends %v as %v", u.name, s, u.replica.at)
		}
		u.broadcast()
		u.c.soon(u.lookAtCopies)
		u.watchCopies()
	})
}

func (u *unit) core() *ha.Core { return u.c.core }

// watchCopies looks from time to time whether a peer still has to have a copy.
func (u *unit) watchCopies() {
	u.c.timer(commitLook, func() {
		u.lookAtCopies()
		if len(u.copies) > 0 {
			u.watchCopies()
		}
	})
}

// lookAtCopies ends the copies that are where they must be, and those that
// cannot be any more. Who must have one is looked up after it was sent: a peer
// that became one of them before got it, one that does later is sent it before
// it can promise anything.
func (u *unit) lookAtCopies() {
	var over []func()
	u.copies = slices.DeleteFunc(u.copies, func(k *copying) bool {
		ok, end := k.look()
		if end {
			over = append(over, func() { k.done(ok) })
		}
		return end
	})
	for _, f := range over {
		f()
	}
}

// look reports whether the copy is where it must be, and whether there is
// nothing more to wait for. Those who may become primary must have it; for all
// others the arbiter must know that what they have is out of date.
func (k *copying) look() (ok, over bool) {
	u := k.u
	needs := u.core().Witnesses(u.name)
	lacks := func(n ha.NodeID) bool { return u.replica.acked[n].Before(k.at) }
	switch {
	case mutantCommitEarly:
		return true, true
	case !slices.ContainsFunc(needs, lacks):
		if k.last || k.raised || mutantFloorNotRaised || !u.c.peerExists(lacks) {
			return true, true
		}
		k.raise()
	}
	return false, !u.valid() || u.c.clock() > k.deadline
}

// peerExists reports whether a peer is as is asked.
func (c *controller) peerExists(is func(ha.NodeID) bool) bool {
	for _, p := range c.w.controllers[1:] {
		if p != c && is(p.id) {
			return true
		}
	}
	return false
}

// raise asks the arbiter to make everything before this state out of date.
func (k *copying) raise() {
	if k.raising {
		return
	}
	k.raising = true
	u := k.u
	a := &u.c.w.arbiter
	a.call(u.c, arbiterPatience, func() func() {
		if a.floors[u.index].Before(k.at) {
			a.floors[u.index] = k.at
			a.changed()
		}
		return func() {
			k.raised = true
			u.lookAtCopies()
		}
	}, func() { k.raising = false })
}

// leave sends the last state of a brain that has stopped to the peers. Nothing
// unacknowledged depends on it.
func (u *unit) leave(b *brain, then func()) {
	u.copyState(b, b.state, time.Second, true, func(bool) { then() })
}
