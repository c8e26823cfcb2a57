package multipath

import (
	"time"

	"github.com/tandem-san/tandem/scsi"
)

// PathStats is the state of a path and what went over it since Open.
type PathStats struct {
	Portal string
	// Up: the path is connected and leads to the logical unit.
	Up    bool
	State scsi.AccessState // as last reported, when Up
	Err   error            // why it is not up
	// Connects counts how often the path came up.
	Connects uint64
	// Reads and Writes that ended well, and their bytes.
	Reads, Writes           uint64
	BytesRead, BytesWritten uint64
	// Latency is the time all of those took together.
	Latency time.Duration
	// Retries counts commands that were sent again because of this path,
	// Failures those whose error went to the caller; HardErrors of those were
	// MEDIUM ERROR or HARDWARE ERROR.
	Retries, Failures, HardErrors uint64
	// Outstanding is the number of commands under way.
	Outstanding int
}

// Paths returns the state of every path, in the order of Config.Paths.
func (d *Disk) Paths() []PathStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	stats := make([]PathStats, len(d.paths))
	for i, p := range d.paths {
		stats[i] = PathStats{
			Portal:       p.cfg.Portal,
			Up:           p.unit != nil,
			State:        p.state,
			Err:          p.err,
			Connects:     p.connected.Load(),
			Reads:        p.reads.Load(),
			Writes:       p.writes.Load(),
			BytesRead:    p.bytesRead.Load(),
			BytesWritten: p.bytesWritten.Load(),
			Latency:      time.Duration(p.latency.Load()),
			Retries:      p.retries.Load(),
			Failures:     p.failures.Load(),
			HardErrors:   p.hardErrors.Load(),
			Outstanding:  int(p.outstanding.Load()),
		}
	}
	return stats
}

// count notes a command that ended well.
func (p *path) count(op *operation, took time.Duration) {
	switch op.kind {
	case opRead:
		p.reads.Add(1)
		p.bytesRead.Add(uint64(len(op.data)))
	case opWrite:
		p.writes.Add(1)
		p.bytesWritten.Add(uint64(len(op.data)))
	default:
		return
	}
	p.latency.Add(int64(took))
}
