package workload

import (
	"sync"
	"time"
)

// bucket is the grain at which completions are counted over time.
const bucket = 50 * time.Millisecond

// maxBuckets bounds the memory of pace; it is 29 hours. Later completions are
// all counted in the last bucket.
const maxBuckets = 1 << 21

// pace remembers when operations completed.
type pace struct {
	mu      sync.Mutex
	start   time.Time
	lastEnd time.Time     // of the latest completion, or the start
	gap     time.Duration // longest time between two completions
	longest time.Duration // longest single operation
	worst   time.Duration // longest pause that take has returned
	counts  []uint32
}

func (p *pace) begin(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.start.IsZero() {
		p.start = now
	}
	p.lastEnd = now
}

// completed notes an operation; counted is false for one that failed, which
// ends no pause.
func (p *pace) completed(began, ended time.Time, counted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.longest = max(p.longest, ended.Sub(began))
	if !counted {
		return
	}
	p.gap = max(p.gap, ended.Sub(p.lastEnd))
	if ended.After(p.lastEnd) {
		p.lastEnd = ended
	}
	i := min(int(ended.Sub(p.start)/bucket), maxBuckets-1)
	for len(p.counts) <= i {
		p.counts = append(p.counts, 0)
	}
	p.counts[i]++
}

// end closes the last gap.
func (p *pace) end(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gap = max(p.gap, now.Sub(p.lastEnd))
}

func (p *pace) maxPause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.gap, p.longest, p.worst)
}

// take returns the longest pause since the last call, that which lasts
// included, and begins anew.
func (p *pace) take(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	pause := max(p.gap, p.longest, now.Sub(p.lastEnd))
	p.gap, p.longest, p.worst = 0, 0, max(p.worst, pause)
	return pause
}

// rate is the completions per second between from and to, in whole buckets.
func (p *pace) rate(from, to time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := max(int(from.Sub(p.start)/bucket), 0)
	b := int(to.Sub(p.start) / bucket)
	if b <= a {
		return 0
	}
	var n uint64
	for i := a; i < min(b, len(p.counts)); i++ {
		n += uint64(p.counts[i])
	}
	return float64(n) / (float64(b-a) * bucket.Seconds())
}
