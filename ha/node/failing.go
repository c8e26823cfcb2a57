package node

import (
	"errors"
	"sync"
	"time"

	"github.com/tandem-san/tandem/block"
)

// A disk can fail for one controller and work for another: a cable, an adapter.
// An error told to initiators would have them give up the disk for good (S7). So
// the primary hands over at the first error, when a candidate can take it, and
// what has failed runs again there. What fails there too is told.

const (
	// diskTrial is how long a primary must have had its disk open before an error
	// moves the logical unit: one that has just come here, and fails here too,
	// fails everywhere.
	diskTrial = 10 * time.Second
	// handoverTime is how long what has failed waits for the handover.
	handoverTime = 3 * time.Second
)

// watchedDisk is the backend of a primary. It hands the logical unit over when
// the backend fails; what failed is then to be run elsewhere (block.ErrClosed).
type watchedDisk struct {
	block.Device
	giveAway func(why error) bool
	trial    time.Duration

	mu    sync.Mutex
	since time.Time // it was opened, or the last handover was begun
	until time.Time // what fails waits for a handover
}

func (n *Node) watchDisk(u *Unit, d block.Device) block.Device {
	return &watchedDisk{Device: d, trial: n.diskTrial, since: time.Now(), giveAway: func(why error) bool {
		if !n.giveAway(u) {
			return false
		}
		n.log.Error("the disk fails on this controller: handing over", "lun", u.cfg.Name, "error", why)
		n.notes.keep(u.cfg.Name, "the disk fails on this controller: "+why.Error(), false)
		return true
	}}
}

// judge decides what is to become of a call that ended with err.
func (d *watchedDisk) judge(err error) error {
	if err == nil || errors.Is(err, block.ErrClosed) || errors.Is(err, block.ErrNoSpace) ||
		errors.Is(err, block.ErrOutOfRange) || errors.Is(err, block.ErrNotSupported) || errors.Is(err, block.ErrReadOnly) {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if now.Before(d.until) {
		return block.ErrClosed
	}
	if now.Sub(d.since) < d.trial || !d.giveAway(err) {
		return err
	}
	d.since, d.until = now, now.Add(handoverTime)
	return block.ErrClosed
}

// ReadAt implements block.Device.
func (d *watchedDisk) ReadAt(p []byte, off int64) error { return d.judge(d.Device.ReadAt(p, off)) }

// WriteAt implements block.Device.
func (d *watchedDisk) WriteAt(p []byte, off int64) error { return d.judge(d.Device.WriteAt(p, off)) }

// Sync implements block.Device.
func (d *watchedDisk) Sync() error { return d.judge(d.Device.Sync()) }

// Zero implements block.Device.
func (d *watchedDisk) Zero(off, length int64, deallocate bool) error {
	return d.judge(d.Device.Zero(off, length, deallocate))
}

// Allocated implements block.Device.
func (d *watchedDisk) Allocated(off int64) (bool, int64, error) {
	allocated, length, err := d.Device.Allocated(off)
	return allocated, length, d.judge(err)
}
