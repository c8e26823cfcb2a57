package reserve

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tandem-san/tandem/block"
)

// device is one opening of a disk under one registration.
type device struct {
	block.Device
	disk   *Disk
	handle *handle
	gone   atomic.Bool // the key was taken away
	lost   func(error)
}

var _ block.Device = (*device)(nil)

// errGone: the device answers so once the key was taken away. Package lun then
// takes commands for not executed, whose effect nobody has seen.
var errGone = fmt.Errorf("%w: %w", block.ErrClosed, errLost)

// lose ends the opening: whatever is registered later is not for it.
func (d *device) lose(why error) {
	if !d.gone.Swap(true) {
		d.lost(why)
	}
}

// call does something with the device unless the key is known to be lost, and
// looks at its error for word that it is.
func (d *device) call(f func() error) error {
	if d.gone.Load() {
		return errGone
	}
	err := f()
	if errors.Is(err, conflict) {
		d.lose(err)
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return err
}

// ReadAt implements block.Device.
func (d *device) ReadAt(p []byte, off int64) error {
	return d.call(func() error { return d.Device.ReadAt(p, off) })
}

// WriteAt implements block.Device.
func (d *device) WriteAt(p []byte, off int64) error {
	return d.call(func() error { return d.Device.WriteAt(p, off) })
}

// Sync implements block.Device.
func (d *device) Sync() error { return d.call(d.Device.Sync) }

// Zero implements block.Device.
func (d *device) Zero(off, length int64, deallocate bool) error {
	return d.call(func() error { return d.Device.Zero(off, length, deallocate) })
}

// Resize implements block.Device.
func (d *device) Resize(size int64) error {
	return d.call(func() error { return d.Device.Resize(size) })
}

// Close implements block.Device. The key stays where it is.
func (d *device) Close() error {
	err := d.Device.Close() // waits for what is under way
	d.disk.mu.Lock()
	defer d.disk.mu.Unlock()
	d.disk.open = nil
	return errors.Join(err, d.handle.close())
}
