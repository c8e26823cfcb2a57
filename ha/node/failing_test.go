package node

import (
	"bytes"
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
