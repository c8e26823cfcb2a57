package reserve

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tandem-san/tandem/block"
)

// Config is what a Disk needs.
type Config struct {
	// Path of the disk on this controller: a whole block device.
	Path string
	// Cluster and Node, 1 to 255, name this controller.
	Cluster string
	Node    uint8
	// Open opens the disk for reading and writing.
	Open func() (block.Device, error)
}

// Disk is a shared disk as one controller reaches it, with what keeps others
// from it. Its methods may be called from many goroutines; those that wait for
// the disk wait for as long as it takes to answer.
type Disk struct {
	config Config
	own    Key

	mu sync.Mutex // held while a command of this controller changes reservations
	// open is the one opening there is at a time; nil when there is none.
	open *device
}

// New makes a Disk. Nothing is opened.
func New(c Config) *Disk { return &Disk{config: c, own: KeyOf(c.Cluster, c.Node)} }

// Key is that of this controller.
func (d *Disk) Key() Key { return d.own }

// Check refuses a disk that cannot be fenced by its reservations: one that is
// no block device, a partition, or one whose driver or target does not know
// them. It changes nothing.
func (d *Disk) Check() error {
	h, err := openHandle(d.config.Path, d.own)
	if err != nil {
		return err
	}
	defer h.close()
	if err := h.supported(); err != nil {
		return fmt.Errorf("%s: %w; expected a SCSI or NVMe disk with persistent reservations", d.config.Path, err)
	}
	return nil
}

// Open registers this controller and opens the disk. There is one opening at a
// time. When the key is taken away while it is open, lost is called once, from
// the call that met it; it must not wait. From then on every call of the Device
// fails with block.ErrClosed.
func (d *Disk) Open(lost func(error)) (block.Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open != nil {
		panic("reserve: the disk is opened twice")
	}
	h, err := openHandle(d.config.Path, d.own)
	if err != nil {
		return nil, err
	}
	if err := h.claim(); err != nil {
		h.close()
		return nil, fmt.Errorf("%s: registering key %v: %w", d.config.Path, d.own, err)
	}
	under, err := d.config.Open()
	if err == nil && !sameDisk(h.file, d.config.Path) {
		under.Close()
		err = fmt.Errorf("%s leads to another device than a moment ago", d.config.Path)
	}
	if err != nil {
		h.close()
		return nil, err
	}
	d.open = &device{Device: under, disk: d, handle: h, lost: lost}
	return d.open, nil
}

// Fence takes the key of another controller away. When it returns nil nothing
// that this controller has under way, or begins, reaches the disk any more,
// until it has opened the disk anew. Where this controller was fenced itself
// since it opened the disk, it is an error.
func (d *Disk) Fence(ctx context.Context, node uint8) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	err := d.fence(KeyOf(d.config.Cluster, node))
	if err != nil {
		return fmt.Errorf("%s: preempting key %v: %w", d.config.Path, KeyOf(d.config.Cluster, node), err)
	}
	return nil
}

func (d *Disk) fence(victim Key) error {
	if d.open != nil {
		err := d.open.handle.fence(victim)
		if errors.Is(err, errLost) {
			d.open.lose(err)
		}
		return err
	}
	h, err := openHandle(d.config.Path, d.own)
	if err != nil {
		return err
	}
	defer h.close()
	if err := h.claim(); err != nil {
		return fmt.Errorf("registering key %v: %w", d.own, err)
	}
	return h.fence(victim)
}
