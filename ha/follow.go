package ha

import "fmt"

// follow does what a controller that is not the primary has to do: nothing,
// until the primary is silent for longer than every promise made to it.
func (c *Core) follow(u *unit) {
	c.failBack(u)
	if c.leaving || c.takeReleased(u) || !u.cfg.Automatic && c.now >= u.forced {
		return
	}
	quiet := c.takeoverAt(u)
	// The lease is needed first; taking it early saves that time.
	u.wantHold = c.now >= quiet-c.cfg.Lease/2 && c.mayTake(u)
	if c.now < quiet || !c.mayTake(u) {
		return
	}
	ch := c.aloneChange(u)
	if u.cfg.Automatic {
		ch.To.Unfenced = c.writers(u)
	}
	if !u.grant.Has(c.cfg.Self) {
		ch.Lapsed = u.grant.Primary
		if mutantNoLapsed {
			ch.Lapsed = 0
		}
	}
	c.requestHeld(u, ch)
}

// writers are the controllers that may still write when this one takes over: the
// primary, whoever it has not fenced or not said so, and, where secondaries
// write, the other candidates.
func (c *Core) writers(u *unit) NodeSet {
	s := u.grant.Unfenced | Nodes(u.grant.Primary)
	if mutantUnfencedLost {
		s = Nodes(u.grant.Primary)
	}
	if u.cfg.SecondaryWrites {
		s |= Nodes(u.grant.Candidates...)
	}
	return s &^ Nodes(c.cfg.Self)
}

// mayTake reports whether the grant lets this controller take over: it is a
// candidate, or the primary is alone and its arbiter lease has lapsed (the
// arbiter checks that again).
func (c *Core) mayTake(u *unit) bool {
	return u.grant.Has(c.cfg.Self) || u.grant.Alone() && (!c.holders[u.grant.Primary] || mutantNoLapsed)
}

// takeoverAt is the first instant at which this controller may ask to take
// over: after its own promises, after the wait of a controller that may have
// promised in an earlier life, and after a delay that favours the primary and
// the candidates of lower id.
func (c *Core) takeoverAt(u *unit) Instant {
	quiet := max(u.promised, u.since+c.cfg.promiseSpan(), c.born+c.cfg.promiseSpan())
	if mutantNoPromiseWait || mutantNoBootWait && u.promised == 0 {
		quiet = 0
	}
	if !u.claimed && c.now >= u.forced && !mutantNoBootWait {
		quiet = max(quiet, c.born+c.cfg.StartGrace)
	}
	rank := 1
	for _, n := range u.grant.Candidates {
		if n != c.cfg.Self && n != u.grant.Primary && c.before(n) {
			rank++
		}
	}
	if mutantNoClockMargin {
		return quiet
	}
	return quiet + Instant(rank)*c.cfg.Lease/10
}

// before reports whether another candidate is to have the first try: a drained
// controller comes after all that are not.
func (c *Core) before(n NodeID) bool {
	if c.drained != c.resting[n] {
		return c.drained
	}
	return n < c.cfg.Self
}

// answerHeartbeat promises what can be promised and refuses the rest with the
// grant known here.
func (c *Core) answerHeartbeat(from NodeID, m Message) {
	answer := Message{Kind: MessagePromise, Boot: m.Boot, Seq: m.Seq}
	for _, claim := range m.Claims {
		u := c.named[claim.LUN]
		if u == nil || claim.Grant.Primary != from {
			answer.Claims = append(answer.Claims, Claim{LUN: claim.LUN})
			continue
		}
		c.learn(u, claim.Grant)
		if !c.canPromise(u, claim.Grant) {
			answer.Claims = append(answer.Claims, Claim{claim.LUN, u.grant})
			continue
		}
		u.promised, u.promisedTo = c.now+c.cfg.promiseSpan(), m.Boot
		u.claimed = true
		if !mutantForceLingers {
			u.forced = 0 // it was meant for a primary that is off
		}
	}
	c.send(from, answer)
}

// canPromise reports whether a claim is of the newest grant and no request of
// our own to take the logical unit is in the air, of this life or an earlier
// one (see the package comment, In doubt), nor about to be.
func (c *Core) canPromise(u *unit, claimed Grant) bool {
	if claimed.Epoch == u.grant.Epoch && !claimed.Equal(u.grant) {
		c.alarm(u, fmt.Sprintf("two grants of one epoch: %v here, %v claimed", u.grant, claimed))
		return false
	}
	taking := u.pending != nil || u.isOffered() && !c.leaving
	return c.known && claimed.Epoch == u.grant.Epoch && (!taking || mutantPromiseInDoubt)
}
