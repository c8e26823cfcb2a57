package block

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
)

const (
	// ramChunk is how many bytes are allocated at a time.
	ramChunk = 64 << 10
	// ramStripes is how many locks share the chunks among them.
	ramStripes = 64
	// ramScan is how many chunks Allocated looks at before it answers.
	ramScan = 4096
)

// Ramdisk is a Device in memory, lost with the process. It is sparse: chunks
// of 64 KiB come into being when they are first written, and what was never
// written reads as zeroes.
type Ramdisk struct {
	// gate is held for reading by every call, for writing by those that
	// change size or closed: they wait for the calls under way.
	gate    sync.RWMutex
	size    int64
	closed  bool
	stripes [ramStripes]ramStripe
	// room is how many more chunks may come into being.
	room atomic.Int64
}

// ramStripe guards the chunks whose index is its own modulo ramStripes.
type ramStripe struct {
	mu     sync.RWMutex
	chunks map[int64]*[ramChunk]byte
	_      [32]byte // keeps neighbouring stripes off one cache line
}

// NewRamdisk makes a ramdisk of size bytes that reads as zeroes. A size below
// zero panics.
func NewRamdisk(size int64) *Ramdisk {
	return NewRamdiskWithin(size, math.MaxInt64)
}

// NewRamdiskWithin is NewRamdisk for a ramdisk that takes at most so many bytes
// of memory, rounded up to whole chunks. What does not find room fails with
// ErrNoSpace.
func NewRamdiskWithin(size, memory int64) *Ramdisk {
	if size < 0 || memory < 0 {
		panic(fmt.Sprintf("block: ramdisk of %d bytes in %d bytes of memory", size, memory))
	}
	r := &Ramdisk{size: size}
	r.room.Store(memory/ramChunk + min(memory%ramChunk, 1))
	for i := range r.stripes {
		r.stripes[i].chunks = make(map[int64]*[ramChunk]byte)
	}
	return r
}

// enter checks the range and holds the gate for reading when it answers nil.
func (r *Ramdisk) enter(off, length int64) error {
	r.gate.RLock()
	err := checkCall(r.closed, off, length, r.size)
	if err != nil {
		r.gate.RUnlock()
	}
	return err
}

// ReadAt implements Device.
func (r *Ramdisk) ReadAt(p []byte, off int64) error {
	if err := r.enter(off, int64(len(p))); err != nil {
		return err
	}
	defer r.gate.RUnlock()
	for len(p) > 0 {
		index, at, n := ramPiece(off, int64(len(p)))
		s := &r.stripes[index%ramStripes]
		s.mu.RLock()
		if c := s.chunks[index]; c != nil {
			copy(p[:n], c[at:])
		} else {
			clear(p[:n])
		}
		s.mu.RUnlock()
		p, off = p[n:], off+n
	}
	return nil
}

// WriteAt implements Device.
func (r *Ramdisk) WriteAt(p []byte, off int64) error {
	if err := r.enter(off, int64(len(p))); err != nil {
		return err
	}
	defer r.gate.RUnlock()
	for len(p) > 0 {
		index, at, n := ramPiece(off, int64(len(p)))
		s := &r.stripes[index%ramStripes]
		s.mu.Lock()
		c := r.chunk(s, index)
		if c != nil {
			copy(c[at:], p[:n])
		}
		s.mu.Unlock()
		if c == nil {
			return fmt.Errorf("ramdisk: %w", ErrNoSpace)
		}
		p, off = p[n:], off+n
	}
	return nil
}

// chunk is the chunk at index, made if need be; nil when there is no room for
// it. The caller holds s.mu.
func (r *Ramdisk) chunk(s *ramStripe, index int64) *[ramChunk]byte {
	c := s.chunks[index]
	if c != nil {
		return c
	}
	if r.room.Add(-1) < 0 {
		r.room.Add(1)
		return nil
	}
	c = new([ramChunk]byte)
	s.chunks[index] = c
	return c
}

// drop gives the chunk at index back. The caller holds s.mu, or the gate for
// writing.
func (r *Ramdisk) drop(s *ramStripe, index int64) {
	if s.chunks[index] != nil {
		delete(s.chunks, index)
		r.room.Add(1)
	}
}

// Sync implements Device. Memory has nothing more durable to go to.
func (r *Ramdisk) Sync() error {
	if err := r.enter(0, 0); err != nil {
		return err
	}
	r.gate.RUnlock()
	return nil
}

// Zero implements Device. Whole chunks are given back when deallocate.
func (r *Ramdisk) Zero(off, length int64, deallocate bool) error {
	if err := r.enter(off, length); err != nil {
		return err
	}
	defer r.gate.RUnlock()
	for length > 0 {
		index, at, n := ramPiece(off, length)
		s := &r.stripes[index%ramStripes]
		full := false
		s.mu.Lock()
		switch c := s.chunks[index]; {
		case deallocate && n == ramChunk:
			r.drop(s, index)
		case c != nil:
			clear(c[at : at+n])
		case !deallocate:
			full = r.chunk(s, index) == nil
		}
		s.mu.Unlock()
		if full {
			return fmt.Errorf("ramdisk: %w", ErrNoSpace)
		}
		off, length = off+n, length-n
	}
	return nil
}

// Allocated implements Device. It looks ahead at most 256 MiB.
func (r *Ramdisk) Allocated(off int64) (bool, int64, error) {
	if err := r.enter(off, 1); err != nil {
		return false, 0, err
	}
	defer r.gate.RUnlock()
	first := off / ramChunk
	allocated := r.has(first)
	next := first + 1
	for next < first+ramScan && next*ramChunk < r.size && r.has(next) == allocated {
		next++
	}
	return allocated, min(next*ramChunk, r.size) - off, nil
}

func (r *Ramdisk) has(index int64) bool {
	s := &r.stripes[index%ramStripes]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.chunks[index] != nil
}

// Space implements Device.
func (r *Ramdisk) Space() (Space, error) {
	if err := r.enter(0, 0); err != nil {
		return Space{}, err
	}
	defer r.gate.RUnlock()
	used := int64(0)
	for i := range r.stripes {
		s := &r.stripes[i]
		s.mu.RLock()
		used += int64(len(s.chunks)) * ramChunk
		s.mu.RUnlock()
	}
	room := max(r.room.Load(), 0)
	if room < math.MaxInt64/ramChunk {
		room *= ramChunk
	}
	return Space{Used: used, Available: min(room, max(r.size-used, 0))}, nil
}

// Size implements Device.
func (r *Ramdisk) Size() int64 {
	r.gate.RLock()
	defer r.gate.RUnlock()
	return r.size
}

// Resize implements Device.
func (r *Ramdisk) Resize(size int64) error {
	r.gate.Lock()
	defer r.gate.Unlock()
	if r.closed {
		return ErrClosed
	}
	if size < 0 {
		return fmt.Errorf("resize of a ramdisk to %d bytes: %w", size, ErrOutOfRange)
	}
	r.size = size
	keep, tail := size/ramChunk, size%ramChunk
	for i := range r.stripes {
		s := &r.stripes[i]
		for index, c := range s.chunks {
			switch {
			case index > keep || (index == keep && tail == 0):
				r.drop(s, index)
			case index == keep:
				clear(c[tail:])
			}
		}
	}
	return nil
}

// Attributes implements Device.
func (r *Ramdisk) Attributes() Attributes {
	return Attributes{Alignment: 1, DeallocateUnit: ramChunk}
}

// Close implements Device. The memory is let go of.
func (r *Ramdisk) Close() error {
	r.gate.Lock()
	defer r.gate.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.closed = true
	for i := range r.stripes {
		r.stripes[i].chunks = nil
	}
	return nil
}

// ramPiece is the part of a range that lies in one chunk: the chunk, the
// offset in it and the length.
func ramPiece(off, length int64) (index, at, n int64) {
	index, at = off/ramChunk, off%ramChunk
	return index, at, min(length, ramChunk-at)
}
