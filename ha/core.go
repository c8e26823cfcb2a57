package ha

import (
	"fmt"
	"slices"
)

// Core is the decision-maker of one controller. It is not safe for concurrent
// use. Step is its only way forward.
type Core struct {
	cfg   Config
	born  Instant
	now   Instant
	units []*unit
	named map[string]*unit

	up      [MaxNodes + 1]bool
	known   bool // nothing of an earlier life is under way, and the grants were read
	holders map[NodeID]bool
	seen    int64 // the revision of holders
	leaving bool
	// drained: the operator wants this controller to serve nothing; resting
	// are the peers of which that is true.
	drained bool
	resting map[NodeID]bool

	seq      uint64    // of the last heartbeat
	lastBeat Instant   // when it was sent
	tell     bool      // the next one goes out even if it claims nothing
	beats    [64]beat  // recent heartbeats by seq
	lastID   uint64    // of the last change request
	hold     holdState // the arbiter's lease
	settles  uint64    // how many Settles were asked for
	settleAt Instant   // when the last of them was
	settling bool      // it is not answered yet
	requests []Change  // gathered during this Step
	asking   []*unit   // whose they are, in the same order
	ready    []Action  // gathered during this Step
}

// beat remembers when a heartbeat was sent.
type beat struct {
	seq uint64
	at  Instant
}

// holdState is what is known about this controller's arbiter lease.
type holdState struct {
	wanted     bool
	generation uint64
	until      Instant
}

// New makes a core that starts its life at now.
func New(cfg Config, now Instant) (*Core, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("high availability: %w", err)
	}
	c := &Core{
		cfg: cfg, born: now, now: now,
		named:   map[string]*unit{},
		holders: map[NodeID]bool{},
		resting: map[NodeID]bool{},
		// The first heartbeat is due at once.
		lastBeat: now - cfg.Heartbeat,
	}
	for i, uc := range cfg.Units {
		u := &unit{
			cfg: uc, index: i, since: now, stalledSince: now,
			route: Route{LUN: uc.Name},
		}
		c.units = append(c.units, u)
		c.named[uc.Name] = u
	}
	return c, nil
}

// Step takes what has happened since the last one, in order, at an instant no
// earlier than that of the last one, and returns what is to be done about it, in
// order. Events that are taken together are answered together: a thousand of
// them cost little more than one.
func (c *Core) Step(now Instant, events ...Event) []Action {
	if now < c.now {
		panic(fmt.Sprintf("ha: time runs backwards: %v after %v", now, c.now))
	}
	c.now = now
	c.ready = nil
	if c.settles == 0 && !mutantNoFirstSettle {
		// An earlier life may have sent requests; they must be dead before
		// anything is promised or asked for.
		c.settle()
	}
	for _, e := range events {
		c.take(e)
	}
	for _, u := range c.units {
		c.reconcile(u)
	}
	c.askForPromises()
	c.holdLease()
	for _, u := range c.units {
		c.publish(u)
	}
	c.flushRequests()
	return c.ready
}

// take records what the event tells; reconcile draws the conclusions.
func (c *Core) take(e Event) {
	switch e := e.(type) {
	case Tick:
	case PeerUp:
		c.up[e.Peer] = true
		for _, u := range c.units {
			u.urgent = true // the peer's first promises are wanted now
		}
	case PeerDown:
		c.up[e.Peer] = false
		c.resting[e.Peer] = false // it may come back as another life
	case Received:
		c.receive(e.From, e.Message)
	case Observed:
		c.known = c.known || mutantNoFirstSettle
		c.observe(e.State)
	case Changed:
		c.changed(e)
	case ChangeLost:
		c.changeLost(e.ID)
	case Settled:
		c.settled(e.State)
	case Held:
		if c.hold.wanted && e.Generation == c.hold.generation {
			c.hold.until = max(c.hold.until, e.Until)
		}
	case Fenced:
		c.fenced(e)
	case Drained:
		c.drainDone(e)
	case Promote:
		c.promote(e)
	case HandOver:
		if u := c.named[e.LUN]; u != nil && c.whyNotHandOver(u, e.To) == "" {
			c.startDrain(u, handover{to: e.To})
		}
	case Maintenance:
		c.maintain(e)
	case Shutdown:
		c.leaving = true
	default:
		panic(fmt.Sprintf("ha: unknown event %T", e))
	}
}

// reconcile moves one logical unit a step towards where it should be.
func (c *Core) reconcile(u *unit) {
	u.wantHold = false
	switch {
	case !c.known || u.pending != nil:
		// The arbiter's word is awaited.
	case u.grant.Epoch == 0:
		c.create(u)
	case u.grant.Primary == c.cfg.Self:
		c.lead(u)
	default:
		c.follow(u)
	}
}

// create asks for the first grant of a logical unit: at home soon, elsewhere
// only when the home does not seem to come.
func (c *Core) create(u *unit) {
	if c.leaving || !u.cfg.Home && c.now < c.born+2*c.cfg.StartGrace {
		return
	}
	c.requestHeld(u, c.aloneChange(u))
}

// aloneChange is the request to become primary and only candidate.
func (c *Core) aloneChange(u *unit) Change {
	self := c.cfg.Self
	return Change{
		LUN:  u.cfg.Name,
		From: u.grant.Epoch,
		To:   Grant{Epoch: u.grant.Epoch + 1, Primary: self, Candidates: []NodeID{self}},
		Held: self,
	}
}

// requestHeld sends a request that ends in being alone, as soon as the
// arbiter's lease is held; until then it asks for the lease.
func (c *Core) requestHeld(u *unit, ch Change) {
	u.wantHold = true
	if c.hold.until > c.now {
		c.request(u, ch)
	}
}

// request sends a compare-and-set for a logical unit. Until its outcome is
// known the unit asks for nothing else.
func (c *Core) request(u *unit, ch Change) {
	if u.pending != nil {
		panic(fmt.Sprintf("ha: %s: a second request while %v is pending", u.cfg.Name, u.pending.change.To))
	}
	if c.now < u.rest {
		return
	}
	u.pending = &request{change: ch}
	u.fit = false
	c.requests = append(c.requests, ch)
	c.asking = append(c.asking, u)
}

// flushRequests turns the requests of this Step into one batch.
func (c *Core) flushRequests() {
	if len(c.requests) == 0 {
		return
	}
	c.lastID++
	for i, u := range c.asking {
		u.pending.id, u.pending.slot = c.lastID, i
	}
	c.do(AskChange{ID: c.lastID, Changes: c.requests})
	c.requests, c.asking = nil, nil
}

// changed takes the arbiter's answers to one batch.
func (c *Core) changed(e Changed) {
	for _, u := range c.units {
		if u.pending == nil || u.pending.id != e.ID {
			continue
		}
		if u.pending.slot >= len(e.Grants) {
			panic(fmt.Sprintf("ha: answer %d has %d grants, one for %s is missing", e.ID, len(e.Grants), u.cfg.Name))
		}
		after := e.Grants[u.pending.slot]
		if after.Epoch == u.pending.change.From {
			// A lease was in the way. The same request would fail again.
			u.rest = c.now + c.cfg.Heartbeat/2
		}
		u.pending = nil
		c.learn(u, after)
	}
}

// changeLost puts every request of the batch in doubt and starts to resolve
// it. A Settle that is already under way may have been too early to kill this
// batch, so the doubt waits for the next one.
func (c *Core) changeLost(id uint64) {
	for _, u := range c.units {
		if u.pending != nil && u.pending.id == id {
			u.pending.doubt = true
			u.pending.settle = c.settles + 1
			if mutantEarlySettle {
				u.pending.settle = c.settles
			}
		}
	}
	c.settle()
}

// settle asks for a Settle unless one is under way.
func (c *Core) settle() {
	if !c.settling {
		c.settling, c.settleAt = true, c.now
		c.settles++
		c.do(Settle{})
	}
}

// settled resolves what was in doubt when the Settle was asked for. A request
// whose answer is still awaited was killed by it too; its answer says so.
func (c *Core) settled(s State) {
	c.settling = false
	c.known = true
	later := false
	for _, u := range c.units {
		u.drain.answered = u.drain.active
		switch {
		case u.pending == nil || !u.pending.doubt:
		case u.pending.settle <= c.settles:
			u.pending = nil
		default:
			later = true
		}
	}
	if later {
		c.settle()
	}
	c.observe(s)
}

// observe learns the arbiter's state. Of the leases, which have no epoch, an
// older state says nothing.
func (c *Core) observe(s State) {
	if s.Revision >= c.seen || mutantStaleLeases {
		c.seen, c.holders = s.Revision, s.Holders
	}
	for _, u := range c.units {
		c.learn(u, s.Grants[u.cfg.Name])
	}
}

// learn takes a newer grant, from the arbiter or from the primary's own word.
// Epochs only grow: an older one is ignored (S6).
func (c *Core) learn(u *unit, g Grant) {
	if g.Epoch <= u.grant.Epoch && (!mutantStaleEpoch || g.Epoch == u.grant.Epoch || g.Epoch == 0) {
		return
	}
	old := u.grant
	kept := c.keeps(u, g)
	u.grant = g
	if g.Primary != old.Primary || g.Epoch != old.Epoch+1 {
		u.reign = g.Epoch
	}
	if g.Primary != old.Primary || old.Epoch != 0 && u.released == old.Epoch && !mutantUnclaimedPromise {
		u.newPrimary(c.now, c.seq)
	}
	if g.Primary != old.Primary {
		u.restAt = 0
	}
	if !mutantForceLingers {
		u.forced = 0 // it was meant for a primary that is off, and that changes no grant
	}
	u.drain, u.fenced, u.fencing, u.fenceAt = handover{}, 0, 0, 0
	if mutantUnfencedForgotten && old.Epoch == 0 {
		u.fenced = g.Unfenced
	}
	c.note(u, "grant is now "+g.String())
	if kept {
		u.kept = g.Epoch
		c.leaveOut(u, Nodes(old.Candidates...)&^Nodes(g.Candidates...))
	}
}

// askForPromises sends a heartbeat when one is due, or when a logical unit
// that has just become ours needs promises at once.
func (c *Core) askForPromises() {
	urgent := slices.ContainsFunc(c.units, func(u *unit) bool { return u.urgent })
	if !urgent && c.now < c.lastBeat+c.cfg.Heartbeat {
		return
	}
	var claims []Claim
	for _, u := range c.units {
		u.urgent = false
		if u.grant.Primary == c.cfg.Self && u.released != u.grant.Epoch {
			claims = append(claims, Claim{u.cfg.Name, u.grant})
		}
	}
	c.lastBeat = c.now
	if len(claims) == 0 && !c.drained && !c.tell {
		return
	}
	c.tell = false
	c.seq++
	c.beats[c.seq%uint64(len(c.beats))] = beat{c.seq, c.now}
	c.broadcast(Message{Kind: MessageHeartbeat, Boot: c.cfg.Boot, Seq: c.seq, Claims: claims})
}

// holdLease takes or gives up the arbiter's lease as the units need it.
func (c *Core) holdLease() {
	wanted := slices.ContainsFunc(c.units, func(u *unit) bool { return u.needsHold(c.cfg.Self) })
	if wanted == c.hold.wanted {
		return
	}
	c.hold = holdState{wanted: wanted, generation: c.hold.generation + 1}
	c.do(Hold{On: wanted, Generation: c.hold.generation})
}

func (c *Core) do(a Action) { c.ready = append(c.ready, a) }

func (c *Core) note(u *unit, text string) { c.do(Note{LUN: u.cfg.Name, Text: text}) }

func (c *Core) alarm(u *unit, text string) { c.do(Note{LUN: u.cfg.Name, Text: text, Alarm: true}) }

func (c *Core) send(to NodeID, m Message) {
	m.Drained = c.drained
	c.do(Send{To: to, Message: m})
}

// broadcast sends to every peer that can be reached, in order of id.
func (c *Core) broadcast(m Message) {
	for _, p := range c.cfg.Peers {
		if c.up[p] {
			c.send(p, m)
		}
	}
}
