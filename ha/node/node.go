package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter"
	"github.com/tandem-san/tandem/ha/forward"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/identity"
	"github.com/tandem-san/tandem/lun"
)

// Mode says what a controller that is not the primary does with commands. The
// numbers are CTL's kern.cam.ctl.ha_mode.
type Mode uint8

// Modes.
const (
	// ActiveStandby: it answers only what a standby port may.
	ActiveStandby Mode = 0
	// ActiveActive: it has the primary admit each READ and WRITE and moves the
	// data itself; everything else it ships to the primary.
	ActiveActive Mode = 1
	// ActiveActiveForward: it ships them to the primary.
	ActiveActiveForward Mode = 2
)

// Defaults of Config.
const (
	// DefaultMaxHeld is how many tasks of one logical unit are held at most;
	// one more ends with BUSY.
	DefaultMaxHeld = 4096
	// DefaultHoldTime is how long a task is held at most; then it ends with
	// NOT READY 04h/0Ah.
	DefaultHoldTime = 4 * time.Second
)

// Config is what a node needs. It must not be changed after New.
type Config struct {
	Cluster string
	Self    ha.NodeID
	Mode    Mode
	// Listen and Peers are the addresses of the link.
	Listen string
	Peers  map[ha.NodeID]string
	// Credentials prove who this controller is.
	Credentials *identity.Credentials
	// Heartbeat and Lease default to ha's.
	Heartbeat, Lease time.Duration
	// Store is the arbiter. Manual: it is none, and nothing is taken over
	// without an operator.
	Store  arbiter.Store
	Manual bool
	Units  []UnitConfig
	// States keeps the states of the logical units on stable storage.
	States States
	// Pool lends the buffers for commands that cross the link.
	Pool *block.Pool
	// MaxHeld and HoldTime bound the tasks held while nobody may serve.
	MaxHeld  int
	HoldTime time.Duration
	// Disconnect closes the sessions that use a logical unit, or all when it is
	// "", and returns how many when they are gone with everything they had sent. It
	// is called for several at a time.
	Disconnect func(ctx context.Context, lun string) (closed int, err error)
	Log        *slog.Logger
}

// Node is one controller of the cluster.
type Node struct {
	cfg   Config
	log   *slog.Logger
	clock clock
	store arbiter.Store
	link  *link.Link
	ships *forward.Forward

	core  *ha.Core
	rests bool          // drained, as last logged; the loop's
	old   oldEpochs     // the loop's
	lease time.Duration // core's
	// diskTrial is how long a disk must have been open before an error of it moves
	// a logical unit.
	diskTrial time.Duration
	spare     time.Duration // sparePatience
	events    chan []ha.Event
	asks      chan func(context.Context) // run by the loop
	done      chan struct{}
	holder    *holder
	asker     asker
	filed     atomic.Bool   // every logical unit had a file once
	saves     chan struct{} // one for each state that is being written
	idleSaves chan struct{} // and nobody waits for it

	units []*Unit
	named map[string]*Unit

	peers peerTable
	notes noteBook
	awake vigil
	works sync.WaitGroup

	turns chan struct{} // one for each mover that takes a step
}

// New checks the configuration and opens the link's socket. Run does the rest.
func New(cfg Config) (*Node, error) {
	if cfg.MaxHeld == 0 {
		cfg.MaxHeld = DefaultMaxHeld
	}
	if cfg.HoldTime == 0 {
		cfg.HoldTime = DefaultHoldTime
	}
	n := &Node{
		cfg:       cfg,
		log:       cfg.Log.With("node", cfg.Self),
		clock:     clock{origin: time.Now()},
		store:     cfg.Store,
		events:    make(chan []ha.Event, 1024),
		asks:      make(chan func(context.Context)),
		done:      make(chan struct{}),
		saves:     make(chan struct{}, maxSaves),
		idleSaves: make(chan struct{}, maxIdleSaves),
		named:     map[string]*Unit{},
		turns:     make(chan struct{}, maxMoves),
		old:       oldEpochs{},
	}
	if err := n.makeUnits(); err != nil {
		return nil, err
	}
	n.peers.init(cfg.Peers)
	n.holder = &holder{store: cfg.Store, clock: n.clock, post: n.post, log: n.log, asked: make(chan ha.Hold, 1)}
	if err := n.makeLink(); err != nil {
		return nil, err
	}
	core, err := ha.New(n.coreConfig(), n.clock.now())
	if err != nil {
		n.link.Close()
		return nil, err
	}
	n.core = core
	n.lease, n.diskTrial, n.spare = core.Lease(), diskTrial, sparePatience
	n.awake.init(n.clock, n.lease)
	return n, nil
}

// makeUnits makes the logical units, none of them active.
func (n *Node) makeUnits() error {
	for _, uc := range n.cfg.Units {
		u := &Unit{cfg: uc, node: n, wake: make(chan struct{}, 1)}
		u.right.clock = n.clock
		if err := n.loadState(u); err != nil {
			return err
		}
		lu, err := uc.New(Hooks{
			Commit:   func(s lun.State) error { return n.commit(u, s) },
			HandOver: func(group uint16) error { return n.handOver(u, group) },
		})
		if err != nil {
			return fmt.Errorf("logical unit %s: %w", uc.Name, err)
		}
		u.lu = lu
		u.setWay(ha.Route{LUN: uc.Name}, nil)
		n.units = append(n.units, u)
		n.named[uc.Name] = u
	}
	return nil
}

// coreConfig is the configuration of the decisions.
func (n *Node) coreConfig() ha.Config {
	c := ha.Config{
		Self: n.cfg.Self, Boot: n.link.Boot(), Peers: n.peers.ids(),
		Heartbeat: n.cfg.Heartbeat, Lease: n.cfg.Lease,
		StartGrace: ha.DefaultStartGrace, Stall: ha.DefaultStall,
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = ha.DefaultHeartbeat
	}
	if c.Lease == 0 {
		c.Lease = ha.DefaultLease
	}
	c.StartGrace = max(c.StartGrace, 2*c.Lease)
	for _, u := range n.cfg.Units {
		c.Units = append(c.Units, ha.UnitConfig{
			Name: u.Name, Home: u.Home, Automatic: u.Fence.Automatic() && !n.cfg.Manual, Failback: u.Failback,
			SecondaryWrites: n.cfg.Mode == ActiveActive,
		})
	}
	return c
}

// Unit is a logical unit by name, for the target ports; nil when there is
// none.
func (n *Node) Unit(name string) *Unit { return n.named[name] }

// Run takes part in the cluster until ctx ends, then stops the logical units
// here and closes the link. It returns the first reason it cannot go on.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, u := range n.units {
		n.accessChanged(u)
		n.works.Go(func() { (&mover{unit: u}).run(ctx) })
	}
	n.works.Go(func() { n.watch(ctx) })
	n.works.Go(func() { n.holder.run(ctx) })
	n.works.Go(func() { n.loop(ctx) })
	err := n.link.Run(ctx)
	cancel()
	n.ships.Close()
	n.works.Wait()
	for _, u := range n.units {
		for _, e := range u.queue.takeOlder(time.Now().Add(time.Hour)) {
			e.notReady()
		}
	}
	return err
}

// errStopped: the node runs no more.
var errStopped = errors.New("this controller is stopping")

// promoteRetry is how often a wish to become primary is repeated until it is
// granted.
const promoteRetry = 300 * time.Millisecond

// Promote makes this controller the primary of a logical unit and returns when
// it serves, or says why it cannot. The handover loses no command. With force
// it is taken from a controller that cannot be reached and is not fenced;
// promises and leases are waited for all the same. Where this controller lacks
// what others may have acknowledged, it goes on with what it has.
func (n *Node) Promote(ctx context.Context, name string, force bool) error {
	u := n.named[name]
	if u == nil {
		return fmt.Errorf("logical unit %q: there is none of that name", name)
	}
	n.notes.forget(name)
	if drained, err := n.drained(n.cfg.Self); err != nil || drained {
		return cmp.Or(err, fmt.Errorf("logical unit %q: controller %d is drained: undrain it first", name, n.cfg.Self))
	}
	if force {
		u.forced.Store(true)
		defer u.forced.Store(false)
		u.barred.Store(0)
		u.nudge()
		u.replica.accept()
		n.save(u)
		n.trustChanged()
	}
	for {
		n.post(ha.Promote{LUN: name, Force: force})
		for until := time.Now().Add(promoteRetry); time.Now().Before(until); pause(ctx, 2*time.Millisecond) {
			if w := u.way.Load(); w.Kind == ha.RouteServe && u.right.Valid() {
				return nil
			}
			if ctx.Err() != nil || n.notes.refused(name) {
				if reason := n.notes.last(name); reason != "" {
					return fmt.Errorf("logical unit %q: %s", name, reason)
				}
				return fmt.Errorf("logical unit %q: not promoted in time: %w", name, ctx.Err())
			}
		}
	}
}

// Leave hands over every logical unit served here and returns when others serve
// them, or when ctx ends. What nobody can take it only stops. Commands that still
// arrive are forwarded; Run goes on.
func (n *Node) Leave(ctx context.Context) error {
	n.post(ha.Shutdown{})
	for {
		var units []ha.UnitStatus
		if err := n.ask(func() { units = n.core.Status() }); err != nil {
			return err
		}
		left := 0
		for i, s := range units {
			if u := n.units[i]; u.lu.Active() || !u.queue.empty() || n.canLeave(s.Grant) {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("handing over: %d logical units: %w", left, ctx.Err())
		}
		pause(ctx, 5*time.Millisecond)
	}
}

// canLeave reports whether a logical unit of this controller can be taken by
// another one.
func (n *Node) canLeave(g ha.Grant) bool {
	return g.Primary == n.cfg.Self && slices.ContainsFunc(g.Candidates, func(id ha.NodeID) bool {
		return id != n.cfg.Self && n.isLinked(id)
	})
}
