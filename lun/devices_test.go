package lun_test

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/tandem-san/tandem/block"
)

// gate is a device whose calls wait until they are let through, one by one or
// all.
type gate struct {
	block.Device
	entered chan string // names each call that waits
	pass    chan struct{}
	open    atomic.Bool
}

func newGate(d block.Device) *gate {
	return &gate{Device: d, entered: make(chan string, 1000), pass: make(chan struct{})}
}

func (g *gate) wait(what string) {
	if g.open.Load() {
		return
	}
	g.entered <- what
	<-g.pass
}

func (g *gate) openAll() {
	g.open.Store(true)
	close(g.pass)
}

func (g *gate) ReadAt(p []byte, off int64) error {
	g.wait("read")
	return g.Device.ReadAt(p, off)
}

func (g *gate) WriteAt(p []byte, off int64) error {
	g.wait("write")
	return g.Device.WriteAt(p, off)
}

func (g *gate) Zero(off, length int64, deallocate bool) error {
	g.wait("zero")
	return g.Device.Zero(off, length, deallocate)
}

func (g *gate) Attributes() block.Attributes {
	a := g.Device.Attributes()
	a.Blocks = true
	return a
}

var errDisk = errors.New("the disk is broken")

// faulty is a device that answers what it is told to, and counts.
type faulty struct {
	block.Device
	mu                sync.Mutex
	read, write, sync error
	beforeWrite       func()
	writes, syncs     int
}

func (d *faulty) set(read, write, sync error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.read, d.write, d.sync = read, write, sync
}

func (d *faulty) counts() (writes, syncs int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes, d.syncs
}

func (d *faulty) ReadAt(p []byte, off int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.read != nil {
		return d.read
	}
	return d.Device.ReadAt(p, off)
}

func (d *faulty) WriteAt(p []byte, off int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.beforeWrite != nil {
		d.beforeWrite()
	}
	d.writes++
	if d.write != nil {
		return d.write
	}
	return d.Device.WriteAt(p, off)
}

func (d *faulty) Zero(off, length int64, deallocate bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	if d.write != nil {
		return d.write
	}
	return d.Device.Zero(off, length, deallocate)
}

func (d *faulty) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs++
	if d.sync != nil {
		return d.sync
	}
	return d.Device.Sync()
}
