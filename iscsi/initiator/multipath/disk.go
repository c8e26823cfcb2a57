package multipath

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/scsi"
)

// What Disk answers; test with errors.Is.
var (
	// ErrClosed: the disk was closed.
	ErrClosed = errors.New("multipath disk is closed")
	// ErrQueueTimeout: the command could not be carried out in time.
	ErrQueueTimeout = errors.New("no path carried out the command in time")
	// ErrOtherLogicalUnit: a path leads to another logical unit than the rest.
	ErrOtherLogicalUnit = errors.New("the path leads to another logical unit")
)

// Disk is a logical unit reached over several paths. All methods may be called
// from many goroutines.
type Disk struct {
	cfg    Config
	paths  []*path
	cancel context.CancelFunc
	ctx    context.Context // of the paths
	wg     sync.WaitGroup

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every change of a path
	identity string
	capacity initiator.Capacity
	resized  bool // the capacity is to be read again
	turn     int
}

// Open starts all paths and returns once one is up and the capacity is known,
// or ctx has ended.
func Open(ctx context.Context, cfg Config) (*Disk, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &Disk{cfg: cfg, changed: make(chan struct{})}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	for i := range cfg.Paths {
		d.paths = append(d.paths, &path{disk: d, cfg: cfg.session(i), poke: make(chan struct{}, 1)})
	}
	for _, p := range d.paths {
		d.wg.Go(func() { p.run(d.ctx) })
	}
	for {
		d.mu.Lock()
		ready, changed := d.capacity.Blocks > 0, d.changed
		d.mu.Unlock()
		if ready {
			return d, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			err := errors.Join(context.Cause(ctx), d.pathErrors())
			_ = d.Close()
			return nil, fmt.Errorf("open multipath disk: %w", err)
		}
	}
}

// Close logs out of all paths and waits for everything the disk started.
// Commands under way fail.
func (d *Disk) Close() error {
	d.cancel()
	d.wg.Wait()
	return nil
}

// Size is the capacity in bytes, as last reported.
func (d *Disk) Size() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.capacity.Bytes()
}

// BlockLength is the length of a logical block in bytes.
func (d *Disk) BlockLength() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int(d.capacity.BlockLength)
}

// ReadAt fills p from the byte at off. Both are multiples of BlockLength.
func (d *Disk) ReadAt(ctx context.Context, p []byte, off int64) error {
	return d.transfer(ctx, operation{kind: opRead}, p, off)
}

// WriteAt stores p at off. Both are multiples of BlockLength. When it returns
// an error the write may or may not have taken effect.
func (d *Disk) WriteAt(ctx context.Context, p []byte, off int64) error {
	return d.transfer(ctx, operation{kind: opWrite}, p, off)
}

// Sync makes what was written durable (SYNCHRONIZE CACHE).
func (d *Disk) Sync(ctx context.Context) error {
	return d.run(ctx, operation{kind: opSync})
}

// Via is the disk over path i alone: commands wait for that path and go to no
// other.
func (d *Disk) Via(i int) *Via { return &Via{d, d.paths[i]} }

// Via is a Disk restricted to one of its paths.
type Via struct {
	disk *Disk
	path *path
}

// ReadAt is Disk.ReadAt over the one path.
func (v *Via) ReadAt(ctx context.Context, p []byte, off int64) error {
	return v.disk.transfer(ctx, operation{kind: opRead, only: v.path}, p, off)
}

// WriteAt is Disk.WriteAt over the one path.
func (v *Via) WriteAt(ctx context.Context, p []byte, off int64) error {
	return v.disk.transfer(ctx, operation{kind: opWrite, only: v.path}, p, off)
}

// transfer checks the range and runs op for each part of it.
func (d *Disk) transfer(ctx context.Context, op operation, p []byte, off int64) error {
	d.mu.Lock()
	length, size := int64(d.capacity.BlockLength), d.capacity.Bytes()
	d.mu.Unlock()
	if off < 0 || off%length != 0 || int64(len(p))%length != 0 || len(p) == 0 {
		return fmt.Errorf("multipath: %d bytes at %d: want multiples of the block length %d", len(p), off, length)
	}
	if off+int64(len(p)) > size {
		return fmt.Errorf("multipath: %d bytes at %d: the disk ends at %d", len(p), off, size)
	}
	for len(p) > 0 {
		n := min(len(p), maxTransfer)
		op.data, op.lba, op.blocks = p[:n], uint64(off/length), uint32(int64(n)/length)
		if err := d.run(ctx, op); err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// changedLocked tells everybody who waits that a path has changed.
func (d *Disk) changedLocked() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *Disk) pokeAll() {
	for _, p := range d.paths {
		p.pokeNow()
	}
}

// claim compares the identity a path found with that of the disk. The first
// path decides it.
func (d *Disk) claim(ctx context.Context, identity string, unit *initiator.LogicalUnit) error {
	d.mu.Lock()
	if d.identity == "" {
		d.identity = identity
	}
	own := d.identity
	d.mu.Unlock()
	if own != identity {
		return fmt.Errorf("%w: %s, expected %s", ErrOtherLogicalUnit, identity, own)
	}
	return d.measure(ctx, unit, scsi.ActiveOptimized)
}

// measure reads the capacity when it is not known. A port that is not active
// may be unable to tell it; another will.
func (d *Disk) measure(ctx context.Context, unit *initiator.LogicalUnit, state scsi.AccessState) error {
	d.mu.Lock()
	due := d.capacity.Blocks == 0 || d.resized
	d.mu.Unlock()
	if !due || rank(state) == unusable {
		return nil
	}
	var c initiator.Capacity
	err := retried(ctx, func() (err error) {
		c, err = unit.ReadCapacity(ctx)
		return err
	})
	if capacityUnavailable(err) {
		return nil
	}
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.capacity.BlockLength; old != 0 && old != c.BlockLength {
		return fmt.Errorf("%w: block length %d, expected %d", ErrOtherLogicalUnit, c.BlockLength, old)
	}
	d.capacity, d.resized = c, false
	d.changedLocked()
	return nil
}

// pathErrors says why each path that is not up is not.
func (d *Disk) pathErrors() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, p := range d.paths {
		if p.unit == nil && p.err != nil {
			errs = append(errs, fmt.Errorf("path %s: %w", p.cfg.Portal, p.err))
		}
	}
	return errors.Join(errs...)
}

// backoff is a rest that doubles each time it is taken.
type backoff struct{ last time.Duration }

// wait rests, or less when changed is closed or ctx ends; the error is that
// of ctx.
func (b *backoff) wait(ctx context.Context, changed <-chan struct{}) error {
	b.last = min(max(2*b.last, minBackoff), maxBackoff)
	t := time.NewTimer(b.last)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-changed:
	case <-t.C:
	}
	return nil
}
