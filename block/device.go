// Package block holds what keeps the bytes of a logical unit: the Device
// interface and its backends (a file, a block device, memory), and the buffers
// data moves in.
//
// A Device knows byte ranges and nothing of SCSI, sessions or clusters. It
// never acknowledges a write it has not handed to the operating system, and
// never reports durable what has not been synced.
package block

import "errors"

// Device stores the bytes of one logical unit. All methods may be called from
// many goroutines at once. Overlapping calls may take effect in any order;
// who needs an order waits (package lun holds overlapping commands apart).
//
// Offsets and lengths are in bytes. A range that is not wholly inside
// [0, Size()) is refused with ErrOutOfRange and nothing is touched. A write
// that found no room fails with ErrNoSpace. A call after Close fails with
// ErrClosed.
type Device interface {
	// ReadAt fills p from off. It reads all of p or fails.
	ReadAt(p []byte, off int64) error
	// WriteAt stores p at off. When it returns nil a later read, through this
	// Device or (when Shared) through any other controller, sees p.
	// Durability needs Sync.
	WriteAt(p []byte, off int64) error
	// Sync makes every write that returned before it was called survive
	// loss of power.
	Sync() error
	// Zero makes the range read as zeroes. Space may be given back
	// (deallocate) when the backend can; otherwise zeroes are written.
	Zero(off, length int64, deallocate bool) error
	// Allocated reports whether the byte at off is backed by space, and how many
	// bytes from off share that answer (at least 1, at most to the end of the device).
	Allocated(off int64) (allocated bool, length int64, err error)
	// Space tells what of the backend the device takes. A backend that does not
	// know answers ErrNotSupported.
	Space() (Space, error)
	// Size is the capacity in bytes. It changes only through Resize.
	Size() int64
	// Resize changes the capacity. Bytes past a smaller size are lost; new
	// bytes read as zeroes. A backend that cannot answers ErrNotSupported.
	Resize(size int64) error
	// Attributes says what the backend is like. The answer never changes.
	Attributes() Attributes
	// Close releases the backend after the calls under way have ended. It does
	// not sync.
	Close() error
}

// Space is what a device takes of its backend, in bytes.
type Space struct {
	Used, Available int64
	// Shared: what is available is for others too.
	Shared bool
}

// Attributes describes a backend to those who use it.
type Attributes struct {
	// Shared: a completed write is visible to every controller that has the
	// same backend open. Otherwise it is visible only here (private).
	Shared bool
	// Alignment is the offset, length and memory alignment in bytes at which
	// calls need no bounce buffer; a power of two, at least 1. Other calls
	// work too, slower.
	Alignment int
	// DeallocateUnit is the granularity in bytes at which Zero gives space
	// back; 0 when it never does.
	DeallocateUnit int64
	// Cached: writes are in the memory of this machine until Sync. A Sync that
	// failed may have lost them, and one through another Device does not know.
	Cached bool
	// Blocks: a call may wait for a disk. When false (memory) the caller may
	// run it on a goroutine that must not wait.
	Blocks bool
}

// What a Device may answer; test with errors.Is.
var (
	ErrOutOfRange   = errors.New("range is not inside the device")
	ErrNoSpace      = errors.New("no space left on the backend")
	ErrClosed       = errors.New("device is closed")
	ErrNotSupported = errors.New("not supported by this backend")
	ErrReadOnly     = errors.New("backend is open for reading only")
)
