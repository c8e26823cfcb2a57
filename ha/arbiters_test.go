package ha

import (
	"maps"
	"math"
	"time"
)

// members are the three members of an embedded arbiter: the first two
// controllers and the witness. Two of them decide.
type members struct{ witnessDown bool }

// unreachable reports whether a controller cannot ask the arbiter.
func (w *world) unreachable(id NodeID) bool {
	if w.arbiterDown || w.cutArbiter[id] || w.members == nil {
		return w.arbiterDown || w.cutArbiter[id]
	}
	deciding := 0
	for _, m := range []NodeID{1, 2} {
		if n := w.nodes[m]; n.core != nil && !n.paused && !w.cutArbiter[m] {
			deciding++
		}
	}
	if !w.members.witnessDown {
		deciding++
	}
	return deciding < 2
}

// noArbiter is what each controller has in place of an arbiter: its own word.
type noArbiter struct {
	grants map[NodeID]map[string]Grant
	begun  map[NodeID]Instant
	told   int64
}

// noGrace is for how long a controller that starts listens for a primary that
// is there already.
const noGrace = 3 * time.Second

// begin forgets what an earlier life granted itself.
func (a *noArbiter) begin(w *world, n *worldNode) {
	if a != nil {
		a.grants[n.id], a.begun[n.id] = map[string]Grant{}, w.now
	}
}

// carryOut does what asks the arbiter. It reports false for all else.
func (a *noArbiter) carryOut(w *world, n *worldNode, action Action) bool {
	if a == nil {
		return false
	}
	switch action := action.(type) {
	case AskChange:
		var after []Grant
		for _, ch := range action.Changes {
			if a.grants[n.id][ch.LUN].Epoch <= ch.From {
				a.grants[n.id][ch.LUN] = ch.To
			}
			after = append(after, a.grants[n.id][ch.LUN])
		}
		w.later(n.id, 0, func(n *worldNode) {
			w.step(n, Changed{action.ID, after})
			w.step(n, Observed{a.state(n)})
		})
	case Settle:
		w.later(n.id, a.begun[n.id]+noGrace-w.now, func(n *worldNode) { w.step(n, Settled{a.state(n)}) })
	case Hold:
		if action.On {
			w.later(n.id, 0, func(n *worldNode) { w.step(n, Held{action.Generation, math.MaxInt64 / 4}) })
		}
	default:
		return false
	}
	return true
}

func (a *noArbiter) state(n *worldNode) State {
	a.told++
	return State{Revision: a.told, Grants: maps.Clone(a.grants[n.id]), Holders: map[NodeID]bool{n.id: true}}
}
