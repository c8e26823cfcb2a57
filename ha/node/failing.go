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
// what has failed runs again there. What fails there too is told, and what fails
// here when it is back: a bad sector would send the logical unit to and fro.

const (
	// diskTrial is how long a primary must have had its disk open before an error
	// moves the logical unit: one that has just come here, and fails here too,
	// fails everywhere.
	diskTrial = 10 * time.Second
	// diskRest is how long after such a handover an error moves the logical unit
	// from here no more when it has come back.
	diskRest = time.Hour
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
	moves time.Time // an error before that is told
	until time.Time // what fails waits for a handover
	torn  bool      // a Sync has lost what was written
}

func (n *Node) watchDisk(u *Unit, d block.Device) block.Device {
	moves := time.Now().Add(n.diskTrial)
	if left := u.leftDisk.Load(); left != nil && left.Add(diskRest).After(moves) {
		moves = left.Add(diskRest)
	}
	return &watchedDisk{Device: d, trial: n.diskTrial, moves: moves, giveAway: func(why error) bool {
		if !n.giveAway(u) {
			return false
		}
		now := time.Now()
		u.leftDisk.Store(&now)
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
	if d.torn || now.Before(d.moves) || !d.giveAway(err) {
		return err
	}
	d.moves, d.until = now.Add(d.trial), now.Add(handoverTime)
	return block.ErrClosed
}

// ReadAt implements block.Device.
func (d *watchedDisk) ReadAt(p []byte, off int64) error { return d.judge(d.Device.ReadAt(p, off)) }

// WriteAt implements block.Device.
func (d *watchedDisk) WriteAt(p []byte, off int64) error { return d.judge(d.Device.WriteAt(p, off)) }

// Sync implements block.Device. The kernel drops what it could not write: another
// Sync, here or elsewhere, succeeds, and what was written is lost. So where it
// keeps writes each failure is told, and nothing moves before somebody sees to it.
func (d *watchedDisk) Sync() error {
	err := d.Device.Sync()
	if err == nil || errors.Is(err, block.ErrClosed) || !d.Attributes().Cached {
		return d.judge(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.torn = true
	return err
}

// Zero implements block.Device.
func (d *watchedDisk) Zero(off, length int64, deallocate bool) error {
	return d.judge(d.Device.Zero(off, length, deallocate))
}

// Allocated implements block.Device.
func (d *watchedDisk) Allocated(off int64) (bool, int64, error) {
	allocated, length, err := d.Device.Allocated(off)
	return allocated, length, d.judge(err)
}
