package node

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/forward"
	"github.com/tandem-san/tandem/lun"
)

// openRetry is the rest between two tries to open a backend.
const openRetry = 200 * time.Millisecond

// mover opens and closes the backend of a unit and moves the brain, one step
// after the other, always towards the newest route. One goroutine has it.
type mover struct {
	unit   *Unit
	device block.Device   // open while the brain is here
	since  uint64         // ha.Route.Since of when it came here
	shared block.Device   // open while data is moved here for another's brain
	local  *forward.Local // over shared
	proxy  *forward.Proxy // where commands were forwarded to last; nil when nowhere
	at     ha.NodeID      // and whose it is

	taken *atomic.Bool // the key was, since the backend was opened last; may be nil
	rest  time.Time    // no data is moved here before
	// unopened is since when the backend could not be opened in vain; zero when it
	// could, or was not to be.
	unopened time.Time

	refused complaint
}

// route asks for a new way. Commands stop at once when the way ends; where
// they go next the mover says when that place is ready.
func (u *Unit) route(r ha.Route) {
	u.moves.Lock()
	u.want = r
	if r.Kind == ha.RouteServe {
		u.drains = nil // a handover was given up
	}
	if r.Kind != ha.RouteHold && u.serveOn != nil {
		u.serveOn()
	}
	u.moves.Unlock()
	if now := u.way.Load(); now.Kind != r.Kind || now.Primary != r.Primary {
		u.setWay(ha.Route{LUN: r.LUN}, nil)
	}
	u.nudge()
}

// drain asks for word when the brain has stopped.
func (u *Unit) drain(a ha.Drain) {
	u.moves.Lock()
	u.drains = append(u.drains, a)
	if u.serveOn != nil {
		u.serveOn()
	}
	u.vacating, u.serveOn = context.WithCancel(context.Background())
	u.moves.Unlock()
	u.setWay(ha.Route{LUN: a.LUN}, nil)
	u.nudge()
}

func (u *Unit) nudge() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// next is what the mover has to reach, whom to tell when the brain is stopped,
// the context of their wish, and what to close once nothing is written here in
// the right of earlier routes.
func (u *Unit) next() (want ha.Route, drains []ha.Drain, wish context.Context, quiet []chan struct{}) {
	u.moves.Lock()
	defer u.moves.Unlock()
	drains, quiet = u.drains, u.quiet
	u.drains, u.quiet = nil, nil
	return u.want, drains, u.vacating, quiet
}

// run moves the brain until ctx ends, and then stops it.
func (m *mover) run(ctx context.Context) {
	defer m.stop(ctx)
	defer m.closeLocal()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.unit.wake:
			m.move(ctx)
		}
	}
}

// move takes the steps to the newest route.
func (m *mover) move(ctx context.Context) {
	u := m.unit
	want, drains, wish, quiet := u.next()
	m.letGo(ctx)
	if m.device != nil && len(drains) > 0 && !m.vacate(ctx, wish) {
		u.answerLater(quiet)
		u.nudge()
		return
	}
	if m.device != nil && (want.Kind != ha.RouteServe || want.Since != m.since || len(drains) > 0) {
		done := u.node.turn()
		m.stop(ctx)
		done()
	}
	if want.Kind != ha.RouteForward || want.Primary != m.at || len(quiet) > 0 {
		m.closeLocal()
	}
	if want.Kind != ha.RouteServe {
		m.unopened = time.Time{}
	}
	for _, done := range quiet {
		close(done)
	}
	for _, d := range drains {
		u.node.post(ha.Drained(d))
	}
	defer u.node.turn()()
	switch want.Kind {
	case ha.RouteServe:
		if len(drains) > 0 {
			return // the core has said hold, or will say serve again
		}
		if m.device == nil && !m.start(ctx, want) {
			time.AfterFunc(openRetry, u.nudge)
			return
		}
		m.withdraw(ctx, want)
		m.open(want, u.lu)
	case ha.RouteForward:
		m.withdraw(ctx, want)
		m.proxy, m.at = m.proxyTo(want), want.Primary
		m.open(want, m.proxy)
	case ha.RouteHold:
		m.open(want, nil)
	}
}

const (
	// maxMoves is how many logical units take a step at a time. A thousand that
	// open their backends at once would leave the loop no time for its promises.
	maxMoves = 32
	// maxTurn is how long one waits for the others, whose disks may hang.
	maxTurn = 100 * time.Millisecond
)

// turn waits until the logical unit may take a step; done ends the step.
func (n *Node) turn() (done func()) {
	select {
	case n.turns <- struct{}{}:
		return func() { <-n.turns }
	case <-time.After(maxTurn):
		return func() {}
	}
}

// vacate waits for the commands that run here, and for those whose data
// secondaries move in its right (mode 1), so that the brain can move. It
// reports false when the handover was given up meanwhile: then the brain goes
// on here.
func (m *mover) vacate(ctx, wish context.Context) bool {
	wish, cancel := context.WithCancel(wish)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if m.unit.lu.Vacate(wish) == nil || ctx.Err() != nil {
		return true
	}
	m.unit.lu.Resume()
	return false
}

// open opens a way. The ports say what they are before a command can come.
func (m *mover) open(r ha.Route, to lun.Unit) {
	u := m.unit
	u.node.setAccess(u, r)
	u.setWay(r, to)
	if u.open() {
		u.releaseHeld()
	}
}

// withdrawAfter is how long a primary that has handed over is given to send its
// last answers: they travel on another stream than the handover.
const withdrawAfter = time.Second

// withdraw takes back what was forwarded to a primary that is one no more, so
// that it is run where the brain is now.
func (m *mover) withdraw(ctx context.Context, next ha.Route) {
	old := m.proxy
	if old == nil || next.Kind == ha.RouteForward && next.Primary == m.at {
		return
	}
	m.proxy = nil
	if next.Takeover {
		old.Withdraw()
		return
	}
	m.unit.node.works.Go(func() {
		pause(ctx, withdrawAfter)
		old.Withdraw()
	})
}

// start opens the backend and makes this controller the brain, with the state
// that the one before left.
func (m *mover) start(ctx context.Context, want ha.Route) bool {
	u := m.unit
	if !u.replica.told(want.Since) {
		u.node.works.Go(func() { u.node.askFloor(ctx) })
		return false
	}
	if want.Since == u.barred.Load() {
		m.complain(fmt.Sprintf("not served: this controller was fenced while it was the primary, its key is not on the disk any more. Make sure that nobody else writes to the disk, then register again: 'tandem promote %s --force'", u.cfg.Name))
		u.node.giveAway(u)
		return false
	}
	if err := u.replica.distrust(); err != nil {
		m.refuse(err)
		return false
	}
	device, err := m.openDisk()
	if err != nil {
		m.cannotOpen(err)
		return false
	}
	m.unopened = time.Time{}
	if u.forced.Swap(false) {
		u.takeKeys()
	}
	state, powerLost := u.replica.begin(want.Epoch, u.lu.PowerOn)
	u.node.save(u)
	u.node.broadcastState(u, false)
	if !powerLost { // else every nexus is to meet POWER ON OCCURRED
		state = u.known.complete(state)
	}
	if err := u.lu.Activate(u.node.watchDisk(u, device), &u.right, state); err != nil {
		u.replica.end()
		u.node.log.Error("the logical unit cannot start", "lun", u.cfg.Name, "error", err)
		device.Close()
		return false
	}
	m.device, m.since = device, want.Since
	if m.refused.clear() {
		u.node.notes.forget(u.cfg.Name)
	}
	u.node.losePorts(u)
	return true
}

// stop ends the brain here and leaves its state for the next one.
func (m *mover) stop(ctx context.Context) {
	u := m.unit
	if m.device == nil {
		return
	}
	state := u.lu.Deactivate()
	if err := m.device.Close(); err != nil {
		u.node.log.Error("closing the backend", "lun", u.cfg.Name, "error", err)
	}
	m.device = nil
	if ctx.Err() == nil {
		u.node.leave(u, state)
	}
	u.replica.end()
}

// refuse says why a logical unit is not served though this controller is its
// primary.
func (m *mover) refuse(why error) {
	m.complain(fmt.Sprintf("not served: %v. Start the controllers that served it last, or go on without what they know: 'tandem promote %s --force'", why, m.unit.cfg.Name))
}

// complain says why a logical unit is not served, to the log from time to time.
func (m *mover) complain(text string) {
	u := m.unit
	u.node.notes.keep(u.cfg.Name, text, false)
	if m.refused.due() {
		u.node.log.Error(text, "lun", u.cfg.Name)
	}
}
