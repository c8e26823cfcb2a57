package copymanager_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/lun/copymanager"
	"github.com/tandem-san/tandem/scsi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	blocks    = 4096
	blockSize = 512
	port      = 3
)

var (
	alice = lun.Nexus{InitiatorPort: "iqn.2024-01.example:alice,i,0x000000000001", TargetPort: port}
	bob   = lun.Nexus{InitiatorPort: "iqn.2024-01.example:bob,i,0x000000000002", TargetPort: port}
)

type always struct{}

func (always) Valid() bool { return true }

// gate is a device whose writes wait while it is shut.
type gate struct {
	block.Device
	shut    atomic.Bool
	entered chan struct{}
	pass    chan struct{}
	writes  atomic.Int64
}

func (g *gate) WriteAt(p []byte, off int64) error {
	if g.shut.Load() {
		g.entered <- struct{}{}
		<-g.pass
	}
	g.writes.Add(1)
	return g.Device.WriteAt(p, off)
}

func (g *gate) Attributes() block.Attributes {
	a := g.Device.Attributes()
	a.Blocks = true
	return a
}

// disk is a logical unit with the copy manager before it.
type disk struct {
	*copymanager.Unit
	lu     *lun.LogicalUnit
	device *gate
	id     scsi.Identity
}

// array is a controller with a few logical units; all but the last are seen
// through the port.
type array struct {
	t       testing.TB
	manager *copymanager.Manager
	pool    *block.Pool
	disks   []*disk
}

func newArray(t testing.TB, sizes ...int) *array {
	t.Helper()
	a := &array{t: t, pool: block.NewPool(64 << 20)}
	a.manager = copymanager.New(a.pool, slog.New(slog.NewTextHandler(io.Discard, nil)))
	var seen []*copymanager.Unit
	for i, bs := range sizes {
		id := scsi.Identify("beast", "disk", uint16(i))
		c := lun.Config{Name: "disk", Identity: id, Pool: a.pool, BlockSize: bs, ThirdPartyCopy: true}
		lu, err := lun.New(c)
		if err != nil {
			t.Fatal(err)
		}
		g := &gate{Device: block.NewRamdisk(blocks * blockSize), entered: make(chan struct{}, 100), pass: make(chan struct{})}
		if err := lu.Activate(g, always{}, lun.State{}); err != nil {
			t.Fatal(err)
		}
		d := &disk{Unit: a.manager.Unit(lu, c.Designators(), bs), lu: lu, device: g, id: id}
		a.disks = append(a.disks, d)
		if i < len(sizes)-1 {
			seen = append(seen, d.Unit)
		}
	}
	a.manager.SetPorts(map[uint16][]*copymanager.Unit{port: seen})
	t.Cleanup(func() {
		a.manager.Close()
		for _, d := range a.disks {
			d.lu.Deactivate()
			d.device.Close()
		}
		if s := a.pool.Stats(); s.Lent != 0 {
			t.Errorf("%d bytes of buffers are still on loan", s.Lent)
		}
	})
	for _, d := range a.disks {
		for _, n := range []lun.Nexus{alice, bob} {
			for a.do(d, n, make([]byte, 6), nil).Status != scsi.StatusGood {
			}
		}
	}
	return a
}

// transport waits for the end of a task.
type transport struct {
	once sync.Once
	done chan struct{}
}

func (c *transport) ReceiveDataOut(*lun.Task, int) { panic("all data-out was there") }
func (c *transport) CommandComplete(*lun.Task)     { c.once.Do(func() { close(c.done) }) }

var tags atomic.Uint64

func (a *array) submit(d *disk, n lun.Nexus, cdb, out []byte) (*lun.Task, *transport) {
	c := &transport{done: make(chan struct{})}
	t := &lun.Task{Nexus: n, Tag: tags.Add(1), CDB: cdb, Attribute: scsi.AttributeSimple, DataOut: out, ExpectedOut: len(out), ExpectedIn: 4 << 20, Transport: c}
	d.Submit(t)
	return t, c
}

func (a *array) wait(c *transport) {
	a.t.Helper()
	select {
	case <-c.done:
	case <-time.After(10 * time.Second):
		a.t.Fatal("a command did not complete")
	}
}

func (a *array) do(d *disk, n lun.Nexus, cdb, out []byte) *lun.Task {
	a.t.Helper()
	t, c := a.submit(d, n, cdb, out)
	a.wait(c)
	return t
}

func (a *array) good(d *disk, n lun.Nexus, cdb, out []byte) []byte {
	a.t.Helper()
	t := a.do(d, n, cdb, out)
	if t.Status != scsi.StatusGood || t.Aborted || t.NotServed {
		a.t.Fatalf("%s ended with %v, %v, aborted %t", name(cdb), t.Status, t.Sense, t.Aborted)
	}
	if t.DataIn == nil {
		return nil
	}
	defer t.Release()
	return bytes.Clone(t.DataIn.Bytes())
}

func (a *array) bad(d *disk, n lun.Nexus, cdb, out []byte, key scsi.SenseKey, asc scsi.ASC) {
	a.t.Helper()
	if t := a.do(d, n, cdb, out); t.Status != scsi.StatusCheckCondition || t.Sense.Key != key || t.Sense.ASC != asc {
		a.t.Fatalf("%s ended with %v, %v; want %v, %v", name(cdb), t.Status, t.Sense, key, asc)
	}
}

func name(cdb []byte) string {
	id, _ := scsi.Lookup(cdb)
	return scsi.Commands[id].Name
}

func cdb16(op, second byte, lba uint64, n uint32) []byte {
	c := make([]byte, 16)
	c[0], c[1] = op, second
	for i := range 8 {
		c[2+i] = byte(lba >> (56 - 8*i))
	}
	for i := range 4 {
		c[10+i] = byte(n >> (24 - 8*i))
	}
	return c
}

// third is a CDB of a third-party copy command with a list identifier of four
// bytes at byte at.
func third(op, action byte, at int, list uint32, n int) []byte {
	c := cdb16(op, action, 0, uint32(n))
	for i := range 4 {
		if at > 0 {
			c[at+i] = byte(list >> (24 - 8*i))
		}
	}
	return c
}

func (d *disk) cscd() scsi.CSCD { return scsi.CSCD{Name: scsi.NAADesignator(d.id.NAA)} }

// copyCommand is EXTENDED COPY(LID1) of one segment from one disk to another.
func copyCommand(list byte, from, to *disk, s scsi.Segment) (cdb, out []byte) {
	s.From, s.To = 0, 1
	if s.Kind == 0 {
		s.Kind = scsi.SegmentBlocks
	}
	l := scsi.CopyList{ListID: uint32(list), CSCDs: []scsi.CSCD{from.cscd(), to.cscd()}, Segments: []scsi.Segment{s}}
	out = l.Append(nil, false)
	return third(0x83, 0, 0, 0, len(out)), out
}

func (a *array) fill(d *disk, lba uint64, n int, with byte) {
	a.good(d, alice, cdb16(0x8A, 0, lba, uint32(n)), bytes.Repeat([]byte{with}, n*blockSize))
}

func (a *array) holds(d *disk, lba uint64, n int, with byte) {
	a.t.Helper()
	if got := a.good(d, alice, cdb16(0x88, 0, lba, uint32(n)), nil); !bytes.Equal(got, bytes.Repeat([]byte{with}, n*blockSize)) {
		a.t.Fatalf("blocks %d to %d do not hold %d", lba, lba+uint64(n), with)
	}
}

func TestBlocksAreCopiedBetweenLogicalUnits(t *testing.T) {
	a := newArray(t, 512, 512, 512)
	from, to := a.disks[0], a.disks[1]
	a.fill(from, 10, 3000, 7)
	cdb, out := copyCommand(1, from, to, scsi.Segment{Blocks: 3000, FromLBA: 10, ToLBA: 500})
	a.good(from, alice, cdb, out)
	a.holds(to, 500, 3000, 7)
	a.holds(to, 499, 1, 0)
	a.holds(to, 3500, 1, 0)
	status := a.good(from, alice, []byte{0x84, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0}, nil)
	if want := []byte{0, 0, 0, 8, 1, 0, 1, scsi.TransferKiB, 0, 0, 1500 >> 8, 1500 & 0xFF}; !bytes.Equal(status, want) {
		t.Errorf("copy status % X, want % X", status, want)
	}
	if got := a.good(from, alice, []byte{0x84, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0}, nil); !bytes.Equal(got, make([]byte, 4)) {
		t.Errorf("failure details of a copy that has not failed: % X", got)
	}
}

func TestBytesAreCopiedInWholeBlocks(t *testing.T) {
	a := newArray(t, 512, 4096, 512)
	from, to := a.disks[0], a.disks[1]
	a.fill(from, 8, 16, 9)
	cdb, out := copyCommand(1, from, to, scsi.Segment{Kind: scsi.SegmentOffset, Bytes: 8192, FromLBA: 0, FromOff: 4096, ToLBA: 1})
	a.good(to, alice, cdb, out)
	if got := a.good(to, alice, cdb16(0x88, 0, 1, 2), nil); !bytes.Equal(got, bytes.Repeat([]byte{9}, 8192)) {
		t.Error("the bytes were not copied")
	}
	cdb, out = copyCommand(1, from, to, scsi.Segment{Kind: scsi.SegmentOffset, Bytes: 512})
	a.bad(to, alice, cdb, out, scsi.CopyAborted, scsi.CopySegmentGranularityViolation)
}

// Who may reach what: the rights are those of the nexus.
func TestACopyHasTheRightsOfItsNexus(t *testing.T) {
	a := newArray(t, 512, 512, 512)
	from, to, hidden := a.disks[0], a.disks[1], a.disks[2]
	cdb, out := copyCommand(1, hidden, to, scsi.Segment{Blocks: 1})
	a.bad(to, alice, cdb, out, scsi.CopyAborted, scsi.CopyTargetDeviceNotReachable)
	cdb, out = copyCommand(1, from, hidden, scsi.Segment{Blocks: 1})
	a.bad(from, alice, cdb, out, scsi.CopyAborted, scsi.CopyTargetDeviceNotReachable)
	elsewhere := lun.Nexus{InitiatorPort: alice.InitiatorPort, TargetPort: port + 1}
	for a.do(from, elsewhere, make([]byte, 6), nil).Status != scsi.StatusGood {
	}
	cdb, out = copyCommand(1, from, to, scsi.Segment{Blocks: 1})
	a.bad(from, elsewhere, cdb, out, scsi.CopyAborted, scsi.CopyTargetDeviceNotReachable)

	a.good(to, bob, []byte{0x16, 0, 0, 0, 0, 0}, nil) // RESERVE(6)
	a.bad(from, alice, cdb, out, scsi.CopyAborted, scsi.ThirdPartyDeviceFailure)
	a.good(from, bob, cdb, out)
	if task := a.do(to, alice, cdb, out); task.Status != scsi.StatusReservationConflict {
		t.Errorf("EXTENDED COPY to a reserved logical unit: %v", task.Status)
	}
}

func TestUnitAttentionsAreTheInitiators(t *testing.T) {
	a := newArray(t, 512, 512, 512)
	from, to := a.disks[0], a.disks[1]
	cdb, out := copyCommand(1, from, to, scsi.Segment{Blocks: 1})
	from.lu.Attention(scsi.CapacityDataHasChanged, alice)
	a.bad(from, alice, cdb, out, scsi.UnitAttention, scsi.CapacityDataHasChanged)
	to.lu.Attention(scsi.CapacityDataHasChanged, alice)
	a.good(from, alice, cdb, out)
	a.bad(to, alice, make([]byte, 6), nil, scsi.UnitAttention, scsi.CapacityDataHasChanged)
}

func TestWhatIsNotOnTheMediumIsNotCopied(t *testing.T) {
	a := newArray(t, 512, 512, 512)
	from, to := a.disks[0], a.disks[1]
	for _, s := range []scsi.Segment{
		{Blocks: 2, FromLBA: blocks - 1}, {Blocks: 2, ToLBA: blocks - 1}, {Blocks: 1, FromLBA: 1<<64 - 1}, {Blocks: 1, ToLBA: 1<<64 - 1},
		{Kind: scsi.SegmentOffset, Bytes: 512, FromLBA: blocks, FromOff: 512}, {Kind: scsi.SegmentOffset, Bytes: 512, FromLBA: blocks - 1, FromOff: 512},
	} {
		cdb, out := copyCommand(1, from, to, s)
		a.bad(from, alice, cdb, out, scsi.CopyAborted, scsi.NoAdditionalSenseInformation)
	}
	if n := to.device.writes.Load(); n != 0 {
		t.Errorf("%d writes", n)
	}
	details := a.good(from, alice, []byte{0x84, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, nil)
	if s, err := scsi.DecodeSense(details[60:]); err != nil || s.Key != scsi.CopyAborted || details[56] != 2 {
		t.Errorf("failure details % X", details)
	}
}

// held begins a copy that stands in the middle of its second write.
func (a *array) held(n lun.Nexus, list byte) (*lun.Task, *transport) {
	from, to := a.disks[0], a.disks[1]
	to.device.shut.Store(true)
	cdb, out := copyCommand(list, from, to, scsi.Segment{Blocks: blocks})
	t, c := a.submit(from, n, cdb, out)
	<-to.device.entered
	return t, c
}

func (a *array) release() {
	a.disks[1].device.shut.Store(false)
	close(a.disks[1].device.pass)
}

func TestAnAbortedCopyWritesNoMore(t *testing.T) {
	for name, end := range map[string]func(a *array, task *lun.Task){
		"ABORT TASK": func(a *array, task *lun.Task) {
			if r := a.disks[0].Manage(context.Background(), lun.Management{Function: scsi.AbortTask, Nexus: alice, Tag: task.Tag}); r != scsi.FunctionComplete {
				t.Errorf("ABORT TASK: %v", r)
			}
		},
		"LOGICAL UNIT RESET": func(a *array, _ *lun.Task) {
			a.disks[0].Manage(context.Background(), lun.Management{Function: scsi.LogicalUnitReset, Nexus: bob})
		},
		"the loss of the nexus":       func(a *array, _ *lun.Task) { a.disks[0].NexusLost(alice) },
		"the end of the copy manager": func(a *array, _ *lun.Task) { a.manager.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			a := newArray(t, 512, 512, 512)
			task, c := a.held(alice, 1)
			ended := make(chan struct{})
			go func() { defer close(ended); end(a, task) }()
			time.Sleep(20 * time.Millisecond)
			select {
			case <-c.done:
				t.Fatal("the task ended while a write of the copy was under way")
			default:
			}
			a.release()
			a.wait(c)
			<-ended
			if n := a.disks[1].device.writes.Load(); n != 1 || !task.Aborted {
				t.Errorf("%d writes, aborted %t", n, task.Aborted)
			}
		})
	}
}

func TestACopyIsAskedForByItsListIdentifier(t *testing.T) {
	a := newArray(t, 512, 512, 512)
	from := a.disks[0]
	status := func(n lun.Nexus, list byte) *lun.Task {
		return a.do(from, n, []byte{0x84, 0, list, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0}, nil)
	}
	_, c := a.held(alice, 5)
	s := status(alice, 5)
	if s.DataIn == nil || s.DataIn.Bytes()[4] != 0 {
		t.Errorf("of a copy under way: %v", s.Sense)
	}
	s.Release()
	for n, list := range map[lun.Nexus]byte{alice: 6, bob: 5} {
		if s := status(n, list); s.Sense.ASC != scsi.InvalidFieldInCDB {
			t.Errorf("of list %d of another: %v", list, s.Sense)
		}
	}
	cdb, out := copyCommand(5, from, a.disks[1], scsi.Segment{Blocks: 1})
	a.bad(from, alice, cdb, out, scsi.IllegalRequest, scsi.OperationInProgress)
	a.release()
	a.wait(c)
	a.good(from, alice, cdb, out)
	from.NexusLost(alice)
	for a.do(from, alice, make([]byte, 6), nil).Status != scsi.StatusGood {
	}
	if s := status(alice, 5); s.Sense.ASC != scsi.InvalidFieldInCDB {
		t.Errorf("after the loss of the nexus: %v", s.Sense)
	}
}

func TestALongCopyInTheBackgroundIsAborted(t *testing.T) {
	a := newArray(t, 512, 512, 512)
	from, to := a.disks[0], a.disks[1]
	to.device.shut.Store(true)
	l := scsi.CopyList{ListID: 0x12345678, Immediate: true, CSCDs: []scsi.CSCD{to.cscd()},
		Segments: []scsi.Segment{{Kind: scsi.SegmentBlocks, From: scsi.ThisCSCD, To: 0, Blocks: blocks}}}
	out := l.Append(nil, true)
	a.good(from, alice, third(0x83, 1, 0, 0, len(out)), out)
	<-to.device.entered
	state := func() byte {
		b := a.good(from, alice, third(0x84, 5, 2, l.ListID, 256), nil)
		return b[5]
	}
	if s := state(); s != byte(scsi.CopyBackground) {
		t.Errorf("status %02Xh while it runs", s)
	}
	_, c := a.submit(from, alice, third(0x83, 0x1C, 2, l.ListID, 0), nil)
	a.release()
	a.wait(c)
	if s, n := state(), to.device.writes.Load(); s != byte(scsi.CopyTerminated) || n != 1 {
		t.Errorf("status %02Xh and %d writes after COPY OPERATION ABORT", s, n)
	}
	a.bad(from, alice, third(0x83, 0x1C, 2, 99, 0), nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
}

func TestOneMoreCopyThanMayRunIsBusy(t *testing.T) {
	a := newArray(t, 512, 512, 512)
	_, first := a.held(alice, 1)
	all := []*transport{first}
	for i := 1; i < lun.MaxCopies; i++ {
		cdb, out := copyCommand(byte(i+1), a.disks[0], a.disks[1], scsi.Segment{Blocks: 1})
		_, c := a.submit(a.disks[0], alice, cdb, out)
		all = append(all, c)
		for a.do(a.disks[0], alice, []byte{0x84, 4, byte(i + 1), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, nil).Status != scsi.StatusGood {
		}
	}
	cdb, out := copyCommand(100, a.disks[0], a.disks[1], scsi.Segment{Blocks: 1})
	if task := a.do(a.disks[0], alice, cdb, out); task.Status != scsi.StatusBusy {
		t.Errorf("%v, %v", task.Status, task.Sense)
	}
	a.release()
	for _, c := range all {
		a.wait(c)
	}
}

func TestWithoutACopyManagerThereAreNoCopies(t *testing.T) {
	a := newArray(t, 512, 512, 512)
	cdb, out := copyCommand(1, a.disks[0], a.disks[1], scsi.Segment{Blocks: 1})
	c := &transport{done: make(chan struct{})}
	task := &lun.Task{Nexus: alice, Tag: tags.Add(1), CDB: cdb, DataOut: out, ExpectedOut: len(out), Transport: c}
	a.disks[0].lu.Submit(task)
	a.wait(c)
	if task.Status != scsi.StatusCheckCondition || task.Sense.ASC != scsi.InvalidFieldInCDB {
		t.Errorf("%v, %v", task.Status, task.Sense)
	}
}
