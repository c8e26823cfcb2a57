package ha

import (
	"fmt"
	"time"
)

// restLimit is how long a drained controller keeps a logical unit that it tried
// to give away in vain before it tries again.
const restLimit = 30 * time.Second

// maintain takes an operator's wish, or passes it on.
func (c *Core) maintain(e Maintenance) {
	switch {
	case e.Node != c.cfg.Self && e.On:
		c.send(e.Node, Message{Kind: MessageDrain})
	case e.Node != c.cfg.Self:
		c.send(e.Node, Message{Kind: MessageUndrain})
	case e.On != c.drained:
		c.drained = e.On
		c.tell, c.lastBeat = true, c.now-c.cfg.Heartbeat // the peers are told at once
		for _, u := range c.units {
			u.restAt = 0
		}
	}
}

// giveAway hands over a logical unit that is not to be served here any more,
// because this controller leaves or is drained. It reports whether it has begun
// to. A drained controller keeps what no other can serve, until one can.
func (c *Core) giveAway(u *unit) bool {
	if !c.leaving && (!c.drained || c.now < u.restAt || c.silent()) {
		return false
	}
	to := c.successor(u)
	if to == 0 && !c.leaving {
		return false
	}
	u.restAt = c.now + restLimit
	c.startDrain(u, handover{to: to})
	return true
}

// successor is who a logical unit is given to: one of the other candidates that
// can be reached, a different one for each logical unit, and one that is
// drained only by a controller that leaves and finds no other. 0: nobody.
func (c *Core) successor(u *unit) NodeID {
	var fit, resting []NodeID
	for _, n := range u.grant.Candidates {
		switch {
		case n == c.cfg.Self || !c.up[n]:
		case c.resting[n]:
			resting = append(resting, n)
		default:
			fit = append(fit, n)
		}
	}
	if len(fit) == 0 && c.leaving {
		fit = resting
	}
	if len(fit) == 0 {
		return 0
	}
	return fit[u.index%len(fit)]
}

// failBack asks the primary for a logical unit whose home this is, after it
// could have been served here for the whole hold time. Whatever breaks that, and
// each try, starts the hold time anew, so that it does not go to and fro with a
// controller that comes and goes.
func (c *Core) failBack(u *unit) {
	if u.cfg.Failback == 0 || !u.cfg.Home {
		return
	}
	fit := c.canFailBack(u)
	if !fit || !u.fit {
		u.fit, u.fitSince = fit, c.now
		return
	}
	if c.now < u.fitSince+u.cfg.Failback {
		return
	}
	u.fitSince = c.now
	c.note(u, fmt.Sprintf("fail-back: asking controller %d to hand over", u.grant.Primary))
	c.send(u.grant.Primary, Message{Kind: MessageHandover, Claims: []Claim{{u.cfg.Name, u.grant}}})
}

// canFailBack reports whether a logical unit of which this controller is not
// the primary could be handed over to it now.
func (c *Core) canFailBack(u *unit) bool {
	return !c.leaving && !c.drained && c.up[u.grant.Primary] && u.grant.Has(c.cfg.Self) && c.now < u.promised
}

// Drained reports whether a controller, this one or a peer, is drained, as far
// as is known here.
func (c *Core) Drained(n NodeID) bool {
	if n == c.cfg.Self {
		return c.drained
	}
	return c.resting[n]
}
