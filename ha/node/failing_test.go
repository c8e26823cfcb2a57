package node

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/scsi"
)

// failingDisk is the disk as one controller reaches it, until it does not.
type failingDisk struct {
	block.Device
	fails atomic.Bool
	// unsynced: it is cached, and loses what it is to sync.
	unsynced atomic.Bool
	cached   bool
}

func (d *failingDisk) Attributes() block.Attributes {
	a := d.Device.Attributes()
	a.Cached = d.cached
	return a
}

func (d *failingDisk) Sync() error {
	if d.unsynced.Load() {
		return errNoPath
	}
	return d.Device.Sync()
}

func (d *failingDisk) ReadAt(p []byte, at int64) error {
	if d.fails.Load() {
		return errNoPath
	}
	return d.Device.ReadAt(p, at)
}

func (d *failingDisk) WriteAt(p []byte, at int64) error {
	if d.fails.Load() {
		return errNoPath
	}
	return d.Device.WriteAt(p, at)
}

// newFailingPair is newPair with a disk that can fail for each controller.
func newFailingPair(t *testing.T) (*pair, map[ha.NodeID]*failingDisk) {
	p := newPair(t).unhurried()
	disks := map[ha.NodeID]*failingDisk{}
	p.paths = map[ha.NodeID]*diskPath{}
	for id := ha.NodeID(1); id <= 2; id++ {
		disks[id] = &failingDisk{Device: p.disk}
		p.paths[id] = &diskPath{Device: disks[id], entered: make(chan struct{}, 100)}
	}
	return p, disks
}

// What fails runs at the other controller; no initiator hears of it.
func TestAPrimaryWhoseDiskFailsHandsOverAndFailsNoCommand(t *testing.T) {
	p, disks := newFailingPair(t)
	p.startBoth()
	for id := ha.NodeID(1); id <= 2; id++ {
		p.run(id, "host", write16(uint64(id), 1), fill(byte(id), 1))
	}
	var all sync.WaitGroup
	disks[1].fails.Store(true)
	for id := ha.NodeID(1); id <= 2; id++ {
		for i := range uint64(20) {
			all.Go(func() {
				if c := p.loadCommand(id, "host", i<<8|uint64(id), write16(64*uint64(id)+i, 1), fill(9, 1)); c != nil {
					c.Release()
				}
			})
		}
	}
	all.Wait()
	if !p.unit(2).lu.Active() || p.route(1) != ha.RouteForward {
		t.Errorf("controller 2 is %v, controller 1 %v", p.route(2), p.route(1))
	}
	for i := range uint64(20) {
		if got := p.run(1, "host", read16(64+i, 1), nil); !bytes.Equal(got, fill(9, 1)) {
			t.Errorf("block %d is not what was written", 64+i)
		}
	}
	if alarm := p.status(1).Alarm; !strings.Contains(alarm, errNoPath.Error()) {
		t.Errorf("the alarm is %q", alarm)
	}
}

// A disk that fails everywhere does not send the logical unit round.
func TestWhatFailsOnBothControllersIsTold(t *testing.T) {
	p, disks := newFailingPair(t)
	p.trial = map[ha.NodeID]time.Duration{2: time.Hour}
	p.startBoth()
	p.run(1, "host", write16(0, 1), fill(1, 1))
	disks[2].fails.Store(true)
	disks[1].fails.Store(true)
	for range 2 { // the unit attention of the change may come first
		c := p.finish(p.submit(1, "host", read16(0, 1), nil, false))
		if c.Sense.Key == scsi.UnitAttention {
			continue
		}
		if c.Status != scsi.StatusCheckCondition || c.Sense.Key != scsi.MediumError {
			t.Errorf("%v, %v; want MEDIUM ERROR", c.Status, c.Sense)
		}
	}
	if !p.unit(2).lu.Active() {
		t.Error("the other controller was not tried")
	}
}

func TestAPrimaryWhoseDiskFailsAndHasNobodyToHandOverToTells(t *testing.T) {
	p, disks := newFailingPair(t)
	p.start(1)
	p.wait("controller 1 to serve", func() bool { return p.route(1) == ha.RouteServe })
	p.run(1, "host", write16(0, 1), fill(1, 1))
	disks[1].fails.Store(true)
	c := p.finish(p.submit(1, "host", read16(0, 1), nil, false))
	if c.Status != scsi.StatusCheckCondition || c.Sense.Key != scsi.MediumError {
		t.Errorf("%v, %v; want MEDIUM ERROR", c.Status, c.Sense)
	}
	disks[1].fails.Store(false)
	p.run(1, "host", read16(0, 1), nil)
}

// A bad sector fails wherever it is read: it moves the logical unit once to each
// controller, and not to and fro.
func TestADiskErrorMovesALogicalUnitOnlyOnceInAnHour(t *testing.T) {
	p, disks := newFailingPair(t)
	p.startBoth()
	p.run(1, "host", write16(0, 1), fill(1, 1))
	disks[1].fails.Store(true)
	disks[2].fails.Store(true)
	for range 5 {
		if c := p.failing(1, read16(0, 1)); c.Sense.Key != scsi.MediumError {
			t.Fatalf("%v, %v; want MEDIUM ERROR", c.Status, c.Sense)
		}
	}
	if g := p.grant(1); g.Primary != 1 || !p.unit(1).lu.Active() {
		t.Errorf("it went on: %v", g)
	}
	moved := p.grant(1).Epoch
	p.failing(1, read16(0, 1))
	if g := p.grant(1); g.Epoch != moved {
		t.Errorf("it moved again: %v", g)
	}
	// An hour later the disk may have become another one.
	disks[1].fails.Store(false)
	disks[2].fails.Store(false)
	p.must(p.nodes[2].Promote(t.Context(), unitName, false))
	p.serves(2)
	past := time.Now().Add(-diskRest)
	p.unit(1).leftDisk.Store(&past)
	p.must(p.nodes[1].Promote(t.Context(), unitName, false))
	p.serves(1)
	disks[1].fails.Store(true)
	p.failing(1, read16(0, 1))
	p.serves(2)
}

// failing runs a command until it ends with something else than UNIT ATTENTION.
func (p *pair) failing(id ha.NodeID, cdb []byte) *command {
	p.t.Helper()
	for {
		if c := p.finish(p.submit(id, "host", cdb, nil, false)); c.Sense.Key != scsi.UnitAttention {
			return c
		}
	}
}

// What a sync has lost is not there when another controller syncs.
func TestASyncThatFailsIsToldWhereTheMachineKeepsWrites(t *testing.T) {
	for _, cached := range []bool{true, false} {
		t.Run(fmt.Sprint("cached ", cached), func(t *testing.T) {
			p, disks := newFailingPair(t)
			disks[1].cached, disks[2].cached = cached, cached
			p.startBoth()
			p.run(1, "host", write16(0, 1), fill(1, 1))
			disks[1].unsynced.Store(true)
			c := p.failing(1, blocks16(0x91, 0, 1))
			if told := c.Sense.Key == scsi.MediumError; told != cached {
				t.Errorf("SYNCHRONIZE CACHE ended with %v, %v", c.Status, c.Sense)
			}
			if !cached {
				p.serves(2)
				return
			}
			disks[1].fails.Store(true) // a handover for that would have the next sync succeed
			if c := p.failing(1, read16(0, 1)); c.Sense.Key != scsi.MediumError || !p.unit(1).lu.Active() {
				t.Errorf("a read ended with %v, %v", c.Status, c.Sense)
			}
		})
	}
}
