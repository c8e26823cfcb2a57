package multipath_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/initiator/multipath"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	initiatorName = "iqn.2020-01.com.example:initiator"
	targetName    = "iqn.2020-01.com.example:target"
	diskSize      = 4 << 20
)

// cluster is two controllers with real targets in front of one logical unit,
// the states of whose ports the test sets.
type cluster struct {
	t           testing.TB
	unit        *lun.LogicalUnit
	device      *device
	controllers [2]*controller
}

// controller is one of them. A test may kill and start it.
type controller struct {
	t      testing.TB
	index  int
	unit   *front
	portal netip.AddrPort
	server *target.Server
}

type alwaysRight struct{}

func (alwaysRight) Valid() bool { return true }

// device is a ramdisk that fails when the test says so.
type device struct {
	block.Device
	mu  sync.Mutex
	err error
}

func (d *device) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *device) ReadAt(p []byte, off int64) error {
	d.mu.Lock()
	err := d.err
	d.mu.Unlock()
	if err != nil {
		return err
	}
	return d.Device.ReadAt(p, off)
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	return newClusterOf(t, scsi.Identify("test", targetName, 0), scsi.Identify("test", targetName, 0))
}

// newClusterOf makes controllers whose logical units have these identities; it
// is one logical unit when they are the same.
func newClusterOf(t testing.TB, a, b scsi.Identity) *cluster {
	t.Helper()
	c := &cluster{t: t, device: &device{Device: block.NewRamdisk(diskSize)}}
	c.unit = c.newUnit(a)
	other := c.unit
	if a != b {
		other = c.newUnit(b)
	}
	for i, u := range []*lun.LogicalUnit{c.unit, other} {
		c.controllers[i] = &controller{t: t, index: i, unit: &front{LogicalUnit: u}, portal: netip.MustParseAddrPort("127.0.0.1:0")}
		c.controllers[i].start()
		t.Cleanup(c.controllers[i].kill)
	}
	c.states(scsi.ActiveOptimized, scsi.ActiveNonOptimized)
	return c
}

func (c *cluster) newUnit(id scsi.Identity) *lun.LogicalUnit {
	u, err := lun.New(lun.Config{Name: "test", Identity: id, Pool: block.NewPool(64 << 20)})
	if err != nil {
		c.t.Fatal(err)
	}
	u.SetAccess(access(scsi.ActiveOptimized, scsi.ActiveNonOptimized))
	if err := u.Activate(c.device, alwaysRight{}, lun.State{}); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { u.Deactivate() })
	return u
}

func access(a, b scsi.AccessState) lun.Access {
	return lun.Access{Local: 1, Groups: []lun.PortGroup{
		{ID: 1, State: a, Ports: []lun.Port{{Relative: 1, Name: iscsi.TargetPortName(targetName, 1)}}},
		{ID: 2, State: b, Ports: []lun.Port{{Relative: 129, Name: iscsi.TargetPortName(targetName, 2)}}},
	}}
}

// states sets the access states of the two controllers' ports.
func (c *cluster) states(a, b scsi.AccessState) { c.unit.SetAccess(access(a, b)) }

func (c *controller) start() {
	c.t.Helper()
	s, err := target.New(target.Config{
		PortalGroups: []target.PortalGroup{{
			Name: "pg", Tag: uint16(c.index + 1), Portals: []netip.AddrPort{c.portal}, DiscoveryAuth: target.AuthGroup{Kind: target.AuthNone},
		}},
		Targets: []target.Target{{
			Name:  targetName,
			LUNs:  map[uint16]lun.Unit{0: c.unit},
			Ports: []target.Port{{PortalGroup: "pg", Auth: target.AuthGroup{Kind: target.AuthNone}, RelativePort: uint16(1 + 128*c.index)}},
		}},
	}, target.Options{Pool: block.NewPool(64 << 20)})
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.server = s
	c.portal = s.Portals()["pg"][0]
}

// kill drops all connections and refuses new ones.
func (c *controller) kill() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.server.Shutdown(ctx)
}

// front is what a controller does before the brain: it answers for its port,
// and does what the test wants instead of serving.
type front struct {
	*lun.LogicalUnit
	mu sync.Mutex
	// instead, when set, sees every task that is not answered by the port; the
	// task goes on to the brain when it returns false.
	instead func(t *lun.Task) bool
	held    []*lun.Task
}

func (f *front) do(instead func(*lun.Task) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instead = instead
}

func (f *front) Submit(t *lun.Task) {
	if f.AnswerLocal(t) {
		return
	}
	f.mu.Lock()
	instead := f.instead
	f.mu.Unlock()
	if instead != nil && instead(t) {
		return
	}
	f.LogicalUnit.Submit(t)
}

// hold keeps a task until it is aborted.
func (f *front) hold(t *lun.Task) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = append(f.held, t)
	return true
}

func (f *front) release(which func(*lun.Task) bool) {
	f.mu.Lock()
	var gone, kept []*lun.Task
	for _, t := range f.held {
		if which(t) {
			gone = append(gone, t)
		} else {
			kept = append(kept, t)
		}
	}
	f.held = kept
	f.mu.Unlock()
	for _, t := range gone {
		t.Aborted = true
		t.Transport.CommandComplete(t)
	}
}

func (f *front) Manage(ctx context.Context, m lun.Management) scsi.FunctionResponse {
	f.release(func(t *lun.Task) bool { return t.Nexus == m.Nexus && t.Tag == m.Tag })
	return f.LogicalUnit.Manage(ctx, m)
}

func (f *front) NexusLost(n lun.Nexus) {
	f.release(func(t *lun.Task) bool { return t.Nexus == n })
	f.LogicalUnit.NexusLost(n)
}

// path is the session configuration of a path to the portal.
func path(portal string) initiator.Config {
	return initiator.Config{Portal: portal, TargetName: targetName, InitiatorName: initiatorName}
}

// open opens the disk over both controllers; change may alter the config.
func (c *cluster) open(change func(*multipath.Config)) *multipath.Disk {
	c.t.Helper()
	cfg := multipath.Config{QueueTimeout: 10 * time.Second}
	for _, x := range c.controllers {
		cfg.Paths = append(cfg.Paths, path(x.portal.String()))
	}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d, err := multipath.Open(ctx, cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = d.Close() })
	until(c.t, "all paths are up", func() bool {
		for _, p := range d.Paths() {
			if !p.Up {
				return false
			}
		}
		return true
	})
	return d
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened that %s", what)
		}
	}
}

// proxy stands between the initiator and a controller and can be frozen: it
// keeps connections and accepts new ones, and passes nothing on. What reaches
// it meanwhile is lost with its connection, as packets are that a network
// drops: it does not stand for a controller that takes commands and runs them
// later, which no initiator can survive.
type proxy struct {
	listener net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex
	thawed   *sync.Cond
	frozen   bool
	conns    []net.Conn
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l}
	p.thawed = sync.NewCond(&p.mu)
	p.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, server)
			p.mu.Unlock()
			p.wg.Go(func() { p.pass(client, server) })
			p.wg.Go(func() { p.pass(server, client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.freeze(false)
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) pass(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		lost := p.frozen
		for p.frozen {
			p.thawed.Wait()
		}
		p.mu.Unlock()
		if err != nil || lost {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) freeze(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = on
	p.thawed.Broadcast()
}

// block0 is a block of the disk that says n.
func block0(n int) []byte {
	b := make([]byte, 512)
	copy(b, fmt.Sprintf("block %d", n))
	return b
}
