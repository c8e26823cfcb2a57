package lun

import (
	"github.com/tandem-san/tandem/scsi"
)

// Submit enters the task into the task set; see Unit.
func (u *LogicalUnit) Submit(t *Task) {
	t.reset()
	u.mu.Lock()
	b := u.brain
	if b == nil || b.draining || !b.right.Valid() {
		u.mu.Unlock()
		t.notServed()
		t.Transport.CommandComplete(t)
		return
	}
	if !b.admit(t) {
		u.mu.Unlock()
		t.Transport.CommandComplete(t)
		return
	}
	b.run()
}

// admit takes the task into the task set and starts it if it may. It reports
// false when the task was refused; its status is set then.
func (b *brain) admit(t *Task) bool {
	n := b.nexusOf(t.Nexus, t.Scanning)
	if n == nil {
		t.end(scsi.StatusBusy)
		return false
	}
	if b.tasks.find(n, t.Tag) != nil {
		b.overlapped(n)
		t.check(scsi.Sense{Key: scsi.AbortedCommand, ASC: scsi.OverlappedCommandsAttempted})
		b.outstanding++
		b.queue(t, actionComplete)
		return true
	}
	if b.tasks.count >= b.unit.config.MaxTasks {
		t.end(scsi.StatusTaskSetFull)
		return false
	}
	t.state.nexus = n
	b.outstanding++
	b.tasks.insert(t)
	t.state.entered = b.now()
	b.statistics.entered(t.state.entered)
	if b.tasks.mayStart(t) {
		b.start(t)
	} else {
		t.state.phase = phaseDormant
		b.tasks.dormant++
	}
	return true
}

// overlapped aborts the tasks of a nexus that used a tag twice (SAM-6 §5.10).
func (b *brain) overlapped(n *nexus) {
	b.abortTasks(nil, func(t *Task) bool { return t.state.nexus == n }, false)
}

// queue leaves an action for whoever releases the lock, in place of one that
// was left before.
func (b *brain) queue(t *Task, a action) {
	s := &t.state
	s.action = a
	switch {
	case s.calling:
		s.later = true
	case !s.queued:
		s.queued = true
		b.ready.push(t)
	}
}

// run does what is queued. It is called with the lock held and releases it.
// While it calls out the lock is not held, so that transports may call back.
func (b *brain) run() {
	mu := &b.unit.mu
	for {
		t := b.ready.pop()
		if t == nil {
			mu.Unlock()
			return
		}
		t.state.queued = false
		switch t.state.action {
		case actionReceive:
			b.receive(t)
		case actionExecute:
			if t.Mover != nil {
				b.move(t)
				continue
			}
			if b.handOver(t) {
				continue
			}
			mu.Unlock()
			b.execute(t)
			mu.Lock()
			b.finish(t)
		case actionComplete:
			waiters := t.state.waiters
			mu.Unlock()
			t.Transport.CommandComplete(t)
			mu.Lock()
			for _, w := range waiters {
				w.completed()
			}
			b.outstanding--
			b.checkIdle()
		}
	}
}

// receive asks the transport for data-out. The task neither goes on nor ends
// before the call has returned, so that a transport is never called for a task
// it has back. The lock is released meanwhile.
func (b *brain) receive(t *Task) {
	s := &t.state
	n := s.need
	s.calling = true
	b.unit.mu.Unlock()
	t.Transport.ReceiveDataOut(t, n)
	b.unit.mu.Lock()
	s.calling = false
	if s.later {
		s.later = false
		b.queue(t, s.action)
	}
}

// handOver gives a task whose execution may wait to a worker. It reports false
// when the task is for the caller to execute.
func (b *brain) handOver(t *Task) bool {
	if inChangeQueue(t) {
		if !b.changing {
			b.changing = true
			b.running.Go(func() { b.worker(b.changeWork) })
		}
		b.changeWork <- t // never full: it holds every task of the set
		return true
	}
	if !b.attributes.Blocks {
		return false
	}
	b.work <- t
	if b.workers < b.unit.config.Workers && (b.workers == 0 || len(b.work) > 0) {
		b.workers++
		b.running.Go(func() { b.worker(b.work) })
	}
	return true
}

// worker executes the tasks of a queue until it is closed.
func (b *brain) worker(queue <-chan *Task) {
	for t := range queue {
		b.execute(t)
		b.unit.mu.Lock()
		b.finish(t)
		b.run()
	}
}

func (b *brain) execute(t *Task) {
	if t.state.isAborted() {
		return
	}
	handlers[t.state.cmd].execute(b, t)
}

// start brings a task into the enabled state: the gate, then what its command
// needs first.
func (b *brain) start(t *Task) {
	if !b.gate(t) {
		b.complete(t)
		return
	}
	h := &handlers[t.state.cmd]
	if t.Mover != nil && !h.moves {
		panic("lun: the data of " + scsi.Commands[t.state.cmd].Name + " cannot be moved elsewhere")
	}
	if !h.prepare(b, t) {
		b.complete(t)
		return
	}
	if t.state.need > t.have() {
		if t.state.need > t.ExpectedOut {
			t.Transfer = t.state.need
			t.check(scsi.Illegal(scsi.InvalidFieldInCommandIU))
			b.complete(t)
			return
		}
		t.state.phase = phaseDataOut
		b.queue(t, actionReceive)
		return
	}
	b.proceed(t)
}

// proceed goes on with a task whose data-out is there.
func (b *brain) proceed(t *Task) {
	s := &t.state
	h := &handlers[s.cmd]
	if h.received != nil && !h.received(b, t) {
		b.complete(t)
		return
	}
	if b.erasing(t) {
		b.complete(t)
		return
	}
	if s.lba < s.end && !h.free && !b.ranges.acquire(t) {
		s.phase = phaseRange
		return
	}
	s.phase = phaseExecuting
	b.queue(t, actionExecute)
}

// DataOutReceived goes on with a task; see Unit. A call for a task that was
// aborted meanwhile does nothing, as long as the task was not submitted again.
func (u *LogicalUnit) DataOutReceived(t *Task) {
	u.mu.Lock()
	b := u.brain
	if b == nil || t.state.phase != phaseDataOut {
		u.mu.Unlock()
		return
	}
	if t.have() < t.state.need {
		panic("lun: DataOutReceived before all data-out was there")
	}
	b.proceed(t)
	b.run()
}

// gate decides whether the command may run at all: unit attention, command
// table, access state, usage mask, reservations, in this order (SAM-6 §5.3.3).
// It reports false when the task has ended.
func (b *brain) gate(t *Task) bool {
	n := t.state.nexus
	id, sense := scsi.Lookup(t.CDB)
	if id != scsi.NoCommand && !b.unit.has(id) {
		sense = scsi.Commands[id].Refusal()
		id = scsi.NoCommand
	}
	c := &scsi.Commands[id]
	if t.HandoverAsked {
		// Who asked for the change is not told of it (SPC-5 §6.47).
		n.forgetAttention(scsi.AsymmetricAccessStateChanged)
	}
	if n.attentionCount > 0 && c.Attention == scsi.AttentionReported && (!t.CopyManager || isThirdParty(id)) {
		t.check(unitAttention(n.takeAttention()))
		return false
	}
	if id == scsi.NoCommand {
		t.check(sense)
		return false
	}
	t.state.cmd = id
	if n.access != scsi.ActiveOptimized {
		if sense, refused := n.access.Refusal(c); refused {
			t.check(sense)
			return false
		}
	}
	if b.erasing(t) {
		return false
	}
	if sense, ok := c.Check(t.CDB); !ok {
		t.check(sense)
		return false
	}
	if b.state.reservations.any() && b.conflicts(n, c, t.CDB) {
		t.end(scsi.StatusReservationConflict)
		return false
	}
	if b.state.durable.Ejected && needsMedium(id) {
		t.check(mediumNotPresent)
		return false
	}
	return true
}

// conflicts reports whether a reservation of another nexus forbids the
// command.
func (b *brain) conflicts(n *nexus, c *scsi.Command, cdb scsi.CDB) bool {
	r := &b.state.reservations
	if r.reserve != nil && *r.reserve != n.name && !c.WithReserve && !b.losses.has(*r.reserve) {
		return true
	}
	return r.held && !n.holder && c.Conflicts(cdb, r.kind, n.registered)
}

// complete takes the task out of the task set and queues its completion. Its
// result is set.
func (b *brain) complete(t *Task) {
	s := &t.state
	if s.isAborted() {
		b.setAborted(t)
	} else if !t.NotServed && !s.unsynced && !b.right.Valid() {
		if t.Status == scsi.StatusCheckCondition && t.Sense.Key == scsi.UnitAttention {
			s.nexus.returnAttention(t.Sense.ASC)
		}
		t.notServed()
	}
	if t.NotServed && (s.phase == phaseExecuting || s.phase == phaseMoving) {
		t.Uncertain = true
	}
	if t.Status == scsi.StatusCheckCondition {
		t.Sense.DescriptorFormat = b.state.mode.DescriptorSense
	}
	s.phase = phaseCompleted
	b.tasks.remove(t)
	now := b.now()
	b.statistics.left(t, now)
	if scsi.Commands[t.state.cmd].Effect == scsi.EffectWrites {
		b.watchSpace(now)
	}
	b.queue(t, actionComplete)
	b.wake()
}

func (b *brain) setAborted(t *Task) {
	t.NotServed = false // it is not to be run elsewhere
	if t.state.tas {
		t.end(scsi.StatusTaskAborted)
		return
	}
	t.end(scsi.StatusGood)
	t.Aborted = true
}

// finish ends a task that was executed.
func (b *brain) finish(t *Task) {
	held := t.state.hasRange
	if held {
		b.ranges.release(t)
	}
	if !t.state.park || !b.park(t) {
		b.complete(t)
	}
	if held {
		b.grantRanges()
	}
}

// grantRanges goes on with the tasks that a range has become free for.
func (b *brain) grantRanges() {
	for t := b.ranges.grant(); t != nil; t = b.ranges.grant() {
		if b.erasing(t) {
			b.ranges.release(t)
			b.complete(t)
			continue
		}
		t.state.phase = phaseExecuting
		b.queue(t, actionExecute)
	}
}

// wake starts the dormant tasks that may start now, oldest first. A task that
// ends at once may let younger ones start, never older ones, so one pass is
// enough. Only while none is under way, and not when the unit stops.
func (b *brain) wake() {
	if b.tasks.dormant == 0 || b.waking || b.stopping {
		return
	}
	b.waking = true
	for t := b.tasks.oldest; t != nil; {
		next := t.state.newer
		if t.state.phase == phaseDormant && b.tasks.mayStart(t) {
			b.tasks.dormant--
			t.state.phase = phaseNone
			b.start(t)
		}
		t = next
	}
	b.waking = false
}

// withdraw takes a task that does not run yet out of what it waits in.
func (b *brain) withdraw(t *Task) {
	switch t.state.phase {
	case phaseDormant:
		b.tasks.dormant--
	case phaseRange:
		b.ranges.forget(t)
	}
	t.state.phase = phaseNone
}
