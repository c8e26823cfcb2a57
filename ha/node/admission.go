package node

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/forward"
)

// admission is who may move data for a logical unit in mode 1, besides its
// primary: the other candidates of the grant it is served by. A controller that
// is no candidate may not, because a primary leaves it without fencing it.
type admission struct {
	grant atomic.Pointer[ha.Grant] // by which commands are routed
	// floor is the lowest epoch in which anything is still admitted.
	floor atomic.Uint64
	// led is the controller that was routed to last, by id.
	led atomic.Uint32
}

// routed notes the grant of a route. Only the loop calls it.
func (a *admission) routed(g ha.Grant, r ha.Route) {
	if r.Kind == ha.RouteHold || g.Epoch != r.Epoch {
		a.grant.Store(nil)
		return
	}
	a.grant.Store(&g)
	if r.Kind == ha.RouteForward {
		a.led.Store(uint32(r.Primary))
	}
}

// forbid ends what is admitted in epochs before this one. Only the loop calls
// it. What was admitted before it returned is known to forward.Writing.
func (a *admission) forbid(epoch uint64) { a.floor.Store(max(a.floor.Load(), epoch)) }

// may reports whether a controller may move data in the right of an epoch.
func (a *admission) may(n ha.NodeID, epoch uint64) bool {
	g := a.grant.Load()
	return g != nil && g.Epoch == epoch && g.Has(n) && epoch >= a.floor.Load()
}

// ticketLease is for how long, from now, a peer may move data: never longer than
// this controller may serve, so that a takeover, which waits for that, waits for
// the tickets too.
func (n *Node) ticketLease(name string, to ha.NodeID, epoch uint64) time.Duration {
	u := n.named[name]
	if u == nil || n.cfg.Mode != ActiveActive || !u.admission.may(to, epoch) {
		return 0
	}
	return min(n.lease, u.right.left())
}

// left is how long the right lasts.
func (r *right) left() time.Duration { return time.Duration(r.until.Load()) - r.clock.now() }

// lapse carries out the action: what a controller could write is over.
func (n *Node) lapse(ctx context.Context, u *Unit, a ha.Lapse) {
	if a.Wait {
		pause(ctx, n.lease+n.lease/10)
		if ctx.Err() != nil {
			return
		}
		if writes := n.ships.Writing(a.LUN, a.Node, a.Epoch); writes > 0 {
			n.log.Error("the blocks that a lost controller may be writing are given free without a fence",
				"lun", a.LUN, "epoch", a.Epoch, "controller", a.Node, "writes", writes)
		}
	}
	n.ships.Lapse(a.LUN, a.Node, a.Epoch)
}

// sparePatience is how long a secondary whose link is up is given to tell of what
// it writes, before it is fenced.
const sparePatience = 250 * time.Millisecond

// spares reports whether a secondary that was left out needs no fence: it writes
// nothing, or is done with it in a moment. This controller has served all along,
// so it knows.
func (n *Node) spares(ctx context.Context, u *Unit, a ha.Fence) bool {
	for until := time.Now().Add(n.spare); ; pause(ctx, 5*time.Millisecond) {
		if n.ships.Writing(a.LUN, a.Node, a.Epoch) == 0 {
			return true
		}
		if !n.isLinked(a.Node) || time.Now().After(until) || ctx.Err() != nil {
			return false
		}
	}
}

// proxyTo is the way to another controller's brain: in mode 1, for a candidate,
// one that moves its own data, if the backend can be opened.
func (m *mover) proxyTo(want ha.Route) *forward.Proxy {
	u := m.unit
	n := u.node
	if n.cfg.Mode == ActiveActive && u.admission.may(n.cfg.Self, want.Epoch) && m.openLocal() {
		return n.ships.Moving(u.cfg.Name, want.Primary, want.Epoch, m.local)
	}
	return n.ships.Proxy(u.cfg.Name, want.Primary, want.Epoch)
}

// localRetry is the rest between two tries of a secondary to open the backend.
// Meanwhile it ships everything.
const localRetry = 5 * time.Second

// openLocal opens the backend for the data of another controller's brain.
func (m *mover) openLocal() bool {
	if m.local != nil {
		return true
	}
	if time.Now().Before(m.rest) {
		return false
	}
	u := m.unit
	device, err := m.openDisk()
	if err != nil {
		u.node.log.Error("the backend cannot be opened; all data goes through the primary", "lun", u.cfg.Name, "error", err)
		time.AfterFunc(localRetry, u.nudge)
		return false
	}
	m.shared, m.local = device, forward.NewLocal(device, u.lu.BlockSize())
	return true
}

// closeLocal waits for the data that is being moved here and closes the backend.
func (m *mover) closeLocal() {
	if m.local == nil {
		return
	}
	m.local.Close()
	if err := m.shared.Close(); err != nil {
		m.unit.node.log.Error("closing the backend", "lun", m.unit.cfg.Name, "error", err)
	}
	m.shared, m.local = nil, nil
}
