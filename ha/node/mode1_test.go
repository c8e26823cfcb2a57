package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/scsi"
)

// diskPath is the disk as one controller reaches it. It counts what it does, and
// can hold it up.
type diskPath struct {
	block.Device
	reads, writes atomic.Int64
	entered       chan struct{} // a write waits
	gate          atomic.Pointer[chan struct{}]
}

func (d *diskPath) ReadAt(p []byte, at int64) error {
	d.reads.Add(1)
	return d.Device.ReadAt(p, at)
}

func (d *diskPath) WriteAt(p []byte, at int64) error {
	d.writes.Add(1)
	if gate := d.gate.Load(); gate != nil {
		d.entered <- struct{}{}
		<-*gate
	}
	return d.Device.WriteAt(p, at)
}

// hold has writes wait until the answer is called.
func (d *diskPath) hold() (release func()) {
	gate := make(chan struct{})
	d.gate.Store(&gate)
	return sync.OnceFunc(func() {
		d.gate.Store(nil)
		close(gate)
	})
}

// newActivePair is newPair in mode 1, with a path for each controller.
func newActivePair(t *testing.T) *pair {
	p := newPair(t)
	p.mode = ActiveActive
	p.paths = map[ha.NodeID]*diskPath{}
	for id := ha.NodeID(1); id <= 2; id++ {
		p.paths[id] = &diskPath{Device: p.disk, entered: make(chan struct{}, 100)}
	}
	return p
}

// fenceFile makes the fence a command that works only while the file of the
// answer exists, and that leaves the file "fenced" when it does.
func (p *pair) fenceFile() (works, fenced string) {
	works, fenced = filepath.Join(p.dir, "works"), filepath.Join(p.dir, "fenced")
	script := filepath.Join(p.dir, "fence")
	text := fmt.Sprintf("#!/bin/sh\ntest -e %s && touch %s\n", works, fenced)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		p.t.Fatal(err)
	}
	p.fence = &Fence{Command: script}
	return works, fenced
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// moving has controller 2 stand in the middle of a write of the first eight
// blocks.
func (p *pair) moving() (*command, func()) {
	p.t.Helper()
	p.run(2, "mover", read16(0, 1), nil) // takes the unit attentions
	release := p.paths[2].hold()
	p.t.Cleanup(release)
	c := p.submit(2, "mover", write16(0, 8), fill(7, 8), false)
	p.entered(2)
	return c, release
}

// entered waits until a write of a controller is held.
func (p *pair) entered(id ha.NodeID) {
	p.t.Helper()
	select {
	case <-p.paths[id].entered:
	case <-time.After(patience):
		p.t.Fatalf("controller %d does not write", id)
	}
}

// overlaps has a write through controller 1 wait for the blocks of moving.
func (p *pair) overlaps() *command {
	p.t.Helper()
	p.run(1, "other", read16(100, 1), nil)
	c := p.submit(1, "other", write16(4, 1), fill(9, 1), false)
	p.waits(c)
	return c
}

func (p *pair) waits(c *command) {
	p.t.Helper()
	select {
	case <-c.done:
		p.t.Fatalf("blocks that controller 2 is writing were given to another, which ended with %v, %v", c.Status, c.Sense)
	case <-time.After(50 * time.Millisecond):
	}
}

// silence has a controller do nothing but move data, until the answer is called.
func (p *pair) silence(id ha.NodeID) (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	begun := make(chan struct{})
	go func() {
		defer close(ended)
		if err := p.nodes[id].ask(func() { close(begun); <-stop }); err != nil {
			p.t.Error(err)
		}
	}()
	<-begun
	end = sync.OnceFunc(func() { close(stop); <-ended })
	p.t.Cleanup(end)
	return end
}

func TestInMode1BothControllersMoveTheirData(t *testing.T) {
	p := newActivePair(t).unhurried()
	p.startBoth()
	p.run(2, "host", write16(8, 16), fill(0xA5, 16))
	if got := p.run(1, "host", read16(8, 16), nil); !bytes.Equal(got, fill(0xA5, 16)) {
		t.Error("read through controller 1 what was not written through controller 2")
	}
	p.run(1, "host", write16(8, 16), fill(0x5A, 16))
	if got := p.run(2, "host", read16(8, 16), nil); !bytes.Equal(got, fill(0x5A, 16)) {
		t.Error("read through controller 2 what was not written through controller 1")
	}
	for id, d := range p.paths {
		if r, w := d.reads.Load(), d.writes.Load(); r != 1 || w != 1 {
			t.Errorf("controller %d has done %d reads and %d writes, want 1 and 1", id, r, w)
		}
	}
	if !p.unit(1).lu.Active() || p.unit(2).lu.Active() {
		t.Error("the brain is not at controller 1 alone")
	}
}

func TestInMode1AReservationHoldsThroughBothAndThroughFailover(t *testing.T) {
	p := newActivePair(t)
	p.startBoth()
	p.reserve(1, "owner", 0xAB)
	p.conflicts(2, "other")
	p.nodes[1].stop()
	p.wait("the takeover", func() bool { return p.route(2) == ha.RouteServe })
	p.conflicts(2, "other")
}

func TestInMode1AHandoverUnderLoadFailsNoCommand(t *testing.T) {
	p := newActivePair(t).unhurried()
	p.startBoth()
	for id := ha.NodeID(1); id <= 2; id++ {
		p.run(id, fmt.Sprint("host", id), read16(0, 1), nil) // clears the unit attention
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for id := ha.NodeID(1); id <= 2; id++ {
		load.Go(func() { p.load(id, fmt.Sprint("host", id), stop) })
	}
	for _, to := range []ha.NodeID{2, 1, 2} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := p.nodes[to].Promote(ctx, unitName, false); err != nil {
			t.Error(err)
		}
		cancel()
	}
	close(stop)
	load.Wait()
}

// The brain knows what it admitted; before a handover all of it has ended.
func TestInMode1AHandoverWaitsForWhatASecondaryMoves(t *testing.T) {
	p := newActivePair(t).unhurried()
	p.fenceFile()
	p.startBoth()
	c, release := p.moving()
	promoted := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		promoted <- p.nodes[2].Promote(ctx, unitName, false)
	}()
	select {
	case err := <-promoted:
		t.Fatalf("the handover did not wait: %v", err)
	case <-time.After(2500 * time.Millisecond): // given up once at least
	}
	if p.unit(2).lu.Active() {
		t.Fatal("the brain moved while data was moved in its right")
	}
	p.overlaps() // given up, the brain goes on and still holds the blocks
	release()
	if err := <-promoted; err != nil {
		t.Fatal(err)
	}
	if p.finish(c); c.Status != scsi.StatusGood && c.Sense.Key != scsi.UnitAttention {
		t.Errorf("the write ended with %v, %v", c.Status, c.Sense)
	}
}

// A secondary that is lost in the middle of a write is fenced before anything
// that overlaps runs; what does not overlap runs all the time.
func TestInMode1ALostSecondaryIsFencedBeforeItsBlocksAreGivenAway(t *testing.T) {
	p := newActivePair(t)
	works, fenced := p.fenceFile()
	p.startBoth()
	_, release := p.moving()
	other := p.overlaps()
	end := p.silence(2)
	p.wait("the grant without controller 2", func() bool { return p.grant(1).Alone() })
	if g := p.grant(1); !g.Unfenced.Has(2) {
		t.Errorf("grant %v, want controller 2 as not fenced", g)
	}
	p.run(1, "other", write16(200, 1), fill(3, 1))
	p.wait("the fence to fail", func() bool { return p.nodes[1].notes.last(unitName) != "" })
	p.waits(other)
	if err := os.WriteFile(works, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if p.finish(other); other.Status != scsi.StatusGood || !exists(fenced) {
		t.Errorf("the overlapping write ended with %v, %v; fenced %t", other.Status, other.Sense, exists(fenced))
	}
	release()
	end()
}

func TestInMode1ALostSecondaryThatWritesNothingIsNotFenced(t *testing.T) {
	p := newActivePair(t)
	works, fenced := p.fenceFile()
	if err := os.WriteFile(works, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.spare = patience
	p.startBoth()
	p.run(2, "host", write16(8, 16), fill(0xA5, 16))
	end := p.silence(2)
	p.wait("the grant without controller 2", func() bool { return p.grant(1).Alone() })
	end()
	p.wait("the grant with controller 2", func() bool { return p.grant(1).Has(2) })
	if exists(fenced) {
		t.Error("it was fenced")
	}
}

// A secondary that comes back over a new link has first ended what it was
// admitted over the old one, so that no fence is needed.
func TestInMode1ASecondaryThatComesBackIsDoneWithWhatItMoved(t *testing.T) {
	p := newActivePair(t)
	p.fenceFile() // does not work
	p.startBoth()
	c, release := p.moving()
	other := p.overlaps()
	p.nodes[1].link.Reset(2)
	p.wait("the grant without controller 2", func() bool { return p.grant(1).Alone() })
	p.wait("a new link", func() bool { return p.nodes[1].isLinked(2) && p.nodes[2].isLinked(1) })
	p.waits(other)
	release()
	if p.finish(other); other.Status != scsi.StatusGood {
		t.Errorf("the overlapping write ended with %v, %v", other.Status, other.Sense)
	}
	p.wait("the grant with controller 2", func() bool { return p.grant(1).Has(2) })
	p.finish(c)
}

func TestInMode1WithoutAFenceTheTicketsOfALostSecondaryAreWaitedOut(t *testing.T) {
	p := newActivePair(t)
	p.fence = &Fence{}
	p.startBoth()
	_, release := p.moving()
	other := p.overlaps()
	silenced := time.Now()
	end := p.silence(2)
	p.wait("the grant without controller 2", func() bool { return p.grant(1).Alone() })
	if p.finish(other); other.Status != scsi.StatusGood {
		t.Errorf("the overlapping write ended with %v, %v", other.Status, other.Sense)
	}
	if waited := time.Since(silenced); waited < p.lease*11/10 {
		t.Errorf("it waited for %v only", waited)
	}
	release()
	end()
}

// The survivor of a takeover ends what it moved in the right of the primary that
// is gone before it serves.
func TestInMode1ATakeoverWaitsForWhatIsMovedHere(t *testing.T) {
	p := newActivePair(t)
	p.startBoth()
	c, release := p.moving()
	p.nodes[1].stop()
	p.wait("the grant of controller 2", func() bool { return p.grant(2).Primary == 2 })
	time.Sleep(100 * time.Millisecond)
	if p.unit(2).lu.Active() {
		t.Error("the new brain began in the middle of a write in the right of the old one")
	}
	release()
	if p.finish(c); c.Status != scsi.StatusGood && c.Sense.Key != scsi.UnitAttention {
		t.Errorf("the write ended with %v, %v", c.Status, c.Sense)
	}
	if c.Status == scsi.StatusGood {
		if got := p.run(2, "mover", read16(0, 8), nil); !bytes.Equal(got, fill(7, 8)) {
			t.Error("an acknowledged write is lost")
		}
	}
}

func TestInMode1WhatRunsAtThePrimaryAndAtTheSecondaryIsHeldApart(t *testing.T) {
	p := newActivePair(t).unhurried()
	p.startBoth()
	for id := ha.NodeID(1); id <= 2; id++ {
		p.run(id, fmt.Sprint("host", id), read16(0, 1), nil)
	}
	var all sync.WaitGroup
	for id := ha.NodeID(1); id <= 2; id++ {
		all.Go(func() {
			for i := range uint64(200) {
				c := p.loadCommand(id, fmt.Sprint("host", id), 2*i, write16(i%8, 16), fill(byte(id)<<6|byte(i&63), 16))
				if c == nil {
					return
				}
				if c = p.loadCommand(id, fmt.Sprint("host", id), 2*i+1, read16(8, 1), nil); c == nil {
					return
				}
				if got := c.DataIn.Bytes(); !bytes.Equal(got, fill(got[0], 1)) {
					t.Error("a read saw part of a write")
				}
				c.Release()
			}
		})
	}
	all.Wait()
}
