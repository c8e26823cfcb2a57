package node

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// In mode 1 every candidate may be writing in the right of a primary that is
// gone. Who takes over asks those that it can reach, and fences only who does not
// answer: with three controllers the loss of one must not cost the other two
// each other.

// quietWord asks whether a controller writes to a logical unit in the right of
// epochs before one, and answers that it does not and will not any more.
type quietWord struct {
	LUN   string `json:"lun"`
	Epoch uint64 `json:"epoch"`
}

// quietAnswer is what this controller awaits of one peer at a time.
type quietAnswer struct {
	mu    sync.Mutex
	peer  ha.NodeID
	epoch uint64
	came  chan struct{} // nil: nothing is awaited
}

func (q *quietAnswer) await(peer ha.NodeID, epoch uint64) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.peer, q.epoch, q.came = peer, epoch, make(chan struct{})
	return q.came
}

func (q *quietAnswer) take(peer ha.NodeID, epoch uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.came != nil && q.peer == peer && q.epoch == epoch {
		close(q.came)
		q.came = nil
	}
}

// isQuiet reports whether a candidate of the primary that is gone says in time
// that it writes nothing any more. The primary itself is not asked: it is lost,
// and asking would take time.
func (n *Node) isQuiet(ctx context.Context, u *Unit, a ha.Fence) bool {
	if n.cfg.Mode != ActiveActive || a.Kept || !n.isLinked(a.Node) || u.admission.led.Load() == uint32(a.Node) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, n.spare)
	defer cancel()
	answered := u.answer.await(a.Node, a.Epoch)
	n.sendControl(a.Node, controlAskQuiet, quietWord{a.LUN, a.Epoch})
	select {
	case <-answered:
		return true
	case <-ctx.Done():
		return false
	}
}

// quietReceived takes a question or an answer.
func (n *Node) quietReceived(peer ha.NodeID, kind byte, body []byte) {
	var w quietWord
	if err := json.Unmarshal(body, &w); err != nil {
		n.refuseControl(peer, "a question about what is written cannot be read: "+err.Error())
		return
	}
	u := n.named[w.LUN]
	switch {
	case u == nil:
		n.refuseControl(peer, "a question about what is written is of an unknown logical unit")
	case kind == controlQuiet:
		u.answer.take(peer, w.Epoch)
	default:
		n.works.Go(func() {
			if n.becomesQuiet(u, peer, w.Epoch) {
				n.sendControl(peer, controlQuiet, w)
			}
		})
	}
}

// becomesQuiet waits, as long as it is worth it, until nothing is written here in
// the right of epochs before the one in which the peer is the primary.
func (n *Node) becomesQuiet(u *Unit, peer ha.NodeID, epoch uint64) bool {
	ctx, cancel := context.WithTimeout(context.Background(), n.spare)
	defer cancel()
	for g := (ha.Grant{}); g.Epoch < epoch; pause(ctx, 2*time.Millisecond) {
		if ctx.Err() != nil || n.ask(func() { g = n.core.Grant(u.cfg.Name) }) != nil {
			return false
		}
		if g.Epoch == epoch && g.Primary != peer {
			return false
		}
	}
	// The core knows the epoch: what it routes from now on is not of an earlier
	// one, and the mover closes what was.
	select {
	case <-u.quieten():
		return true
	case <-ctx.Done():
		return false
	}
}

// quieten has the mover end all that is written here for other controllers; the
// channel is closed when that is so.
func (u *Unit) quieten() <-chan struct{} {
	done := make(chan struct{})
	u.answerLater([]chan struct{}{done})
	u.nudge()
	return done
}

// answerLater has the mover close the channels once nothing is written here.
func (u *Unit) answerLater(quiet []chan struct{}) {
	u.moves.Lock()
	defer u.moves.Unlock()
	u.quiet = append(u.quiet, quiet...)
}
