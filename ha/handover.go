package ha

import (
	"fmt"
	"slices"
	"time"
)

// drainLimit is how long commands in flight may take to finish before a
// handover is given up.
const drainLimit = 2 * time.Second

// forceLimit is how long the operator's force waits for the promises and
// leases that even force must respect.
const forceLimit = 10 * time.Second

// promote starts what the operator asked for.
func (c *Core) promote(e Promote) {
	u := c.named[e.LUN]
	if u == nil {
		return
	}
	primary := u.grant.Primary
	switch {
	case primary == c.cfg.Self && u.mustFence() && e.Force:
		u.fencedIn, u.fencing = u.grant.Epoch, false
		c.alarm(u, fmt.Sprintf("promote: serving by force; controller %d is not fenced", u.grant.Unfenced))
	case primary == c.cfg.Self && u.mustFence():
		c.alarm(u, fmt.Sprintf("promote: controller %d could not be fenced: make sure that it is off, then use force", u.grant.Unfenced))
	case primary == c.cfg.Self:
		c.note(u, "promote: this controller is the primary already")
	case c.leaving:
		c.note(u, "promote: this controller is shutting down")
	case c.up[primary]:
		c.send(primary, Message{Kind: MessageHandover, Claims: []Claim{{u.cfg.Name, u.grant}}})
	case e.Force:
		u.forced = c.now + forceLimit
		c.alarm(u, fmt.Sprintf("promote: taking over by force; controller %d is not fenced", primary))
	case u.cfg.Automatic:
		c.note(u, fmt.Sprintf("promote: controller %d is not reachable; the takeover is automatic", primary))
	default:
		c.alarm(u, fmt.Sprintf("promote: controller %d is not reachable and cannot be fenced: make sure that it is off, then use force", primary))
	}
}

// handoverAsked answers a peer that wants to become primary.
func (c *Core) handoverAsked(from NodeID, m Message) {
	for _, claim := range m.Claims {
		u := c.named[claim.LUN]
		if u == nil {
			continue
		}
		if reason := c.whyNotHandOver(u, from); reason != "" {
			c.send(from, Message{Kind: MessageRefuse, Claims: []Claim{{u.cfg.Name, u.grant}}, Reason: reason})
			continue
		}
		c.startDrain(u, from)
	}
}

// whyNotHandOver says what keeps the unit from moving to a peer now.
func (c *Core) whyNotHandOver(u *unit, to NodeID) string {
	switch {
	case u.grant.Primary != c.cfg.Self:
		return fmt.Sprintf("controller %d is not the primary", c.cfg.Self)
	case u.drain.active && u.drain.to == to:
		return ""
	case u.pending != nil || u.drain.active || u.released == u.grant.Epoch:
		return "its grant is changing; try again"
	case u.mustFence():
		return fmt.Sprintf("controller %d is not fenced yet", u.grant.Unfenced)
	case !u.grant.Has(to):
		return fmt.Sprintf("controller %d is not a candidate yet; try again when it is", to)
	}
	return ""
}

// startDrain stops new commands and waits for those in flight.
func (c *Core) startDrain(u *unit, to NodeID) {
	if u.drain.active {
		return
	}
	u.drain = handover{active: true, to: to, deadline: c.now + drainLimit}
	c.do(Drain{LUN: u.cfg.Name, Epoch: u.grant.Epoch})
}

// watchDrain gives up a handover whose commands do not finish.
func (c *Core) watchDrain(u *unit) {
	if c.leaving || c.now < u.drain.deadline {
		return
	}
	to := u.drain.to
	u.drain = handover{}
	reason := fmt.Sprintf("commands in flight did not finish in %v", drainLimit)
	c.alarm(u, "handover given up: "+reason)
	c.send(to, Message{Kind: MessageRefuse, Claims: []Claim{{u.cfg.Name, u.grant}}, Reason: reason})
}

// drained gives the unit up for this epoch: whatever happens, this controller
// serves it again only under a new grant.
func (c *Core) drained(e Drained) {
	u := c.named[e.LUN]
	if u == nil || !u.drain.active || u.grant.Epoch != e.Epoch || u.grant.Primary != c.cfg.Self {
		return
	}
	to := u.drain.to
	u.drain = handover{}
	u.released, u.relAt = u.grant.Epoch, c.now
	c.publish(u)
	if to != 0 {
		c.send(to, Message{Kind: MessageRelease, Claims: []Claim{{u.cfg.Name, u.grant}}})
	}
}

// releaseReceived takes over what the primary has just given up: no promise
// has to run out first.
func (c *Core) releaseReceived(from NodeID, m Message) {
	for _, claim := range m.Claims {
		u := c.named[claim.LUN]
		if u == nil || claim.Grant.Primary != from || !claim.Grant.Has(c.cfg.Self) {
			continue
		}
		c.learn(u, claim.Grant)
		if u.grant.Epoch != claim.Grant.Epoch || u.pending != nil || c.leaving {
			continue
		}
		to := Grant{Epoch: u.grant.Epoch + 1, Primary: c.cfg.Self, Candidates: slices.Clone(u.grant.Candidates)}
		c.request(u, Change{LUN: u.cfg.Name, From: u.grant.Epoch, To: to})
	}
}

// reclaim takes back what was released when the successor did not take it.
func (c *Core) reclaim(u *unit) {
	if c.leaving || c.now < u.relAt+2*c.cfg.Lease {
		return
	}
	c.requestHeld(u, c.aloneChange(u))
}

// shutdown hands over every logical unit served here: to a candidate that can
// be reached, or to whoever will take it.
func (c *Core) shutdown() {
	c.leaving = true
	for _, u := range c.units {
		if u.grant.Primary != c.cfg.Self || u.released == u.grant.Epoch || u.mustFence() {
			continue
		}
		to := NodeID(0)
		for _, n := range u.grant.Candidates {
			if n != c.cfg.Self && c.up[n] {
				to = n
				break
			}
		}
		c.startDrain(u, to)
	}
}

// receive dispatches a message from a peer.
func (c *Core) receive(from NodeID, m Message) {
	switch m.Kind {
	case MessageHeartbeat:
		c.answerHeartbeat(from, m)
	case MessagePromise:
		c.promiseReceived(from, m)
	case MessageHandover:
		c.handoverAsked(from, m)
	case MessageRelease:
		c.releaseReceived(from, m)
	case MessageRefuse:
		for _, claim := range m.Claims {
			if u := c.named[claim.LUN]; u != nil {
				c.learn(u, claim.Grant)
				c.alarm(u, fmt.Sprintf("promote refused by controller %d: %s", from, m.Reason))
			}
		}
	}
}
