package ha

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
)

// world is a cluster of cores with a network, an arbiter and fences, driven
// by one clock in steps of a millisecond. It checks at every step that at most
// one controller has the right to serve a logical unit (S1), that epochs only
// grow (S6), and that nobody serves beside a controller that must be fenced.
type world struct {
	t     *testing.T
	now   Instant
	units []UnitConfig
	nodes map[NodeID]*worldNode
	cut   map[[2]NodeID]bool // messages are lost, silently
	deaf  map[[2]NodeID]bool // those from the first to the second are
	queue []delivery
	log   strings.Builder

	arbiterDown bool
	arbiterTrip time.Duration // there and back
	cutArbiter  map[NodeID]bool
	members     *members   // of the arbiter; nil: it lives by itself
	none        *noArbiter // not nil: there is no arbiter
	stateless   NodeSet    // these lack what others have acknowledged
	state       State
	leases      map[NodeID]Instant
	tickets     map[NodeID]int
	epochs      map[string]uint64
	fenceFails  bool
	fenceIsVain bool // says that it worked, and did nothing
	lifetimes   uint64
	drainTakes  time.Duration
	writers     writers

	// rough, when not nil, makes the network and the arbiter unpleasant:
	// delays, losses, doubles, answers that are lost after the work was done.
	rough *rand.Rand
	drift map[NodeID]float64 // rate of a controller's clock; 1 when absent
}

type worldNode struct {
	id     NodeID
	core   *Core
	life   uint64 // things on their way to an earlier life are dropped
	paused bool
	missed []delivery
	events []Event // not taken yet
	routes map[string]Route
	rights map[string]Instant
	hold   Hold
	renew  Instant
}

// delivery is something that happens later.
type delivery struct {
	at   Instant
	node NodeID
	life uint64
	do   func(n *worldNode)
}

const (
	worldLatency  = time.Millisecond
	arbiterLease  = 2 * time.Second
	fenceDuration = 5 * time.Millisecond
	tcpGivesUp    = 3 * time.Second
)

func newWorld(t *testing.T, nodes int, units []UnitConfig) *world {
	w := &world{
		t: t, units: units,
		nodes: map[NodeID]*worldNode{}, cut: map[[2]NodeID]bool{}, deaf: map[[2]NodeID]bool{},
		cutArbiter: map[NodeID]bool{}, arbiterTrip: 2 * time.Millisecond,
		state:  State{Grants: map[string]Grant{}, Holders: map[NodeID]bool{}},
		leases: map[NodeID]Instant{}, tickets: map[NodeID]int{}, epochs: map[string]uint64{}, drainTakes: 3 * time.Millisecond,
		writers: writers{},
	}
	for i := 1; i <= nodes; i++ {
		w.nodes[NodeID(i)] = &worldNode{id: NodeID(i)}
	}
	return w
}

func (w *world) start(id NodeID) {
	w.lifetimes++
	n := w.nodes[id]
	var peers []NodeID
	for _, p := range w.ids() {
		if p != id {
			peers = append(peers, p)
		}
	}
	units := slices.Clone(w.units)
	for i := range units {
		units[i].Home = id == 1
	}
	core, err := New(Config{
		Self: id, Boot: w.lifetimes, Peers: peers, Units: units,
		Heartbeat: DefaultHeartbeat, Lease: DefaultLease, StartGrace: DefaultStartGrace, Stall: DefaultStall,
	}, w.clock(id))
	if err != nil {
		w.t.Fatal(err)
	}
	*n = worldNode{id: id, core: core, life: w.lifetimes, routes: map[string]Route{}, rights: map[string]Instant{}}
	w.none.begin(w, n)
	w.step(n, Tick{})
	for _, p := range peers {
		if w.nodes[p].core != nil {
			w.linkUp(id, p)
		}
	}
}

func (w *world) linkUp(a, b NodeID) {
	for _, pair := range [][2]NodeID{{a, b}, {b, a}} {
		w.later(pair[0], 20*time.Millisecond, func(n *worldNode) {
			if w.nodes[pair[1]].core != nil && !w.broken(a, b) && !w.stateless.Has(a) && !w.stateless.Has(b) {
				w.settled(n, pair[1])
				w.step(n, PeerUp{pair[1]})
			}
		})
	}
}

// broken reports whether a link loses messages in either direction, so that no
// connection lasts or is made.
func (w *world) broken(a, b NodeID) bool {
	return w.cut[link(a, b)] || w.deaf[[2]NodeID{a, b}] || w.deaf[[2]NodeID{b, a}]
}

// crash ends a process: its peers learn it from the reset connection.
func (w *world) crash(id NodeID) {
	w.nodes[id].core = nil
	w.nodes[id].life = 0
	w.linkDown(id, worldLatency)
}

func (w *world) linkDown(id NodeID, after time.Duration) {
	for _, p := range w.ids() {
		if p != id && w.nodes[p].core != nil && !w.cut[link(id, p)] {
			w.later(p, after, func(n *worldNode) { w.step(n, PeerDown{id}) })
		}
	}
}

// powerOff ends a machine: nobody is told.
func (w *world) powerOff(id NodeID) {
	w.nodes[id].core = nil
	w.nodes[id].life = 0
	for _, p := range w.ids() {
		if w.nodes[p].core != nil {
			w.later(p, tcpGivesUp, func(n *worldNode) {
				if w.nodes[id].core == nil {
					w.step(n, PeerDown{id})
				}
			})
		}
	}
}

// sever makes a link lose everything; TCP notices after a while.
func (w *world) sever(a, b NodeID) {
	w.cut[link(a, b)] = true
	w.giveUp(a, b)
}

// deafen makes a link lose what a sends to b. What b sends arrives, but is not
// acknowledged, so TCP gives up at both ends.
func (w *world) deafen(a, b NodeID) {
	w.deaf[[2]NodeID{a, b}] = true
	w.giveUp(a, b)
}

func (w *world) giveUp(a, b NodeID) {
	for _, pair := range [][2]NodeID{{a, b}, {b, a}} {
		if w.nodes[pair[0]].core == nil {
			continue
		}
		w.later(pair[0], tcpGivesUp, func(n *worldNode) {
			if w.broken(a, b) {
				w.step(n, PeerDown{pair[1]})
			}
		})
	}
}

func (w *world) heal(a, b NodeID) {
	delete(w.cut, link(a, b))
	delete(w.deaf, [2]NodeID{a, b})
	delete(w.deaf, [2]NodeID{b, a})
	if w.nodes[a].core != nil && w.nodes[b].core != nil {
		w.linkUp(a, b)
	}
}

func link(a, b NodeID) [2]NodeID { return [2]NodeID{min(a, b), max(a, b)} }

func (w *world) ids() []NodeID { return slices.Sorted(maps.Keys(w.nodes)) }

// later schedules something for a node in its present life.
func (w *world) later(id NodeID, after time.Duration, do func(*worldNode)) {
	w.queue = append(w.queue, delivery{w.now + after, id, w.nodes[id].life, do})
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for end := w.now + d; w.now < end; {
		w.now += time.Millisecond
		w.expireLeases()
		due := w.takeDue()
		for _, d := range due {
			w.deliver(d)
		}
		for _, id := range w.ids() {
			n := w.nodes[id]
			if n.core == nil || n.paused {
				continue
			}
			if w.now%(10*time.Millisecond) == 0 {
				w.step(n, Tick{})
			}
			w.renewLease(n)
		}
		w.check()
	}
}

func (w *world) takeDue() []delivery {
	var due, rest []delivery
	for _, d := range w.queue {
		if d.at <= w.now {
			due = append(due, d)
		} else {
			rest = append(rest, d)
		}
	}
	w.queue = rest
	sort.SliceStable(due, func(i, j int) bool { return due[i].at < due[j].at })
	return due
}

func (w *world) deliver(d delivery) {
	n := w.nodes[d.node]
	switch {
	case d.node == 0: // at the arbiter
		d.do(nil)
	case n.core == nil || n.life != d.life:
	case n.paused:
		n.missed = append(n.missed, d)
	default:
		d.do(n)
	}
}

func (w *world) resume(id NodeID) {
	n := w.nodes[id]
	n.paused = false
	missed := n.missed
	n.missed = nil
	for _, d := range missed {
		w.deliver(d)
	}
}

// step feeds an event to a node and carries the actions out. In rough lives some
// events wait for the next one, and are taken with it.
func (w *world) step(n *worldNode, e Event) {
	if n.core == nil {
		return
	}
	n.events = append(n.events, e)
	if _, tick := e.(Tick); !tick && w.rough != nil && w.rough.IntN(4) == 0 {
		return
	}
	life, events := n.life, n.events
	n.events = nil
	for _, a := range n.core.Step(w.clock(n.id), events...) {
		if n.life != life {
			return
		}
		w.carryOut(n, a)
	}
}

func (w *world) carryOut(n *worldNode, a Action) {
	if w.none.carryOut(w, n, a) {
		return
	}
	switch a := a.(type) {
	case Send:
		m, err := DecodeMessage(a.Message.Encode())
		if err != nil {
			w.t.Fatalf("a core sent what it cannot read: %v", err)
		}
		if !w.cut[link(n.id, a.To)] && !w.deaf[[2]NodeID{n.id, a.To}] && w.nodes[a.To].core != nil {
			w.mail(n.id, a.To, m)
		}
	case AskChange:
		w.change(n, a)
	case Settle:
		w.settle(n)
	case Hold:
		n.hold, n.renew = a, w.now
		if !a.On {
			w.dropLease(n)
		}
	case Fence:
		w.fence(n, a)
	case Drain:
		w.later(n.id, w.drainTakes, func(n *worldNode) {
			w.writers.drained(n, a.LUN)
			w.step(n, Drained(a))
		})
	case Right:
		n.rights[a.LUN] = a.Until
	case Route:
		n.routes[a.LUN] = a
		w.tell(n.id, "%s: %v", a.LUN, a)
	case Lapse:
		w.tell(n.id, "%s: what controller %d wrote before epoch %d is over (wait: %t)", a.LUN, a.Node, a.Epoch, a.Wait)
	case Disconnect:
		w.tell(n.id, "%s: close the sessions", a.LUN)
	case Note:
		text := a.Text
		if a.Alarm {
			text = "ALARM " + text
		}
		w.tell(n.id, "%s: %s", a.LUN, text)
	}
}

// mail carries a message: in a rough world late, never, or twice.
func (w *world) mail(from, to NodeID, m Message) {
	copies, delay := 1, worldLatency
	if w.rough != nil {
		if w.rough.IntN(20) == 0 {
			copies = w.rough.IntN(3)
		}
		if w.rough.IntN(4) == 0 {
			delay += time.Duration(w.rough.IntN(500)) * time.Millisecond
		}
	}
	for range copies {
		w.later(to, delay, func(n *worldNode) { w.step(n, Received{from, m}) })
		delay += 7 * time.Millisecond
	}
}

// clock is what a controller's own clock shows.
func (w *world) clock(id NodeID) Instant {
	if rate, ok := w.drift[id]; ok {
		return Instant(float64(w.now) * rate)
	}
	return w.now
}

func (w *world) tell(id NodeID, format string, args ...any) {
	fmt.Fprintf(&w.log, "%7v  %d  %s\n", w.now, id, fmt.Sprintf(format, args...))
}

// askArbiter carries a request to the arbiter, which serves it whatever has
// become of the sender meanwhile, and the answer back. A request or answer that
// is lost is noticed after a second.
func (w *world) askArbiter(n *worldNode, serve func() func(*worldNode), lost func(*worldNode)) {
	there, loseAnswer := w.arbiterTrip/2, false
	if w.rough != nil && w.rough.IntN(4) == 0 {
		there += time.Duration(w.rough.IntN(900)) * time.Millisecond
		loseAnswer = w.rough.IntN(2) == 0
	}
	life, sent := n.life, w.now
	back := func(after time.Duration, do func(*worldNode)) {
		if do != nil {
			w.queue = append(w.queue, delivery{w.now + after, n.id, life, do})
		}
	}
	w.queue = append(w.queue, delivery{at: w.now + there, do: func(*worldNode) {
		if w.unreachable(n.id) {
			back(sent+time.Second-w.now, lost)
			return
		}
		answer := serve()
		if loseAnswer {
			back(sent+time.Second-w.now, lost)
			return
		}
		back(w.arbiterTrip/2, answer)
	}})
}

// change runs a compare-and-set, unless a Settle of the same controller came
// first.
func (w *world) change(n *worldNode, a AskChange) {
	ticket := w.tickets[n.id]
	lost := func(n *worldNode) { w.step(n, ChangeLost{a.ID}) }
	w.askArbiter(n, func() func(*worldNode) {
		if w.tickets[n.id] != ticket {
			return lost
		}
		grants := w.apply(a.Changes)
		return func(n *worldNode) { w.step(n, Changed{a.ID, grants}) }
	}, lost)
}

func (w *world) settle(n *worldNode) {
	w.askArbiter(n, func() func(*worldNode) {
		w.tickets[n.id]++
		s := w.snapshot()
		return func(n *worldNode) { w.step(n, Settled{s}) }
	}, func(n *worldNode) { w.settle(n) })
}

func (w *world) fence(n *worldNode, a Fence) {
	w.later(n.id, fenceDuration, func(n *worldNode) {
		if !w.fenceFails && !w.fenceIsVain && w.nodes[a.Node].core != nil {
			w.tell(n.id, "%s: fence kills controller %d", a.LUN, a.Node)
			w.crash(a.Node)
		}
		w.step(n, Fenced{a.LUN, a.Epoch, !w.fenceFails})
	})
}

// apply is the arbiter's compare-and-set.
func (w *world) apply(changes []Change) []Grant {
	out := make([]Grant, len(changes))
	for i, ch := range changes {
		g := w.state.Grants[ch.LUN]
		held := ch.Held == 0 || w.leases[ch.Held] > 0
		lapsed := ch.Lapsed == 0 || w.leases[ch.Lapsed] == 0
		if g.Epoch == ch.From && held && lapsed {
			if err := ch.To.Validate(); err != nil || ch.To.Epoch != ch.From+1 {
				w.t.Fatalf("change to an impossible grant %v: %v", ch.To, err)
			}
			g = ch.To
			w.state.Grants[ch.LUN] = g
		}
		out[i] = g
	}
	w.announce()
	return out
}

func (w *world) snapshot() State {
	w.state.Revision++
	s := State{Revision: w.state.Revision, Grants: maps.Clone(w.state.Grants), Holders: map[NodeID]bool{}}
	for id := range w.leases {
		s.Holders[id] = true
	}
	return s
}

// announce is the arbiter's watch.
func (w *world) announce() {
	s := w.snapshot()
	for _, id := range w.ids() {
		if w.nodes[id].core != nil && !w.unreachable(id) {
			w.later(id, w.arbiterTrip, func(n *worldNode) { w.step(n, Observed{s}) })
		}
	}
}

// dropLease gives the lease up. A renewal that is still on its way must not
// take it again: the node's requests reach the arbiter in order.
func (w *world) dropLease(n *worldNode) {
	generation := n.hold.Generation
	w.askArbiter(n, func() func(*worldNode) {
		if n.hold.Generation == generation {
			delete(w.leases, n.id)
			w.announce()
		}
		return nil
	}, nil)
}

func (w *world) renewLease(n *worldNode) {
	if !n.hold.On || w.now < n.renew {
		return
	}
	n.renew = w.now + arbiterLease/4
	sent, generation := w.clock(n.id), n.hold.Generation
	w.askArbiter(n, func() func(*worldNode) {
		w.leases[n.id] = w.now + arbiterLease
		s := w.snapshot()
		return func(n *worldNode) {
			w.step(n, Observed{s})
			w.step(n, Held{generation, sent + arbiterLease*10/11})
		}
	}, nil)
}

func (w *world) expireLeases() {
	for id, until := range w.leases {
		if w.now >= until {
			delete(w.leases, id)
			w.announce()
		}
	}
}

// serving reports whether a node may serve a logical unit at this instant.
func (w *world) serving(n *worldNode, lun string) bool {
	return n.core != nil && n.routes[lun].Kind == RouteServe && n.rights[lun] > w.clock(n.id)
}

func (w *world) check() {
	for _, u := range w.units {
		var who []NodeID
		for _, id := range w.ids() {
			if w.serving(w.nodes[id], u.Name) {
				who = append(who, id)
			}
		}
		if len(who) > 1 {
			w.t.Fatalf("S1 broken at %v: %s is served by %v\n%s%s", w.now, u.Name, who, w.log.String(), w.describe())
		}
		w.checkWriters(u)
		g := w.state.Grants[u.Name]
		if g.Epoch < w.epochs[u.Name] {
			w.t.Fatalf("S6 broken at %v: %s went from epoch %d to %d", w.now, u.Name, w.epochs[u.Name], g.Epoch)
		}
		w.epochs[u.Name] = g.Epoch
	}
}

func (w *world) describe() string {
	var b strings.Builder
	for _, id := range w.ids() {
		n := w.nodes[id]
		switch {
		case n.core == nil:
			fmt.Fprintf(&b, "controller %d: not running\n", id)
		case n.paused:
			fmt.Fprintf(&b, "controller %d: paused\n", id)
		default:
			for _, s := range n.core.Status() {
				fmt.Fprintf(&b, "controller %d: %s: %v; %v", id, s.LUN, s.Grant, s.Route)
				if w.serving(n, s.LUN) {
					b.WriteString(", serving")
				}
				if s.Doing != "" {
					fmt.Fprintf(&b, " (%s)", s.Doing)
				}
				b.WriteByte('\n')
			}
		}
	}
	return b.String()
}
