package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// report is what `tandem demo --json` writes.
type report struct {
	Fault         string  `json:"fault"`
	AckedWrites   int     `json:"acked_writes"`
	VerifiedReads int     `json:"verified_reads"`
	LostWrites    int     `json:"lost_writes"`
	StaleReads    int     `json:"stale_reads"`
	HardErrors    int     `json:"hard_errors"`
	FailedOps     int     `json:"failed_ops"`
	PausesMS      []int   `json:"pauses_ms"`
	MaxPauseMS    int     `json:"max_pause_ms"`
	IOPSBefore    float64 `json:"iops_before"`
	IOPSAfter     float64 `json:"iops_after"`
	OK            bool    `json:"ok"`
}

// The longest pauses that faults may cause, in ms, on a machine that is busy with
// other tests: a killed process is missed after a lease, a stopped one after a
// lease and a fence or the initiator's own time, and a handover loses no time to
// speak of. docs/measurements.md has what they are on a quiet one.
var longestPause = map[string]int{
	"kill-primary":        1500,
	"kill-secondary":      1500,
	"kill-witness":        1000,
	"kill-arbiter-leader": 1000,
	"stop-primary":        2000,
	"stop-secondary":      2000,
	"cut-link":            1500,
	"handover":            500,
	"drain":               500,
	"sigterm-primary":     1000,
	"none":                500,
}

func TestTheDemonstrationLosesNothingWhateverBreaks(t *testing.T) {
	for mode, faults := range map[int][]string{
		2: slices.Sorted(maps.Keys(longestPause)),
		1: {"kill-primary", "kill-secondary", "cut-link", "handover"},
		0: {"kill-primary", "sigterm-primary"},
	} {
		for _, fault := range faults {
			t.Run(fmt.Sprintf("%s in mode %d", fault, mode), func(t *testing.T) {
				demonstrate(t, fault, mode)
			})
		}
	}
}

func demonstrate(t *testing.T, fault string, mode int) {
	dir := folder(t)
	path := filepath.Join(dir, "report.json")
	t.Setenv("TMPDIR", dir) // all that it makes is made here
	r := runFor(t, 2*time.Minute, tandem, "demo", "--fault", fault, "--mode", fmt.Sprint(mode), "--duration", "3s", "--json", path)
	if r.code != 0 {
		t.Errorf("status %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, r.stdout, r.stderr)
	}
	var got report
	decode(t, string(text), &got)
	if !got.OK || got.LostWrites != 0 || got.StaleReads != 0 || got.HardErrors != 0 || got.FailedOps != 0 {
		t.Errorf("%+v\n%s", got, r.stdout)
	}
	if got.Fault != fault || got.AckedWrites < 1000 || got.VerifiedReads < 1000 || got.IOPSBefore == 0 || got.IOPSAfter == 0 {
		t.Errorf("too little happened for a demonstration of %s: %+v", fault, got)
	}
	if len(got.PausesMS) != 1 {
		t.Errorf("pauses %v of one round", got.PausesMS)
	}
	if got.MaxPauseMS >= longestPause[fault] {
		t.Errorf("a pause of %d ms, expected less than %d\n%s", got.MaxPauseMS, longestPause[fault], r.stdout)
	}
	t.Logf("%d writes, %d reads, longest pause %d ms, IOPS %.0f before and %.0f after", got.AckedWrites, got.VerifiedReads, got.MaxPauseMS, got.IOPSBefore, got.IOPSAfter)
	leavesNothing(t, dir, "report.json")
}

// leavesNothing demands that a directory holds only what is named, and that no
// process works in it.
func leavesNothing(t *testing.T, dir string, keep ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if len(keep) == 0 || e.Name() != keep[0] {
			t.Errorf("%s is left behind", filepath.Join(dir, e.Name()))
		}
	}
	if lines := processesNaming(t, dir); len(lines) > 0 {
		t.Errorf("processes are left behind: %q", lines)
	}
}

// processesNaming are the command lines of living processes that name a
// directory.
func processesNaming(t *testing.T, dir string) (lines []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		// A process may have ended since.
		if b, err := os.ReadFile(p); err == nil && strings.Contains(string(b), dir) {
			lines = append(lines, strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return lines
}

func TestInterruptingTheDemonstrationStopsAllThatItStarted(t *testing.T) {
	dir := folder(t)
	t.Setenv("TMPDIR", dir)
	demo := start(t, tandem, "demo", "--duration", "60s")
	demo.awaitLine(t, "IOPS")
	if running := processesNaming(t, dir); len(running) != 3 {
		t.Errorf("%q run, expected a witness and two controllers", running)
	}
	demo.signal(t, os.Interrupt)
	demo.awaitExit(t)
	leavesNothing(t, dir)
}

func TestADemonstrationThatIsNotPossibleSaysWhy(t *testing.T) {
	dir := folder(t)
	t.Setenv("TMPDIR", dir)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--fault", "meteor"}, "meteor"},
		{[]string{"--mode", "7"}, "mode 7"},
		{[]string{"--duration", "1ms"}, "1ms"},
		{[]string{"--rounds", "-3"}, "rounds -3"},
	} {
		r := run(t, tandem, append([]string{"demo"}, c.args...)...)
		if r.code != 1 || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%q: status %d, expected 1 and the word %q: %s", c.args, r.code, c.want, r.stderr)
		}
	}
	leavesNothing(t, dir)
}
