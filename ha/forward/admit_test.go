package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// medium is a shared file as one controller has it open. It counts what is done
// to it, and can hold it up or let it fail.
type medium struct {
	block.Device
	reads, writes, syncs atomic.Int64
	fails                atomic.Bool
	entered              chan struct{} // a call waits
	gate                 atomic.Pointer[chan struct{}]
}

func openMedium(t testing.TB, path string) *medium {
	t.Helper()
	f, err := block.OpenFile(path, block.Options{Size: mib, Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &medium{Device: f, entered: make(chan struct{}, 1000)}
}

// hold has calls wait until the answer is closed.
func (m *medium) hold() chan struct{} {
	gate := make(chan struct{})
	m.gate.Store(&gate)
	return gate
}

func (m *medium) wait() error {
	if gate := m.gate.Load(); gate != nil {
		m.entered <- struct{}{}
		<-*gate
	}
	if m.fails.Load() {
		return errors.New("the path to the disk is gone")
	}
	return nil
}

func (m *medium) ReadAt(p []byte, at int64) error {
	m.reads.Add(1)
	if err := m.wait(); err != nil {
		return err
	}
	return m.Device.ReadAt(p, at)
}

func (m *medium) WriteAt(p []byte, at int64) error {
	m.writes.Add(1)
	if err := m.wait(); err != nil {
		return err
	}
	return m.Device.WriteAt(p, at)
}

func (m *medium) Sync() error {
	m.syncs.Add(1)
	return m.Device.Sync()
}

// both is a logical unit in mode 1: one serves it, two moves its own data.
type both struct {
	one, two   *controller
	unit       *lun.LogicalUnit
	here, far  *port // of one, and of two
	near       *medium
	remote     *medium
	local      *Local
	closeLocal func()
}

func active(t testing.TB, o options) *both {
	t.Helper()
	one, two := pair(t, o)
	path := filepath.Join(t.TempDir(), "disk")
	b := &both{one: one, two: two, near: openMedium(t, path), remote: openMedium(t, path)}
	b.unit = one.newUnit(t, "disk", b.near)
	b.local = NewLocal(b.remote, 512)
	b.closeLocal = sync.OnceFunc(b.local.Close)
	t.Cleanup(b.closeLocal)
	b.here, b.far = newPort(t, b.unit), newPort(t, two.Moving("disk", 1, 7, b.local))
	b.here.clear(t, carol)
	b.far.clear(t, alice, bob)
	return b
}

var carol = lun.Nexus{InitiatorPort: "iqn.2024-01.example:carol,i,0x000000000003", TargetPort: 3}

// counts are the reads and writes of the medium at the primary and at the
// secondary.
func (b *both) counts() [4]int64 {
	return [4]int64{b.near.reads.Load(), b.near.writes.Load(), b.remote.reads.Load(), b.remote.writes.Load()}
}

func TestTheSecondaryMovesItsOwnData(t *testing.T) {
	b := active(t, options{})
	b.far.good(t, newTask(alice, write10(8, 8), pattern(4096, 1), 0))
	if got := b.here.good(t, newTask(carol, read10(8, 8), nil, 4096)); !bytes.Equal(got, pattern(4096, 1)) {
		t.Error("the primary does not see what the secondary wrote")
	}
	b.here.good(t, newTask(carol, write10(8, 8), pattern(4096, 2), 0))
	if got := b.far.good(t, newTask(alice, read10(8, 8), nil, 4096)); !bytes.Equal(got, pattern(4096, 2)) {
		t.Error("the secondary does not see what the primary wrote")
	}
	if got, want := b.counts(), [4]int64{1, 1, 1, 1}; got != want {
		t.Errorf("reads and writes at the primary and at the secondary: %v, want %v", got, want)
	}
}

func TestWhatIsNoPlainReadOrWriteIsShipped(t *testing.T) {
	b := active(t, options{})
	b.far.good(t, newTask(alice, []byte{0x41, 0, 0, 0, 0, 4, 0, 0, 2, 0}, pattern(512, 3), 0)) // WRITE SAME (10)
	b.far.good(t, newTask(alice, []byte{0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, nil, 8))             // READ CAPACITY (10)
	if got := b.counts(); got[1] == 0 || got[2]+got[3] != 0 {
		t.Errorf("reads and writes at the primary and at the secondary: %v", got)
	}
	got := b.far.good(t, newTask(bob, read10(4, 2), nil, 1024))
	if !bytes.Equal(got, append(pattern(512, 3), pattern(512, 3)...)) {
		t.Error("the secondary does not see what was shipped")
	}
}

func TestSolicitedDataStaysAtTheSecondary(t *testing.T) {
	b := active(t, options{})
	data := pattern(64<<10, 4)
	task := newTask(alice, write10(0, 128), nil, 0)
	task.ExpectedOut, task.DataOut = len(data), data[:4096]
	b.far.out[task] = data
	b.far.good(t, task)
	if n := b.far.askedFor(task); n != len(data) {
		t.Errorf("asked for %d bytes", n)
	}
	if got := b.here.good(t, newTask(carol, read10(0, 128), nil, len(data))); !bytes.Equal(got, data) {
		t.Error("the data is not on the disk")
	}
	if got := b.counts(); got[1] != 0 || got[3] != 1 {
		t.Errorf("reads and writes at the primary and at the secondary: %v", got)
	}
}

func TestTheSecondaryMakesDurableWhatAsksForIt(t *testing.T) {
	b := active(t, options{})
	b.far.good(t, newTask(alice, write10(0, 1), pattern(512, 1), 0))
	if n := b.remote.syncs.Load(); n != 0 {
		t.Errorf("%d syncs for a plain write", n)
	}
	fua := write10(0, 1)
	fua[1] = 1 << 3
	b.far.good(t, newTask(alice, fua, pattern(512, 1), 0))
	if n := b.remote.syncs.Load(); n != 1 {
		t.Errorf("%d syncs at the secondary for a write with FUA", n)
	}
}

// What the secondary moves costs one round trip, however much it is, and one
// frame that nobody waits for. Data-out that must be asked for costs a second
// round trip, which the data does not cross either.
func TestAdmissionCostsOneRoundTrip(t *testing.T) {
	const n = 20
	solicited := func(b *both) *lun.Task {
		task := newTask(alice, write10(0, 128), nil, 0)
		task.ExpectedOut = 64 << 10
		b.far.out[task] = pattern(64<<10, 1)
		return task
	}
	for _, c := range []struct {
		name     string
		task     func(b *both) *lun.Task
		one, two map[uint8]int64 // frames, by kind
	}{
		{"read", func(*both) *lun.Task { return newTask(alice, read10(0, 128), nil, 64<<10) },
			map[uint8]int64{kindTicket: n}, map[uint8]int64{kindAdmit: n, kindMoved: n}},
		{"write", func(*both) *lun.Task { return newTask(alice, write10(0, 128), pattern(64<<10, 1), 0) },
			map[uint8]int64{kindTicket: n}, map[uint8]int64{kindAdmit: n, kindMoved: n}},
		{"write whose data is asked for", solicited,
			map[uint8]int64{kindReceive: n, kindTicket: n}, map[uint8]int64{kindAdmit: n, kindGathered: n, kindMoved: n}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := active(t, options{})
			one, two := b.one.sent(), b.two.sent()
			for range n {
				b.far.good(t, c.task(b))
			}
			for kind := range one {
				one[kind] = b.one.sent()[kind] - one[kind]
				two[kind] = b.two.sent()[kind] - two[kind]
				if one[kind] != c.one[uint8(kind)] || two[kind] != c.two[uint8(kind)] {
					t.Errorf("%d commands: %d frames of kind %d from the primary, want %d; from the secondary %d, want %d",
						n, one[kind], kind, c.one[uint8(kind)], two[kind], c.two[uint8(kind)])
				}
			}
		})
	}
}

func TestShortAndLongTransfersAreToldAsByThePrimary(t *testing.T) {
	b := active(t, options{})
	for _, c := range []struct {
		cdb []byte
		in  int
	}{{read10(0, 4), 512}, {read10(0, 4), 700}, {read10(0, 1), 4096}, {read10(0, 0), 512}} {
		want, got := newTask(carol, c.cdb, nil, c.in), newTask(alice, c.cdb, nil, c.in)
		b.here.submit(want)
		b.here.wait(t, want)
		b.far.submit(got)
		b.far.wait(t, got)
		if got.Status != want.Status || got.Transfer != want.Transfer || delivered(got) != delivered(want) {
			t.Errorf("%x for %d bytes: %v, transfer %d; the primary says %v, %d", c.cdb, c.in, got.Status, got.Transfer, want.Status, want.Transfer)
		}
		got.Release()
		want.Release()
	}
}

func TestThePrimaryRefusesForTheSecondary(t *testing.T) {
	b := active(t, options{})
	b.here.good(t, newTask(carol, []byte{0x16, 0, 0, 0, 0, 0}, nil, 0)) // RESERVE (6)
	for _, task := range []*lun.Task{newTask(alice, write10(0, 8), pattern(4096, 1), 0), newTask(alice, read10(0, 8), nil, 4096)} {
		if b.far.do(t, task); task.Status != scsi.StatusReservationConflict {
			t.Errorf("%x ended with %v", task.CDB, task.Status)
		}
	}
	b.unit.Attention(scsi.CapacityDataHasChanged, bob)
	task := newTask(bob, read10(0, 8), nil, 4096)
	if b.far.do(t, task); task.Sense.ASC != scsi.CapacityDataHasChanged {
		t.Errorf("with a unit attention pending: %v, %v", task.Status, task.Sense)
	}
	if got := b.counts(); got != [4]int64{} {
		t.Errorf("reads and writes at the primary and at the secondary: %v", got)
	}
}

// delivered is how much data-in the initiator gets.
func delivered(t *lun.Task) int {
	if t.DataIn == nil {
		return 0
	}
	return min(len(t.DataIn.Bytes()), t.ExpectedIn)
}

// moving has the secondary stand in the middle of a write of the first eight
// blocks, until the answer is closed.
func (b *both) moving(t testing.TB) (*lun.Task, chan struct{}) {
	t.Helper()
	gate := b.remote.hold()
	task := newTask(alice, write10(0, 8), pattern(4096, 1), 0)
	b.far.submit(task)
	<-b.remote.entered
	return task, gate
}

// overlaps submits a write at the primary that must wait.
func (b *both) overlaps(t testing.TB) *lun.Task {
	t.Helper()
	task := newTask(carol, write10(4, 1), pattern(512, 9), 0)
	b.here.submit(task)
	time.Sleep(20 * time.Millisecond)
	if b.here.finished(task) {
		t.Fatal("blocks that the secondary is writing were given to another")
	}
	return task
}

func TestAnOverlappingCommandWaitsUntilTheSecondaryHasMoved(t *testing.T) {
	b := active(t, options{})
	task, gate := b.moving(t)
	other := b.overlaps(t)
	close(gate)
	b.far.wait(t, task)
	b.here.wait(t, other)
	if got := b.here.good(t, newTask(carol, read10(4, 1), nil, 512)); !bytes.Equal(got, pattern(512, 9)) {
		t.Error("the later write is not the one on the disk")
	}
}

// The loss of the link alone never gives blocks away that the secondary may
// still be writing; that it is fenced does.
func TestBlocksOfALostSecondaryAreHeldUntilItIsOver(t *testing.T) {
	for _, c := range []struct {
		name string
		over func(b *both)
	}{
		{"fenced", func(b *both) { b.one.Lapse("disk", 2, 8) }},
		{"settled", func(b *both) { b.one.PeerSettled(2) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := active(t, options{})
			task, gate := b.moving(t)
			if n := b.one.Writing("disk", 2, 8); n != 1 {
				t.Errorf("%d writes are known, want 1", n)
			}
			b.two.link.Reset(1)
			eventually(t, "the nexuses are lost", func() bool { return b.one.lifeOf(2) > 0 })
			other := b.overlaps(t)
			b.one.Lapse("disk", 2, 7)    // of an earlier epoch
			b.one.Lapse("another", 2, 8) // of another unit
			b.one.Lapse("disk", 3, 8)    // of another controller
			time.Sleep(20 * time.Millisecond)
			if b.here.finished(other) {
				t.Fatal("blocks that the secondary is writing were given to another")
			}
			c.over(b)
			if b.here.wait(t, other); other.Status != scsi.StatusGood {
				t.Errorf("the other ended with %v, %v", other.Status, other.Sense)
			}
			close(gate)
			b.far.wait(t, task)
		})
	}
}

// lifeOf is how many links to a peer were lost.
func (c *controller) lifeOf(id int) uint64 {
	p := c.peers[id]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life
}

func TestASecondaryIsSettledWhenWhatItMovedOverAnEarlierLinkIsDone(t *testing.T) {
	b := active(t, options{})
	task, gate := b.moving(t)
	first := make(chan struct{})
	b.two.Settled(1, func() { close(first) })
	<-first // of this link nothing is earlier
	b.one.link.Reset(2)
	eventually(t, "a new link", func() bool { return b.two.lifeOf(1) == 1 && b.two.up.Load() })
	settled := make(chan struct{})
	b.two.Settled(1, func() { close(settled) })
	select {
	case <-settled:
		t.Fatal("it is settled while it writes")
	case <-time.After(20 * time.Millisecond):
	}
	close(gate)
	<-settled
	// The ticket lasts longer than the link did.
	if b.far.wait(t, task); task.Status != scsi.StatusGood || task.NotServed {
		t.Errorf("the write ended with %v, not served %t", task.Status, task.NotServed)
	}
	b.one.PeerSettled(2)
}

// The ticket must hold before the medium is touched, and when what was done
// counts (S4).
func TestATicketThatHasRunOutIsNotUsed(t *testing.T) {
	b := active(t, options{})
	b.one.lease.Store(1)
	b.far.good(t, newTask(alice, write10(0, 8), pattern(4096, 1), 0))
	if got := b.far.good(t, newTask(alice, read10(0, 8), nil, 4096)); !bytes.Equal(got, pattern(4096, 1)) {
		t.Error("another thing was read than was written")
	}
	if got, want := b.counts(), [4]int64{1, 1, 0, 0}; got != want {
		t.Errorf("reads and writes at the primary and at the secondary: %v, want %v", got, want)
	}
}

func TestWhatWasMovedAfterTheTicketRanOutDoesNotCount(t *testing.T) {
	b := active(t, options{})
	b.one.lease.Store(int64(50 * time.Millisecond))
	task, gate := b.moving(t)
	time.Sleep(60 * time.Millisecond)
	close(gate)
	if b.far.wait(t, task); task.Status != scsi.StatusGood || task.NotServed {
		t.Errorf("the write ended with %v, not served %t", task.Status, task.NotServed)
	}
	if got := b.counts(); got[1] != 1 {
		t.Error("the primary has not moved it")
	}
}

func TestWithoutATicketTheCommandIsShipped(t *testing.T) {
	b := active(t, options{})
	b.one.lease.Store(0)
	b.far.good(t, newTask(alice, write10(0, 8), pattern(4096, 1), 0))
	b.one.lease.Store(int64(testWait))
	b.closeLocal()
	b.far.good(t, newTask(alice, write10(8, 8), pattern(4096, 2), 0))
	if got, want := b.counts(), [4]int64{0, 2, 0, 0}; got != want {
		t.Errorf("reads and writes at the primary and at the secondary: %v, want %v", got, want)
	}
}

func TestWhatTheSecondaryCannotMoveThePrimaryDoes(t *testing.T) {
	b := active(t, options{})
	b.remote.fails.Store(true)
	b.far.good(t, newTask(alice, write10(0, 8), pattern(4096, 5), 0))
	if got := b.far.good(t, newTask(alice, read10(0, 8), nil, 4096)); !bytes.Equal(got, pattern(4096, 5)) {
		t.Error("another thing was read than was written")
	}
	if got, want := b.counts(), [4]int64{1, 1, 1, 1}; got != want {
		t.Errorf("reads and writes at the primary and at the secondary: %v, want %v", got, want)
	}
}

func TestClosingTheMediumWaitsForWhatUsesIt(t *testing.T) {
	b := active(t, options{})
	task, gate := b.moving(t)
	closed := make(chan struct{})
	go func() { defer close(closed); b.closeLocal() }()
	select {
	case <-closed:
		t.Fatal("it was closed in the middle of a write")
	case <-time.After(20 * time.Millisecond):
	}
	close(gate)
	<-closed
	b.far.wait(t, task)
}

func TestAWithdrawnCommandEndsWhenItsDataHasMoved(t *testing.T) {
	b := active(t, options{})
	task, gate := b.moving(t)
	b.far.unit.(*Proxy).Withdraw()
	if b.far.finished(task) {
		t.Error("the command ended while its data is moved")
	}
	close(gate)
	if b.far.wait(t, task); task.Status != scsi.StatusGood || task.NotServed {
		t.Errorf("it ended with %v, not served %t", task.Status, task.NotServed)
	}
	b.one.Lapse("disk", 2, 8) // as the fence would
}

func TestABrainThatStopsDoesNotWaitForTheSecondary(t *testing.T) {
	b := active(t, options{})
	task, gate := b.moving(t)
	b.unit.Deactivate()
	eventually(t, "the ticket is forgotten", func() bool { return b.one.Writing("disk", 2, 8) == 0 })
	if b.far.finished(task) {
		t.Error("the command ended while its data is moved")
	}
	close(gate)
	b.far.wait(t, task)
}

func TestAbortTaskWaitsForTheSecondary(t *testing.T) {
	b := active(t, options{})
	task, gate := b.moving(t)
	response := make(chan scsi.FunctionResponse)
	go func() {
		response <- b.far.unit.Manage(context.Background(), lun.Management{Function: scsi.AbortTask, Nexus: alice, Tag: task.Tag})
	}()
	select {
	case <-response:
		t.Fatal("the function was answered while the data is moved")
	case <-time.After(20 * time.Millisecond):
	}
	close(gate)
	if r := <-response; r != scsi.FunctionComplete {
		t.Errorf("ABORT TASK: %v", r)
	}
	if !b.far.finished(task) {
		t.Error("the function was answered before the task had ended")
	}
}

// An aborted task that could not be moved is not run again.
func TestAnAbortedTaskIsNotShippedAfterItsTicketWasReturned(t *testing.T) {
	b := active(t, options{})
	task, gate := b.moving(t)
	b.remote.fails.Store(true)
	response := make(chan scsi.FunctionResponse)
	go func() {
		response <- b.far.unit.Manage(context.Background(), lun.Management{Function: scsi.AbortTask, Nexus: alice, Tag: task.Tag})
	}()
	time.Sleep(50 * time.Millisecond)
	close(gate)
	if r := <-response; r != scsi.FunctionComplete {
		t.Errorf("ABORT TASK: %v", r)
	}
	if b.far.wait(t, task); !task.Aborted || b.near.writes.Load() != 0 {
		t.Errorf("aborted %t, writes at the primary %d", task.Aborted, b.near.writes.Load())
	}
}

// Reads see all of a write or nothing of it, whoever moves the data (S3).
func TestOverlappingCommandsOfBothControllersAreHeldApart(t *testing.T) {
	b := active(t, options{})
	ports := []*port{b.here, b.far, b.far}
	nexuses := []lun.Nexus{carol, alice, bob}
	var all sync.WaitGroup
	for i, p := range ports {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for n := range 150 {
				at := uint32(r.IntN(16))
				if r.IntN(2) == 0 {
					b.good(t, p, newTask(nexuses[i], write10(at, 16), bytes.Repeat([]byte{byte(i<<6 | n&63)}, 16*512), 0))
					continue
				}
				task := newTask(nexuses[i], read10(at, 1), nil, 512)
				if got := b.good(t, p, task); len(bytes.TrimLeft(got, string(got[:1]))) != 0 {
					t.Error("a read saw part of a write")
				}
			}
		})
	}
	all.Wait()
}

// good is port.good for any goroutine.
func (b *both) good(t testing.TB, p *port, task *lun.Task) []byte {
	in := p.do(t, task)
	if task.Status != scsi.StatusGood || task.NotServed || task.Aborted {
		t.Error(fmt.Errorf("%x ended with %v, %v, not served %t", task.CDB, task.Status, task.Sense, task.NotServed))
	}
	return in
}

func TestLosingTheLinkInTheMiddleOfMovesLeavesNothingBehind(t *testing.T) {
	b := active(t, options{})
	for round := range 6 {
		var tasks []*lun.Task
		for i := range 64 {
			cdb, out, in := write10(uint32(i), 4), pattern(2048, uint64(i)), 0
			if i%2 == 0 {
				cdb, out, in = read10(uint32(i), 4), nil, 2048
			}
			task := newTask(alice, cdb, out, in)
			tasks = append(tasks, task)
			b.far.submit(task)
		}
		if round%2 == 0 {
			b.one.link.Reset(2)
		} else {
			b.two.link.Reset(1)
		}
		for _, task := range tasks {
			b.far.wait(t, task)
			task.Release()
		}
		settled := make(chan struct{})
		eventually(t, "a new link", func() bool { return b.two.up.Load() && b.one.up.Load() })
		b.two.Settled(1, func() { close(settled) })
		<-settled
		b.one.PeerSettled(2)
		b.far.clear(t, alice)
	}
}

func TestDataInForACommandWhoseDataIsMovedHereBreaksTheProtocol(t *testing.T) {
	c, w, _ := alone(t)
	disk := &medium{Device: block.NewRamdisk(mib), entered: make(chan struct{}, 1)}
	gate := disk.hold()
	local := NewLocal(disk, 512)
	p := newPort(t, c.Moving("far", 2, 7, local))
	task := newTask(alice, read10(0, 8), nil, 4096)
	p.submit(task)
	deliver(c, ticketFrame(1, lun.Move{Blocks: 8}), nil)
	<-disk.entered
	deliver(c, link.Frame{Kind: kindComplete, Request: 1, Head: make([]byte, 9)}, make([]byte, 4096))
	close(gate)
	p.wait(t, task)
	task.Release()
	if w.resets == 0 {
		t.Error("the link was not reset")
	}
	local.Close()
	end(t, c, w)
}

func TestATicketForACommandThatHasEndedIsReturned(t *testing.T) {
	c, w, _ := alone(t)
	head, flags := appendTicket(nil, ticket{move: lun.Move{Blocks: 1, Write: true}, lease: time.Second})
	deliver(c, link.Frame{Kind: kindTicket, Flags: flags, Request: 99, Epoch: 7, Head: head}, nil)
	if f := w.last(t, kindMoved); f.Request != 99 || f.Flags != flagReturned {
		t.Errorf("answered with %+v", f)
	}
	end(t, c, w)
}
