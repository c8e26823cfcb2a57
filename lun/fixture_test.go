package lun_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

const (
	testBlocks = 2048
	testBlock  = 512
)

// The two initiators of the tests, and a third.
var (
	alice = lun.Nexus{InitiatorPort: "iqn.2024-01.example:alice,i,0x000000000001", TargetPort: 3}
	bob   = lun.Nexus{InitiatorPort: "iqn.2024-01.example:bob,i,0x000000000002", TargetPort: 3}
	carol = lun.Nexus{InitiatorPort: "iqn.2024-01.example:carol,i,0x000000000003", TargetPort: 131}
)

// right is a right to serve that a test can take away.
type right struct{ gone atomic.Bool }

func (r *right) Valid() bool { return !r.gone.Load() }

// port is a target port that keeps its tasks in order of completion. Data-out
// beyond what is immediate comes from out when asked for.
type port struct {
	unit lun.Unit
	hold bool // ReceiveDataOut leaves the task waiting

	mu       sync.Mutex
	asked    []*lun.Task
	finished []*lun.Task
	out      map[*lun.Task][]byte
	done     map[*lun.Task]chan struct{}
}

func newPort(u lun.Unit) *port {
	return &port{unit: u, out: map[*lun.Task][]byte{}, done: map[*lun.Task]chan struct{}{}}
}

func (p *port) ReceiveDataOut(t *lun.Task, n int) {
	p.mu.Lock()
	p.asked = append(p.asked, t)
	data := p.out[t]
	hold := p.hold
	p.mu.Unlock()
	if hold {
		return
	}
	t.DataOut = data[:n]
	p.unit.DataOutReceived(t)
}

func (p *port) CommandComplete(t *lun.Task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished = append(p.finished, t)
	close(p.done[t])
}

// submit submits a task without waiting for it.
func (p *port) submit(t *lun.Task) {
	t.Transport = p
	p.mu.Lock()
	p.done[t] = make(chan struct{})
	p.mu.Unlock()
	p.unit.Submit(t)
}

func (p *port) wait(t *testing.T, task *lun.Task) {
	t.Helper()
	p.mu.Lock()
	done := p.done[task]
	p.mu.Unlock()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("command %02Xh did not complete", task.CDB[0])
	}
}

func (p *port) isFinished(task *lun.Task) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done[task]:
		return true
	default:
		return false
	}
}

var tags atomic.Uint64

// command makes a task for nexus n. Data-out is immediate.
func command(n lun.Nexus, cdb []byte, out []byte, in int) *lun.Task {
	return &lun.Task{
		Nexus: n, Tag: tags.Add(1), CDB: cdb, Attribute: scsi.AttributeSimple,
		DataOut: out, ExpectedOut: len(out), ExpectedIn: in, CopyManager: lun.ThirdParty(cdb),
	}
}

// do runs a command to its end and answers its data-in.
func (p *port) do(t *testing.T, n lun.Nexus, cdb []byte, out []byte) (*lun.Task, []byte) {
	t.Helper()
	task := command(n, cdb, out, 1<<20)
	p.submit(task)
	p.wait(t, task)
	if task.DataIn == nil {
		return task, nil
	}
	in := append([]byte(nil), task.DataIn.Bytes()...)
	task.Release()
	return task, in
}

// good is do for a command that must end with GOOD.
func (p *port) good(t *testing.T, n lun.Nexus, cdb []byte, out []byte) []byte {
	t.Helper()
	task, in := p.do(t, n, cdb, out)
	if task.Status != scsi.StatusGood || task.NotServed || task.Aborted {
		t.Fatalf("%s ended with %v, %v, not served %t, aborted %t", name(cdb), task.Status, task.Sense, task.NotServed, task.Aborted)
	}
	return in
}

// bad is do for a command that must end with CHECK CONDITION.
func (p *port) bad(t *testing.T, n lun.Nexus, cdb []byte, out []byte, key scsi.SenseKey, asc scsi.ASC) scsi.Sense {
	t.Helper()
	task, _ := p.do(t, n, cdb, out)
	if task.Status != scsi.StatusCheckCondition || task.Sense.Key != key || task.Sense.ASC != asc {
		t.Fatalf("%s ended with %v, %v; want %v, %v", name(cdb), task.Status, task.Sense, key, asc)
	}
	return task.Sense
}

// status is do for a command that must end with a status without sense data.
func (p *port) status(t *testing.T, n lun.Nexus, cdb []byte, out []byte, want scsi.Status) {
	t.Helper()
	task, _ := p.do(t, n, cdb, out)
	if task.Status != want {
		t.Fatalf("%s ended with %v, %v; want %v", name(cdb), task.Status, task.Sense, want)
	}
}

// clear takes the pending unit attentions of a nexus.
func (p *port) clear(t *testing.T, nexuses ...lun.Nexus) {
	t.Helper()
	for _, n := range nexuses {
		for range 1000 {
			task, _ := p.do(t, n, testUnitReady(), nil)
			if task.Status == scsi.StatusGood {
				break
			}
			if task.Sense.HasProgress { // of FORMAT UNIT or SANITIZE
				time.Sleep(time.Millisecond)
				continue
			}
			if task.Sense.Key != scsi.UnitAttention {
				t.Fatalf("TEST UNIT READY ended with %v, %v", task.Status, task.Sense)
			}
		}
	}
}

func name(cdb []byte) string {
	id, _ := scsi.Lookup(cdb)
	return scsi.Commands[id].Name
}

// fixture is an active logical unit on a ramdisk.
type fixture struct {
	*port
	unit   *lun.LogicalUnit
	device block.Device
	right  *right
}

var testAccess = lun.Access{
	Local: 2,
	Groups: []lun.PortGroup{
		{ID: 2, State: scsi.ActiveOptimized, Preferred: true, Ports: []lun.Port{{Relative: 3, Name: "iqn.2016-01.local.beast:target0,t,0x0101"}}},
		{ID: 3, State: scsi.ActiveNonOptimized, Ports: []lun.Port{{Relative: 131, Name: "iqn.2016-01.local.beast:target0,t,0x0201"}}},
	},
}

func testConfig() lun.Config {
	return lun.Config{
		Name:     "test",
		Identity: scsi.Identify("beast", "iqn.2016-01.local.beast:target0", 1),
		Pool:     block.NewPool(64 << 20),
	}
}

// fullConfig is that of a logical unit that has every command.
func fullConfig() lun.Config {
	var last lun.State
	c := stableConfig(&last)
	c.Removable, c.ThirdPartyCopy = true, true
	return c
}

// newUnit makes an inactive unit.
func newUnit(t testing.TB, c lun.Config) *lun.LogicalUnit {
	t.Helper()
	u, err := lun.New(c)
	if err != nil {
		t.Fatal(err)
	}
	u.SetAccess(testAccess)
	return u
}

func ramdisk(t testing.TB, size int64) block.Device {
	t.Helper()
	d := block.NewRamdisk(size)
	t.Cleanup(func() { d.Close() })
	return d
}

// setup activates a unit on device, a ramdisk when nil, and deactivates it at
// the end of the test.
func setup(t testing.TB, c lun.Config, device block.Device) *fixture {
	t.Helper()
	if device == nil {
		device = ramdisk(t, testBlocks*testBlock)
	}
	f := &fixture{unit: newUnit(t, c), device: device, right: &right{}}
	if err := f.unit.Activate(device, f.right, lun.State{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.unit.Deactivate() })
	f.port = newPort(f.unit)
	return f
}

// ready is setup with the first unit attentions taken.
func ready(t *testing.T, c lun.Config) *fixture {
	t.Helper()
	f := setup(t, c, nil)
	f.clear(t, alice, bob, carol)
	return f
}

// flipping is a right that is valid a number of times, then no more.
type flipping struct{ after atomic.Int64 }

func (r *flipping) Valid() bool { return r.after.Add(-1) >= 0 }

func stateOf(f *fixture) lun.State { return f.unit.State() }
