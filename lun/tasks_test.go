package lun_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// slow makes a fixture whose device waits at a gate.
func slow(t *testing.T, c lun.Config) (*fixture, *gate) {
	t.Helper()
	g := newGate(ramdisk(t, testBlocks*testBlock))
	f := setup(t, c, g)
	t.Cleanup(func() {
		if !g.open.Load() {
			g.openAll()
		}
	})
	f.clear(t, alice, bob, carol)
	return f, g
}

func (g *gate) expect(t *testing.T, what string) {
	t.Helper()
	select {
	case got := <-g.entered:
		if got != what {
			t.Fatalf("a %s came to the device, want a %s", got, what)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("no %s came to the device", what)
	}
}

// quiet fails when a call comes to the device within a short while.
func (g *gate) quiet(t *testing.T) {
	t.Helper()
	select {
	case got := <-g.entered:
		t.Fatalf("a %s came to the device", got)
	case <-time.After(20 * time.Millisecond):
	}
}

func (p *port) start(n lun.Nexus, attribute scsi.TaskAttribute, cdb, out []byte) *lun.Task {
	task := command(n, cdb, out, 1<<20)
	task.Attribute = attribute
	p.submit(task)
	return task
}

func manage(u lun.Unit, f scsi.TaskManagementFunction, n lun.Nexus, tag uint64) scsi.FunctionResponse {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return u.Manage(ctx, lun.Management{Function: f, Nexus: n, Tag: tag})
}

func TestAnOrderedTaskWaitsForOlderOnesAndHoldsYoungerOnes(t *testing.T) {
	f, g := slow(t, testConfig())
	first := f.start(alice, scsi.AttributeSimple, read10(0, 1), nil)
	g.expect(t, "read")
	ordered := f.start(alice, scsi.AttributeOrdered, write10(10, 1), blocks('a', 1))
	younger := f.start(bob, scsi.AttributeSimple, read10(20, 1), nil)
	g.quiet(t)
	head := f.start(bob, scsi.AttributeHeadOfQueue, read10(30, 1), nil)
	g.expect(t, "read")
	g.pass <- struct{}{}
	g.pass <- struct{}{}
	f.wait(t, first)
	f.wait(t, head)
	g.expect(t, "write")
	g.quiet(t)
	g.pass <- struct{}{}
	f.wait(t, ordered)
	g.expect(t, "read")
	g.pass <- struct{}{}
	f.wait(t, younger)
	for _, task := range []*lun.Task{first, head, younger} {
		task.Release()
	}
}

func TestSimpleTasksRunAtTheSameTime(t *testing.T) {
	f, g := slow(t, testConfig())
	var tasks []*lun.Task
	for i := range uint32(8) {
		tasks = append(tasks, f.start(alice, scsi.AttributeSimple, read10(i, 1), nil))
	}
	for range tasks {
		g.expect(t, "read")
	}
	g.openAll()
	for _, task := range tasks {
		f.wait(t, task)
		task.Release()
	}
}

func TestOverlappingWritesAreHeldApart(t *testing.T) {
	f, g := slow(t, testConfig())
	read1 := f.start(alice, scsi.AttributeSimple, read10(0, 8), nil)
	g.expect(t, "read")
	write := f.start(bob, scsi.AttributeSimple, write10(7, 8), blocks('w', 8))
	read2 := f.start(alice, scsi.AttributeSimple, read10(14, 4), nil)
	g.quiet(t)
	apart := f.start(alice, scsi.AttributeSimple, read10(15, 4), nil)
	g.expect(t, "read")
	g.pass <- struct{}{}
	g.pass <- struct{}{}
	f.wait(t, read1)
	f.wait(t, apart)
	g.expect(t, "write")
	g.quiet(t)
	g.pass <- struct{}{}
	f.wait(t, write)
	g.expect(t, "read")
	g.pass <- struct{}{}
	f.wait(t, read2)
	if !bytes.HasPrefix(read2.DataIn.Bytes(), blocks('w', 1)) {
		t.Error("a read that came after a write did not see it")
	}
	for _, task := range []*lun.Task{read1, read2, apart} {
		task.Release()
	}
}

func TestTheRangeOfAnAbortedTaskIsFreeForOthers(t *testing.T) {
	f, g := slow(t, testConfig())
	first := f.start(alice, scsi.AttributeSimple, read10(0, 8), nil)
	g.expect(t, "read")
	write := f.start(alice, scsi.AttributeSimple, write10(0, 8), blocks('w', 8))
	second := f.start(bob, scsi.AttributeSimple, read10(0, 8), nil)
	g.quiet(t)
	if r := manage(f.unit, scsi.AbortTask, alice, write.Tag); r != scsi.FunctionComplete || !write.Aborted {
		t.Errorf("ABORT TASK: %d, aborted is %t", r, write.Aborted)
	}
	g.expect(t, "read")
	g.openAll()
	for _, task := range []*lun.Task{first, second} {
		f.wait(t, task)
		task.Release()
	}
}

func TestUnmapHoldsAllThatItNames(t *testing.T) {
	f, g := slow(t, testConfig())
	list := scsi.AppendUnmap(nil, []scsi.Extent{{LBA: 20, Count: 1}, {LBA: 0, Count: 1}})
	task := f.start(alice, scsi.AttributeSimple, unmap(len(list)), list)
	g.expect(t, "zero")
	reads := []*lun.Task{f.start(bob, scsi.AttributeSimple, read10(0, 1), nil), f.start(bob, scsi.AttributeSimple, read10(20, 1), nil)}
	g.quiet(t)
	g.openAll()
	f.wait(t, task)
	for _, r := range reads {
		f.wait(t, r)
		r.Release()
	}
}

// torn is a device that is not atomic: a write and a read go byte by byte and
// yield, so that overlapping calls would show.
type torn struct{ block.Device }

func (d torn) Attributes() block.Attributes { return block.Attributes{Blocks: true, Alignment: 1} }

func (d torn) pieces(p []byte, off int64, call func([]byte, int64) error) error {
	for i := 0; i < len(p); i += testBlock {
		if err := call(p[i:i+testBlock], off+int64(i)); err != nil {
			return err
		}
		time.Sleep(time.Microsecond)
	}
	return nil
}

func (d torn) ReadAt(p []byte, off int64) error  { return d.pieces(p, off, d.Device.ReadAt) }
func (d torn) WriteAt(p []byte, off int64) error { return d.pieces(p, off, d.Device.WriteAt) }

func TestAReadSeesAllOfAWriteOrNothing(t *testing.T) {
	f := setup(t, testConfig(), torn{ramdisk(t, testBlocks*testBlock)})
	f.clear(t, alice)
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range 60 {
				// Writes cover whole stripes of 8 blocks; a read within a
				// stripe must find it in one colour.
				stripe := uint32(r.IntN(4)) * 8
				if w%2 == 0 {
					f.good(t, alice, write10(stripe, 8), blocks(byte(w*60+i), 8))
					continue
				}
				got := f.good(t, alice, read10(stripe+1, 6), nil)
				if !bytes.Equal(got, bytes.Repeat(got[:1], len(got))) {
					t.Error("a read saw half of a write")
				}
			}
		})
	}
	wg.Wait()
}

func TestTooManyTasksEndInTaskSetFull(t *testing.T) {
	c := testConfig()
	c.MaxTasks = 2
	f, g := slow(t, c)
	a := f.start(alice, scsi.AttributeSimple, read10(0, 1), nil)
	b := f.start(bob, scsi.AttributeSimple, read10(0, 1), nil)
	f.status(t, alice, testUnitReady(), nil, scsi.StatusTaskSetFull)
	g.openAll()
	for _, task := range []*lun.Task{a, b} {
		f.wait(t, task)
		task.Release()
	}
	f.good(t, alice, testUnitReady(), nil)
}

func TestTooManyBusyNexusesEndInBusy(t *testing.T) {
	c := testConfig()
	c.MaxNexuses = 1
	f := setup(t, c, nil)
	f.clear(t, alice)
	f.clear(t, bob) // alice is idle, and forgotten
	f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.PowerOnOccurred)
	f.hold = true
	task := command(alice, write10(0, 1), nil, 0)
	task.ExpectedOut = testBlock
	f.submit(task)
	f.status(t, bob, testUnitReady(), nil, scsi.StatusBusy)
	f.unit.NexusLost(alice)
	f.bad(t, bob, testUnitReady(), nil, scsi.UnitAttention, scsi.PowerOnOccurred)
}

func TestATagUsedTwiceAbortsTheTasksOfTheNexus(t *testing.T) {
	f := ready(t, testConfig())
	f.hold = true
	first := command(alice, write10(0, 1), nil, 0)
	first.ExpectedOut = testBlock
	f.submit(first)
	second := command(alice, testUnitReady(), nil, 0)
	second.Tag = first.Tag
	f.submit(second)
	f.wait(t, first)
	f.wait(t, second)
	if !first.Aborted || second.Sense.ASC != scsi.OverlappedCommandsAttempted {
		t.Errorf("aborted is %t, and the second ended with %v", first.Aborted, second.Sense)
	}
	third := command(bob, testUnitReady(), nil, 0)
	third.Tag = first.Tag
	f.submit(third)
	if third.Status != scsi.StatusGood {
		t.Errorf("the tag of another nexus: %v", third.Sense)
	}
}

func TestAbortTaskEndsATaskThatWaitsForData(t *testing.T) {
	f := ready(t, testConfig())
	f.hold = true
	task := command(alice, write10(0, 1), nil, 0)
	task.ExpectedOut = testBlock
	f.submit(task)
	if r := manage(f.unit, scsi.QueryTask, alice, task.Tag); r != scsi.FunctionSucceeded {
		t.Errorf("QUERY TASK: %d", r)
	}
	if r := manage(f.unit, scsi.AbortTask, bob, task.Tag); r != scsi.TaskDoesNotExist {
		t.Errorf("ABORT TASK by another nexus: %d", r)
	}
	if r := manage(f.unit, scsi.AbortTask, alice, task.Tag); r != scsi.FunctionComplete || !f.isFinished(task) || !task.Aborted {
		t.Errorf("ABORT TASK: %d, aborted is %t", r, task.Aborted)
	}
	task.DataOut = blocks('x', 1)
	f.unit.DataOutReceived(task) // comes too late, and does nothing
	if r := manage(f.unit, scsi.AbortTask, alice, task.Tag); r != scsi.TaskDoesNotExist {
		t.Errorf("ABORT TASK again: %d", r)
	}
	if r := manage(f.unit, scsi.QueryTask, alice, task.Tag); r != scsi.FunctionComplete {
		t.Errorf("QUERY TASK: %d", r)
	}
	if got := f.good(t, alice, read10(0, 1), nil); !bytes.Equal(got, blocks(0, 1)) {
		t.Error("an aborted write wrote")
	}
}

func TestAbortTaskWaitsForATaskThatRuns(t *testing.T) {
	f, g := slow(t, testConfig())
	task := f.start(alice, scsi.AttributeSimple, write10(0, 1), blocks('x', 1))
	g.expect(t, "write")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if r := f.unit.Manage(ctx, lun.Management{Function: scsi.AbortTask, Nexus: alice, Tag: task.Tag}); r != scsi.FunctionRejected {
		t.Errorf("ABORT TASK of a task that runs: %d before the task ended", r)
	}
	answer := make(chan scsi.FunctionResponse)
	go func() { answer <- manage(f.unit, scsi.AbortTask, alice, task.Tag) }()
	g.quiet(t)
	g.pass <- struct{}{}
	if r := <-answer; r != scsi.FunctionComplete && r != scsi.TaskDoesNotExist {
		t.Errorf("ABORT TASK: %d", r)
	}
	f.wait(t, task)
	if !task.Aborted {
		t.Errorf("the task ended with %v", task.Status)
	}
}

func TestAbortTaskSetEndsOnlyTheTasksOfTheNexus(t *testing.T) {
	f := ready(t, testConfig())
	f.hold = true
	tasks := map[*lun.Task]bool{}
	for _, n := range []lun.Nexus{alice, alice, bob} {
		task := command(n, write10(0, 1), nil, 0)
		task.ExpectedOut = testBlock
		f.submit(task)
		tasks[task] = n == alice
	}
	if r := manage(f.unit, scsi.QueryTaskSet, alice, 0); r != scsi.FunctionSucceeded {
		t.Errorf("QUERY TASK SET: %d", r)
	}
	if r := manage(f.unit, scsi.AbortTaskSet, alice, 0); r != scsi.FunctionComplete {
		t.Errorf("ABORT TASK SET: %d", r)
	}
	if r := manage(f.unit, scsi.QueryTaskSet, alice, 0); r != scsi.FunctionComplete {
		t.Errorf("QUERY TASK SET: %d", r)
	}
	for task, want := range tasks {
		if f.isFinished(task) != want || task.Aborted != want {
			t.Errorf("task of %s: finished %t, aborted %t", task.Nexus.InitiatorPort, f.isFinished(task), task.Aborted)
		}
	}
}

func TestClearTaskSetTellsTheOtherNexuses(t *testing.T) {
	for _, tas := range []bool{false, true} {
		f := ready(t, testConfig())
		if tas {
			list := []byte{0, 0, 0, 0, 0x0A, 0x0A, 0x02, 0x10, 0, 0x40, 0, 0, 0xFF, 0xFF, 0, 0}
			f.good(t, alice, []byte{0x15, 0x10, 0, 0, byte(len(list)), 0}, list)
			f.clear(t, bob, carol)
		}
		f.hold = true
		mine, other := command(alice, write10(0, 1), nil, 0), command(bob, write10(0, 1), nil, 0)
		for _, task := range []*lun.Task{mine, other} {
			task.ExpectedOut = testBlock
			f.submit(task)
		}
		if r := manage(f.unit, scsi.ClearTaskSet, alice, 0); r != scsi.FunctionComplete {
			t.Errorf("CLEAR TASK SET: %d", r)
		}
		if !mine.Aborted || other.Aborted == tas || tas != (other.Status == scsi.StatusTaskAborted) {
			t.Errorf("TAS %t: own task aborted %t, other's aborted %t with %v", tas, mine.Aborted, other.Aborted, other.Status)
		}
		f.hold = false
		if tas {
			f.good(t, bob, testUnitReady(), nil)
		} else {
			f.bad(t, bob, testUnitReady(), nil, scsi.UnitAttention, scsi.CommandsClearedByAnotherInitiator)
		}
		f.good(t, carol, testUnitReady(), nil)
		f.good(t, alice, testUnitReady(), nil)
	}
}

func TestALogicalUnitResetEndsEverythingAndTellsEveryone(t *testing.T) {
	f := ready(t, testConfig())
	page := append([]byte{0, 0, 0, 0, 0x08, 0x12, 0}, make([]byte, 17)...)
	f.good(t, alice, []byte{0x15, 0x10, 0, 0, byte(len(page)), 0}, page)
	f.clear(t, bob, carol)
	f.good(t, alice, []byte{0x16, 0, 0, 0, 0, 0}, nil)
	f.hold = true
	task := command(alice, write10(0, 1), nil, 0)
	task.ExpectedOut = testBlock
	f.submit(task)
	if r := manage(f.unit, scsi.LogicalUnitReset, bob, 0); r != scsi.FunctionComplete || !task.Aborted {
		t.Errorf("LOGICAL UNIT RESET: %d, aborted is %t", r, task.Aborted)
	}
	for _, n := range []lun.Nexus{alice, bob, carol} {
		f.bad(t, n, testUnitReady(), nil, scsi.UnitAttention, scsi.BusDeviceResetFunctionOccurred)
	}
	f.good(t, bob, []byte{0x16, 0, 0, 0, 0, 0}, nil)
	if got := f.good(t, bob, []byte{0x1A, 0x08, 0x08, 0, 255, 0}, nil); got[6]&0x04 == 0 {
		t.Error("the write cache is not on again")
	}
}

func TestANexusThatIsLostLosesItsTasksAndItsReserve(t *testing.T) {
	f := ready(t, testConfig())
	f.good(t, alice, []byte{0x16, 0, 0, 0, 0, 0}, nil)
	f.status(t, bob, testUnitReady(), nil, scsi.StatusReservationConflict)
	f.hold = true
	task := command(alice, write10(0, 1), nil, 0)
	task.ExpectedOut = testBlock
	f.submit(task)
	f.unit.NexusLost(alice)
	f.wait(t, task)
	if !task.Aborted {
		t.Errorf("the task ended with %v", task.Status)
	}
	f.good(t, bob, testUnitReady(), nil)
	f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.PowerOnOccurred)
	if r := manage(f.unit, scsi.ITNexusReset, alice, 0); r != scsi.FunctionComplete {
		t.Errorf("I_T NEXUS RESET: %d", r)
	}
	f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.ITNexusLossOccurred)
	f.unit.PortLost(alice.TargetPort)
	f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.PowerOnOccurred)
	f.bad(t, bob, testUnitReady(), nil, scsi.UnitAttention, scsi.PowerOnOccurred)
	f.good(t, carol, testUnitReady(), nil)
	if r := manage(f.unit, scsi.TaskReassign, alice, 0); r != scsi.FunctionNotSupported {
		t.Errorf("TASK REASSIGN: %d", r)
	}
}
