package sim

import (
	"slices"

	"github.com/tandem-san/tandem/ha"
)

// prState is what of a brain moves with it: registrations, a key per client.
type prState [maxClients]uint32

// phase is how far a job has come.
type phase uint8

const (
	phaseWaiting   phase = iota // for its blocks
	phaseExecuting              // it may have an effect
	phaseMoving                 // its data is moved elsewhere
	phaseCompleted
)

// job is a command in the task set of a brain.
type job struct {
	b       *brain
	cmd     *command
	from    *controller // the peer it came from; nil when from here
	done    func(result)
	asked   bool // an earlier run has begun a handover
	phase   phase
	aborted bool
	result  result
	// r and pair are set for one whose data is moved by the peer it came from.
	r        *request
	pair     uint64
	answered bool // by that peer
}

// brain is the logical unit where it is active.
type brain struct {
	u        *unit
	number   uint64 // of all brains there were
	epoch    uint64 // it started in
	state    prState
	since    uint64 // ha.Route.Since of when it started
	draining bool   // no new job is taken
	stopping bool
	vacant   func(bool) // told when no job is left, while it drains, or when it is to serve on
	idle     func()     // told when no job is left, while stopping
	jobs     []*job
	blocks   [maxBlocks]blockLock
	changes  []*job // that change the state, one after the other
}

// blockLock lets readers share a block and a writer have it alone, in the
// order in which they came.
type blockLock struct {
	readers int
	writer  bool
	waiting []*job
}

func newBrain(u *unit, want ha.Route) *brain {
	return &brain{u: u, number: u.c.w.next(), epoch: want.Epoch, since: want.Since, state: u.replica.state}
}

// admit submits a job to the brain here.
func (u *unit) admit(j *job) {
	b, cmd, done := u.brain, j.cmd, j.done
	if b == nil || b.draining || !u.valid() {
		done(result{notServed: true})
		return
	}
	j.b = b
	if w := u.c.w; w.telling() {
		w.tell(u.c.id, "executes %v", cmd)
	}
	b.jobs = append(b.jobs, j)
	switch cmd.kind {
	case kindKeys:
		j.result.value = b.state[cmd.block]
		b.complete(j)
	case kindMove:
		j.phase = phaseExecuting
		u.c.soon(func() { b.moveBrain(j) })
	case kindRegister:
		j.phase = phaseExecuting
		b.changes = append(b.changes, j)
		if len(b.changes) == 1 {
			u.c.soon(b.change)
		}
	default:
		if l := &b.blocks[cmd.block]; l.take(j) {
			b.start(j)
		} else {
			l.waiting = append(l.waiting, j)
		}
	}
}

// moveBrain carries out SET TARGET PORT GROUPS: the brain is where it is to be, or
// a handover is begun and the job is run again where it is then.
func (b *brain) moveBrain(j *job) {
	c, to := b.u.c, ha.NodeID(j.cmd.block)
	switch {
	case j.aborted || to == c.id:
	case j.asked || c.core.Refusal(b.u.name, to) != "":
		j.result.status = statusMoveFailed
	default:
		c.w.counts.MovesAsked++
		c.post(ha.HandOver{LUN: b.u.name, To: to})
		j.result = result{notServed: true, asked: true}
	}
	b.complete(j)
}

// take takes the block for a job when it is free and nobody came before.
func (l *blockLock) take(j *job) bool {
	if l.writer || len(l.waiting) > 0 && l.waiting[0] != j || j.cmd.kind == kindWrite && l.readers > 0 {
		return false
	}
	if j.cmd.kind == kindWrite {
		l.writer = true
	} else {
		l.readers++
	}
	return true
}

// give gives the block of a job back and starts those that waited for it.
func (b *brain) give(j *job) {
	l := &b.blocks[j.cmd.block]
	if j.cmd.kind == kindWrite {
		l.writer = false
	} else {
		l.readers--
	}
	b.grant(l)
}

func (b *brain) grant(l *blockLock) {
	for len(l.waiting) > 0 && l.take(l.waiting[0]) {
		next := l.waiting[0]
		l.waiting = l.waiting[1:]
		b.start(next)
	}
}

// start hands a read or a write to a worker.
func (b *brain) start(j *job) {
	j.phase = phaseExecuting
	b.u.c.soon(func() {
		switch {
		case j.aborted:
			b.finish(j)
		case j.cmd.kind == kindRead && j.r == nil:
			b.u.c.w.disk.read(b, j)
		case (!b.u.valid() || b.draining && j.r != nil) && !mutantWriteUnchecked:
			j.result.notServed = true
			b.finish(j)
		case j.r != nil:
			j.phase = phaseMoving
			b.allow(j)
		default:
			b.u.c.w.disk.write(b, j)
		}
	})
}

// transferred goes on with a read or a write that the disk is done with.
func (b *brain) transferred(j *job, ok bool) {
	if !ok {
		// The disk takes nothing from here any more.
		if b.u.valid() {
			j.result.status = statusHardError
		} else {
			j.result.notServed = true
		}
	}
	b.finish(j)
}

// finish ends a job that had its blocks.
func (b *brain) finish(j *job) {
	b.complete(j)
	b.give(j)
}

// complete takes a job out of the task set and answers it. What was done
// without the right to serve is not acknowledged.
func (b *brain) complete(j *job) {
	switch {
	case j.answered:
	case j.aborted:
		j.result = result{status: statusAborted}
	case !j.result.notServed && !b.u.valid() && !mutantAckUnchecked:
		j.result = result{notServed: true}
	}
	if j.result.notServed && (j.phase == phaseExecuting || j.phase == phaseMoving) {
		j.result.uncertain = true
	}
	if !j.answered && !j.result.notServed && j.result.status == statusGood {
		b.u.c.w.oracle.acknowledged(b, j)
	}
	j.phase = phaseCompleted
	b.jobs = slices.DeleteFunc(b.jobs, func(o *job) bool { return o == j })
	if !j.answered {
		j.done(j.result)
	}
	b.checkIdle()
}

func (b *brain) checkIdle() {
	if len(b.jobs) > 0 {
		return
	}
	if idle := b.idle; idle != nil {
		b.idle = nil
		idle()
	}
	if vacant := b.vacant; vacant != nil {
		b.vacant = nil
		vacant(true)
	}
}

// vacate makes the brain ready to move: jobs that do not run yet end as not
// served, those that run are waited for. then is told false when the brain is to
// serve on after all.
func (b *brain) vacate(then func(vacant bool)) {
	b.draining, b.vacant = true, then
	b.turnAway()
	if mutantDrainedEarly && b.vacant != nil {
		b.vacant = nil
		then(true)
		return
	}
	b.checkIdle()
}

// serveOn takes vacate back.
func (b *brain) serveOn() {
	if vacant := b.vacant; vacant != nil {
		b.vacant, b.draining = nil, mutantDrainForgets
		vacant(false)
	}
}

// deactivate stops the brain: jobs that do not run yet end as not served, those
// that run are waited for.
func (b *brain) deactivate(then func()) {
	b.draining, b.stopping, b.idle = true, true, then
	b.turnAway()
	b.forsake()
	if mutantDrainedEarly && b.idle != nil {
		b.idle = nil
		then()
		return
	}
	b.checkIdle()
}

// forsake ends the jobs whose data is moved elsewhere, without waiting for word.
// Their blocks stay held as long as this brain lives.
func (b *brain) forsake() {
	for _, j := range slices.Clone(b.jobs) {
		if j.phase == phaseMoving {
			j.result.notServed = true
			b.complete(j)
			b.u.c.tickets = slices.DeleteFunc(b.u.c.tickets, func(t *ticket) bool { return t.j == j })
		}
	}
}

// turnAway ends the jobs that do not run yet.
func (b *brain) turnAway() {
	for _, j := range slices.Clone(b.jobs) {
		if j.phase == phaseWaiting {
			b.withdraw(j)
			j.result.notServed = true
			b.complete(j)
		}
	}
}

// withdraw takes a job out of the queue for its block.
func (b *brain) withdraw(j *job) {
	l := &b.blocks[j.cmd.block]
	l.waiting = slices.DeleteFunc(l.waiting, func(o *job) bool { return o == j })
}

// abort ends the jobs that match without effect: at once, unless they run.
func (b *brain) abort(match func(*job) bool) {
	for _, j := range slices.Clone(b.jobs) {
		if j.phase == phaseCompleted || j.aborted || !match(j) {
			continue
		}
		j.aborted = true
		if j.phase == phaseWaiting {
			b.withdraw(j)
			b.complete(j)
		}
	}
	for i := range b.blocks {
		b.grant(&b.blocks[i])
	}
}

// nexusLost aborts what came through a session.
func (b *brain) nexusLost(s *session) { b.abort(func(j *job) bool { return j.cmd.session == s }) }

// portLost aborts what came through a controller that is gone.
func (b *brain) portLost(c *controller) { b.abort(func(j *job) bool { return j.from == c }) }

// change carries out the oldest command that changes the state: the next state
// is computed, copied to who must have it, and then installed.
func (b *brain) change() {
	j := b.changes[0]
	end := func() {
		b.changes = b.changes[1:]
		if len(b.changes) > 0 {
			b.u.c.soon(b.change)
		}
		b.complete(j)
	}
	if j.aborted {
		end()
		return
	}
	if !b.u.valid() {
		j.result.notServed = true
		end()
		return
	}
	next := b.state
	next[j.cmd.block] = j.cmd.value
	w := b.u.c.w
	w.counts.Commits++
	b.u.copyState(b, next, commitPatience, false, func(ok bool) {
		if ok {
			b.state = next
		} else {
			w.counts.CommitsFailed++
			j.result.status = statusBusy
			// The state before is the newest one again.
			if b.u.replica.set(b.epoch, b.state) {
				b.u.broadcast()
			}
		}
		end()
	})
}

// serves answers the unit when this controller serves it under an epoch.
func (c *controller) serves(unit int, epoch uint64) *unit {
	u := c.units[unit]
	if u.way.Kind != ha.RouteServe || u.way.Epoch != epoch && !mutantForwardAnyEpoch {
		return nil
	}
	return u
}
