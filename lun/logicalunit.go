package lun

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/scsi"
)

// What Activate may answer; test with errors.Is.
var (
	ErrActive    = errors.New("logical unit is active already")
	ErrNotActive = errors.New("logical unit is not active")
)

// LogicalUnit is a logical unit on this controller. Every controller has one;
// it is active, and then the brain, only where it was given a device and the
// right to serve. While it is not active every task ends with NotServed, and
// AnswerLocal answers what needs no brain.
type LogicalUnit struct {
	config Config
	access atomic.Pointer[Access]

	// changes is held while a change of State is computed, committed and
	// installed. It is taken before mu.
	changes sync.Mutex

	mu    sync.Mutex
	brain *brain // nil while not active
}

// New makes a logical unit that is not active.
func New(c Config) (*LogicalUnit, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	u := &LogicalUnit{config: c}
	u.access.Store(&Access{})
	return u, nil
}

// brain is the logical unit where it is active. The lock of the unit protects
// it.
type brain struct {
	unit   *LogicalUnit
	device block.Device
	right  Right
	// attributes are the device's.
	attributes block.Attributes
	// blocks is the capacity in logical blocks.
	blocks uint64

	tasks  taskSet
	ranges rangeLock
	// ready holds tasks something is to be done for by whoever releases the
	// lock next.
	ready taskQueue
	// outstanding counts the tasks from Submit until CommandComplete returned;
	// idle, when not nil, is closed when it reaches zero.
	outstanding int
	idle        chan struct{}
	// draining: new tasks end with NotServed; stopping: for good.
	draining, stopping bool
	waking             bool // wake is under way
	// leaving is set while draining, for those without the lock.
	leaving atomic.Bool
	// ending is set with stopping, for those without the lock.
	ending atomic.Bool

	buffers        buffers
	statistics     statistics
	began          time.Time
	stops, unloads uint32 // since then
	soft           softThresholds
	knowsSpace     bool // the device does
	erases         bool // the goroutine of an erasure runs
	// erased is how many logical blocks the erasure has written.
	erased atomic.Uint64

	nexuses   map[Nexus]*nexus
	lastNexus uint32
	losses    losses
	state     persistent

	work, changeWork chan *Task
	workers          int
	changing         bool
	running          sync.WaitGroup
}

// Activate makes the unit the brain: it serves device as long as right is
// valid, starting from state (zero for a logical unit that never had one). The
// capacity must be a whole number of logical blocks, at least one. The device
// stays the caller's to close, after Deactivate.
func (u *LogicalUnit) Activate(device block.Device, right Right, state State) error {
	size, bs := device.Size(), int64(u.config.BlockSize)
	if size < bs || size%bs != 0 {
		return fmt.Errorf("logical unit %s: device of %d bytes, want a multiple of the block size %d", u.config.Name, size, bs)
	}
	p, err := state.open(u.config.MaxNexuses, u.config.defaultMode())
	if err != nil {
		return fmt.Errorf("logical unit %s: %w", u.config.Name, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.brain != nil {
		return fmt.Errorf("logical unit %s: %w", u.config.Name, ErrActive)
	}
	b := &brain{
		unit: u, device: device, right: right, attributes: device.Attributes(),
		blocks:     uint64(size / bs),
		nexuses:    make(map[Nexus]*nexus),
		state:      p,
		began:      time.Now(),
		work:       make(chan *Task, u.config.MaxTasks),
		changeWork: make(chan *Task, u.config.MaxTasks),
	}
	_, err = device.Space()
	b.knowsSpace = err == nil
	for _, k := range state.Nexuses {
		n := b.addNexus(k.Nexus)
		for _, a := range k.Attentions {
			n.attention(a)
		}
		// The brain moved, so what REPORT TARGET PORT GROUPS says did too.
		n.attention(scsi.AsymmetricAccessStateChanged)
	}
	u.brain = b
	b.redoAtomic()
	b.startErasing()
	u.config.Log.Debug("logical unit active", "lun", u.config.Name, "blocks", b.blocks, "block_size", bs, "nexuses", len(b.nexuses))
	return nil
}

// Active reports whether the unit is the brain.
func (u *LogicalUnit) Active() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.brain != nil
}

// Drain makes new tasks end with NotServed and waits until those in the task
// set have completed, or for the context; with its error the unit goes on
// draining. Resume undoes it.
func (u *LogicalUnit) Drain(ctx context.Context) error {
	u.mu.Lock()
	b := u.brain
	if b == nil {
		u.mu.Unlock()
		return nil
	}
	b.drain()
	b.turnAwayIf(func(t *Task) bool { return t.state.phase == phaseParked })
	idle := b.whenIdle()
	b.run()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("draining logical unit %s: %w", u.config.Name, ctx.Err())
	}
}

// Resume takes new tasks again after Drain.
func (u *LogicalUnit) Resume() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if b := u.brain; b != nil && !b.stopping {
		b.draining = false
		b.leaving.Store(false)
		b.startErasing()
	}
}

func (b *brain) drain() {
	b.draining = true
	b.leaving.Store(true)
}

// whenIdle answers a channel that is closed when no task is outstanding.
func (b *brain) whenIdle() <-chan struct{} {
	if b.idle == nil {
		b.idle = make(chan struct{})
	}
	idle := b.idle
	b.checkIdle()
	return idle
}

func (b *brain) checkIdle() {
	if b.outstanding == 0 && b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
}

// Deactivate stops the brain: tasks that do not run yet end with NotServed, as
// all new ones do, and those that run are waited for, except those whose data
// is being moved elsewhere: they end with NotServed and Uncertain. Who starts a
// brain again sees to it that their Movers are done. It answers the state for
// the next brain. After it the unit does not touch the device. On a unit that
// is not active it does nothing and answers the zero State.
func (u *LogicalUnit) Deactivate() State {
	u.mu.Lock()
	b := u.brain
	if b == nil || b.stopping {
		u.mu.Unlock()
		return State{}
	}
	b.stopping = true
	b.ending.Store(true)
	b.drain()
	b.turnAway()
	b.forsake()
	idle := b.whenIdle()
	b.run()
	<-idle

	u.changes.Lock()
	u.mu.Lock()
	last := b.state.clone()
	b.forgetLost(&last)
	s := b.export(&last)
	u.brain = nil
	close(b.work)
	close(b.changeWork)
	u.mu.Unlock()
	u.changes.Unlock()
	b.running.Wait()
	u.config.Log.Debug("logical unit not active", "lun", u.config.Name)
	return s
}

// State answers what the next brain would need, at this instant; the zero
// State when the unit is not active.
func (u *LogicalUnit) State() State {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.brain == nil {
		return State{}
	}
	return u.brain.export(&u.brain.state)
}

// Attention establishes a unit attention condition for the nexuses, or for
// every known one when none is given. It does nothing while not active.
func (u *LogicalUnit) Attention(code scsi.ASC, nexuses ...Nexus) {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := u.brain
	if b == nil {
		return
	}
	if len(nexuses) == 0 {
		b.attend(code, nil)
	}
	for _, name := range nexuses {
		if n := b.nexuses[name]; n != nil {
			n.attention(code)
		}
	}
}

// Resized takes over a new size of the device and tells every nexus with
// CAPACITY DATA HAS CHANGED. A size that is not a whole number of logical
// blocks is cut. It answers ErrNotActive, wrapped, while not active.
func (u *LogicalUnit) Resized() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := u.brain
	if b == nil {
		return fmt.Errorf("logical unit %s: %w", u.config.Name, ErrNotActive)
	}
	blocks := uint64(b.device.Size() / int64(u.config.BlockSize))
	if blocks == b.blocks {
		return nil
	}
	b.blocks = blocks
	b.attend(scsi.CapacityDataHasChanged, nil)
	u.config.Log.Info("logical unit resized", "lun", u.config.Name, "blocks", blocks)
	return nil
}

// physicalExponent is the logical blocks per physical block exponent.
func (c *Config) physicalExponent() uint8 {
	return uint8(bits.TrailingZeros(uint(c.PhysicalBlockSize / c.BlockSize)))
}
