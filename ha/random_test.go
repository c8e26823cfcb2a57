package ha

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

// TestRandomFaultsNeverMakeTwoPrimaries lets a nemesis loose on clusters of two
// and three controllers, whose clocks run at different rates, over a network
// that delays, loses and doubles. In every second life the fence does nothing,
// so that promises and leases alone must keep the primaries apart. The world
// checks S1, S6 and what secondaries may write at every millisecond; after healing, every logical unit must
// be served again without an operator (L1).
func TestRandomFaultsNeverMakeTwoPrimaries(t *testing.T) {
	for seed := range uint64(*seeds) {
		life(t, seed, 25)
	}
}

var seeds = flag.Int("seeds", 150, "how many random lives a cluster lives")

// life runs one cluster from one seed.
func life(t *testing.T, seed uint64, faults int) {
	r := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t, 2+int(seed%2), []UnitConfig{{Name: "lun0", Automatic: true}, {Name: "lun1", Automatic: true, Failback: 700 * time.Millisecond, SecondaryWrites: true}})
	w.rough = rand.New(rand.NewPCG(seed, 1))
	w.fenceIsVain = seed%4 < 2
	w.drift = map[NodeID]float64{1: 0.96 + 0.08*r.Float64(), 2: 0.96 + 0.08*r.Float64()}
	for _, id := range w.ids() {
		w.start(id)
	}
	for range faults {
		w.run(time.Duration(r.IntN(900)) * time.Millisecond)
		w.misfortune(r)
	}
	w.mend()
	w.rough = nil
	for range 12 { // whom a fence still kills is started anew
		w.run(time.Second)
		w.startAll()
	}
	for _, u := range w.units {
		served := false
		for _, id := range w.ids() {
			served = served || w.serving(w.nodes[id], u.Name)
		}
		if !served {
			t.Fatalf("seed %d: L1 broken: %s is not served after healing\n%s%s", seed, u.Name, w.log.String(), w.describe())
		}
	}
}

// misfortune lets one thing happen.
func (w *world) misfortune(r *rand.Rand) {
	ids := w.ids()
	a := ids[r.IntN(len(ids))]
	b := ids[r.IntN(len(ids))]
	n := w.nodes[a]
	switch r.IntN(12) {
	case 0:
		if n.core != nil {
			w.crash(a)
		}
	case 1, 2:
		if n.core == nil {
			w.start(a)
		}
	case 3:
		n.paused = n.core != nil
	case 4:
		w.resume(a)
	case 5:
		if a != b {
			w.sever(a, b)
		}
	case 6:
		if a != b && w.cut[link(a, b)] {
			w.heal(a, b)
		}
	case 7:
		w.cutArbiter[a] = !w.cutArbiter[a]
	case 8:
		w.arbiterDown = !w.arbiterDown
	case 9:
		if n.core != nil && !n.paused {
			w.step(n, Promote{LUN: "lun0"})
		}
	case 10:
		if n.core != nil && !n.paused {
			w.step(n, Maintenance{Node: b, On: r.IntN(2) == 0})
		}
	case 11:
		if n.core != nil && !n.paused && a != b {
			w.step(n, HandOver{LUN: "lun1", To: b})
		}
	}
}

// mend repairs everything.
func (w *world) mend() {
	w.arbiterDown = false
	for _, a := range w.ids() {
		w.cutArbiter[a] = false
		w.resume(a)
		for _, b := range w.ids() {
			if a < b && w.cut[link(a, b)] {
				w.heal(a, b)
			}
		}
	}
	w.startAll()
	w.announce()
}

// startAll starts every controller that does not run.
func (w *world) startAll() {
	for _, id := range w.ids() {
		if w.nodes[id].core == nil {
			w.start(id)
		}
	}
}
