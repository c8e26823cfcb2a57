package lun_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// mover is a controller that moves data itself; a test says when it is done.
type mover struct {
	mu    sync.Mutex
	moves map[*lun.Task]lun.Move
}

func (m *mover) MoveData(t *lun.Task, what lun.Move) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moves[t] = what
}

// has answers what was admitted for a task.
func (m *mover) has(t *lun.Task) (lun.Move, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	what, ok := m.moves[t]
	return what, ok
}

// elsewhere submits a command of carol, whose port is on another controller,
// with so much data-out there.
func (f *fixture) elsewhere(m *mover, cdb []byte, gathered int) *lun.Task {
	task := command(carol, cdb, nil, 1<<20)
	task.Mover, task.Gathered, task.ExpectedOut = m, gathered, gathered
	f.submit(task)
	return task
}

func newMover() *mover { return &mover{moves: map[*lun.Task]lun.Move{}} }

// admitted is elsewhere for a command that must be admitted.
func (f *fixture) admitted(t *testing.T, m *mover, cdb []byte, gathered int) *lun.Task {
	t.Helper()
	task := f.elsewhere(m, cdb, gathered)
	if _, ok := m.has(task); !ok {
		t.Fatalf("%s was not admitted: %v, %v", name(cdb), task.Status, task.Sense)
	}
	return task
}

func TestACommandMovedElsewhereIsAdmittedAsAnyOther(t *testing.T) {
	f := setup(t, testConfig(), nil)
	m := newMover()
	if task := f.elsewhere(m, read10(0, 1), 0); task.Sense.Key != scsi.UnitAttention {
		t.Errorf("with a unit attention pending: %v, %v", task.Status, task.Sense)
	}
	f.clear(t, alice, carol)
	if task := f.elsewhere(m, read10(testBlocks, 1), 0); task.Sense.ASC != scsi.LBAOutOfRange {
		t.Errorf("beyond the end: %v, %v", task.Status, task.Sense)
	}
	register(t, f, alice, 1)
	f.good(t, alice, reserveOut(1, 3), scsi.ReserveOut{Key: 1}.Append(nil))
	if task := f.elsewhere(m, write10(0, 1), testBlock); task.Status != scsi.StatusReservationConflict {
		t.Errorf("against a reservation: %v, %v", task.Status, task.Sense)
	}
	if len(m.moves) != 0 {
		t.Errorf("%d of them were admitted", len(m.moves))
	}
}

func TestWhatIsMovedElsewhereIsToldExactly(t *testing.T) {
	f := ready(t, testConfig())
	for _, c := range []struct {
		name     string
		cdb      []byte
		gathered int
		want     lun.Move
	}{
		{"READ (10)", read10(5, 3), 0, lun.Move{LBA: 5, Blocks: 3}},
		{"WRITE (16)", write16(7, 2), 2 * testBlock, lun.Move{LBA: 7, Blocks: 2, Write: true}},
		{"WRITE (10) with FUA", cdb10(0x2A, 8, 9, 1), testBlock, lun.Move{LBA: 9, Blocks: 1, Write: true, Sync: true}},
		{"WRITE (10) of less than it calls for", write10(20, 4), testBlock, lun.Move{LBA: 20, Blocks: 1, Write: true}},
	} {
		m := newMover()
		task := f.admitted(t, m, c.cdb, c.gathered)
		if got, _ := m.has(task); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		if task.DataIn != nil {
			t.Errorf("%s: a buffer is held for it here", c.name)
		}
		f.unit.DataMoved(task, true)
		f.wait(t, task)
		if task.Status != scsi.StatusGood || task.NotServed {
			t.Errorf("%s ended with %v, not served %t", c.name, task.Status, task.NotServed)
		}
	}
}

func TestBlocksMovedElsewhereAreHeldUntilTheyHaveMoved(t *testing.T) {
	f := ready(t, testConfig())
	for _, c := range []struct {
		name      string
		elsewhere []byte
		gathered  int
		here      []byte
		out       []byte
		waits     bool
	}{
		{"read under write", write10(0, 8), 8 * testBlock, read10(7, 1), nil, true},
		{"write under write", write10(0, 8), 8 * testBlock, write10(7, 1), blocks('x', 1), true},
		{"write under read", read10(0, 8), 0, write10(7, 1), blocks('x', 1), true},
		{"read under read", read10(0, 8), 0, read10(7, 1), nil, false},
		{"write beside write", write10(0, 8), 8 * testBlock, write10(8, 1), blocks('x', 1), false},
	} {
		m := newMover()
		task := f.admitted(t, m, c.elsewhere, c.gathered)
		other := command(alice, c.here, c.out, 1<<20)
		f.submit(other)
		if f.isFinished(other) == c.waits {
			t.Errorf("%s: finished %t before the blocks have moved", c.name, !c.waits)
		}
		f.unit.DataMoved(task, true)
		f.wait(t, other)
		other.Release()
	}
}

func TestABlockHeldHereIsNotAdmittedElsewhere(t *testing.T) {
	f, g := slow(t, testConfig())
	f.start(alice, scsi.AttributeSimple, write10(0, 8), blocks('x', 8))
	g.expect(t, "write")
	m := newMover()
	task := f.elsewhere(m, read10(4, 1), 0)
	if _, early := m.has(task); early {
		t.Fatal("a read was admitted elsewhere while the blocks are written here")
	}
	g.pass <- struct{}{}
	for _, ok := m.has(task); !ok; _, ok = m.has(task) {
		time.Sleep(time.Millisecond)
	}
	f.unit.DataMoved(task, true)
	f.wait(t, task)
}

func TestDataOutForAMoveElsewhereIsAskedForAndStaysThere(t *testing.T) {
	f := ready(t, testConfig())
	f.hold = true
	m := newMover()
	task := command(carol, write10(0, 2), nil, 0)
	task.Mover, task.ExpectedOut = m, 2*testBlock
	f.submit(task)
	if len(f.asked) != 1 {
		t.Fatalf("data-out was asked for %d times", len(f.asked))
	}
	if _, early := m.has(task); early {
		t.Fatal("it was admitted before its data was there")
	}
	task.Gathered = 2 * testBlock
	f.unit.DataOutReceived(task)
	if _, ok := m.has(task); !ok {
		t.Fatal("it was not admitted")
	}
	f.unit.DataMoved(task, true)
	f.wait(t, task)
}

// Whatever ends the task, its blocks are given to others only when nobody
// moves them any more (S3).
func TestAbortingWhatMovesElsewhereKeepsItsBlocks(t *testing.T) {
	moved := false
	for _, c := range []struct {
		name string
		end  func(f *fixture, task *lun.Task)
	}{
		{"ABORT TASK", func(f *fixture, task *lun.Task) {
			f.unit.Manage(context.Background(), lun.Management{Function: scsi.AbortTask, Nexus: carol, Tag: task.Tag})
		}},
		{"LOGICAL UNIT RESET", func(f *fixture, _ *lun.Task) {
			f.unit.Manage(context.Background(), lun.Management{Function: scsi.LogicalUnitReset, Nexus: alice})
		}},
		{"loss of the nexus", func(f *fixture, _ *lun.Task) { f.unit.NexusLost(carol) }},
		{"loss of the port", func(f *fixture, _ *lun.Task) { f.unit.PortLost(carol.TargetPort) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := ready(t, testConfig())
			m := newMover()
			task := f.admitted(t, m, write10(0, 8), 8*testBlock)
			ended := make(chan struct{})
			go func() { defer close(ended); c.end(f, task) }()
			overlaps := command(bob, write10(0, 1), blocks('y', 1), 0)
			f.submit(overlaps)
			time.Sleep(20 * time.Millisecond)
			if f.isFinished(overlaps) && !overlaps.Aborted || f.isFinished(task) {
				t.Error("the blocks were given to another while they move")
			}
			f.unit.DataMoved(task, moved)
			f.wait(t, task)
			f.wait(t, overlaps)
			<-ended
			if !task.Aborted || task.NotServed {
				t.Errorf("the task ended with %v, not served %t", task.Status, task.NotServed)
			}
			moved = !moved // whether it had moved makes no difference
		})
	}
}

func TestWhatWasNotMovedIsRunElsewhere(t *testing.T) {
	f := ready(t, testConfig())
	m := newMover()
	task := f.admitted(t, m, write10(0, 1), testBlock)
	f.unit.DataMoved(task, false)
	if f.wait(t, task); !task.NotServed {
		t.Errorf("it ended with %v", task.Status)
	}
	f.unit.DataMoved(task, true) // does nothing
	f.good(t, alice, write10(0, 1), blocks('x', 1))
}

func TestNothingIsAdmittedElsewhereWithoutTheRight(t *testing.T) {
	f, g := slow(t, testConfig())
	f.start(alice, scsi.AttributeSimple, write10(0, 8), blocks('x', 8))
	g.expect(t, "write")
	m := newMover()
	task := f.elsewhere(m, write10(0, 1), testBlock)
	f.right.gone.Store(true)
	g.pass <- struct{}{}
	if f.wait(t, task); !task.NotServed || len(m.moves) != 0 {
		t.Errorf("it ended with %v, %d were admitted", task.Status, len(m.moves))
	}
}

func TestVacatingWaitsForWhatMovesElsewhereAndTurnsTheRestAway(t *testing.T) {
	f := ready(t, testConfig())
	m := newMover()
	task := f.admitted(t, m, write10(0, 8), 8*testBlock)
	waits := f.elsewhere(m, write10(0, 1), testBlock)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := f.unit.Vacate(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Vacate while blocks move: %v", err)
	}
	if !f.isFinished(waits) || !waits.NotServed {
		t.Error("a task that does not run was not turned away")
	}
	f.unit.Resume()
	overlaps := command(alice, read10(0, 1), nil, testBlock)
	f.submit(overlaps)
	if f.isFinished(overlaps) {
		t.Error("the blocks are not held any more")
	}
	vacated := make(chan error)
	go func() { vacated <- f.unit.Vacate(context.Background()) }()
	f.wait(t, overlaps)
	f.unit.DataMoved(task, true)
	if err := <-vacated; err != nil {
		t.Fatal(err)
	}
	if task.Status != scsi.StatusGood || task.NotServed {
		t.Errorf("it ended with %v, not served %t", task.Status, task.NotServed)
	}
}

func TestDeactivateDoesNotWaitForWhatMovesElsewhere(t *testing.T) {
	f := ready(t, testConfig())
	m := newMover()
	task := f.admitted(t, m, write10(0, 8), 8*testBlock)
	waits := command(alice, write10(0, 1), blocks('y', 1), 0)
	f.submit(waits)
	state := f.unit.Deactivate()
	for _, task := range []*lun.Task{task, waits} {
		if f.wait(t, task); !task.NotServed {
			t.Errorf("it ended with %v", task.Status)
		}
	}
	if !task.Uncertain || waits.Uncertain {
		t.Errorf("uncertain %t and %t, want it of the one that moves", task.Uncertain, waits.Uncertain)
	}
	f.unit.DataMoved(task, true) // does nothing
	if err := f.unit.Activate(f.device, f.right, state); err != nil {
		t.Fatal(err)
	}
	f.clear(t, alice)
	if got := f.good(t, alice, read10(0, 1), nil); !bytes.Equal(got, make([]byte, testBlock)) {
		t.Error("the task that waited has written")
	}
}

func TestOnlyPlainReadsAndWritesAreMovable(t *testing.T) {
	for op := range 256 {
		cdb := make([]byte, 16)
		cdb[0] = byte(op)
		want := bytes.IndexByte([]byte{0x08, 0x0A, 0x28, 0x2A, 0xA8, 0xAA, 0x88, 0x8A}, byte(op)) >= 0
		if lun.Movable(cdb) != want {
			t.Errorf("operation code %02Xh: movable %t", op, !want)
		}
	}
	if lun.Movable(nil) {
		t.Error("no CDB is movable")
	}
}
