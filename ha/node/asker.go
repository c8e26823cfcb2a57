package node

import (
	"context"
	"sync"

	"github.com/tandem-san/tandem/ha"
)

// asker gathers what the core wants changed while an answer of the arbiter is
// awaited, so that it goes together: a thousand logical units move in the time
// of a few. The core asks for a logical unit again only when it has an answer.
type asker struct {
	mu      sync.Mutex
	waiting []ha.AskChange
	busy    bool // somebody is asking and takes what waits next
}

// put adds a request and reports whether the caller is the one to ask.
func (a *asker) put(r ha.AskChange) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = append(a.waiting, r)
	first := !a.busy
	a.busy = true
	return first
}

// take takes all that waits; when that is nothing the caller asks no more.
func (a *asker) take() []ha.AskChange {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken := a.waiting
	a.waiting, a.busy = nil, len(taken) > 0
	return taken
}

// askChange asks the arbiter, now or together with what else waits, and tells
// the core what came of it. It does not wait.
func (n *Node) askChange(ctx context.Context, a ha.AskChange) {
	if !n.asker.put(a) {
		return
	}
	n.works.Go(func() {
		for batch := n.asker.take(); len(batch) > 0; batch = n.asker.take() {
			n.askChanges(ctx, batch)
		}
	})
}

// askChanges asks the arbiter once for several requests.
func (n *Node) askChanges(ctx context.Context, batch []ha.AskChange) {
	ctx, cancel := context.WithTimeout(ctx, arbiterPatience)
	defer cancel()
	var changes []ha.Change
	for _, a := range batch {
		changes = append(changes, a.Changes...)
	}
	grants, err := n.store.Change(ctx, changes)
	if err == nil && n.takesOver(changes, grants) {
		// What others have acknowledged without this controller must be known
		// before it serves.
		var state ha.State
		if state, err = n.store.Read(ctx); err == nil {
			n.judge(state)
		}
	}
	if err != nil {
		n.log.Warn("the arbiter's answer was lost", "changes", len(changes), "error", err)
	}
	for _, a := range batch {
		if err != nil {
			n.post(ha.ChangeLost{ID: a.ID})
			continue
		}
		n.post(ha.Changed{ID: a.ID, Grants: grants[:len(a.Changes)]})
		grants = grants[len(a.Changes):]
	}
}
