package block

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"
)

// bufferAlignment is where every Buffer starts, in bytes: the largest
// alignment direct I/O asks for on disks with 512 or 4096 byte sectors.
const bufferAlignment = 4096

// Size classes are the powers of two from 4 KiB to 16 MiB. A larger buffer is
// made for the occasion and not kept.
const (
	smallestClassBits = 12
	largestClassBits  = 24
	classes           = largestClassBits - smallestClassBits + 1
	oneOff            = -1 // the class of a buffer larger than every class
)

// Buffer is memory on loan from a Pool; it starts at a multiple of 4096 bytes,
// as direct I/O wants it. Exactly one party owns a Buffer at a time; the last
// one releases it. A Buffer is not safe for concurrent use.
type Buffer struct {
	b     []byte // what the borrower asked for; nil while not on loan
	mem   []byte // all of the memory
	pool  *Pool
	class int
	lent  atomic.Bool
}

// Bytes is the loaned memory, nil after Release.
func (b *Buffer) Bytes() []byte { return b.b }

// Truncate makes Bytes n bytes long, no longer than it was.
func (b *Buffer) Truncate(n int) {
	if n > len(b.b) {
		panic(fmt.Sprintf("block: buffer of %d bytes truncated to %d", len(b.b), n))
	}
	b.b = b.b[:n]
}

// Release gives the memory back. Release of a nil Buffer does nothing; a
// second Release of the same loan panics.
func (b *Buffer) Release() {
	if b == nil || b.pool == nil {
		return
	}
	if !b.lent.CompareAndSwap(true, false) {
		panic("block: buffer released twice")
	}
	b.b = nil
	b.pool.put(b)
}

// Pool lends Buffers by size class. The memory it holds, on loan and idle
// together, is never more than its budget. All methods are safe for
// concurrent use.
type Pool struct {
	budget  int64
	held    atomic.Int64 // bytes on loan and idle
	lent    atomic.Int64 // bytes on loan
	refused atomic.Uint64
	idle    [classes]idleList
}

// idleList keeps the released buffers of one size class, last in first out,
// so that memory still in the processor's cache is used again first.
type idleList struct {
	mu      sync.Mutex
	buffers []*Buffer
	_       [32]byte // keeps neighbouring classes off one cache line
}

func (l *idleList) push(b *Buffer) {
	l.mu.Lock()
	l.buffers = append(l.buffers, b)
	l.mu.Unlock()
}

func (l *idleList) pop() *Buffer {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := len(l.buffers) - 1
	if last < 0 {
		return nil
	}
	b := l.buffers[last]
	l.buffers[last] = nil
	l.buffers = l.buffers[:last]
	return b
}

// PoolStats is what a Pool has lent at one moment, in bytes of size class.
type PoolStats struct {
	Budget  int64  // the most Lent and Idle together may be
	Lent    int64  // on loan
	Idle    int64  // released and kept for the next borrower
	Refused uint64 // how often Get answered nil since the pool was made
}

// NewPool makes a pool that holds at most budget bytes. A buffer counts as its
// size class: its length rounded up to a power of two, at least 4096.
func NewPool(budget int64) *Pool { return &Pool{budget: budget} }

// Get lends a buffer of n bytes, or nil when the budget is spent. Its contents
// are whatever they were: the borrower overwrites them.
func (p *Pool) Get(n int) *Buffer {
	class, size := classOf(n)
	var b *Buffer
	if class != oneOff {
		b = p.idle[class].pop()
	}
	if b == nil {
		if !p.reserve(size) {
			p.refused.Add(1)
			return nil
		}
		b = &Buffer{mem: alignedMemory(int(size)), pool: p, class: class}
	}
	p.lent.Add(size)
	b.lent.Store(true)
	b.b = b.mem[:n]
	return b
}

// Stats tells what is lent now. The figures are read one after the other, so
// they may be of slightly different moments.
func (p *Pool) Stats() PoolStats {
	held, lent := p.held.Load(), p.lent.Load()
	return PoolStats{Budget: p.budget, Lent: lent, Idle: max(0, held-lent), Refused: p.refused.Load()}
}

func (p *Pool) put(b *Buffer) {
	size := int64(len(b.mem))
	p.lent.Add(-size)
	if b.class == oneOff {
		p.held.Add(-size)
		return
	}
	p.idle[b.class].push(b)
}

// reserve makes room for size bytes in the budget, letting go of idle buffers
// of other classes where it must, the largest first.
func (p *Pool) reserve(size int64) bool {
	for {
		if p.held.Add(size) <= p.budget {
			return true
		}
		p.held.Add(-size)
		if !p.dropIdle() {
			return false
		}
	}
}

func (p *Pool) dropIdle() bool {
	for c := classes - 1; c >= 0; c-- {
		if b := p.idle[c].pop(); b != nil {
			p.held.Add(-int64(len(b.mem)))
			return true
		}
	}
	return false
}

// classOf tells the class of a buffer of n bytes and what it counts for.
func classOf(n int) (class int, size int64) {
	if n < 0 {
		panic(fmt.Sprintf("block: buffer of %d bytes", n))
	}
	if n <= 1<<smallestClassBits {
		return 0, 1 << smallestClassBits
	}
	b := bits.Len(uint(n - 1))
	if b > largestClassBits {
		return oneOff, (int64(n) + bufferAlignment - 1) &^ (bufferAlignment - 1)
	}
	return b - smallestClassBits, 1 << b
}

// alignedMemory makes n bytes that start at a multiple of bufferAlignment. The
// Go runtime aligns multiples of a page so, but does not promise it.
func alignedMemory(n int) []byte {
	b := make([]byte, n)
	if misalignment(b) == 0 {
		return b
	}
	return alignedPart(make([]byte, n+bufferAlignment-1), n)
}

// alignedPart is the first n bytes of b that start at a multiple of
// bufferAlignment; b has bufferAlignment-1 bytes to spare.
func alignedPart(b []byte, n int) []byte {
	skip := (bufferAlignment - misalignment(b)) % bufferAlignment
	return b[skip : skip+n : skip+n]
}

// misalignment is how many bytes past a multiple of bufferAlignment b starts.
func misalignment(b []byte) int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) % bufferAlignment)
}
