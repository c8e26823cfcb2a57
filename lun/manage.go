package lun

import (
	"context"
	"sync/atomic"

	"github.com/tandem-san/tandem/scsi"
)

// Manage performs a task management function (SAM-6 §7); see Unit. It answers
// FUNCTION REJECTED while the unit is not active, and when ctx ends before the
// tasks it aborts have.
func (u *LogicalUnit) Manage(ctx context.Context, f Management) scsi.FunctionResponse {
	u.mu.Lock()
	b := u.brain
	if b == nil || b.stopping {
		u.mu.Unlock()
		return scsi.FunctionRejected
	}
	n := b.nexuses[f.Nexus]
	var response scsi.FunctionResponse
	w := &waiter{done: make(chan struct{})}
	reset := false
	switch f.Function {
	case scsi.AbortTask:
		response = b.abortTask(w, n, f.Tag)
	case scsi.AbortTaskSet:
		b.abortTasks(w, func(t *Task) bool { return t.state.nexus == n }, false)
	case scsi.ClearTaskSet:
		b.clearTaskSet(w, n)
	case scsi.LogicalUnitReset, scsi.TargetWarmReset, scsi.TargetColdReset:
		b.abortTasks(w, func(t *Task) bool { return t.state.nexus == n }, false)
		b.abortTasks(w, func(t *Task) bool { return t.state.nexus != n }, true)
		reset = true
	case scsi.ITNexusReset:
		b.abortTasks(w, func(t *Task) bool { return t.state.nexus == n }, false)
		b.lost(f.Nexus)
		if n != nil {
			n.attention(scsi.ITNexusLossOccurred)
		}
	case scsi.QueryTask:
		if n != nil && b.tasks.find(n, f.Tag) != nil {
			response = scsi.FunctionSucceeded
		}
	case scsi.QueryTaskSet:
		if n != nil && n.tasks > 0 {
			response = scsi.FunctionSucceeded
		}
	case scsi.QueryAsyncEvent:
		if n != nil && n.attentionCount > 0 {
			response = scsi.FunctionSucceeded
		}
	default:
		response = scsi.FunctionNotSupported
	}
	waiting := w.left > 0
	b.run()
	if waiting {
		select {
		case <-w.done:
		case <-ctx.Done():
			return scsi.FunctionRejected
		}
	}
	if reset {
		u.resetState()
	}
	if f.Function == scsi.ITNexusReset {
		u.dropReserve(f.Nexus)
	}
	return response
}

// abortTask is ABORT TASK (SAM-6 §7.2).
func (b *brain) abortTask(w *waiter, n *nexus, tag uint64) scsi.FunctionResponse {
	if n == nil {
		return scsi.TaskDoesNotExist
	}
	t := b.tasks.find(n, tag)
	if t == nil {
		return scsi.TaskDoesNotExist
	}
	b.abort(w, t, false)
	b.grantRanges()
	return scsi.FunctionComplete
}

// abortTasks aborts the tasks that match. With otherNexus the nexus of the
// tasks is not the one that asked, so that TASK ABORTED status is sent when
// the TAS bit is one.
func (b *brain) abortTasks(w *waiter, match func(*Task) bool, otherNexus bool) {
	b.waking = true // not before all are gone
	for t := b.tasks.oldest; t != nil; {
		next := t.state.newer
		if match(t) {
			b.abort(w, t, otherNexus && b.state.mode.TaskAbortedStatusSent)
		}
		t = next
	}
	b.waking = false
	b.wake()
	b.grantRanges()
}

// abort ends a task without effect, at once unless it runs: then it ends as
// aborted when it is done. w, when not nil, is told when it has completed.
func (b *brain) abort(w *waiter, t *Task, tas bool) {
	s := &t.state
	if w != nil {
		s.waiters = append(s.waiters, w)
		w.left++
	}
	if s.isAborted() {
		return
	}
	s.tas = tas
	atomic.StoreUint32(&s.aborted, 1)
	if s.phase < phaseExecuting {
		b.withdraw(t)
		b.complete(t)
	}
}

// clearTaskSet is CLEAR TASK SET (SAM-6 §7.5): it tells the other nexuses that
// lost tasks, by the status of the tasks or by a unit attention.
func (b *brain) clearTaskSet(w *waiter, by *nexus) {
	for t := b.tasks.oldest; t != nil; t = t.state.newer {
		if n := t.state.nexus; n != by && !b.state.mode.TaskAbortedStatusSent {
			n.attention(scsi.CommandsClearedByAnotherInitiator)
		}
	}
	b.abortTasks(w, func(t *Task) bool { return t.state.nexus == by }, false)
	b.abortTasks(w, func(t *Task) bool { return t.state.nexus != by }, true)
}

// NexusLost drops a nexus; see Unit. Its tasks that run end when they are
// done.
func (u *LogicalUnit) NexusLost(name Nexus) {
	u.mu.Lock()
	b := u.brain
	if b == nil || b.nexuses[name] == nil {
		u.mu.Unlock()
		return
	}
	b.loseNexus(b.nexuses[name])
	b.run()
	u.dropReserve(name)
}

// PortLost drops every nexus through a target port, which is gone with its
// controller.
func (u *LogicalUnit) PortLost(port uint16) {
	u.mu.Lock()
	b := u.brain
	if b == nil {
		u.mu.Unlock()
		return
	}
	var lost []Nexus
	for name, n := range b.nexuses {
		if name.TargetPort == port {
			lost = append(lost, name)
			b.loseNexus(n)
		}
	}
	b.run()
	for _, name := range lost {
		u.dropReserve(name)
	}
}

func (b *brain) loseNexus(n *nexus) {
	delete(b.nexuses, n.name)
	b.lost(n.name)
	b.abortTasks(nil, func(t *Task) bool { return t.state.nexus == n }, false)
}
