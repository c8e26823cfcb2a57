package workload

import "sync"

// register is what is known of one slot. Sequence numbers above acked and up
// to issued are in doubt: their writes failed or are under way.
type register struct {
	mu      sync.Mutex
	issued  uint64 // highest sequence number whose write was started
	acked   uint64 // highest sequence number acknowledged
	seen    uint64 // highest sequence number a read returned
	writing bool
}

// beginWrite claims the slot and gives the sequence number to write; ok is
// false while another write is under way.
func (r *register) beginWrite() (seq uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writing {
		return 0, false
	}
	r.writing = true
	r.issued++
	return r.issued, true
}

// endWrite gives the slot back. An unacknowledged write stays in doubt.
func (r *register) endWrite(seq uint64, acked bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writing = false
	if acked {
		r.acked = seq
	}
}

// beginRead gives the oldest sequence number a read that starts now may
// return.
func (r *register) beginRead() (floor uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(r.acked, r.seen)
}

// verdict is what a register says about the content of its slot.
type verdict int

const (
	legal   verdict = iota
	stale           // an older write than the reader may see
	unknown         // never written to this slot
)

// endRead judges seq, which a read returned that began with floor.
func (r *register) endRead(floor, seq uint64) (v verdict, issued uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case seq > r.issued:
		return unknown, r.issued
	case seq < floor:
		return stale, r.issued
	}
	r.seen = max(r.seen, seq)
	return legal, r.issued
}

// last returns the last acknowledged sequence number.
func (r *register) last() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acked
}
