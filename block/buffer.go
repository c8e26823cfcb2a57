package block

// Buffer is memory on loan from a Pool: Bytes is aligned for direct I/O.
// Exactly one party owns a Buffer at a time; the last one releases it.
type Buffer struct {
	b    []byte
	pool *Pool
}

// Bytes is the loaned memory.
func (b *Buffer) Bytes() []byte { return b.b }

// Truncate makes Bytes n bytes long, no longer than it was.
func (b *Buffer) Truncate(n int) { b.b = b.b[:n] }

// Release gives the memory back. Release of a nil Buffer does nothing.
func (b *Buffer) Release() {
	if b != nil && b.pool != nil {
		b.pool.put(b)
	}
}

// Pool lends Buffers by size class and never more than its budget.
type Pool struct {
	budget int64
}

// NewPool makes a pool that lends at most budget bytes at a time.
func NewPool(budget int64) *Pool { return &Pool{budget: budget} }

// Get lends a buffer of n bytes, or nil when the budget is spent. Its contents
// are whatever they were: the borrower overwrites them.
func (p *Pool) Get(n int) *Buffer { return &Buffer{b: make([]byte, n), pool: p} }

func (p *Pool) put(*Buffer) {}
