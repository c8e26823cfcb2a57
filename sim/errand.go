package sim

import (
	"fmt"

	"github.com/tandem-san/tandem/ha"
)

// kind is what a command does.
type kind uint8

const (
	kindRead     kind = iota
	kindWrite         // value
	kindKeys          // reads the registration of a client
	kindRegister      // makes or replaces that of the client
	kindMove          // SET TARGET PORT GROUPS: the brain is to be at a controller
)

func (k kind) String() string {
	return [...]string{"read", "write", "read keys", "register", "move to"}[k]
}

// changesState reports whether commands of the kind change the state of the
// brain, rather than the disk.
func (k kind) changesState() bool { return k == kindRegister }

// command is what an initiator sent. It is never changed.
type command struct {
	session *session
	kind    kind
	unit    int
	block   int // or, for registrations, the client whose it is; for a move, the controller
	value   uint32
}

func (c *command) String() string {
	return fmt.Sprintf("%v %v of lun%d, value %d", c.kind, c.block, c.unit, c.value)
}

// status is how a command ended.
type status uint8

const (
	statusGood status = iota
	statusNotReady
	statusBusy
	statusTaskSetFull
	statusMoveFailed
	statusAborted   // nothing is sent
	statusHardError // what no initiator may see for a cluster's reasons
)

func (s status) String() string {
	return [...]string{"good", "not ready", "busy", "task set full", "set target port groups failed", "aborted", "hard error"}[s]
}

// result is what came of one run of a command.
type result struct {
	status    status
	value     uint32
	notServed bool // there was no right to serve: nothing is acknowledged
	uncertain bool // but it may have taken effect
	asked     bool // a handover was begun for it
}

// errand is a command on its way through the controller it was sent to.
type errand struct {
	u     *unit
	cmd   *command
	since ha.Instant // when it was first held; 0 while it was not
	// uncertain: one of its runs may have taken effect; asked: one has begun a
	// handover.
	uncertain, asked bool
	overdue          int // how often it was released after it had been held too long
}

// submit takes a command from its session.
func (u *unit) submit(cmd *command) { u.dispatch(&errand{u: u, cmd: cmd}) }

// dispatch sends an errand on the present way.
func (u *unit) dispatch(e *errand) {
	switch {
	case !u.c.awake():
		u.hold(e)
	case u.way.Kind == ha.RouteServe && u.valid():
		u.admit(&job{cmd: e.cmd, done: e.complete, asked: e.asked})
	case u.way.Kind == ha.RouteForward && u.c.w.plan.mode == modeStandby:
		e.finish(result{status: statusNotReady})
	case u.way.Kind == ha.RouteForward:
		moves := u.local.open && (e.cmd.kind == kindRead || e.cmd.kind == kindWrite)
		u.c.forward(e, u.way.Primary, u.way.Epoch, moves)
	default:
		u.hold(e)
	}
}

// hold keeps an errand until there is a way again, unless its session is gone.
func (u *unit) hold(e *errand) {
	w := u.c.w
	switch {
	case !e.cmd.session.open && !mutantLossForgotten:
		e.finish(result{status: statusAborted})
	case len(u.held) >= w.plan.maxHeld:
		e.finish(result{status: statusBusy})
	default:
		w.counts.Held++
		if e.since == 0 {
			e.since = u.c.clock()
		}
		u.held = append(u.held, e)
	}
}

// releaseHeld sends the held errands on their way, in order.
func (u *unit) releaseHeld() {
	held := u.held
	u.held = nil
	for _, e := range held {
		u.c.w.oracle.released(e)
		u.dispatch(e)
	}
}

// sweep answers what waited too long, also when it was sent on its way in
// between and came back, and tries the way again.
func (u *unit) sweep() {
	if len(u.held) == 0 {
		return
	}
	if mutantHeldForever && u.open() {
		u.releaseHeld()
		return
	}
	limit := u.c.clock() - u.c.w.plan.holdTime
	held := u.held
	u.held = nil
	for _, e := range held {
		if e.since < limit {
			e.finish(result{status: statusNotReady})
		} else {
			u.held = append(u.held, e)
		}
	}
	if u.open() {
		u.releaseHeld()
	}
}

// complete takes the outcome of a run. One that was not served is held and run
// again, where the brain is then, unless that could do it twice.
func (e *errand) complete(r result) {
	if !r.notServed {
		e.finish(r)
		return
	}
	w := e.u.c.w
	w.counts.NotServed++
	if w.telling() {
		w.tell(e.u.c.id, "not served: %v", e.cmd)
	}
	e.uncertain, e.asked = e.uncertain || r.uncertain, e.asked || r.asked
	if e.uncertain && e.cmd.kind.changesState() {
		e.finish(result{status: statusNotReady})
		return
	}
	e.u.hold(e)
}

// finish answers the initiator.
func (e *errand) finish(r result) { e.cmd.session.answer(e.cmd, r) }

// sessionLost is the loss of a nexus at the controller its session was with.
func (u *unit) sessionLost(s *session) {
	held := u.held
	u.held = nil
	for _, e := range held {
		if e.cmd.session == s && !mutantLossForgotten {
			e.finish(result{status: statusAborted})
		} else {
			u.held = append(u.held, e)
		}
	}
	switch u.way.Kind {
	case ha.RouteServe:
		if u.brain != nil {
			u.brain.nexusLost(s)
		}
	case ha.RouteForward:
		u.c.forwardLoss(u, s)
	}
}

// awake reports whether this process has been running all the time: one that
// was stopped finds commands whose initiators have given up long ago.
func (c *controller) awake() bool { return c.clock() < c.shown+lease || mutantNoVigil }

// keepVigil shows that the process runs, and after a gap closes the sessions.
func (c *controller) keepVigil() {
	switch {
	case c.asleep:
	case c.awake():
		c.shown = c.clock()
	default:
		c.w.tell(c.id, "was stopped for a while: closing the sessions")
		c.asleep = true
		c.closeSessions()
		c.soon(func() {
			c.asleep = false
			c.shown = c.clock()
		})
	}
}

// closeSessions ends every session and tells its client, who goes on elsewhere
// at once. So what came through them must be over: the link in which some of it
// may still be on its way is reset.
func (c *controller) closeSessions() {
	for _, p := range c.w.controllers[1:] {
		if len(c.peers[p.id].requests) > 0 && !mutantClosedEarly {
			c.w.net.ends[c.id][p.id].breakDown("sessions are closed")
		}
	}
	sessions := c.sessions
	c.sessions = nil
	for _, s := range sessions {
		s.closedHere()
		s.lostServer(true)
	}
}

// sessionClosed is what the target port does when a connection has ended.
func (s *session) closedHere() {
	s.open = false
	s.c.w.counts.SessionsClosed++
	for _, u := range s.c.units[:s.c.w.plan.units] {
		u.sessionLost(s)
	}
}
