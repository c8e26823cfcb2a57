package lun

import (
	"context"
	"fmt"

	"github.com/tandem-san/tandem/scsi"
)

// Mover moves the data of a task between the initiator and the medium in place
// of the logical unit. It is what a port on another controller that has the
// same medium open does: the brain admits the command, the port moves the data.
type Mover interface {
	// MoveData tells that the task may run: it has passed the gate and its
	// logical blocks are held, shared for a read and exclusively for a write,
	// until LogicalUnit.DataMoved is called, whatever becomes of the task
	// meanwhile. It does not wait; it may call DataMoved itself. It is not
	// called for a task that ends without touching the medium.
	MoveData(t *Task, m Move)
}

// Move is the data that a task moves.
type Move struct {
	// LBA and Blocks are the logical blocks, at least one.
	LBA, Blocks uint64
	// Write: to the medium. Sync: and made durable there before the status.
	Write, Sync bool
}

// Movable reports whether the data of a command can be moved elsewhere: READ
// and WRITE (6), (10), (12), (16).
func Movable(cdb []byte) bool {
	id, _ := scsi.Lookup(cdb)
	return handlers[id].moves
}

// BlockSize is the logical block length in bytes.
func (u *LogicalUnit) BlockSize() int { return u.config.BlockSize }

// have is how much data-out of the task has arrived, here or where it is
// moved.
func (t *Task) have() int {
	if t.Mover != nil {
		return t.Gathered
	}
	return len(t.DataOut)
}

// move hands the task to its Mover. As with receive, the task does not end
// before the call has returned; the lock is released meanwhile.
func (b *brain) move(t *Task) {
	s := &t.state
	if b.draining {
		t.notServed()
	}
	if t.NotServed || !b.mayTouch(t) {
		b.finish(t)
		return
	}
	s.phase, s.calling = phaseMoving, true
	m := Move{LBA: s.lba, Blocks: s.end - s.lba, Write: s.exclusive, Sync: s.sync}
	b.unit.mu.Unlock()
	t.Mover.MoveData(t, m)
	b.unit.mu.Lock()
	s.calling = false
	if s.later {
		s.later = false
		b.queue(t, s.action)
	}
}

// DataMoved ends a task whose Mover has been told to move its data: moved says
// that all of it was, and that its effect is visible on every controller;
// otherwise the task ends with NotServed. It must be called only when the
// Mover will certainly not touch the medium any more. For a task that has
// completed meanwhile, because the brain was stopped, it does nothing.
func (u *LogicalUnit) DataMoved(t *Task, moved bool) {
	u.mu.Lock()
	b := u.brain
	if b == nil || t.state.phase != phaseMoving {
		u.mu.Unlock()
		return
	}
	if !moved {
		t.notServed()
	}
	b.finish(t)
	b.run()
}

// Vacate makes the brain ready to move: new tasks end with NotServed, as do at
// once those that do not run yet, and those that run, here or at a Mover, are
// waited for. With the error of the context the unit goes on turning tasks
// away until Resume or Deactivate. On a unit that is not active it does
// nothing.
func (u *LogicalUnit) Vacate(ctx context.Context) error {
	u.mu.Lock()
	b := u.brain
	if b == nil {
		u.mu.Unlock()
		return nil
	}
	b.drain()
	b.turnAway()
	idle := b.whenIdle()
	b.run()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("vacating logical unit %s: %w", u.config.Name, ctx.Err())
	}
}

// turnAway ends the tasks that do not run yet.
func (b *brain) turnAway() {
	b.turnAwayIf(func(t *Task) bool { return t.state.phase < phaseExecuting })
}

func (b *brain) turnAwayIf(match func(*Task) bool) {
	b.waking = true
	for t := b.tasks.oldest; t != nil; {
		next := t.state.newer
		if match(t) {
			b.withdraw(t)
			t.notServed()
			b.complete(t)
		}
		t = next
	}
	b.waking = false
}

// forsake ends the tasks whose data is being moved elsewhere, without waiting
// for word. Their blocks stay held for as long as this brain lives.
func (b *brain) forsake() {
	for t := b.tasks.oldest; t != nil; {
		next := t.state.newer
		if t.state.phase == phaseMoving {
			t.notServed()
			b.complete(t)
		}
		t = next
	}
}
