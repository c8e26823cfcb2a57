package ha

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// never is an instant that does not come.
const never Instant = math.MaxInt64

// lead does what the primary of a logical unit has to do.
func (c *Core) lead(u *unit) {
	switch {
	case u.released == u.grant.Epoch:
		c.reclaim(u)
	case u.mustFence():
		c.fence(u)
	case u.drain.active:
		c.watchDrain(u)
	case c.giveAway(u):
	default:
		c.fitCandidates(u)
	}
}

// fitCandidates asks for the candidates that can be heard: fewer when promises
// stopped coming, more when they come from others. It asks while the old
// promises still last, so that a lost candidate costs no pause.
func (c *Core) fitCandidates(u *unit) {
	fit := []NodeID{c.cfg.Self}
	for _, p := range c.cfg.Peers {
		if u.grant.Has(p) && c.hears(u, p) || !u.grant.Has(p) && c.canWiden(u, p) {
			fit = append(fit, p)
		}
	}
	slices.Sort(fit)
	if slices.Equal(fit, u.grant.Candidates) {
		return
	}
	if len(fit) == 1 {
		c.requestHeld(u, c.aloneChange(u))
		return
	}
	c.request(u, Change{
		LUN:  u.cfg.Name,
		From: u.grant.Epoch,
		To:   Grant{Epoch: u.grant.Epoch + 1, Primary: c.cfg.Self, Candidates: fit},
	})
}

// hears reports whether a candidate's promises arrive. A new primary gives its
// candidates the time to make the first one.
func (c *Core) hears(u *unit, p NodeID) bool {
	return c.up[p] && c.now < max(u.promises[p].sent, u.since)+c.cfg.patience()
}

// canWiden reports whether a peer that is no candidate already promises, as it
// must before it may become one (see the package comment, Widening).
func (c *Core) canWiden(u *unit, p NodeID) bool {
	return !c.leaving && c.up[p] && c.now < u.promises[p].sent+c.cfg.Lease/2 && u.promises[p].until > 0
}

// rightUntil is until when this controller may serve.
func (c *Core) rightUntil(u *unit) Instant {
	self := c.cfg.Self
	if !u.mayServe(self) {
		return 0
	}
	until, everyone := never, never
	for _, p := range c.cfg.Peers {
		everyone = min(everyone, u.promises[p].until)
		if u.mayHave(p) {
			until = min(until, u.promises[p].until)
		}
	}
	if u.mayBeAlone(self) {
		// Others could take over when the lease has lapsed, unless all of
		// them promise not to.
		until = min(until, max(c.hold.until, everyone))
	}
	return until
}

// promiseReceived takes a peer's answer to one of our heartbeats.
func (c *Core) promiseReceived(from NodeID, m Message) {
	sent := c.beats[m.Seq%uint64(len(c.beats))]
	if m.Boot != c.cfg.Boot || sent.seq != m.Seq || m.Seq == 0 {
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
		if u.grant.Primary != c.cfg.Self || u.released == u.grant.Epoch || m.Seq < u.firstSeq || refused[u.cfg.Name] {
			continue
		}
		if sent.at >= u.promises[from].sent {
			u.promises[from] = promise{sent: sent.at, until: sent.at + c.cfg.Lease}
		}
	}
}

// fenceRetry is how long a failed fence rests before it is tried again.
const fenceRetry = time.Second

// fence asks for the fence, and again some time after a failure.
func (c *Core) fence(u *unit) {
	u.wantHold = true
	if u.fencing || c.now < u.fenceAt {
		return
	}
	u.fencing = true
	c.do(Fence{LUN: u.cfg.Name, Epoch: u.grant.Epoch, Node: u.grant.Unfenced})
}

// fenced takes the outcome of a fence.
func (c *Core) fenced(e Fenced) {
	u := c.named[e.LUN]
	if u == nil || u.grant.Epoch != e.Epoch || !u.fencing {
		return
	}
	u.fencing = false
	if !e.OK {
		u.fenceAt = c.now + fenceRetry
		c.alarm(u, fmt.Sprintf("controller %d could not be fenced: not serving; trying again in %v", u.grant.Unfenced, fenceRetry))
		return
	}
	u.fencedIn = e.Epoch
	c.note(u, fmt.Sprintf("controller %d is fenced", u.grant.Unfenced))
}
