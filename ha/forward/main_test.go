package forward

import (
	"context"

	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/identity"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testWait = 10 * time.Second

var (
	alice = lun.Nexus{InitiatorPort: "iqn.2024-01.example:alice,i,0x000000000001", TargetPort: 131}
	bob   = lun.Nexus{InitiatorPort: "iqn.2024-01.example:bob,i,0x000000000002", TargetPort: 131}
)

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(testWait); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", testWait, what)
		}
	}
}

// controller is one node: a link, a Forward, and the units it serves.
type controller struct {
	*Forward
	id    ha.NodeID
	link  *link.Link
	pool  *block.Pool
	up    atomic.Bool
	epoch atomic.Uint64 // it serves in this one
	lease atomic.Int64  // how long a peer may move data
	log   *safeBuffer
	wire  *counted

	mu    sync.Mutex
	units map[string]lun.Unit
}

// counted is a link that counts, by kind, the frames it is given.
type counted struct {
	Sender
	frames [16]atomic.Int64
}

func (c *counted) SendData(to ha.NodeID, f link.Frame) error {
	c.frames[f.Kind].Add(1) // before the answer can come
	err := c.Sender.SendData(to, f)
	if err != nil {
		c.frames[f.Kind].Add(-1)
	}
	return err
}

// sent are the frames sent so far, by kind.
func (c *controller) sent() (n [16]int64) {
	for kind := range n {
		n[kind] = c.wire.frames[kind].Load()
	}
	return n
}

type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// The rest of link.Handler.

func (c *controller) PeerUp(id ha.NodeID, _ uint64) {
	c.Forward.PeerUp(id)
	c.up.Store(true)
}

func (c *controller) PeerDown(id ha.NodeID, _ error) {
	c.up.Store(false)
	c.Forward.PeerDown(id)
}

func (c *controller) Control(ha.NodeID, []byte) {}

func (c *controller) serving(name string, epoch uint64) (lun.Unit, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.units[name]
	if u == nil || epoch != c.epoch.Load() {
		return nil, fmt.Errorf("%s is not served in epoch %d", name, epoch)
	}
	return u, nil
}

func (c *controller) leaseOf(string, ha.NodeID, uint64) time.Duration {
	return time.Duration(c.lease.Load())
}

func (c *controller) serve(name string, u lun.Unit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.units[name] = u
}

// options change what pair makes.
type options struct {
	pool, dataQueue, maxTasks int
}

// pair makes two controllers with a link; both serve in epoch 7.
func pair(t testing.TB, o options) (one, two *controller) {
	t.Helper()
	if o.pool == 0 {
		o.pool = 256 << 20
	}
	ca, err := identity.NewAuthority("beast")
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	one = newController(t, ca, 1, address, map[ha.NodeID]string{2: ""}, o)
	two = newController(t, ca, 2, "", map[ha.NodeID]string{1: address}, o)
	eventually(t, "the link is up", func() bool { return one.up.Load() && two.up.Load() })
	return one, two
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func newController(t testing.TB, ca *identity.Authority, id ha.NodeID, listen string, peers map[ha.NodeID]string, o options) *controller {
	t.Helper()
	cert, key, err := ca.Issue(identity.OfNode("beast", uint8(id)))
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := identity.New(cert, key, ca.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	c := &controller{id: id, pool: block.NewPool(int64(o.pool)), units: make(map[string]lun.Unit), log: &safeBuffer{}}
	log := slog.New(slog.NewTextHandler(c.log, nil))
	c.epoch.Store(7)
	c.lease.Store(int64(testWait))
	c.link, err = link.New(link.Config{
		Cluster: "beast", Node: id, Listen: listen, Peers: peers, Credentials: credentials, DataQueue: o.dataQueue, Log: log,
	}, c)
	if err != nil {
		t.Fatal(err)
	}
	c.wire = &counted{Sender: c.link}
	c.Forward = New(c.wire, Config{Node: id, Pool: c.pool, Serving: c.serving, Lease: c.leaseOf, MaxTasks: o.maxTasks, Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- c.link.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		c.Close()
		c.nothingLeft(t)
	})
	return c
}

// nothingLeft checks that every buffer came back and nothing is remembered.
func (c *controller) nothingLeft(t testing.TB) {
	t.Helper()
	if s := c.pool.Stats(); s.Lent != 0 {
		t.Errorf("node %d: %d bytes of the pool are still lent", c.id, s.Lent)
	}
	for _, p := range c.peers {
		p.mu.Lock()
		if len(p.tickets)+len(p.work)+p.movers+p.moving+p.stale != 0 {
			t.Errorf("node %d remembers of node %d: %d tickets, %d movers, %d moving, %d stale", c.id, p.id, len(p.tickets), p.movers, p.moving, p.stale)
		}
		if len(p.requests)+len(p.gathering)+len(p.tasks)+len(p.backlog)+len(p.answers)+p.late+p.managing != 0 || p.arrived != nil || p.receiving != nil {
			t.Errorf("node %d remembers of node %d: %d requests, %d gathering, %d tasks, %d in the backlog, %d late, %d managing",
				c.id, p.id, len(p.requests), len(p.gathering), len(p.tasks), len(p.backlog), p.late, p.managing)
		}
		p.mu.Unlock()
	}
}

// right always holds, until a test takes it.
type right struct{ gone atomic.Bool }

func (r *right) Valid() bool { return !r.gone.Load() }

// diskUnit is a logical unit over a ramdisk, active.
func (c *controller) diskUnit(t testing.TB, name string, size int64) *lun.LogicalUnit {
	t.Helper()
	return c.newUnit(t, name, block.NewRamdisk(size))
}

// newUnit is a logical unit over a device, active.
func (c *controller) newUnit(t testing.TB, name string, device block.Device) *lun.LogicalUnit {
	t.Helper()
	u, err := lun.New(lun.Config{Name: name, Identity: scsi.Identify("beast", "iqn.2016-01.local.beast:target0", 1), Pool: c.pool})
	if err != nil {
		t.Fatal(err)
	}
	u.SetAccess(lun.Access{Local: 2, Groups: []lun.PortGroup{
		{ID: 2, State: scsi.ActiveOptimized, Ports: []lun.Port{{Relative: 3, Name: "iqn.2016-01.local.beast:target0,t,0x0101"}}},
		{ID: 3, State: scsi.ActiveNonOptimized, Ports: []lun.Port{{Relative: 131, Name: "iqn.2016-01.local.beast:target0,t,0x0201"}}},
	}})
	if err := u.Activate(device, &right{}, lun.State{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Deactivate() })
	c.serve(name, u)
	return u
}

// port is a target port on the secondary. More data-out than is immediate
// comes from out when asked for, on another goroutine.
type port struct {
	unit lun.Unit
	hold atomic.Bool // ReceiveDataOut leaves the task waiting

	mu    sync.Mutex
	out   map[*lun.Task][]byte
	asked map[*lun.Task]int
	done  map[*lun.Task]chan struct{}
	order []*lun.Task // of completion
	wg    sync.WaitGroup
}

func newPort(t testing.TB, u lun.Unit) *port {
	p := &port{unit: u, out: map[*lun.Task][]byte{}, asked: map[*lun.Task]int{}, done: map[*lun.Task]chan struct{}{}}
	t.Cleanup(p.wg.Wait)
	return p
}

func (p *port) ReceiveDataOut(t *lun.Task, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[t] = n
	if p.hold.Load() {
		return
	}
	data := p.out[t]
	p.wg.Go(func() {
		t.DataOut = data[:n]
		p.unit.DataOutReceived(t)
	})
}

func (p *port) CommandComplete(t *lun.Task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.order = append(p.order, t)
	close(p.done[t])
}

func (p *port) submit(t *lun.Task) {
	t.Transport = p
	p.mu.Lock()
	p.done[t] = make(chan struct{})
	p.mu.Unlock()
	p.unit.Submit(t)
}

func (p *port) wait(t testing.TB, task *lun.Task) *lun.Task {
	t.Helper()
	p.mu.Lock()
	done := p.done[task]
	p.mu.Unlock()
	select {
	case <-done:
	case <-time.After(testWait):
		t.Fatalf("command %02Xh did not complete", task.CDB[0])
	}
	return task
}

func (p *port) finished(task *lun.Task) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done[task]:
		return true
	default:
		return false
	}
}

func (p *port) askedFor(task *lun.Task) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[task]
}

var tags atomic.Uint64

func newTask(n lun.Nexus, cdb []byte, out []byte, in int) *lun.Task {
	return &lun.Task{Nexus: n, Tag: tags.Add(1), CDB: cdb, Attribute: scsi.AttributeSimple, DataOut: out, ExpectedOut: len(out), ExpectedIn: in}
}

// do runs a task to its end and answers its data-in.
func (p *port) do(t testing.TB, task *lun.Task) []byte {
	t.Helper()
	p.submit(task)
	p.wait(t, task)
	if task.DataIn == nil {
		return nil
	}
	in := append([]byte(nil), task.DataIn.Bytes()...)
	task.Release()
	return in
}

// good is do for a task that must end with GOOD.
func (p *port) good(t testing.TB, task *lun.Task) []byte {
	t.Helper()
	in := p.do(t, task)
	if task.Status != scsi.StatusGood || task.NotServed || task.Aborted {
		t.Fatalf("command %02Xh ended with %v, %v, not served %t, aborted %t", task.CDB[0], task.Status, task.Sense, task.NotServed, task.Aborted)
	}
	return in
}

// clear takes the unit attentions of the nexuses, once there is a link.
func (p *port) clear(t testing.TB, nexuses ...lun.Nexus) {
	t.Helper()
	for _, n := range nexuses {
		eventually(t, "TEST UNIT READY is GOOD", func() bool {
			task := newTask(n, make([]byte, 6), nil, 0)
			p.do(t, task)
			return task.Status == scsi.StatusGood && !task.NotServed
		})
	}
}

// read10 and write10 are the CDBs for n blocks at lba.
func read10(lba uint32, n uint16) []byte { return cdb10(0x28, lba, n) }

func write10(lba uint32, n uint16) []byte { return cdb10(0x2A, lba, n) }

func cdb10(op byte, lba uint32, n uint16) []byte {
	return []byte{op, 0, byte(lba >> 24), byte(lba >> 16), byte(lba >> 8), byte(lba), 0, byte(n >> 8), byte(n), 0}
}

// slowUnit keeps the tasks it is given until a test ends them.
type slowUnit struct {
	mu    sync.Mutex
	tasks []*lun.Task
	lost  []lun.Nexus
	// managing, when not nil, holds Manage up until it is closed.
	managing chan struct{}
	managed  []lun.Management
}

func (u *slowUnit) Submit(t *lun.Task) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tasks = append(u.tasks, t)
}

func (u *slowUnit) DataOutReceived(t *lun.Task) { u.complete(t) }

func (u *slowUnit) Manage(ctx context.Context, m lun.Management) scsi.FunctionResponse {
	u.mu.Lock()
	managing := u.managing
	u.managed = append(u.managed, m)
	u.mu.Unlock()
	if managing != nil {
		select {
		case <-managing:
		case <-ctx.Done():
			return scsi.FunctionRejected
		}
	}
	return scsi.FunctionComplete
}

func (u *slowUnit) NexusLost(n lun.Nexus) {
	u.mu.Lock()
	u.lost = append(u.lost, n)
	var gone []*lun.Task
	for i, t := range u.tasks {
		if t != nil && t.Nexus == n {
			t.Aborted = true
			gone = append(gone, t)
			u.tasks[i] = nil
		}
	}
	u.mu.Unlock()
	for _, t := range gone {
		t.Transport.CommandComplete(t)
	}
}

// complete ends a task, unless it has ended.
func (u *slowUnit) complete(t *lun.Task) {
	u.mu.Lock()
	i := slices.Index(u.tasks, t)
	if i >= 0 {
		u.tasks[i] = nil
	}
	u.mu.Unlock()
	if i >= 0 {
		t.Transport.CommandComplete(t)
	}
}

// task is the i-th task that was submitted, once it is there.
func (u *slowUnit) task(t testing.TB, i int) *lun.Task {
	t.Helper()
	eventually(t, "a task arrives", func() bool { return u.count() > i })
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.tasks[i]
}

func (u *slowUnit) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.tasks)
}

func (u *slowUnit) lostNexuses() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.lost)
}
