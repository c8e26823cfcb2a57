package node

import (
	"context"
	"log/slog"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter"
)

const (
	// arbiterPatience is how long an answer of the arbiter is awaited before
	// it counts as lost.
	arbiterPatience = time.Second
	// arbiterRetry is the rest between two tries of what must succeed.
	arbiterRetry = 50 * time.Millisecond
	// holdEvery is how often the arbiter's lease is renewed. It must be well
	// inside the lease's time to live (at least a second).
	holdEvery = 300 * time.Millisecond
)

// askFloor reads what the arbiter says about the states, for a brain that waits for
// it. It is asked again when that fails.
func (n *Node) askFloor(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, arbiterPatience)
	defer cancel()
	if state, err := n.store.Read(ctx); err == nil {
		n.judge(state)
	}
}

// takesOver reports whether a batch made this controller the primary of
// something that it does not serve already.
func (n *Node) takesOver(changes []ha.Change, after []ha.Grant) bool {
	for i, ch := range changes {
		u := n.named[ch.LUN]
		if i < len(after) && after[i].Equal(ch.To) && ch.To.Primary == n.cfg.Self && u.way.Load().Kind != ha.RouteServe {
			return true
		}
	}
	return false
}

// settle tries until the arbiter has ended the doubt.
func (n *Node) settle(ctx context.Context) {
	for ctx.Err() == nil {
		once, cancel := context.WithTimeout(ctx, arbiterPatience)
		state, err := n.store.Settle(once)
		cancel()
		if err == nil {
			n.judge(state)
			// Every logical unit has a file before this controller can become a
			// candidate for it; so where one is missing later, it was lost.
			if !n.filed.Swap(true) && !n.waitSaved() {
				return
			}
			n.post(ha.Settled{State: state})
			return
		}
		n.refusedBy(err)
		pause(ctx, arbiterRetry)
	}
}

// refusedBy says why the arbiter does not answer, once and again when the reason
// changes.
func (n *Node) refusedBy(err error) {
	if n.notes.news("arbiter", err.Error()) {
		n.log.Warn("the arbiter cannot be asked; this controller takes no part until it can", "error", err)
	}
}

// watch tells the core what the arbiter says, for as long as the node runs.
func (n *Node) watch(ctx context.Context) {
	for ctx.Err() == nil {
		for state := range n.store.Watch(ctx) {
			n.post(ha.Observed{State: state})
		}
		pause(ctx, arbiterRetry)
	}
}

// holder takes, renews and gives up the arbiter's lease, one after the other,
// as the core asks.
type holder struct {
	store arbiter.Store
	clock clock
	post  func(...ha.Event)
	log   *slog.Logger
	asked chan ha.Hold // of one; the newest wish
	until time.Time    // of the last success
	lost  bool         // the last try failed
}

// ask replaces the wish. Only the loop calls it.
func (h *holder) ask(wish ha.Hold) {
	select {
	case <-h.asked:
	default:
	}
	h.asked <- wish
}

func (h *holder) run(ctx context.Context) {
	var wish ha.Hold
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case wish = <-h.asked:
			if !wish.On {
				h.drop(ctx)
			}
		case <-timer.C:
		}
		if wish.On {
			timer.Reset(h.renew(ctx, wish.Generation))
		}
	}
}

// renew takes or renews the lease once and returns when to try again.
func (h *holder) renew(ctx context.Context, generation uint64) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, arbiterPatience)
	defer cancel()
	until, err := h.store.Hold(ctx)
	if err == nil && !time.Now().Before(h.until) {
		// The lease is new or had lapsed, and others may have used the gap:
		// their changes must be known before the lease counts.
		var state arbiter.State
		if state, err = h.store.Read(ctx); err == nil {
			h.post(ha.Observed{State: state})
		}
	}
	if err != nil {
		if !h.lost {
			h.log.Warn("the arbiter's lease cannot be renewed", "error", err)
		}
		h.lost = true
		return arbiterRetry
	}
	h.lost = false
	h.until = until
	h.post(ha.Held{Generation: generation, Until: h.clock.at(until)})
	return holdEvery
}

func (h *holder) drop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, arbiterPatience)
	defer cancel()
	h.until = time.Time{}
	if err := h.store.Drop(ctx); err != nil {
		h.log.Warn("the arbiter's lease cannot be given up; it lapses by itself", "error", err)
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
