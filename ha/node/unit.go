package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// UnitConfig is one logical unit of the cluster on this controller.
type UnitConfig struct {
	// Name is the same on every controller.
	Name string
	// Home: this controller makes the first grant.
	Home bool
	// Fence keeps a lost primary from writing.
	Fence Fence
	// Failback: at home, after it could have been served here for so long
	// without a break, this controller asks for it. 0: never.
	Failback time.Duration
	// New makes the logical unit, with these hooks in its lun.Config.
	New func(Hooks) (*lun.LogicalUnit, error)
	// Open opens the backend; called each time this controller becomes
	// primary, and closed again when it ceases to be.
	Open func() (block.Device, error)
	// Describe tells size, block size and identity; it must be the same on
	// every controller.
	Describe string
	// Ports are this controller's target ports of the logical unit.
	Ports []lun.Port
}

// Hooks are the fields of lun.Config of these names.
type Hooks struct {
	Commit   func(lun.State) error
	HandOver func(group uint16) error
}

// Unit is a logical unit as the target ports of this controller see it: a
// lun.Unit that leads each task to where the brain is, and holds it for a
// while when that is nowhere. Between two places a task is never lost and
// never at both.
type Unit struct {
	cfg   UnitConfig
	node  *Node
	lu    *lun.LogicalUnit
	right right
	idle  sync.Pool // of *errand

	way     atomic.Pointer[way]
	heading heading
	queue   heldQueue
	wake    chan struct{} // the mover has something to do
	moves   sync.Mutex    // protects what the mover is asked for
	want    ha.Route
	drains  []ha.Drain // answered when the brain has stopped
	// quiet are to be closed when nothing is written here any more in the right of
	// an earlier route than want.
	quiet []chan struct{}
	// vacating is the context of the newest drain; serveOn ends it when the
	// brain is to go on after all.
	vacating context.Context
	serveOn  context.CancelFunc

	replica replica
	damaged bool // its state was, on stable storage
	// admission is for mode 1.
	admission admission
	answer    quietAnswer
	// barred is the reign (ha.Route.Since) in which this controller was primary
	// and was fenced; it does not serve in it any more. 0: none.
	barred atomic.Uint64
	// forced: the operator has this controller serve, whoever is not fenced.
	forced atomic.Bool
	lost   lostNexuses
	// leftDisk is when this controller last handed over because its disk fails.
	leftDisk atomic.Pointer[time.Time]
	known    knownNexuses
	ranks    atomic.Pointer[ranks]
}

var _ lun.Unit = (*Unit)(nil)

// way is where commands go now. It is never changed, only replaced.
type way struct {
	ha.Route
	unit    lun.Unit      // for serve and forward
	changed chan struct{} // closed when it is replaced
}

// Submit implements lun.Unit.
func (u *Unit) Submit(t *lun.Task) {
	e, _ := u.idle.Get().(*errand)
	if e == nil {
		e = &errand{unit: u}
	}
	e.task, e.upper, e.born, t.Transport = t, t.Transport, u.lost.now(), e
	e.came, e.epoch = u.node.clock.now(), u.rank().epoch
	u.dispatch(e)
}

// dispatch sends a task on the present way.
func (u *Unit) dispatch(e *errand) {
	w := u.way.Load()
	switch {
	case !u.node.awake.holds():
		u.hold(e)
	case u.outdated(e):
		e.notReady()
	case w.Kind == ha.RouteServe && u.right.Valid():
		e.follow(w.unit)
	case w.Kind == ha.RouteForward:
		if !answeredByPort(e.task) {
			u.known.note(e.task.Nexus)
		}
		if !u.lu.AnswerLocal(e.task) {
			e.follow(w.unit)
		}
	case answeredByPort(e.task) && u.lu.AnswerLocal(e.task):
	default:
		u.hold(e)
	}
}

// answeredByPort reports whether a command needs no brain on any way.
func answeredByPort(t *lun.Task) bool {
	id, _ := scsi.Lookup(t.CDB)
	return id != scsi.NoCommand && scsi.Commands[id].ByPort
}

// hold keeps a task until there is a way again. It does not look for one: a
// task that was just turned away would be turned away again.
func (u *Unit) hold(e *errand) {
	nexus, born := e.task.Nexus, e.born // in the queue it is anybody's
	if !u.queue.put(e, u.node.cfg.MaxHeld) {
		e.task.Status = scsi.StatusBusy
		e.finish()
		return
	}
	if u.lost.since(nexus, born) {
		u.abortNexus(nexus)
	}
}

// abortNexus ends the held tasks of a nexus.
func (u *Unit) abortNexus(n lun.Nexus) {
	for _, e := range u.queue.takeIf(func(t *lun.Task) bool { return t.Nexus == n }) {
		e.abort()
	}
}

// open reports whether commands can go somewhere now.
func (u *Unit) open() bool {
	w := u.way.Load()
	return u.node.awake.holds() && (w.Kind == ha.RouteForward || w.Kind == ha.RouteServe && u.right.Valid())
}

// releaseHeld sends the held tasks on their way, in order.
func (u *Unit) releaseHeld() {
	for _, e := range u.queue.takeReady() {
		u.dispatch(e)
	}
}

// sweep is called often while tasks are held: it answers those that waited too long
// as a port in transition does (S7), also when they were sent on their way in between
// and came back, and tries the way again.
func (u *Unit) sweep() {
	if u.queue.empty() {
		return
	}
	for _, e := range u.queue.takeOlder(time.Now().Add(-u.node.cfg.HoldTime)) {
		e.notReady()
	}
	if u.open() {
		u.releaseHeld()
	}
}

// DataOutReceived implements lun.Unit. A task that has changed its place
// since it asked goes on there.
func (u *Unit) DataOutReceived(t *lun.Task) {
	t.Transport.(*errand).dataArrived()
}

// Manage implements lun.Unit. Tasks held here are part of the task set.
func (u *Unit) Manage(ctx context.Context, f lun.Management) scsi.FunctionResponse {
	found := u.abortHeld(f)
	if found && f.Function == scsi.AbortTask {
		return scsi.FunctionComplete
	}
	ctx, cancel := context.WithTimeout(ctx, u.node.cfg.HoldTime)
	defer cancel()
	for {
		w := u.way.Load()
		if w.Kind != ha.RouteHold {
			return w.unit.Manage(ctx, f)
		}
		select {
		case <-ctx.Done():
			return scsi.FunctionRejected
		case <-w.changed:
		}
	}
}

// abortHeld ends the held tasks that a task management function means.
func (u *Unit) abortHeld(f lun.Management) bool {
	held := u.queue.takeIf(func(t *lun.Task) bool {
		switch f.Function {
		case scsi.AbortTask:
			return t.Nexus == f.Nexus && t.Tag == f.Tag
		case scsi.AbortTaskSet, scsi.ITNexusReset:
			return t.Nexus == f.Nexus
		case scsi.ClearTaskSet, scsi.LogicalUnitReset, scsi.TargetWarmReset, scsi.TargetColdReset:
			return true
		}
		return false
	})
	for _, e := range held {
		e.abort()
	}
	return len(held) > 0
}

// NexusLost implements lun.Unit.
func (u *Unit) NexusLost(n lun.Nexus) {
	u.lost.note(n)
	u.known.forget(n)
	u.abortNexus(n)
	if w := u.way.Load(); w.Kind != ha.RouteHold {
		w.unit.NexusLost(n)
	}
}

// setWay replaces the way.
func (u *Unit) setWay(r ha.Route, to lun.Unit) {
	next := &way{Route: r, unit: to, changed: make(chan struct{})}
	if old := u.way.Swap(next); old != nil {
		close(old.changed)
	}
}
