package etcd

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Every write of the arbiter waits for the disk of its leader, and for those of a
// majority. So a witness, which seeks the leadership, looks at its own disk
// first, and gives the leadership away when that has become slow.
const (
	// slowSync is how long a sync may take on a disk that is to lead. A leader
	// sends nothing meanwhile, and loses its office at the election timeout.
	slowSync = 250 * time.Millisecond
	// slowAfter and quickAfter are how many measurements in a row, a second
	// apart, make a disk slow and quick again.
	slowAfter  = 2
	quickAfter = 10
)

// disk is what a member knows of how quick its disk is. The zero value has
// measured nothing and counts as slow until it has.
type disk struct {
	measured bool
	slow     bool
	run      int // measurements in a row that speak against slow
}

// note takes a measurement and reports whether it changes the judgement.
func (d *disk) note(took time.Duration) (changed bool) {
	is := took > slowSync
	if !d.measured {
		d.measured, d.slow = true, is
		return is
	}
	if is == d.slow {
		d.run = 0
		return false
	}
	d.run++
	if is && d.run < slowAfter || !is && d.run < quickAfter {
		return false
	}
	d.slow, d.run = is, 0
	return true
}

// mayLead reports whether the last measurements recommend it.
func (d *disk) mayLead() bool { return d.measured && !d.slow && d.run == 0 }

// measureSync writes a block to a file in the data directory and times how long
// it takes to be durable.
func measureSync(dir string) (time.Duration, error) {
	f, err := os.OpenFile(filepath.Join(dir, "sync-probe"), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return 0, fmt.Errorf("arbiter data directory: %w", err)
	}
	defer f.Close()
	began := time.Now()
	if _, err := f.WriteAt(make([]byte, 512), 0); err != nil {
		return 0, fmt.Errorf("arbiter data directory: %w", err)
	}
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("arbiter data directory: %w", err)
	}
	return time.Since(began), nil
}
