package forward

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

const mib = 1 << 20

func pattern(n int, seed uint64) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(p) // never fails
	return p
}

// forwarded makes a unit on node 1 and a port on node 2 that reaches it.
func forwarded(t testing.TB, o options) (p *port, one, two *controller) {
	t.Helper()
	one, two = pair(t, o)
	one.diskUnit(t, "disk", 32*mib)
	p = newPort(t, two.Proxy("disk", 1, 7))
	return p, one, two
}

func TestACommandIsRunByThePrimary(t *testing.T) {
	p, _, _ := forwarded(t, options{})
	first := newTask(alice, make([]byte, 6), nil, 0)
	p.do(t, first)
	if first.Status != scsi.StatusCheckCondition || first.Sense.Key != scsi.UnitAttention || first.Sense.ASC != scsi.PowerOnOccurred {
		t.Errorf("first command: %v, %v", first.Status, first.Sense)
	}
	want := pattern(4096, 1)
	p.good(t, newTask(alice, write10(100, 8), want, 0))
	task := newTask(alice, read10(100, 8), nil, 4096)
	if got := p.good(t, task); !bytes.Equal(got, want) {
		t.Error("read differs from what was written")
	}
	if task.Transfer != 4096 {
		t.Errorf("transfer %d, want 4096", task.Transfer)
	}
	beyond := newTask(alice, read10(1<<30, 8), nil, 4096)
	p.do(t, beyond)
	if beyond.Status != scsi.StatusCheckCondition || beyond.Sense.ASC != scsi.LBAOutOfRange {
		t.Errorf("read past the end: %v, %v", beyond.Status, beyond.Sense)
	}
}

func TestDataInIsCutToWhatIsExpectedAndTransferIsNot(t *testing.T) {
	p, _, _ := forwarded(t, options{})
	p.clear(t, alice)
	for _, expected := range []int{0, 1, 512, 4096, 100000} {
		task := newTask(alice, read10(0, 8), nil, expected)
		if got := p.good(t, task); len(got) != min(expected, 4096) || task.Transfer != 4096 {
			t.Errorf("expected %d: %d bytes, transfer %d", expected, len(got), task.Transfer)
		}
	}
}

func TestDataOutBeyondWhatIsImmediateIsAskedFor(t *testing.T) {
	p, one, _ := forwarded(t, options{})
	p.clear(t, alice)
	for _, c := range []struct{ total, immediate int }{
		{4096, 0}, {4096, 512}, {4096, 4095}, {65536, 8192}, {mib, 0}, {4 * mib, 65536}, {8 * mib, 1},
	} {
		want := pattern(c.total, uint64(c.total+c.immediate))
		task := newTask(alice, write10(7, uint16(c.total/512)), want, 0)
		task.DataOut = want[:c.immediate]
		p.out[task] = want
		p.good(t, task)
		if n := p.askedFor(task); n != c.total {
			t.Errorf("%+v: asked for %d bytes", c, n)
		}
		if got := p.good(t, newTask(alice, read10(7, uint16(c.total/512)), nil, c.total)); !bytes.Equal(got, want) {
			t.Errorf("%+v: read differs", c)
		}
	}
	if s := one.pool.Stats(); s.Lent != 0 {
		t.Errorf("%d bytes lent", s.Lent)
	}
}

func TestManyCommandsOfManyUnitsInBothDirectionsAtOnce(t *testing.T) {
	one, two := pair(t, options{dataQueue: 20 * mib})
	var wg sync.WaitGroup
	for i := range 50 {
		primary, secondary := one, two
		if i%2 == 1 {
			primary, secondary = two, one
		}
		name := fmt.Sprintf("disk %d", i)
		primary.diskUnit(t, name, mib)
		p := newPort(t, secondary.Proxy(name, primary.id, 7))
		wg.Go(func() {
			p.clear(t, alice)
			r := rand.New(rand.NewPCG(uint64(i), 2))
			model := make([]byte, mib)
			for range 10 {
				lba, n := r.IntN(1000), 1+r.IntN(300)
				data := pattern(n*512, r.Uint64())
				task := newTask(alice, write10(uint32(lba), uint16(n)), data, 0)
				task.DataOut = data[:r.IntN(len(data)+1)]
				p.out[task] = data
				p.good(t, task)
				copy(model[lba*512:], data)
			}
			if !bytes.Equal(p.good(t, newTask(alice, read10(0, 2048), nil, mib)), model) {
				t.Errorf("%s differs from the model", name)
			}
		})
	}
	wg.Wait()
}

func TestAFullLinkQueueDelaysAnswersAndLosesNone(t *testing.T) {
	p, _, two := forwarded(t, options{dataQueue: 2 * mib})
	p.clear(t, alice)
	want := pattern(mib, 1)
	p.good(t, newTask(alice, write10(0, 2048), want, 0))
	var tasks []*lun.Task
	for range 50 {
		task := newTask(alice, read10(0, 2048), nil, mib)
		tasks = append(tasks, task)
		p.submit(task)
	}
	for _, task := range tasks {
		p.wait(t, task)
		if task.Status != scsi.StatusGood || task.NotServed || !bytes.Equal(task.DataIn.Bytes(), want) {
			t.Errorf("%v, not served %t", task.Status, task.NotServed)
		}
		task.Release()
	}
	if s := two.pool.Stats(); s.Lent != 0 {
		t.Errorf("%d bytes lent", s.Lent)
	}
}

func TestCommandsOfANexusArriveInOrder(t *testing.T) {
	one, two := pair(t, options{})
	slow := &slowUnit{}
	one.serve("slow", slow)
	p := newPort(t, two.Proxy("slow", 1, 7))
	for i := range 200 {
		p.submit(newTask(alice, []byte{0, 0, 0, 0, 0, byte(i)}, pattern(i*40, 1), 0))
	}
	for i := range 200 {
		task := slow.task(t, i)
		if task.CDB[5] != byte(i) || len(task.DataOut) != i*40 || task.Nexus != alice {
			t.Fatalf("task %d is %x with %d bytes of data-out", i, task.CDB, len(task.DataOut))
		}
		slow.complete(task)
	}
}

func TestWithoutALinkACommandIsNotServedAndNotUncertain(t *testing.T) {
	_, two := pair(t, options{})
	p := newPort(t, two.Proxy("disk", 5, 7))
	task := newTask(alice, make([]byte, 6), nil, 0)
	p.do(t, task)
	if !task.NotServed || task.Uncertain {
		t.Errorf("not served %t, uncertain %t", task.NotServed, task.Uncertain)
	}
	if r := p.unit.Manage(context.Background(), lun.Management{Function: scsi.LogicalUnitReset}); r != scsi.FunctionRejected {
		t.Errorf("Manage = %v", r)
	}
	p.unit.NexusLost(alice)
}

func TestAWrongEpochOrUnitIsNotServed(t *testing.T) {
	_, _, two := forwarded(t, options{})
	for _, u := range []lun.Unit{two.Proxy("disk", 1, 6), two.Proxy("disk", 1, 8), two.Proxy("other", 1, 7)} {
		p := newPort(t, u)
		for _, out := range [][]byte{nil, pattern(4096, 1)} {
			task := newTask(alice, write10(0, 8), out, 0)
			p.do(t, task)
			if !task.NotServed || task.Uncertain {
				t.Errorf("not served %t, uncertain %t", task.NotServed, task.Uncertain)
			}
		}
		if r := u.Manage(context.Background(), lun.Management{Function: scsi.LogicalUnitReset, Nexus: alice}); r != scsi.FunctionRejected {
			t.Errorf("Manage = %v", r)
		}
	}
}

func TestAPrimaryWithoutTheRightDoesNotServe(t *testing.T) {
	one, two := pair(t, options{})
	u := one.diskUnit(t, "disk", mib)
	u.Deactivate()
	p := newPort(t, two.Proxy("disk", 1, 7))
	task := newTask(alice, read10(0, 1), nil, 512)
	p.do(t, task)
	if !task.NotServed || task.DataIn != nil {
		t.Errorf("not served %t", task.NotServed)
	}
}

func TestALostLinkEndsEveryCommandAndTheNexusesAtThePrimary(t *testing.T) {
	one, two := pair(t, options{})
	slow := &slowUnit{}
	one.serve("slow", slow)
	p := newPort(t, two.Proxy("slow", 1, 7))
	var tasks []*lun.Task
	for i := range 20 {
		n := alice
		if i%2 == 1 {
			n = bob
		}
		task := newTask(n, write10(0, 8), pattern(4096, 1), 0)
		tasks = append(tasks, task)
		p.submit(task)
	}
	managed := make(chan scsi.FunctionResponse)
	slow.managing = make(chan struct{})
	slow.task(t, 19)
	go func() {
		managed <- p.unit.Manage(context.Background(), lun.Management{Function: scsi.AbortTaskSet, Nexus: bob})
	}()
	eventually(t, "the function arrives", func() bool { slow.mu.Lock(); defer slow.mu.Unlock(); return len(slow.managed) == 1 })

	two.link.Reset(1)
	for i, task := range tasks {
		if p.wait(t, task); !task.NotServed || !task.Uncertain {
			t.Errorf("task %d: not served %t, uncertain %t", i, task.NotServed, task.Uncertain)
		}
	}
	if !slices.Equal(p.order, tasks) {
		t.Error("the tasks did not end oldest first")
	}
	if r := <-managed; r != scsi.FunctionRejected {
		t.Errorf("Manage = %v", r)
	}
	eventually(t, "the primary loses both nexuses", func() bool { return slow.lostNexuses() == 2 })

	// And it goes on over a new link.
	var again *lun.Task
	eventually(t, "the new link takes a command", func() bool {
		again = newTask(alice, write10(0, 8), pattern(4096, 1), 0)
		p.submit(again)
		return !p.finished(again)
	})
	slow.complete(slow.task(t, 20))
	if p.wait(t, again); again.NotServed {
		t.Error("not served over the new link")
	}
}

func TestLosingTheLinkInTheMiddleOfTransfersLeavesNothingBehind(t *testing.T) {
	p, one, two := forwarded(t, options{dataQueue: 4 * mib})
	p.clear(t, alice)
	data := pattern(mib/2, 1)
	for round := range 8 {
		var tasks []*lun.Task
		for i := range 16 {
			task := newTask(alice, read10(0, 1024), nil, mib/2)
			if i%2 == 0 {
				task = newTask(alice, write10(0, 1024), data, 0)
				task.DataOut = data[:i*1000]
				p.mu.Lock()
				p.out[task] = data
				p.mu.Unlock()
			}
			tasks = append(tasks, task)
			p.submit(task)
		}
		time.Sleep(time.Duration(round) * time.Millisecond)
		if round%2 == 0 {
			one.link.Reset(2)
		} else {
			two.link.Reset(1)
		}
		for _, task := range tasks {
			p.wait(t, task)
			task.Release()
			if task.Status != scsi.StatusGood && !task.NotServed && task.Sense.Key != scsi.UnitAttention {
				t.Errorf("%v, %v", task.Status, task.Sense)
			}
		}
		p.wg.Wait()
		p.clear(t, alice)
	}
	p.good(t, newTask(alice, read10(0, 8), nil, 4096))
	eventually(t, "all memory is back", func() bool { return one.pool.Stats().Lent+two.pool.Stats().Lent == 0 })
}

func TestTaskManagementReachesThePrimary(t *testing.T) {
	p, _, _ := forwarded(t, options{})
	p.clear(t, alice, bob)
	p.hold.Store(true)
	waiting := func(n lun.Nexus) *lun.Task {
		task := newTask(n, write10(0, 8), nil, 0)
		task.ExpectedOut = 4096
		p.submit(task)
		eventually(t, "data-out is asked for", func() bool { return p.askedFor(task) == 4096 })
		return task
	}
	manage := func(f scsi.TaskManagementFunction, n lun.Nexus, tag uint64) scsi.FunctionResponse {
		ctx, cancel := context.WithTimeout(context.Background(), testWait)
		defer cancel()
		return p.unit.Manage(ctx, lun.Management{Function: f, Nexus: n, Tag: tag})
	}
	a, b := waiting(alice), waiting(bob)
	if r := manage(scsi.QueryTask, alice, a.Tag); r != scsi.FunctionSucceeded {
		t.Errorf("QUERY TASK = %v", r)
	}
	if r := manage(scsi.AbortTask, alice, a.Tag); r != scsi.FunctionComplete {
		t.Errorf("ABORT TASK = %v", r)
	}
	if !p.finished(a) || !a.Aborted {
		t.Error("the aborted task had not ended when the function had")
	}
	if p.finished(b) {
		t.Error("another task was aborted")
	}
	if r := manage(scsi.AbortTask, alice, a.Tag); r != scsi.TaskDoesNotExist {
		t.Errorf("ABORT TASK again = %v", r)
	}
	c := waiting(alice)
	if r := manage(scsi.LogicalUnitReset, alice, 0); r != scsi.FunctionComplete {
		t.Errorf("LOGICAL UNIT RESET = %v", r)
	}
	if !p.finished(b) || !p.finished(c) || !b.Aborted || !c.Aborted {
		t.Error("a reset left tasks")
	}
	// The port may only now have gathered what was asked for.
	a.DataOut = make([]byte, 4096)
	p.unit.DataOutReceived(a)
	p.clear(t, alice)
	p.good(t, newTask(alice, read10(0, 1), nil, 512))
}

func TestALostNexusIsLostAtThePrimary(t *testing.T) {
	one, two := pair(t, options{})
	slow := &slowUnit{}
	one.serve("slow", slow)
	p := newPort(t, two.Proxy("slow", 1, 7))
	a, b := newTask(alice, make([]byte, 6), nil, 0), newTask(bob, make([]byte, 6), nil, 0)
	p.submit(a)
	p.submit(b)
	slow.task(t, 1)
	// Also by who believes in an earlier epoch.
	two.Proxy("slow", 1, 6).NexusLost(alice)
	if p.wait(t, a); !a.Aborted {
		t.Error("the task of the lost nexus did not end as aborted")
	}
	if p.finished(b) || slow.lostNexuses() != 1 {
		t.Error("another nexus was lost")
	}
	slow.complete(slow.task(t, 1))
	p.wait(t, b)
}

func TestACommandAfterATaskManagementFunctionIsNotTouchedByIt(t *testing.T) {
	one, two := pair(t, options{})
	slow := &slowUnit{managing: make(chan struct{})}
	one.serve("slow", slow)
	p := newPort(t, two.Proxy("slow", 1, 7))
	managed := make(chan scsi.FunctionResponse)
	go func() {
		managed <- p.unit.Manage(context.Background(), lun.Management{Function: scsi.AbortTaskSet, Nexus: alice})
	}()
	eventually(t, "the function arrives", func() bool { slow.mu.Lock(); defer slow.mu.Unlock(); return len(slow.managed) == 1 })
	after := newTask(alice, make([]byte, 6), nil, 0)
	p.submit(after)
	other := &slowUnit{}
	one.serve("other", other)
	q := newPort(t, two.Proxy("other", 1, 7))
	behind := newTask(alice, make([]byte, 6), nil, 0)
	q.submit(behind)
	other.complete(other.task(t, 0)) // another unit is not held up
	q.wait(t, behind)
	if slow.count() != 0 {
		t.Error("the command overtook the function")
	}
	close(slow.managing)
	if r := <-managed; r != scsi.FunctionComplete {
		t.Errorf("Manage = %v", r)
	}
	slow.complete(slow.task(t, 0))
	p.wait(t, after)
}

func TestAFunctionThatTakesTooLongIsRejected(t *testing.T) {
	one, two := pair(t, options{})
	slow := &slowUnit{managing: make(chan struct{})}
	one.serve("slow", slow)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if r := two.Proxy("slow", 1, 7).Manage(ctx, lun.Management{Function: scsi.AbortTaskSet, Nexus: alice}); r != scsi.FunctionRejected {
		t.Errorf("Manage = %v", r)
	}
	close(slow.managing)
	eventually(t, "the primary is done", func() bool {
		p := one.peers[2]
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.managing == 0
	})
}

func TestTooManyCommandsEndWithTaskSetFull(t *testing.T) {
	one, two := pair(t, options{maxTasks: 3})
	slow := &slowUnit{}
	one.serve("slow", slow)
	p := newPort(t, two.Proxy("slow", 1, 7))
	for i := range 5 {
		task := newTask(alice, make([]byte, 6), nil, 0)
		p.submit(task)
		if i >= 3 {
			if p.wait(t, task); task.Status != scsi.StatusTaskSetFull {
				t.Errorf("task %d: %v", i, task.Status)
			}
		}
	}
	if r := p.unit.Manage(context.Background(), lun.Management{Function: scsi.QueryTask, Nexus: alice}); r != scsi.FunctionComplete {
		t.Errorf("a task management function beside a full task set: %v", r)
	}
	for i := range 3 {
		slow.complete(slow.task(t, i))
	}
}

func TestWithoutMemoryCommandsAreRefusedAndTheLinkStays(t *testing.T) {
	p, one, two := forwarded(t, options{pool: mib})
	p.clear(t, alice)
	hog1, hog2 := one.pool.Get(mib), two.pool.Get(mib)
	read := newTask(alice, read10(0, 8), nil, 4096)
	hog1.Release()
	p.do(t, read)
	if read.Status != scsi.StatusBusy {
		t.Errorf("data-in without memory here: %v", read.Status)
	}
	hog1 = one.pool.Get(mib)
	write := newTask(alice, write10(0, 8), pattern(4096, 1), 0)
	p.do(t, write)
	if write.Status != scsi.StatusTaskSetFull {
		t.Errorf("immediate data without memory there: %v", write.Status)
	}
	asking := newTask(alice, write10(0, 8), nil, 0)
	asking.ExpectedOut = 4096
	p.do(t, asking)
	if asking.Status != scsi.StatusTaskSetFull || asking.Aborted {
		t.Errorf("data-out to be asked for without memory there: %v, aborted %t", asking.Status, asking.Aborted)
	}
	hog1.Release()
	hog2.Release()
	p.good(t, newTask(alice, read10(0, 8), nil, 4096))
}

func TestSenseDataArrivesWhole(t *testing.T) {
	one, two := pair(t, options{})
	slow := &slowUnit{}
	one.serve("slow", slow)
	p := newPort(t, two.Proxy("slow", 1, 7))
	for i, sense := range []scsi.Sense{
		{Key: scsi.NotReady, ASC: 0x040A},
		{Key: scsi.MediumError, ASC: 0x1100, HasInformation: true, Information: 1 << 40, DescriptorFormat: true},
		{Key: scsi.IllegalRequest, ASC: scsi.InvalidFieldInCDB, HasField: true, Field: 7, HasBit: true, Bit: 3},
		{Key: scsi.IllegalRequest, ASC: 0x2600, HasField: true, Field: 300, FieldInData: true},
		{Key: scsi.NotReady, ASC: 0x0404, HasProgress: true, Progress: 1234},
	} {
		task := newTask(alice, make([]byte, 6), nil, 0)
		p.submit(task)
		far := slow.task(t, i)
		far.Status, far.Sense, far.Uncertain, far.Transfer = scsi.StatusCheckCondition, sense, true, 99
		slow.complete(far)
		p.wait(t, task)
		if task.Status != scsi.StatusCheckCondition || task.Sense != sense || !task.Uncertain || task.Transfer != 99 {
			t.Errorf("%+v arrived as %v, %+v", sense, task.Status, task.Sense)
		}
	}
}

// A SET TARGET PORT GROUPS that has begun a handover and comes back says so when
// it is sent again.
func TestAHandoverThatWasAskedForIsToldBothWays(t *testing.T) {
	one, two := pair(t, options{})
	slow := &slowUnit{}
	one.serve("slow", slow)
	p := newPort(t, two.Proxy("slow", 1, 7))
	task := newTask(alice, make([]byte, 12), nil, 0)
	for i, asked := range []bool{false, true} {
		p.submit(task)
		far := slow.task(t, i)
		if far.HandoverAsked != asked {
			t.Fatalf("run %d: asked is %t at the primary", i, far.HandoverAsked)
		}
		far.NotServed, far.HandoverAsked = true, true
		slow.complete(far)
		if p.wait(t, task); !task.NotServed || !task.HandoverAsked {
			t.Fatalf("run %d: not served %t, asked %t at the secondary", i, task.NotServed, task.HandoverAsked)
		}
	}
}

func TestWithdrawEndsWhatASilentPrimaryDoesNotAnswer(t *testing.T) {
	one, two := pair(t, options{})
	slow := &slowUnit{managing: make(chan struct{})}
	one.serve("slow", slow)
	other := &slowUnit{}
	one.serve("other", other)
	p, q := newPort(t, two.Proxy("slow", 1, 7)), newPort(t, two.Proxy("other", 1, 7))
	task, elsewhere := newTask(alice, read10(0, 8), nil, 4096), newTask(alice, read10(0, 8), nil, 4096)
	p.submit(task)
	q.submit(elsewhere)
	far := slow.task(t, 0)
	managed := make(chan scsi.FunctionResponse)
	go func() { managed <- p.unit.Manage(context.Background(), lun.Management{Function: scsi.QueryTask}) }()
	eventually(t, "the function arrives", func() bool { slow.mu.Lock(); defer slow.mu.Unlock(); return len(slow.managed) == 1 })

	two.Proxy("slow", 1, 6).Withdraw()
	if p.finished(task) {
		t.Error("a task of a later epoch was withdrawn")
	}
	two.Proxy("slow", 1, 7).Withdraw()
	if !p.finished(task) || !task.NotServed || !task.Uncertain {
		t.Error("the task was not withdrawn")
	}
	if r := <-managed; r != scsi.FunctionRejected {
		t.Errorf("Manage = %v", r)
	}
	if q.finished(elsewhere) || !two.up.Load() {
		t.Error("another unit was disturbed")
	}
	close(slow.managing)
	far.DataIn = one.pool.Get(4096)
	slow.complete(far) // too late, and ignored
	other.complete(other.task(t, 0))
	q.wait(t, elsewhere)
	if elsewhere.NotServed {
		t.Error("the other task was not served")
	}
}

func TestAProxyForNobodyPanics(t *testing.T) {
	f := New(nil, Config{Node: 2})
	for _, c := range []struct {
		name    string
		primary ha.NodeID
	}{{"disk", 0}, {"disk", 9}, {"disk", 2}, {string(make([]byte, MaxName+1)), 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Proxy(%d bytes, %d) did not panic", len(c.name), c.primary)
				}
			}()
			f.Proxy(c.name, c.primary, 1)
		}()
	}
}

func BenchmarkRead4K(b *testing.B) {
	for _, depth := range []int{1, 32} {
		b.Run(fmt.Sprintf("depth %d", depth), func(b *testing.B) {
			one, two := pair(b, options{})
			one.diskUnit(b, "disk", 32*mib)
			clear := newPort(b, two.Proxy("disk", 1, 7))
			clear.clear(b, alice)
			q := &queue{unit: two.Proxy("disk", 1, 7), done: make(chan *lun.Task, depth)}
			for i := range depth {
				q.done <- &lun.Task{Nexus: alice, Tag: uint64(i), CDB: read10(uint32(i*8), 8), ExpectedIn: 4096, Transport: q}
			}
			b.ReportAllocs()
			for b.Loop() {
				t := <-q.done
				if t.Status != scsi.StatusGood || t.NotServed {
					b.Fatalf("%v, not served %t", t.Status, t.NotServed)
				}
				t.Release()
				q.unit.Submit(t)
			}
			for range depth {
				(<-q.done).Release()
			}
		})
	}
}

// queue is a port that keeps some commands outstanding.
type queue struct {
	unit lun.Unit
	done chan *lun.Task
}

func (q *queue) ReceiveDataOut(*lun.Task, int) { panic("reads have no data-out") }
func (q *queue) CommandComplete(t *lun.Task)   { q.done <- t }
