package block

import (
	"os"
	"sync"
	"unsafe"
)

const (
	// bounceSize is the length of a bounce buffer: larger calls go in pieces.
	bounceSize = 256 << 10
	// bounceBuffers is how many calls may use one at a time; others wait.
	bounceBuffers = 16
)

// direct is I/O past the page cache. The file takes only offsets, lengths and
// memory that are multiples of align; everything else goes through a bounce
// buffer, and a write that covers part of a unit reads the rest of it first.
type direct struct {
	file   *os.File
	align  int64
	bounce chan []byte // as many as there may be; nil ones are not made yet
	ranges rangeLock
}

func newDirect(file *os.File, align int) *direct {
	d := &direct{file: file, align: int64(align), bounce: make(chan []byte, bounceBuffers)}
	d.ranges.freed.L = &d.ranges.mu
	for range bounceBuffers {
		d.bounce <- nil
	}
	return d
}

func (d *direct) takeBounce() []byte {
	b := <-d.bounce
	if b == nil {
		b = alignedMemory(bounceSize)
	}
	return b
}

// fits reports whether the call can go to the file as it is.
func (d *direct) fits(p []byte, off int64) bool {
	return off%d.align == 0 && int64(len(p))%d.align == 0 &&
		int64(uintptr(unsafe.Pointer(unsafe.SliceData(p))))%d.align == 0
}

func (d *direct) readAt(p []byte, off int64) error {
	if d.fits(p, off) {
		return readFull(d.file, p, off)
	}
	bounce := d.takeBounce()
	defer func() { d.bounce <- bounce }()
	for len(p) > 0 {
		w := d.window(off, int64(len(p)))
		if err := readFull(d.file, bounce[:w.end-w.start], w.start); err != nil {
			return err
		}
		n := copy(p[:min(int64(len(p)), w.end-off)], bounce[off-w.start:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// writeAt keeps writes of part of a unit apart from every other write of that
// unit, so that what they read to fill it up does not undo the other.
func (d *direct) writeAt(p []byte, off int64) error {
	end := off + int64(len(p))
	partial := off%d.align != 0 || end%d.align != 0
	held := d.ranges.lock(roundDown(off, d.align), roundUp(end, d.align), partial)
	defer d.ranges.unlock(held)
	if d.fits(p, off) {
		return writeFull(d.file, p, off)
	}
	bounce := d.takeBounce()
	defer func() { d.bounce <- bounce }()
	for len(p) > 0 {
		w := d.window(off, int64(len(p)))
		b := bounce[:w.end-w.start]
		n := min(int64(len(p)), w.end-off)
		if err := d.fillEdges(b, w, off, off+n); err != nil {
			return err
		}
		copy(b[off-w.start:], p[:n])
		if err := writeFull(d.file, b, w.start); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

// fillEdges reads the units of window w that [off, end) covers only in part.
func (d *direct) fillEdges(b []byte, w span, off, end int64) error {
	last := w.end - d.align
	if off > w.start || (last == w.start && end < w.end) {
		if err := readFull(d.file, b[:d.align], w.start); err != nil {
			return err
		}
	}
	if end < w.end && last > w.start {
		return readFull(d.file, b[last-w.start:], last)
	}
	return nil
}

// window is the aligned range around off that one bounce buffer can hold.
func (d *direct) window(off, length int64) span {
	start := roundDown(off, d.align)
	return span{start, min(roundUp(off+length, d.align), start+bounceSize)}
}

// span is the bytes from start to before end.
type span struct{ start, end int64 }

// rangeLock keeps overlapping ranges apart: an exclusive one from all others,
// shared ones only from exclusive ones.
type rangeLock struct {
	mu      sync.Mutex
	freed   sync.Cond
	waiting int
	held    []heldRange
}

type heldRange struct {
	span
	exclusive bool
}

// lock waits until [start, end) is free and holds it until unlock.
func (l *rangeLock) lock(start, end int64, exclusive bool) heldRange {
	h := heldRange{span{start, end}, exclusive}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.conflicts(h) {
		l.waiting++
		l.freed.Wait()
		l.waiting--
	}
	l.held = append(l.held, h)
	return h
}

func (l *rangeLock) conflicts(h heldRange) bool {
	for _, o := range l.held {
		if (h.exclusive || o.exclusive) && h.start < o.end && o.start < h.end {
			return true
		}
	}
	return false
}

// unlock lets go of a range that lock answered.
func (l *rangeLock) unlock(h heldRange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, o := range l.held {
		if o == h {
			last := len(l.held) - 1
			l.held[i] = l.held[last]
			l.held = l.held[:last]
			break
		}
	}
	if l.waiting > 0 {
		l.freed.Broadcast()
	}
}
