package ha

import (
	"fmt"
	"strings"
	"time"
)

// UnitStatus is a logical unit as one controller sees it.
type UnitStatus struct {
	LUN   string
	Grant Grant
	Route Route
	// Right is until when this controller may serve; 0 when it may not.
	Right Instant
	// Doing says in a phrase what is awaited; "" when all is well.
	Doing string
}

// Status tells how every logical unit stands, in the order of the
// configuration.
func (c *Core) Status() []UnitStatus {
	out := make([]UnitStatus, len(c.units))
	for i, u := range c.units {
		out[i] = UnitStatus{LUN: u.cfg.Name, Grant: u.grant, Route: u.route, Right: u.right, Doing: c.doing(u)}
	}
	return out
}

// doing says what a logical unit waits for.
func (c *Core) doing(u *unit) string {
	primary := u.grant.Primary == c.cfg.Self
	switch {
	case !c.known:
		return "waiting for the arbiter"
	case u.pending != nil && u.pending.doubt:
		return "resolving a lost answer of the arbiter"
	case u.pending != nil:
		return "asking the arbiter for " + u.pending.change.To.String()
	case u.grant.Epoch == 0:
		return "waiting for the first grant"
	case primary && u.mustFence():
		return fmt.Sprintf("fencing controller %v", u.unfenced())
	case primary && u.drain.active:
		return "draining for a handover"
	case primary && u.released == u.grant.Epoch:
		return "released, waiting for the successor"
	case primary && u.right <= c.now:
		return "waiting for promises or the arbiter's lease"
	case !primary && u.route.Kind == RouteHold:
		return fmt.Sprintf("waiting for controller %d, or to take over", u.grant.Primary)
	}
	return ""
}

// String draws the whole state, a line per logical unit, for logs and for
// reading at night.
func (c *Core) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "controller %d at %v", c.cfg.Self, c.now)
	for _, p := range c.cfg.Peers {
		if c.up[p] {
			fmt.Fprintf(&b, ", peer %d up", p)
		} else {
			fmt.Fprintf(&b, ", peer %d down", p)
		}
		if c.resting[p] {
			b.WriteString(" and drained")
		}
	}
	if c.hold.wanted {
		fmt.Fprintf(&b, ", arbiter lease until %v", c.hold.until)
	}
	if c.leaving {
		b.WriteString(", leaving")
	}
	if c.drained {
		b.WriteString(", drained")
	}
	for _, s := range c.Status() {
		fmt.Fprintf(&b, "\n  %s: %v; %v", s.LUN, s.Grant, s.Route)
		if s.Route.Kind == RouteServe && s.Right != never {
			fmt.Fprintf(&b, " until %v", s.Right)
		}
		if s.Doing != "" {
			fmt.Fprintf(&b, " (%s)", s.Doing)
		}
	}
	return b.String()
}

// Lease is how long a promise lets its receiver serve.
func (c *Core) Lease() time.Duration { return c.cfg.Lease }

// Grant is the newest grant known of a logical unit.
func (c *Core) Grant(name string) Grant {
	if u := c.named[name]; u != nil {
		return u.grant
	}
	return Grant{}
}

// Epoch is the epoch of the newest grant known of a logical unit.
func (c *Core) Epoch(name string) uint64 {
	if u := c.named[name]; u != nil {
		return u.grant.Epoch
	}
	return 0
}

// Witnesses are the peers that must hold what a logical unit is about to
// acknowledge of its own state: every one that may become primary after this
// controller, by the grant as it is or as a request under way may have made
// it, and every one that promises and so may be made a candidate next. One that
// seems to be up and is silent is not waited for.
func (c *Core) Witnesses(name string) []NodeID {
	u := c.named[name]
	if u == nil {
		return nil
	}
	var out []NodeID
	for _, p := range c.cfg.Peers {
		if c.up[p] && (c.now < u.promises[p].until || mutantSilentWitness) || u.mayHave(p) {
			out = append(out, p)
		}
	}
	return out
}
