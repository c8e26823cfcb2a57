package ha

import (
	"fmt"
	"math"
	"time"
)

// never is an instant that does not come.
const never Instant = math.MaxInt64

// lead does what the primary of a logical unit has to do.
func (c *Core) lead(u *unit) {
	switch {
	case u.released == u.grant.Epoch:
		c.reclaim(u)
	case u.mustFence() && u.kept != u.grant.Epoch:
		u.wantHold = true
		c.fence(u)
	case u.mustFence():
		c.fence(u)
		c.fitCandidates(u)
	case u.drain.active:
		c.watchDrain(u)
	case c.giveAway(u):
	default:
		c.fitCandidates(u)
	}
}

// fitCandidates asks for the candidates that can be heard: fewer when promises
// stopped coming, more when they come from others. It asks while the old
// promises still last, so that a lost candidate costs no pause. Whom it has fenced
// it has taken out of the grant at once: a process that starts anew would fence
// again, and two that are primaries of different logical units would go on killing
// each other.
func (c *Core) fitCandidates(u *unit) {
	fit := Nodes(c.cfg.Self)
	for _, p := range c.cfg.Peers {
		if u.grant.Has(p) && c.hears(u, p) || !u.grant.Has(p) && c.canWiden(u, p) {
			fit |= Nodes(p)
		}
	}
	done := u.grant.Unfenced&u.fenced != 0 && !mutantFenceUnrecorded
	if fit == Nodes(u.grant.Candidates...) && !done {
		return
	}
	ch := c.aloneChange(u)
	ch.To.Candidates = fit.List()
	ch.To.Unfenced = u.unfenced()
	if u.cfg.SecondaryWrites && u.cfg.Automatic {
		ch.To.Unfenced |= Nodes(u.grant.Candidates...) &^ fit
	}
	if ch.To.Alone() {
		c.requestHeld(u, ch)
		return
	}
	ch.Held = 0
	c.request(u, ch)
}

// hears reports whether a candidate's promises arrive. A new primary gives its
// candidates the time to make the first one.
func (c *Core) hears(u *unit, p NodeID) bool {
	return c.up[p] && c.now < max(u.promises[p].sent, u.since)+c.cfg.patience() || mutantNeverShrinks
}

// canWiden reports whether a peer that is no candidate already promises, as it
// must before it may become one (see the package comment, Widening).
func (c *Core) canWiden(u *unit, p NodeID) bool {
	if mutantWidenUnpromised {
		return c.up[p]
	}
	return !c.leaving && c.up[p] && !u.unfenced().Has(p) && c.now < u.promises[p].sent+c.cfg.Lease/2 && u.promises[p].until > 0
}

// rightUntil is until when this controller may serve. It may not before it knows
// that nothing which an earlier life asked for is under way: that could still
// make somebody a candidate who has promised nothing.
func (c *Core) rightUntil(u *unit) Instant {
	self := c.cfg.Self
	if !c.known && !mutantServeUnsettled || !u.mayServe(self) || c.lifeBeforeLasts(u) {
		return 0
	}
	until, everyone := never, never
	for _, p := range c.cfg.Peers {
		everyone = min(everyone, u.promises[p].until)
		if u.mayHave(p) {
			until = min(until, u.promises[p].until)
		}
	}
	if u.mayBeAlone(self) && !mutantAloneWithoutLease {
		// Others could take over when the lease has lapsed, unless all of
		// them promise not to.
		until = min(until, max(c.hold.until, everyone))
	}
	return until
}

// lifeBeforeLasts reports whether secondaries may still write as an earlier life of
// this controller allowed them to, where nothing fences them.
func (c *Core) lifeBeforeLasts(u *unit) bool {
	return u.cfg.SecondaryWrites && !u.cfg.Automatic && c.now < c.born+c.cfg.promiseSpan() && !mutantTicketsUnawaited
}

// promiseReceived takes a peer's answer to one of our heartbeats.
func (c *Core) promiseReceived(from NodeID, m Message) {
	sent := c.beats[m.Seq%uint64(len(c.beats))]
	if m.Boot != c.cfg.Boot && !mutantPromiseOfEarlierBoot || sent.seq != m.Seq || m.Seq == 0 {
		return // an answer to an earlier life, or too late to be worth anything
	}
	refused := map[string]bool{}
	for _, claim := range m.Claims {
		refused[claim.LUN] = true
		if u := c.named[claim.LUN]; u != nil {
			c.learn(u, claim.Grant)
		}
	}
	for _, u := range c.units {
		if u.grant.Primary != c.cfg.Self || u.released == u.grant.Epoch && !mutantUnclaimedPromise || m.Seq < u.firstSeq || refused[u.cfg.Name] {
			continue
		}
		if sent.at >= u.promises[from].sent {
			u.promises[from] = promise{sent: sent.at, until: sent.at + c.cfg.Lease}
			if mutantPromiseFromReceipt {
				u.promises[from] = promise{sent: sent.at, until: c.now + c.cfg.Lease}
			}
		}
	}
}

// fenceRetry is how long a failed fence rests before it is tried again.
const fenceRetry = time.Second

// fence asks for the fence, and again some time after a failure.
func (c *Core) fence(u *unit) {
	if u.fencing != 0 || c.now < u.fenceAt {
		return
	}
	u.fencing = u.unfenced().List()[0]
	c.do(Fence{LUN: u.cfg.Name, Epoch: u.grant.Epoch, Node: u.fencing, Kept: u.kept == u.grant.Epoch})
}

// fenced takes the outcome of a fence.
func (c *Core) fenced(e Fenced) {
	u := c.named[e.LUN]
	if u == nil || u.grant.Epoch != e.Epoch || u.fencing == 0 {
		return
	}
	node := u.fencing
	u.fencing = 0
	if !e.OK {
		u.fenceAt = c.now + fenceRetry
		until := "not serving"
		if u.kept == u.grant.Epoch {
			until = "what it may be writing stays locked"
		}
		c.alarm(u, fmt.Sprintf("controller %d could not be fenced: %s; trying again in %v", node, until, fenceRetry))
		return
	}
	u.fenced |= Nodes(node)
	c.note(u, fmt.Sprintf("controller %d is fenced", node))
	c.lapse(u, node, false)
}

// keeps reports whether a newer grant only changes the candidates of a logical
// unit that is served here: it is served on without a break, by a brain that
// knows what others may be writing. One that has not had the right yet, because
// the process has just started, knows nothing of what an earlier life allowed.
func (c *Core) keeps(u *unit, g Grant) bool {
	self := c.cfg.Self
	return g.Primary == self && g.Epoch == u.grant.Epoch+1 && (u.served || mutantKeptUnserved) && u.mayServe(self) && !u.drain.active
}

// leaveOut deals with candidates that were left out where secondaries write and
// nothing fences them: what they may write ends with their tickets.
func (c *Core) leaveOut(u *unit, nodes NodeSet) {
	if !u.cfg.SecondaryWrites || u.cfg.Automatic {
		return
	}
	for _, n := range nodes.List() {
		c.alarm(u, fmt.Sprintf("controller %d is lost and there is no fence: make sure that it is off, it may still be writing", n))
		c.lapse(u, n, true)
	}
}

// lapse says that what a controller could write in an earlier epoch is over.
func (c *Core) lapse(u *unit, n NodeID, wait bool) {
	if u.cfg.SecondaryWrites {
		c.do(Lapse{LUN: u.cfg.Name, Epoch: u.grant.Epoch, Node: n, Wait: wait})
	}
}
