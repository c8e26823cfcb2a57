package node

import (
	"errors"
	"fmt"
	"sync"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/lun/statefile"
)

// replica is the newest state of a logical unit that this controller knows:
// its own when the brain is here, else the copy that the primary sent. Every
// controller that may become primary has it on stable storage before what it
// says is acknowledged (S5). See the package comment for what that is worth
// after a restart.
type replica struct {
	mu    sync.Mutex
	at    ha.Stamp
	state lun.State
	// warm: some controller has had a state in memory without a break since
	// the logical unit was served last, so power was not lost.
	warm bool
	// reign: the brain is here, and the newest state is its own; over is set
	// when one of a later brain came. stray: the stamps are ahead of the
	// grants, because the arbiter has forgotten them.
	reign, over, stray bool

	acked   map[ha.NodeID]ha.Stamp
	changed chan struct{} // closed with the next acknowledgement or save

	saved  ha.Stamp // on stable storage
	dirty  bool     // the newest is not
	saving bool     // somebody is at it
	// awaited: somebody waits for the newest to be there; hurry is closed then.
	awaited bool
	hurry   chan struct{}
	thanks  map[ha.NodeID]ha.Stamp

	trust trust
}

var errLostRight = errors.New("this controller has lost the right to serve")

// load begins with what stable storage has; gap is why something may be
// missing there.
func (r *replica) load(rec statefile.Record, gap error) {
	r.acked = map[ha.NodeID]ha.Stamp{}
	r.thanks = map[ha.NodeID]ha.Stamp{}
	r.changed = make(chan struct{})
	r.hurry = make(chan struct{})
	r.at, r.state, r.saved = rec.At, rec.State, rec.At
	r.trust.init(gap)
}

// begin starts the reign of a brain here and answers the state it starts with,
// which is what powerOn makes of it when power was lost. The stamp of a reign is above
// all of earlier ones, so that what a former primary could not get acknowledged
// is out of date for good.
func (r *replica) begin(epoch uint64, powerOn func(lun.State) lun.State) (state lun.State, powerLost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if powerLost = !r.warm; powerLost {
		r.state = powerOn(r.state)
	}
	next := ha.Stamp{Epoch: epoch, Version: 1}
	if !r.at.Before(next) {
		next = ha.Stamp{Epoch: r.at.Epoch, Version: r.at.Version + 1}
	}
	r.at, r.warm, r.dirty = next, true, true
	r.reign, r.over, r.stray = true, false, next.Epoch != epoch
	return r.state, powerLost
}

// end ends the reign.
func (r *replica) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reign = false
}

// set makes a state of the brain here the newest one and answers the one
// before. It fails when there is a later brain elsewhere.
func (r *replica) set(s lun.State) (at ha.Stamp, before lun.State, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.reign || r.over {
		return ha.Stamp{}, lun.State{}, errLostRight
	}
	before = r.state
	r.at.Version++
	r.state, r.dirty = s, true
	return r.at, before, nil
}

// offer takes a copy of a peer when it is newer than what is here, and owes the
// peer thanks for it.
func (r *replica) offer(from ha.NodeID, c stateCopy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warm = r.warm || c.Warm
	r.thanks[from] = c.At
	switch {
	case !r.at.Before(c.At):
	case r.reign && r.stray:
		// It tells nothing of a later brain: the one here stays the newest.
		r.at, r.dirty = ha.Stamp{Epoch: c.At.Epoch, Version: c.At.Version + 1}, true
	default:
		r.at, r.state, r.dirty = c.At, c.State, true
		r.over = r.reign
	}
	if r.trust.offered(from, c.At) {
		r.dirty = true
	}
}

// current is what to show to a peer; false when there never was a state.
func (r *replica) current() (c stateCopy, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return stateCopy{At: r.at, State: r.state, Warm: r.warm}, r.at != ha.Stamp{}
}

// ack notes that a peer has a state on stable storage.
func (r *replica) ack(peer ha.NodeID, at ha.Stamp) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.acked[peer].Before(at) {
		r.acked[peer] = at
		r.tell()
	}
}

// tell wakes all that wait. The lock is held.
func (r *replica) tell() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// forget drops what was agreed with a peer: it may come back without it.
func (r *replica) forget(peer ha.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.acked, peer)
	delete(r.thanks, peer)
}

// missing are those of the peers that do not have a state, and whether it is on
// stable storage here, with a channel that is closed when that may have
// changed.
func (r *replica) missing(at ha.Stamp, peers []ha.NodeID) (without []ha.NodeID, saved bool, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range peers {
		if r.acked[p].Before(at) {
			without = append(without, p)
		}
	}
	return without, !r.saved.Before(at), r.changed
}

// takeSaving reports whether the caller is the one to save now.
func (r *replica) takeSaving() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.saving || !r.dirty {
		return false
	}
	r.saving = true
	return true
}

// keepSaving reports whether there is more to save; when there is not, the
// caller saves no more.
func (r *replica) keepSaving() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saving = r.dirty
	return r.dirty
}

// record is what has to be saved.
func (r *replica) record() statefile.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return statefile.Record{At: r.at, State: r.state}
}

// await says that somebody waits for the newest state to be on stable storage.
func (r *replica) await() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.awaited {
		r.awaited = true
		close(r.hurry)
	}
}

// whenAwaited is a channel that is closed when somebody waits for the newest
// state to be on stable storage.
func (r *replica) whenAwaited() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hurry
}

// isSaved notes what is on stable storage.
func (r *replica) isSaved(at ha.Stamp) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saved = at
	r.dirty = r.at != at
	if r.awaited && !r.dirty {
		r.awaited, r.hurry = false, make(chan struct{})
	}
	r.tell()
}

// whenSaved is a channel that is closed when the newest state may be on stable
// storage; nil when it is.
func (r *replica) whenSaved() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dirty {
		return r.changed
	}
	return nil
}

// due takes the thanks that can be said now.
func (r *replica) due() map[ha.NodeID]ha.Stamp {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out map[ha.NodeID]ha.Stamp
	for p, at := range r.thanks {
		if r.saved.Before(at) {
			continue
		}
		if out == nil {
			out = map[ha.NodeID]ha.Stamp{}
		}
		out[p] = at
		delete(r.thanks, p)
	}
	return out
}

// judge takes what the arbiter says about the state; see trust.judge.
func (r *replica) judge(g ha.Grant, floor ha.Stamp, relied bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trust.judge(g, floor, relied) {
		r.dirty = true
	}
}

// accept goes on with what there is, as the operator forces. What is perhaps
// not the newest must not write to the medium.
func (r *replica) accept() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.reign {
		r.state = r.state.Forced()
	}
	waived := r.trust.floor // the arbiter may tell it again before the brain begins
	if waived.Before(r.trust.waived) {
		waived = r.trust.waived
	}
	r.trust = trust{judged: true, told: r.trust.told, waived: waived}
	r.dirty = true
}

// told reports whether the arbiter has told the floor since it made a grant. A
// controller learns of its grant in more ways than one, perhaps before that.
func (r *replica) told(epoch uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.trust.told >= epoch
}

// distrust is why the newest state must not be served nor count as a copy; nil
// when it is as good as any.
func (r *replica) distrust() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trust.gap == nil && r.at.Before(r.trust.floor) {
		return fmt.Errorf("%w (%v, and %v was)", errOutOfDate, r.at, r.trust.floor)
	}
	return r.trust.gap
}
