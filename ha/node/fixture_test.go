package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter/arbitertest"
	"github.com/tandem-san/tandem/identity"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/lun/statefile"
	"github.com/tandem-san/tandem/pidfile"
	"github.com/tandem-san/tandem/scsi"
)

func TestMain(m *testing.M) { arbitertest.Main(m) }

const (
	clusterName = "beast"
	unitName    = "data"
	capacity    = 4 << 20
	// patience is how long a condition is waited for. Only a test that fails waits
	// so long.
	patience = 60 * time.Second
	// lease is what a busy machine rarely breaks and a test that loses a controller
	// can wait for.
	lease = time.Second
)

// pair is two controllers in this process over one disk, with real links, a
// real arbiter and real fences.
type pair struct {
	t        *testing.T
	mode     Mode
	holdTime time.Duration
	lease    time.Duration
	trial    map[ha.NodeID]time.Duration // of the disk at a controller
	spare    time.Duration               // how long a controller may take to say that it writes nothing; 0: the default
	maxHeld  int
	failback time.Duration
	third    bool       // there is a controller 3 too
	fence    *Fence     // in place of the process fence
	keyed    *keyedDisk // in place of disk and fence; may be nil
	manual   bool       // nothing is taken over without an operator
	// wrap puts something between a controller and its stable storage.
	wrap       func(ha.NodeID, States) States
	arbiter    *arbitertest.Cluster
	authority  *identity.Authority
	disk       *sharedDisk
	paths      map[ha.NodeID]*diskPath // where a controller reaches the disk; may be nil
	dir        string
	addresses  map[ha.NodeID]string
	nodes      map[ha.NodeID]*testNode
	unopenable atomic.Int64 // the controller that cannot open the disk
	// disconnect stands for the iSCSI target of a controller, whose sessions
	// are to be closed.
	disconnect atomic.Pointer[func(ha.NodeID)]
}

var errNoPath = errors.New("the path to the disk is gone")

// testNode is one controller of a pair.
type testNode struct {
	*Node
	stop func()
	log  *lockedWriter
}

// sharedDisk is memory that both controllers have open.
type sharedDisk struct {
	*block.Ramdisk
	before func() // called before each write, when not nil
}

func (d sharedDisk) WriteAt(b []byte, at int64) error {
	if d.before != nil {
		d.before()
	}
	return d.Ramdisk.WriteAt(b, at)
}

func (d sharedDisk) Close() error { return nil }

// open is the disk as a controller reaches it.
func (p *pair) open(id ha.NodeID) block.Device {
	if d := p.paths[id]; d != nil {
		return d
	}
	return p.disk
}

// newPair makes a pair whose arbiter has the members named, or one.
func newPair(t *testing.T, members ...string) *pair {
	if len(members) == 0 {
		members = []string{"1"}
	}
	authority, err := identity.NewAuthority(clusterName)
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{
		t: t, mode: ActiveActiveForward, lease: lease,
		holdTime: patience, // what takes long fails a test only where it is about that
		arbiter:  arbitertest.Start(t, members...), authority: authority,
		disk: &sharedDisk{Ramdisk: block.NewRamdisk(capacity)}, dir: t.TempDir(),
		addresses: map[ha.NodeID]string{}, nodes: map[ha.NodeID]*testNode{},
	}
	for id := ha.NodeID(1); id <= 3; id++ {
		p.addresses[id] = arbitertest.FreeAddr(t)
	}
	return p
}

// unhurried gives the pair a lease for which no busy machine stops it. It is for
// tests in which nobody is lost, and no command may fail.
func (p *pair) unhurried() *pair {
	p.lease = 5 * time.Second
	return p
}

// startBoth starts the pair and waits until controller 1 serves and both are
// candidates.
func (p *pair) startBoth() {
	p.t.Helper()
	p.start(1)
	p.start(2)
	p.wait("a healthy pair", func() bool {
		g := p.grant(1)
		return g.Primary == 1 && g.Has(2) && p.route(1) == ha.RouteServe && p.route(2) == ha.RouteForward
	})
}

// start runs a controller until its stop is called or the test ends.
func (p *pair) start(id ha.NodeID) {
	p.t.Helper()
	certificate, key, err := p.authority.Issue(identity.OfNode(clusterName, uint8(id)), netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		p.t.Fatal(err)
	}
	credentials, err := identity.New(certificate, key, p.authority.Certificate())
	if err != nil {
		p.t.Fatal(err)
	}
	pattern := filepath.Join(p.dir, "%d.pid")
	pid, err := pidfile.Acquire(Fence{PIDFile: pattern}.Path(id))
	if err != nil {
		p.t.Fatal(err)
	}
	// Both are this process. A fence waits until the one that it is for has
	// stopped, and finds nobody to kill.
	if err := os.WriteFile(Fence{PIDFile: pattern}.Path(id), []byte("none"), 0o600); err != nil {
		p.t.Fatal(err)
	}
	fence := Fence{PIDFile: pattern}
	if p.fence != nil {
		fence = *p.fence
	}
	if p.keyed != nil {
		fence = Fence{Disk: keyedPath{p.keyed, id}}
	}
	store := p.arbiter.StoreAt("1", id)
	states, err := statefile.Open(p.states(id), fmt.Sprint("controller ", id))
	if err != nil {
		p.t.Fatal(err)
	}
	var kept States = states
	if p.wrap != nil {
		kept = p.wrap(id, kept)
	}
	pool := block.NewPool(64 << 20)
	log := &lockedWriter{w: &strings.Builder{}}
	n, err := New(Config{
		Cluster: clusterName, Self: id, Mode: p.mode, Lease: p.lease, Credentials: credentials,
		Listen: p.addresses[id], Peers: p.peers(id),
		Store: store, Manual: p.manual, States: kept, Pool: pool, HoldTime: p.holdTime, MaxHeld: p.maxHeld,
		Disconnect: func(context.Context, string) (int, error) {
			if f := p.disconnect.Load(); f != nil {
				(*f)(id)
			}
			return 1, nil
		},
		Log: slog.New(slog.NewTextHandler(log, nil)).With("controller", id),
		Units: []UnitConfig{{
			Name: unitName, Home: id == 1, Failback: p.failback, Fence: fence, Describe: "a disk",
			Ports: []lun.Port{{Relative: port(id), Name: fmt.Sprintf("iqn.2026-11.test:t,t,0x0%d01", id)}},
			Open: func() (block.Device, error) {
				if ha.NodeID(p.unopenable.Load()) == id {
					return nil, errNoPath
				}
				return p.open(id), nil
			},
			New: func(h Hooks) (*lun.LogicalUnit, error) {
				return lun.New(lun.Config{Name: unitName, Identity: scsi.Identify(clusterName, "t", 0), Pool: pool, Commit: h.Commit, HandOver: h.HandOver, Stable: true})
			},
		}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	n.diskTrial = p.trial[id]
	if p.spare != 0 {
		n.spare = p.spare
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := n.Run(ctx); err != nil {
			p.t.Errorf("controller %d: %v", id, err)
		}
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		<-ended
		store.Close()
		states.Close()
		pid.Release()
	})
	p.nodes[id] = &testNode{Node: n, stop: stop, log: log}
	p.t.Cleanup(func() {
		stop()
		if p.t.Failed() {
			p.t.Logf("log of controller %d:\n%s", id, log)
		}
	})
}

// peers are the other controllers and where they listen.
func (p *pair) peers(id ha.NodeID) map[ha.NodeID]string {
	peers := maps.Clone(p.addresses)
	delete(peers, id)
	if !p.third {
		delete(peers, 3)
	}
	return peers
}

// states is the directory in which a controller keeps the states.
func (p *pair) states(id ha.NodeID) string {
	return filepath.Join(p.dir, fmt.Sprint("state", id))
}

type lockedWriter struct {
	mu sync.Mutex
	w  *strings.Builder
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// String is what was written so far.
func (l *lockedWriter) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.String()
}

// port is the relative target port of a controller.
func port(id ha.NodeID) uint16 { return uint16(id-1)*128 + 3 }

// wait waits for a condition.
func (p *pair) wait(what string, done func() bool) {
	p.t.Helper()
	for until := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			p.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (p *pair) grant(id ha.NodeID) ha.Grant {
	s, err := p.nodes[id].Status()
	if err != nil {
		p.t.Fatal(err)
	}
	return s.Units[0].Grant
}

func (p *pair) route(id ha.NodeID) ha.RouteKind { return p.unit(id).way.Load().Kind }

func (p *pair) unit(id ha.NodeID) *Unit { return p.nodes[id].Unit(unitName) }

// command is a task of a test and its own transport.
type command struct {
	lun.Task
	done chan struct{}
	all  []byte // the data-out of the initiator
	// slow, when not nil, has data-out wait until it is closed.
	slow chan struct{}
	unit *Unit
	wg   sync.WaitGroup
}

func (c *command) ReceiveDataOut(t *lun.Task, n int) {
	give := func() {
		t.DataOut = c.all[:n]
		c.unit.DataOutReceived(t)
	}
	if c.slow == nil {
		give()
		return
	}
	c.wg.Go(func() { <-c.slow; give() })
}

func (c *command) CommandComplete(*lun.Task) { close(c.done) }

var lastTag atomic.Uint64

// submit sends a command through a controller's port. Data-out is asked for
// when solicited, else it is there from the start.
func (p *pair) submit(id ha.NodeID, initiator string, cdb []byte, out []byte, solicited bool) *command {
	c := &command{done: make(chan struct{}), all: out, unit: p.unit(id)}
	c.Task = lun.Task{
		Nexus: lun.Nexus{InitiatorPort: initiator, TargetPort: port(id)}, Tag: lastTag.Add(1), CDB: cdb,
		Attribute: scsi.AttributeSimple, Transport: c, ExpectedOut: len(out), ExpectedIn: 1 << 16,
	}
	if !solicited {
		c.DataOut = out
	}
	c.unit.Submit(&c.Task)
	return c
}

// finish waits for a command.
func (p *pair) finish(c *command) *command {
	p.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		p.t.Fatalf("command %x does not end", c.CDB)
	}
	c.wg.Wait()
	return c
}

// run sends a command and has its status GOOD, whatever unit attentions come
// first.
func (p *pair) run(id ha.NodeID, initiator string, cdb []byte, out []byte) []byte {
	p.t.Helper()
	for {
		c := p.finish(p.submit(id, initiator, cdb, out, true))
		if c.Status == scsi.StatusCheckCondition && c.Sense.Key == scsi.UnitAttention {
			continue
		}
		if c.Status != scsi.StatusGood {
			p.t.Fatalf("command %x through controller %d: %v, %v", cdb, id, c.Status, c.Sense)
		}
		defer c.Release()
		if c.DataIn == nil {
			return nil
		}
		return append([]byte(nil), c.DataIn.Bytes()...)
	}
}

// blocks16 is a READ or WRITE (16).
func blocks16(op byte, lba uint64, blocks uint32) []byte {
	cdb := make([]byte, 16)
	cdb[0] = op
	binary.BigEndian.PutUint64(cdb[2:], lba)
	binary.BigEndian.PutUint32(cdb[10:], blocks)
	return cdb
}

func read16(lba uint64, blocks uint32) []byte  { return blocks16(0x88, lba, blocks) }
func write16(lba uint64, blocks uint32) []byte { return blocks16(0x8A, lba, blocks) }
