package ha

import (
	"fmt"
	"slices"
	"time"
)

// drainLimit is how long commands in flight may take to finish before a
// handover is given up.
const drainLimit = 2 * time.Second

// arbiterLimit is how long the arbiter may take to answer before nothing is
// handed over.
const arbiterLimit = time.Second

// forceLimit is how long the operator's force waits for the promises and
// leases that even force must respect; an operator who waits longer repeats it. It
// is less than the arbiter's lease lasts (2 s), so that it is over before the lease
// of a primary that was off and started anew meanwhile can lapse.
const forceLimit = 1800 * time.Millisecond

// promote starts what the operator asked for.
func (c *Core) promote(e Promote) {
	u := c.named[e.LUN]
	if u == nil {
		return
	}
	primary := u.grant.Primary
	switch {
	case primary == c.cfg.Self && u.mustFence() && e.Force:
		for _, n := range u.unfenced().List() {
			c.alarm(u, fmt.Sprintf("promote: serving by force; controller %d is not fenced", n))
			c.lapse(u, n, false)
		}
		u.fenced, u.fencing = u.grant.Unfenced, 0
	case primary == c.cfg.Self && u.mustFence():
		c.alarm(u, fmt.Sprintf("promote: controller %v could not be fenced: make sure that it is off, then use force: if it still writes, acknowledged data is lost", u.unfenced()))
	case primary == c.cfg.Self:
		c.note(u, "promote: this controller is the primary already")
	case c.leaving:
		c.note(u, "promote: this controller is shutting down")
	case c.drained && c.up[primary]:
		c.note(u, "promote: this controller is drained")
	case c.up[primary]:
		c.send(primary, Message{Kind: MessageHandover, Claims: []Claim{{u.cfg.Name, u.grant}}})
	case e.Force:
		u.forced = c.now + forceLimit
		c.alarm(u, fmt.Sprintf("promote: taking over by force; controller %d is not fenced", primary))
	case u.cfg.Automatic:
		c.note(u, fmt.Sprintf("promote: controller %d is not reachable; the takeover is automatic", primary))
	default:
		c.do(Note{LUN: u.cfg.Name, Alarm: true, Refused: true, Text: fmt.Sprintf(
			"promote: controller %d is not reachable, and nothing is taken from it by itself: make sure that it is off, then use force: if it still writes, acknowledged data is lost", primary)})
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
		c.startDrain(u, handover{to: from, asked: true})
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
	case c.silent():
		return "the arbiter does not answer"
	case u.mustFence():
		return fmt.Sprintf("controller %v is not fenced yet", u.unfenced())
	case !u.grant.Has(to) || !c.up[to]:
		return fmt.Sprintf("controller %d is not a candidate yet; try again when it is", to)
	case c.resting[to]:
		return fmt.Sprintf("controller %d is drained", to)
	}
	return ""
}

// Refusal says why this controller cannot hand a logical unit over now; "" when
// it can.
func (c *Core) Refusal(name string, to NodeID) string {
	u := c.named[name]
	switch {
	case u == nil:
		return fmt.Sprintf("there is no logical unit %q", name)
	case to == c.cfg.Self:
		return fmt.Sprintf("controller %d is the primary already", to)
	}
	return c.whyNotHandOver(u, to)
}

// startDrain stops new commands and waits for those in flight. Meanwhile it asks
// the arbiter for a sign of life: what is given up while the arbiter is away
// nobody can serve.
func (c *Core) startDrain(u *unit, h handover) {
	if u.drain.active {
		return
	}
	h.active, h.deadline = true, c.now+drainLimit
	u.drain = h
	c.do(Drain{LUN: u.cfg.Name, Epoch: u.grant.Epoch})
	c.settle()
}

// silent reports whether the arbiter has not answered for long.
func (c *Core) silent() bool {
	return c.settling && c.now >= c.settleAt+arbiterLimit && !mutantReleaseUnanswered
}

// watchDrain gives up a handover whose commands do not finish, whose successor
// is gone, or which the arbiter could not be asked for.
func (c *Core) watchDrain(u *unit) {
	to := u.drain.to
	var reason string
	switch {
	case c.mayRelease(u):
		c.release(u)
		return
	case c.leaving:
		return
	case !c.up[to]:
		reason = fmt.Sprintf("controller %d cannot be reached any more", to)
	case c.silent():
		reason = "the arbiter does not answer"
	case c.now >= u.drain.deadline:
		reason = fmt.Sprintf("commands in flight did not finish in %v", drainLimit)
	default:
		return
	}
	if u.drain.asked {
		c.send(to, Message{Kind: MessageRefuse, Claims: []Claim{{u.cfg.Name, u.grant}}, Reason: reason})
	}
	u.drain = handover{}
	c.alarm(u, "handover given up: "+reason)
}

// drainDone notes that no command is in flight.
func (c *Core) drainDone(e Drained) {
	u := c.named[e.LUN]
	if u == nil || !u.drain.active || u.grant.Epoch != e.Epoch || u.grant.Primary != c.cfg.Self {
		return
	}
	u.drain.done = true
}

// mayRelease reports whether what is handed over can be given up. Who leaves
// does not wait for the arbiter.
func (c *Core) mayRelease(u *unit) bool {
	return u.drain.done && (u.drain.answered || c.leaving || mutantReleaseUnanswered)
}

// release gives the unit up for this epoch: whatever happens, this controller
// serves it again only under a new grant.
func (c *Core) release(u *unit) {
	to := u.drain.to
	if c.leaving && !c.up[to] {
		to = c.successor(u)
	}
	u.drain = handover{}
	u.released, u.relAt = u.grant.Epoch, c.now
	c.publish(u)
	if to != 0 {
		c.send(to, Message{Kind: MessageRelease, Boot: c.cfg.Boot, Claims: []Claim{{u.cfg.Name, u.grant}}})
	}
}

// releaseReceived notes what the primary has just given up; takeReleased takes
// it over.
func (c *Core) releaseReceived(from NodeID, m Message) {
	for _, claim := range m.Claims {
		u := c.named[claim.LUN]
		if u == nil || claim.Grant.Primary != from || !claim.Grant.Has(c.cfg.Self) {
			continue
		}
		c.learn(u, claim.Grant)
		if c.now < u.promised && m.Boot != u.promisedTo && !mutantOldRelease {
			continue // it comes late, of an earlier life than the one promised to since
		}
		if u.grant.Epoch == claim.Grant.Epoch || mutantOldRelease {
			u.offered = u.grant.Epoch
		}
	}
}

// takeReleased takes over what the primary has given up to this controller: no
// promise has to run out first. When the arbiter's answer is lost it asks again;
// else the primary of before would be fenced, which waits for its successor.
func (c *Core) takeReleased(u *unit) bool {
	if !u.isOffered() {
		return false
	}
	to := Grant{Epoch: u.grant.Epoch + 1, Primary: c.cfg.Self, Candidates: slices.Clone(u.grant.Candidates)}
	c.request(u, Change{LUN: u.cfg.Name, From: u.grant.Epoch, To: to})
	return true
}

// reclaim takes back what was released when the successor did not take it.
func (c *Core) reclaim(u *unit) {
	if c.leaving || c.now < u.relAt+2*c.cfg.Lease {
		return
	}
	c.requestHeld(u, c.aloneChange(u))
}

// receive dispatches a message from a peer.
func (c *Core) receive(from NodeID, m Message) {
	c.resting[from] = m.Drained
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
	case MessageDrain:
		c.maintain(Maintenance{Node: c.cfg.Self, On: true})
	case MessageUndrain:
		c.maintain(Maintenance{Node: c.cfg.Self})
	}
}
