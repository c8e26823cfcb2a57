package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
)

// stamp orders the states of a logical unit: by epoch, and within one by
// version.
type stamp struct {
	Epoch   uint64 `json:"epoch"`
	Version uint64 `json:"version"`
}

func (s stamp) before(o stamp) bool {
	return s.Epoch < o.Epoch || s.Epoch == o.Epoch && s.Version < o.Version
}

// replica is the newest state of a logical unit that this controller knows:
// its own when the brain is here, else the copy that the primary sent. Every
// controller that may become primary has one before what it says is
// acknowledged (S5).
type replica struct {
	mu      sync.Mutex
	stamp   stamp
	state   lun.State
	acked   map[ha.NodeID]stamp
	changed chan struct{} // closed with the next acknowledgement
}

func (r *replica) init() {
	r.acked = map[ha.NodeID]stamp{}
	r.changed = make(chan struct{})
}

// newest is the state to start from.
func (r *replica) newest() lun.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// set makes a state of our own the newest one.
func (r *replica) set(epoch uint64, s lun.State) stamp {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := stamp{epoch, 1}
	if epoch <= r.stamp.Epoch {
		next = stamp{r.stamp.Epoch, r.stamp.Version + 1}
	}
	r.stamp, r.state = next, s
	return next
}

// offer takes a copy when it is newer than what is here.
func (r *replica) offer(at stamp, s lun.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stamp.before(at) {
		r.stamp, r.state = at, s
	}
}

// current is the newest state with its stamp; false when there never was one.
func (r *replica) current() (stamp, lun.State, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stamp, r.state, r.stamp.Epoch != 0
}

// ack notes that a peer has a state.
func (r *replica) ack(peer ha.NodeID, at stamp) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.acked[peer].before(at) {
		r.acked[peer] = at
		close(r.changed)
		r.changed = make(chan struct{})
	}
}

// forget drops what a peer acknowledged: it may come back without it.
func (r *replica) forget(peer ha.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.acked, peer)
}

// missing are those of the peers that do not have a state, with a channel that
// is closed when that may have changed.
func (r *replica) missing(at stamp, peers []ha.NodeID) ([]ha.NodeID, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []ha.NodeID
	for _, p := range peers {
		if r.acked[p].before(at) {
			out = append(out, p)
		}
	}
	return out, r.changed
}

const (
	// commitPatience bounds how long a change of state waits for its copies.
	commitPatience = 5 * time.Second
	// commitLook is how often it is looked whether a peer still has to have
	// the copy.
	commitLook = 20 * time.Millisecond
)

var errLostRight = errors.New("this controller has lost the right to serve")

// commit makes a state survive the loss of this controller: it returns nil
// when every peer that may become primary has it.
func (n *Node) commit(u *Unit, s lun.State) error {
	ctx, cancel := context.WithTimeout(context.Background(), commitPatience)
	defer cancel()
	return n.copyState(ctx, u, s)
}

// leave sends the last state of a brain that has stopped to the peers. Nothing
// unacknowledged depends on it, so a failure is only worth a warning.
func (n *Node) leave(ctx context.Context, u *Unit, s lun.State) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := n.copyState(ctx, u, s); err != nil && !errors.Is(err, errLostRight) {
		n.log.Warn("the last state was not copied", "lun", u.cfg.Name, "error", err)
	}
}

// copyState installs a state here and at the peers that must have it.
func (n *Node) copyState(ctx context.Context, u *Unit, s lun.State) error {
	var epoch uint64
	var witnesses []ha.NodeID
	look := func() { epoch, witnesses = n.core.Epoch(u.cfg.Name), n.core.Witnesses(u.cfg.Name) }
	if err := n.ask(look); err != nil {
		return err
	}
	at := u.replica.set(epoch, s)
	n.broadcastState(u)
	for {
		missing, changed := u.replica.missing(at, witnesses)
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("controllers %v have not taken the state: %w", missing, ctx.Err())
		case <-changed:
		case <-time.After(commitLook):
		}
		if !u.right.Valid() {
			return errLostRight
		}
		if err := n.ask(look); err != nil {
			return err
		}
	}
}
