package workload

import (
	"context"
	"fmt"
	"time"
)

// Disk is what a workload drives. Both methods may be called from many
// goroutines at once. An operation that returns an error may or may not have
// taken effect, but must not take effect after it returned.
type Disk interface {
	// ReadAt fills p from the byte at off.
	ReadAt(ctx context.Context, p []byte, off int64) error
	// WriteAt stores p at off; nil acknowledges it.
	WriteAt(ctx context.Context, p []byte, off int64) error
}

// Limits of a Config.
const (
	MaxSlots   = 1 << 24
	MaxWorkers = 1024
	MinSlot    = 512     // bytes
	MaxSlot    = 1 << 20 // bytes
)

// Config says what to write where.
type Config struct {
	// Slots is the number of registers, 1 to MaxSlots.
	Slots int
	// SlotSize is the size of one in bytes: a power of two from MinSlot to
	// MaxSlot, and no more than the disk writes atomically when it is killed
	// half-way.
	SlotSize int
	// Offset of the first slot in bytes, a multiple of SlotSize.
	Offset int64
	// Workers is how many operations are kept under way, 1 to MaxWorkers.
	Workers int
	// ReadPercent of the operations are reads, 0 to 100.
	ReadPercent int
	// Rest is how long a worker rests after each operation, not negative.
	// Without, a Run takes all the processor time there is.
	Rest time.Duration
	// Run tells this run's writes from those of any other; not 0.
	Run uint64
	// Seed decides which slots are used in which order.
	Seed uint64
	// Hard says whether an error is one no client must ever see for a reason
	// of the cluster. Nil: none is.
	Hard func(error) bool
}

func (c Config) validate() error {
	switch {
	case c.Slots < 1 || c.Slots > MaxSlots:
		return fmt.Errorf("workload: slots %d: want 1 to %d", c.Slots, MaxSlots)
	case c.SlotSize < MinSlot || c.SlotSize > MaxSlot || c.SlotSize&(c.SlotSize-1) != 0:
		return fmt.Errorf("workload: slot size %d: want a power of two from %d to %d", c.SlotSize, MinSlot, MaxSlot)
	case c.Offset < 0 || c.Offset%int64(c.SlotSize) != 0:
		return fmt.Errorf("workload: offset %d: want a multiple of the slot size %d", c.Offset, c.SlotSize)
	case c.Workers < 1 || c.Workers > MaxWorkers:
		return fmt.Errorf("workload: workers %d: want 1 to %d", c.Workers, MaxWorkers)
	case c.ReadPercent < 0 || c.ReadPercent > 100:
		return fmt.Errorf("workload: read percent %d: want 0 to 100", c.ReadPercent)
	case c.Rest < 0:
		return fmt.Errorf("workload: rest %v: want 0 or more", c.Rest)
	case c.Run == 0:
		return fmt.Errorf("workload: run 0: want any other number")
	}
	return nil
}
