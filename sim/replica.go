package sim

import (
	"slices"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// stamp orders the states of a logical unit: by the epoch in which the
// controller that made them became the brain, and within that by version.
type stamp struct{ epoch, version uint64 }

func (s stamp) before(o stamp) bool {
	return s.epoch < o.epoch || s.epoch == o.epoch && s.version < o.version
}

// replica is the newest state of a logical unit that a controller knows.
type replica struct {
	at    stamp
	state prState
	acked [ha.MaxNodes + 1]stamp // what each peer has
}

// set makes a state of the brain here the newest one. It reports false when
// there has been a later brain.
func (r *replica) set(epoch uint64, s prState) bool {
	switch {
	case epoch > r.at.epoch:
		r.at = stamp{epoch, 1}
	case epoch == r.at.epoch || mutantOustedCopies:
		r.at.version++
	default:
		return false
	}
	r.state = s
	return true
}

// offer takes a copy when it is newer than what is here.
func (r *replica) offer(at stamp, s prState) {
	if r.at.before(at) {
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
func (c *controller) stateReceived(from *controller, index int, at stamp, s prState) {
	u := c.units[index]
	r := &u.replica
	if c.w.telling() {
		c.w.tell(c.id, "%s: is offered %v as %v by %d, has %v as %v", u.name, s, at, from.id, r.state, r.at)
	}
	r.offer(at, s)
	has := r.at
	c.control(from, func() { from.stateTaken(c, index, has) })
}

func (c *controller) stateTaken(peer *controller, index int, at stamp) {
	u := c.units[index]
	if u.replica.acked[peer.id].before(at) {
		u.replica.acked[peer.id] = at
		u.lookAtCopies()
	}
}

// linkUp is the beginning of a pair of streams: both sides show each other the
// states they have, and only then the core hears of the peer.
func (c *controller) linkUp(p *controller) {
	c.peers[p.id] = peer{linked: true}
	for _, u := range c.units[:c.w.plan.units] {
		if u.replica.at.epoch != 0 && !mutantStatesNotShown {
			c.sendState(p, u)
		}
	}
	c.control(p, func() {
		p.control(c, func() { c.progress(p, func(s *peer) { s.taken = true }) })
		p.progress(c, func(s *peer) { s.shown = true })
	})
}

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
	for _, u := range c.units[:c.w.plan.units] {
		u.replica.acked[p.id] = stamp{}
		if u.brain != nil {
			u.brain.portLost(p)
		}
	}
	c.post(ha.PeerDown{Peer: p.id})
}

// copying is a state on its way to the peers that must have it.
type copying struct {
	u        *unit
	at       stamp
	needs    []ha.NodeID // looked up before it was sent
	deadline ha.Instant
	last     bool // of a brain that has stopped: nothing depends on it
	raising  bool // the floor is asked for
	raised   bool
	done     func(bool)
}

// copyState installs a state here and at the peers that must have it. done is
// told whether that is so.
func (u *unit) copyState(b *brain, s prState, patience time.Duration, last bool, done func(bool)) {
	needs, deadline := u.core().Witnesses(u.name), u.c.clock()+patience
	u.c.soon(func() {
		epoch := b.epoch
		if mutantOustedCopies {
			epoch = u.epoch
		}
		if !u.replica.set(epoch, s) {
			done(false)
			return
		}
		u.copies = append(u.copies, &copying{u: u, at: u.replica.at, needs: needs, deadline: deadline, last: last, done: done})
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
	if mutantWitnessesBefore {
		needs = k.needs
	}
	lacks := func(n ha.NodeID) bool { return u.replica.acked[n].before(k.at) }
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
		if a.floors[u.index].before(k.at) {
			a.floors[u.index] = k.at
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
