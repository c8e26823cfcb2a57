package workload

import "time"

// Result is what a workload has found so far.
type Result struct {
	AckedWrites   uint64 // writes acknowledged
	VerifiedReads uint64 // reads that returned what they may
	LostWrites    uint64 // slots without their last acknowledged write, found by Verify
	StaleReads    uint64 // reads that returned an older write than they may
	CorruptReads  uint64 // reads that returned what was never written there
	HardErrors    uint64 // failed operations that Config.Hard named, contained in FailedOps
	FailedOps     uint64 // operations the disk failed
	// MaxPause is the longest time Run saw between two completions of any
	// workers, or the longest single operation when that took longer.
	MaxPause time.Duration
	// Violations tells the first few findings in words.
	Violations []string
}

// Good reports whether nothing was lost, stale, corrupt or failed.
func (r Result) Good() bool {
	return r.LostWrites|r.StaleReads|r.CorruptReads|r.HardErrors|r.FailedOps == 0
}

// Result returns the findings so far.
func (w *Workload) Result() Result {
	w.mu.Lock()
	v := append([]string(nil), w.violations...)
	w.mu.Unlock()
	return Result{
		AckedWrites:   w.acked.Load(),
		VerifiedReads: w.reads.Load(),
		LostWrites:    w.lost.Load(),
		StaleReads:    w.stale.Load(),
		CorruptReads:  w.corrupt.Load(),
		HardErrors:    w.hard.Load(),
		FailedOps:     w.failed.Load(),
		MaxPause:      w.pace.maxPause(),
		Violations:    v,
	}
}

// TakePause returns the longest pause of a Run since the last call, or since it
// began: MaxPause of that part of the Run. An operation under way counts when it
// ends.
func (w *Workload) TakePause() time.Duration { return w.pace.take(time.Now()) }

// Rate is how many operations a second Run completed between from and to, at
// a grain of 50 ms; 0 when they are closer than that.
func (w *Workload) Rate(from, to time.Time) float64 { return w.pace.rate(from, to) }
