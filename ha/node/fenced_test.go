package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/scsi"
)

// keyedDisk is memory that only registered controllers write, as package reserve
// makes a disk. (That the disk does so is tested with Linux itself, in e2e.)
type keyedDisk struct {
	*sharedDisk
	mu     sync.Mutex
	keys   []ha.NodeID
	broken error // what a fence fails with
}

var errTaken = errors.New("the key was taken away")

func newKeyedPair(t *testing.T) *pair {
	p := newPair(t)
	p.keyed = &keyedDisk{sharedDisk: p.disk}
	return p
}

// take takes the key of a controller away.
func (d *keyedDisk) take(id ha.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys = slices.DeleteFunc(d.keys, func(k ha.NodeID) bool { return k == id })
}

func (d *keyedDisk) has(id ha.NodeID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.keys, id)
}

func (d *keyedDisk) setBroken(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = err
}

// keyedPath is the disk as a controller reaches it.
type keyedPath struct {
	disk *keyedDisk
	id   ha.NodeID
}

func (k keyedPath) Open(lost func(error)) (block.Device, error) {
	k.disk.mu.Lock()
	defer k.disk.mu.Unlock()
	if !slices.Contains(k.disk.keys, k.id) {
		k.disk.keys = append(k.disk.keys, k.id)
	}
	return &keyedDevice{Device: k.disk.sharedDisk, keyedPath: k, lost: lost}, nil
}

func (k keyedPath) Fence(_ context.Context, node uint8) error {
	k.disk.mu.Lock()
	err := k.disk.broken
	k.disk.mu.Unlock()
	if err == nil {
		k.disk.take(ha.NodeID(node))
	}
	return err
}

// keyedDevice is one opening of it.
type keyedDevice struct {
	block.Device
	keyedPath
	gone atomic.Bool
	lost func(error)
}

func (d *keyedDevice) WriteAt(b []byte, at int64) error {
	if d.gone.Load() {
		return block.ErrClosed
	}
	if !d.disk.has(d.id) {
		if !d.gone.Swap(true) {
			d.lost(errTaken)
		}
		return block.ErrClosed
	}
	return d.Device.WriteAt(b, at)
}

func TestATakeoverTakesTheKeyOfThePrimaryBeforeTheFirstWrite(t *testing.T) {
	p := newKeyedPair(t)
	p.startBoth()
	p.run(1, "host", write16(0, 1), fill(1, 1))
	if p.keyed.has(2) {
		t.Error("a secondary that writes nothing is registered")
	}
	p.keyed.setBroken(errors.New("the disk does not answer"))
	p.nodes[1].stop()
	held := p.submit(2, "host", write16(0, 1), fill(2, 1), true)
	p.wait("a fence that fails to be told", func() bool {
		return strings.Contains(p.status(2).Alarm, "controller 1 could not be fenced")
	})
	if p.route(2) == ha.RouteServe {
		t.Error("served though the fence failed")
	}
	p.keyed.setBroken(nil)
	for p.finish(held).Status == scsi.StatusCheckCondition { // a unit attention, or it was held too long
		held = p.submit(2, "host", write16(0, 1), fill(2, 1), true)
	}
	if p.keyed.has(1) || !p.keyed.has(2) {
		t.Errorf("keys of %v are on the disk, expected 2", p.keyed.keys)
	}
}

func TestAPrimaryWhoseKeyIsTakenHandsOverAndFailsNoCommand(t *testing.T) {
	p := newKeyedPair(t).unhurried()
	p.startBoth()
	p.run(1, "host", write16(0, 1), fill(1, 1))
	p.keyed.take(1)
	p.run(1, "host", write16(0, 1), fill(2, 1))
	if p.keyed.has(1) {
		t.Error("the controller has registered again by itself")
	}
	if p.route(2) != ha.RouteServe || p.route(1) != ha.RouteForward {
		t.Errorf("controller 1 %v, controller 2 %v", p.route(1), p.route(2))
	}
	// Primary again by consent, it registers again.
	p.must(p.nodes[1].Promote(t.Context(), unitName, false))
	p.run(2, "host", write16(0, 1), fill(3, 1))
	if !p.keyed.has(1) {
		t.Error("a primary by handover is not registered")
	}
}

func TestAPrimaryWhoseKeyIsTakenAndHasNobodyToHandOverToWaitsForTheOperator(t *testing.T) {
	p := newKeyedPair(t)
	p.holdTime = 2 * time.Second
	p.start(1)
	p.wait("controller 1 to serve", func() bool { return p.route(1) == ha.RouteServe })
	p.run(1, "host", write16(0, 1), fill(1, 1))
	p.keyed.take(1)
	c := p.finish(p.submit(1, "host", write16(0, 1), fill(2, 1), true))
	if c.Status != scsi.StatusCheckCondition || c.Sense.Key != scsi.NotReady || c.Sense.ASC != scsi.LogicalUnitNotAccessibleAsymmetricAccessStateTransition {
		t.Errorf("%v, %v; want NOT READY 04h/0Ah", c.Status, c.Sense)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := p.nodes[1].Promote(ctx, unitName, false); err == nil || !strings.Contains(err.Error(), "--force") || !strings.Contains(err.Error(), "fenced") {
		t.Errorf("promote: %v, want that it was fenced and needs --force", err)
	}
	if p.keyed.has(1) {
		t.Error("the controller has registered again by itself")
	}
	p.must(p.nodes[1].Promote(t.Context(), unitName, true))
	p.run(1, "host", write16(0, 1), fill(3, 1))
}

func TestForceTakesTheKeyOfAPrimaryThatCannotBeReached(t *testing.T) {
	p := newKeyedPair(t)
	p.manual = true
	p.startBoth()
	p.run(1, "host", write16(0, 1), fill(1, 1))
	p.nodes[1].stop()
	p.wait("controller 2 to lose the link", func() bool { return !p.nodes[2].isLinked(1) })
	if err := p.nodes[2].Promote(t.Context(), unitName, false); err == nil || !strings.Contains(err.Error(), "force") {
		t.Errorf("without force: %v", err)
	}
	if !p.keyed.has(1) {
		t.Error("the key was taken without force")
	}
	p.must(p.nodes[2].Promote(t.Context(), unitName, true))
	if p.keyed.has(1) || !p.keyed.has(2) {
		t.Errorf("keys of %v are on the disk, expected 2", p.keyed.keys)
	}
}

func TestInMode1ASecondaryWhoseKeyIsTakenHasThePrimaryMoveTheData(t *testing.T) {
	p := newKeyedPair(t).unhurried()
	p.mode = ActiveActive
	p.startBoth()
	p.run(2, "host", write16(0, 1), fill(1, 1))
	if !p.keyed.has(2) {
		t.Fatal("a secondary that writes is not registered")
	}
	p.keyed.take(2)
	p.run(2, "host", write16(0, 1), fill(2, 1))
	if p.keyed.has(2) {
		t.Error("the secondary has registered again at once")
	}
	if got := p.run(1, "host", read16(0, 1), nil); got[0] != 2 {
		t.Errorf("read %d, want 2", got[0])
	}
	p.wait("the secondary to move its data again", func() bool {
		p.run(2, "host", write16(0, 1), fill(3, 1))
		return p.keyed.has(2)
	})
}

// status is the logical unit as a controller sees it.
func (p *pair) status(id ha.NodeID) UnitStatus {
	p.t.Helper()
	s, err := p.nodes[id].Status()
	if err != nil {
		p.t.Fatal(err)
	}
	return s.Units[0]
}
