package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// Options say how a life is told.
type Options struct {
	// Story, when not nil, gets a line for everything that happens.
	Story io.Writer
	// From leaves out of the story what happened before, in simulated time.
	From time.Duration
	// Theme is the kind of life, one of Themes; "": the seed decides.
	Theme string
}

// Violation is a promise that was broken.
type Violation struct {
	Rule string // S1 to S7, L1
	At   time.Duration
	Text string
}

func (v *Violation) Error() string { return fmt.Sprintf("%s broken at %v: %s", v.Rule, v.At, v.Text) }

// Report is what came of a life.
type Report struct {
	Seed      uint64
	Violation *Violation // nil when every promise was kept
	Counts    Counts
	Lasted    time.Duration // simulated
}

// Counts says how much of everything a life has seen.
type Counts struct {
	Events, Steps, Operations, Attempts            int
	Takeovers, Handovers, Widenings, Alone         int
	Forwarded, Withdrawn, Held, NotServed, Refused int
	Fences, FencesFailed, Crashes, Pauses, Cuts    int
	Changes, ChangesLost, ChangesLate, Settles     int
	Commits, CommitsFailed, OutOfDate, Disconnects int
	WritesDropped, WritesRefused, SessionsClosed   int
	Tickets, Moved, Spared, MovesAsked             int
}

// maxEvents is more than any life has that goes as it should.
const maxEvents = 3_000_000

// World is a cluster and everything around it.
type World struct {
	seed     uint64
	plan     plan
	rnd      *rand.Rand
	now      time.Duration
	queue    eventQueue
	story    io.Writer
	tellFrom time.Duration

	controllers []*controller // by id, from 1
	names       [maxUnits]string
	net         network
	arbiter     arbiter
	disk        disk
	clients     []*client
	oracle      oracle
	nemesis     nemesis

	lives   uint64 // of processes, so far
	serial  uint64 // of sessions, pairs of streams and brains
	values  uint32 // written so far; each is different
	fencing int    // fences under way
	healed  bool
	buried  *controller // does not start any more
	counts  Counts
	broken  *Violation
}

// Run lives the life of a seed.
func Run(seed uint64, o Options) Report {
	w := newWorld(seed, draw(seed, o.Theme), o)
	w.live()
	return Report{Seed: seed, Violation: w.broken, Counts: w.counts, Lasted: w.now}
}

func newWorld(seed uint64, p plan, o Options) *World {
	w := &World{seed: seed, plan: p, rnd: rand.New(rand.NewPCG(seed, 2)), story: o.Story, tellFrom: o.From}
	w.controllers = make([]*controller, p.nodes+1)
	for i := range w.names {
		w.names[i] = fmt.Sprintf("lun%d", i)
	}
	for id := 1; id <= p.nodes; id++ {
		w.controllers[id] = newController(w, ha.NodeID(id))
	}
	w.net.init(w)
	w.arbiter.init(w)
	w.disk.init(w)
	w.oracle.init(w)
	w.nemesis.init(w)
	for i := range p.clients {
		w.clients = append(w.clients, newClient(w, i))
	}
	return w
}

// live runs the life: start, faults, repair, the wait for all to be well, and a
// last fault that stays.
func (w *World) live() {
	w.tellPlan()
	for _, c := range w.controllers[1:] {
		w.at(w.between(0, 100*ms), c.start)
	}
	for _, c := range w.clients {
		w.at(w.between(0, 100*ms), c.next)
	}
	w.nemesis.start()
	w.run(w.plan.active)
	if w.broken == nil {
		w.heal()
		w.await(healLimit, w.illness)
	}
	if w.broken == nil {
		w.trial()
	}
	if w.broken == nil {
		w.oracle.judge()
	}
	w.tellEnd()
}

// run lets time pass.
func (w *World) run(until time.Duration) {
	for w.broken == nil {
		if len(w.queue.heap) == 0 || w.queue.heap[0].at > until {
			w.now = until
			return
		}
		e := w.queue.pop()
		w.now = e.at
		if c := e.who; c != nil {
			if c.life != e.life {
				continue
			}
			if c.paused {
				c.missed = append(c.missed, e.run)
				continue
			}
		}
		if w.counts.Events++; w.counts.Events > maxEvents {
			w.violated("L1", "the cluster is busy with itself: %d events", w.counts.Events)
			return
		}
		e.run()
	}
}

// at has something happen in the world.
func (w *World) at(t time.Duration, run func()) { w.queue.push(event{at: max(t, w.now), run: run}) }

// after is at, from now.
func (w *World) after(d time.Duration, run func()) { w.at(w.now+d, run) }

// chance is true with probability p. It draws nothing when it is sure.
func (w *World) chance(p float64) bool { return p > 0 && w.rnd.Float64() < p }

// between is a duration from a to b, both included.
func (w *World) between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.rnd.Int64N(int64(b-a)+1))
}

// next is a number that was never used.
func (w *World) next() uint64 {
	w.serial++
	return w.serial
}

// violated ends the life. The first violation counts.
func (w *World) violated(rule, format string, args ...any) {
	if w.broken == nil {
		w.broken = &Violation{Rule: rule, At: w.now, Text: fmt.Sprintf(format, args...)}
	}
}

// controller answers the controller of an id.
func (w *World) controller(id ha.NodeID) *controller { return w.controllers[id] }

// unitOf is the index of a logical unit.
func (w *World) unitOf(name string) int { return int(name[len(name)-1] - '0') }

// add sums up.
func (c *Counts) add(o Counts) {
	a, b := reflect.ValueOf(c).Elem(), reflect.ValueOf(o)
	for i := range a.NumField() {
		a.Field(i).SetInt(a.Field(i).Int() + b.Field(i).Int())
	}
}
