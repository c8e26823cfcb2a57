package multipath

import (
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/scsi"
)

// Ranks of access states: lower is better.
const (
	optimized = iota
	nonOptimized
	unusable
)

func rank(s scsi.AccessState) int {
	switch s {
	case scsi.ActiveOptimized:
		return optimized
	case scsi.ActiveNonOptimized:
		return nonOptimized
	}
	return unusable
}

// acquire chooses a path for a command and counts the command as outstanding
// there. Without one, p is nil and changed is closed when a path changes.
func (d *Disk) acquire(only *path) (p *path, unit *initiator.LogicalUnit, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p = d.chooseLocked(only); p == nil {
		return nil, nil, d.changed
	}
	p.outstanding.Add(1)
	return p, p.unit, d.changed
}

// chooseLocked picks the best path, of equal ones that with the fewest
// commands, in turn. The lock is held.
func (d *Disk) chooseLocked(only *path) *path {
	var best *path
	d.turn++
	for i := range d.paths {
		p := d.paths[(i+d.turn)%len(d.paths)]
		if p.unit == nil || rank(p.state) == unusable || only != nil && p != only {
			continue
		}
		if best == nil || d.better(p, best) {
			best = p
		}
	}
	return best
}

func (d *Disk) better(p, q *path) bool {
	if a, b := rank(p.state), rank(q.state); a != b && d.cfg.Policy == PreferOptimized {
		return a < b
	}
	return p.outstanding.Load() < q.outstanding.Load()
}
