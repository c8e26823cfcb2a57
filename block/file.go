package block

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// Options say how OpenFile opens a backend.
type Options struct {
	// Size is the capacity in bytes, a multiple of BlockSize; 0 takes what the
	// backend has. A regular file must be of exactly this size, and one that
	// does not exist is created sparse with it. A block device must have at
	// least as much.
	Size int64
	// BlockSize is the logical block length in bytes, 512 to 65536, a power of
	// two; 0 means 512.
	BlockSize int
	// ReadOnly opens for reading: nothing is created, and every call that
	// would change the backend fails with ErrReadOnly.
	ReadOnly bool
	// Shared promises that a completed write is visible to every other
	// controller that has the same backend open shared: the file is opened for
	// direct I/O. Otherwise the file is private: locked against other
	// processes, and cached by the operating system.
	Shared bool
}

// File is a Device in a regular file or on a block device.
//
// A private file goes through the page cache and is locked for as long as it
// is open (flock(2); a block device is also opened with O_EXCL). A shared one
// is written with O_DIRECT; calls that are not aligned as direct I/O asks take
// the way through a bounce buffer. Once a Sync has failed every later one
// fails too: the operating system reports a lost write once and then forgets
// it.
type File struct {
	// gate is held for reading by every call, for writing by those that
	// change size or closed: they wait for the calls under way.
	gate   sync.RWMutex
	size   int64
	closed bool

	file       *os.File
	path       string
	device     bool // a block device, else a regular file
	readOnly   bool
	grain      int64   // what the capacity must be a multiple of
	zeroUnit   int64   // what the operating system zeroes in multiples of
	direct     *direct // nil when the page cache is used
	attributes Attributes
	warning    string

	syncMu  sync.Mutex
	syncs   atomic.Uint64 // fdatasync calls begun
	syncErr error         // of the first that failed; guarded by syncMu
}

// Warning is what the operator should know about the way the backend was
// opened; empty when there is nothing.
func (f *File) Warning() string { return f.warning }

// enter checks the call and holds the gate for reading when it answers nil.
func (f *File) enter(off, length int64, write bool) error {
	f.gate.RLock()
	err := checkCall(f.closed, off, length, f.size)
	if err == nil && write && f.readOnly {
		err = ErrReadOnly
	}
	if err != nil {
		f.gate.RUnlock()
	}
	return err
}

// ReadAt implements Device.
func (f *File) ReadAt(p []byte, off int64) error {
	if err := f.enter(off, int64(len(p)), false); err != nil {
		return err
	}
	defer f.gate.RUnlock()
	if f.direct != nil {
		return f.direct.readAt(p, off)
	}
	return readFull(f.file, p, off)
}

// WriteAt implements Device.
func (f *File) WriteAt(p []byte, off int64) error {
	if err := f.enter(off, int64(len(p)), true); err != nil {
		return err
	}
	defer f.gate.RUnlock()
	return f.write(p, off)
}

func (f *File) write(p []byte, off int64) error {
	if f.direct != nil {
		return f.direct.writeAt(p, off)
	}
	return writeFull(f.file, p, off)
}

// Sync implements Device. Callers that arrive while a sync is under way share
// the next one.
func (f *File) Sync() error {
	if err := f.enter(0, 0, false); err != nil {
		return err
	}
	defer f.gate.RUnlock()
	if f.readOnly {
		return nil
	}
	begun := f.syncs.Load()
	f.syncMu.Lock()
	defer f.syncMu.Unlock()
	if f.syncErr == nil && f.syncs.Load() == begun { // none began after this call did
		f.syncs.Add(1)
		if err := dataSync(f.file); err != nil {
			f.syncErr = fmt.Errorf("sync of %s: %w", f.path, ioError(err))
		}
	}
	return f.syncErr
}

// Zero implements Device.
func (f *File) Zero(off, length int64, deallocate bool) error {
	if err := f.enter(off, length, true); err != nil {
		return err
	}
	defer f.gate.RUnlock()
	// The operating system is asked for whole units; the edges are written.
	first, end := roundUp(off, f.zeroUnit), roundDown(off+length, f.zeroUnit)
	if first >= end {
		return f.writeZeroes(off, length)
	}
	if err := f.writeZeroes(off, first-off); err != nil {
		return err
	}
	if err := f.zeroUnits(first, end-first, deallocate); err != nil {
		return err
	}
	return f.writeZeroes(end, off+length-end)
}

// zeroUnits zeroes a range of whole units the best way there is.
func (f *File) zeroUnits(off, length int64, deallocate bool) error {
	if f.direct != nil {
		h := f.direct.ranges.lock(off, off+length, false)
		defer f.direct.ranges.unlock(h)
	}
	if deallocate {
		if err := punchHole(f.file, off, length); !errors.Is(err, ErrNotSupported) {
			return ioError(err)
		}
	}
	if err := zeroRange(f.file, f.device, off, length); !errors.Is(err, ErrNotSupported) {
		return ioError(err)
	}
	return f.writeZeroes(off, length)
}

// zeroes is what is written where the operating system cannot zero by itself.
var zeroes = alignedMemory(256 << 10)

func (f *File) writeZeroes(off, length int64) error {
	for length > 0 {
		n := min(length, int64(len(zeroes)))
		if err := f.write(zeroes[:n], off); err != nil {
			return err
		}
		off, length = off+n, length-n
	}
	return nil
}

// Allocated implements Device. A block device has all its space.
func (f *File) Allocated(off int64) (bool, int64, error) {
	if err := f.enter(off, 1, false); err != nil {
		return false, 0, err
	}
	defer f.gate.RUnlock()
	rest := f.size - off
	if f.device {
		return true, rest, nil
	}
	data, err := seekData(f.file, off)
	switch {
	case errors.Is(err, ErrNotSupported):
		return true, rest, nil
	case errors.Is(err, io.EOF):
		return false, rest, nil
	case err != nil:
		return false, 0, ioError(err)
	case data > off:
		return false, min(data-off, rest), nil
	}
	hole, err := seekHole(f.file, off)
	if err != nil {
		return false, 0, ioError(err)
	}
	return true, min(max(hole-off, 1), rest), nil
}

// Space implements Device. A block device does not know.
func (f *File) Space() (Space, error) {
	if err := f.enter(0, 0, false); err != nil {
		return Space{}, err
	}
	defer f.gate.RUnlock()
	if f.device {
		return Space{}, ErrNotSupported
	}
	return fileSpace(f.file)
}

// Size implements Device.
func (f *File) Size() int64 {
	f.gate.RLock()
	defer f.gate.RUnlock()
	return f.size
}

// Resize implements Device. A regular file is truncated or extended; of a
// block device, which the operator resizes, the new size is taken into use.
func (f *File) Resize(size int64) error {
	f.gate.Lock()
	defer f.gate.Unlock()
	if f.closed {
		return ErrClosed
	}
	if f.readOnly {
		return ErrReadOnly
	}
	if size <= 0 || size%f.grain != 0 {
		return fmt.Errorf("resize of %s to %d bytes: not a multiple of %d above zero: %w", f.path, size, f.grain, ErrOutOfRange)
	}
	if f.device {
		have, err := f.file.Seek(0, io.SeekEnd)
		if err != nil {
			return ioError(err)
		}
		if have < size {
			return fmt.Errorf("resize of %s to %d bytes: the device has %d: %w", f.path, size, have, ErrNoSpace)
		}
		f.size = size
		return nil
	}
	if err := f.file.Truncate(size); err != nil {
		return ioError(err)
	}
	f.size = size
	return ioError(f.file.Sync())
}

// Attributes implements Device.
func (f *File) Attributes() Attributes { return f.attributes }

// Close implements Device. It also ends the lock of a private file.
func (f *File) Close() error {
	f.gate.Lock()
	defer f.gate.Unlock()
	if f.closed {
		return ErrClosed
	}
	f.closed = true
	return f.file.Close()
}

// readFull fills p from off. The file is known to be at least that long, so
// an end of file is an error.
func readFull(file *os.File, p []byte, off int64) error {
	n, err := file.ReadAt(p, off)
	if err == io.EOF && n < len(p) {
		return fmt.Errorf("read %s: it ends at %d, before the end of the device: %w", file.Name(), off+int64(n), io.ErrUnexpectedEOF)
	}
	if n == len(p) {
		return nil
	}
	return ioError(err)
}

func writeFull(file *os.File, p []byte, off int64) error {
	_, err := file.WriteAt(p, off)
	return ioError(err)
}

// ioError makes "no room" a sentinel and leaves every other error as it is.
func ioError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

func roundDown(n, unit int64) int64 { return n - n%unit }

func roundUp(n, unit int64) int64 { return roundDown(n+unit-1, unit) }
