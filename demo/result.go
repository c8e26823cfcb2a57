package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Result is the outcome of a demonstration.
type Result struct {
	Fault         Fault  `json:"fault"`
	Mode          int    `json:"mode"`
	AckedWrites   uint64 `json:"acked_writes"`
	VerifiedReads uint64 `json:"verified_reads"`
	LostWrites    uint64 `json:"lost_writes"`
	StaleReads    uint64 `json:"stale_reads"`
	CorruptReads  uint64 `json:"corrupt_reads"`
	HardErrors    uint64 `json:"hard_errors"` // MEDIUM ERROR and HARDWARE ERROR
	FailedOps     uint64 `json:"failed_ops"`
	// PausesMS has the longest time without a completion, or longest operation,
	// of each round, in the order in which they were.
	PausesMS      []int64 `json:"pauses_ms"`
	MedianPauseMS int64   `json:"median_pause_ms"`
	MaxPauseMS    int64   `json:"max_pause_ms"`
	IOPSBefore    float64 `json:"iops_before"`
	IOPSAfter     float64 `json:"iops_after"` // once both paths were usable again
	// RecoveryMS is from the fault, of the last round, until both paths were
	// usable again.
	RecoveryMS int64 `json:"recovery_ms"`
	// Recovered: that happened, in every round, and the cluster was whole again.
	Recovered bool `json:"recovered"`
	// OK: nothing was lost, stale, corrupt or failed, and the service came
	// back.
	OK         bool     `json:"ok"`
	Violations []string `json:"violations,omitempty"` // the first few, in words
}

// median of values, the upper one of two.
func median(values []int64) int64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// summary tells the result to people.
func (r *Result) summary() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  "+format+"\n", args...) }
	b.WriteString("\nSummary\n")
	line("fault                 %s, mode %d", r.Fault, r.Mode)
	line("acknowledged writes   %d", r.AckedWrites)
	line("verified reads        %d", r.VerifiedReads)
	line("lost writes           %d", r.LostWrites)
	line("stale reads           %d", r.StaleReads)
	line("corrupt reads         %d", r.CorruptReads)
	line("hard errors           %d", r.HardErrors)
	line("failed operations     %d", r.FailedOps)
	line("longest pause         %d ms", r.MaxPauseMS)
	if len(r.PausesMS) > 1 {
		line("pause of each round   %v ms, median %d", r.PausesMS, r.MedianPauseMS)
	}
	line("IOPS before, after    %.0f, %.0f", r.IOPSBefore, r.IOPSAfter)
	switch {
	case !r.Recovered:
		line("both paths usable     never again")
	case r.Fault != NoFault:
		line("both paths usable     %v after the fault", (time.Duration(r.RecoveryMS) * time.Millisecond).Round(100*time.Millisecond))
	}
	for _, v := range r.Violations {
		line("! %s", v)
	}
	if r.OK {
		b.WriteString("OK: every acknowledged write is there.\n")
	} else {
		b.WriteString("NOT OK.\n")
	}
	return b.String()
}
