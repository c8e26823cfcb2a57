package demo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-san/tandem/demo"
)

// asParent, in the environment, makes the test binary carry out a
// demonstration below the directory it names.
const asParent = "DEMO_TEST_PARENT"

// binary is the tandem executable, built for these tests.
var binary string

func TestMain(m *testing.M) {
	if dir := os.Getenv(asParent); dir != "" {
		_, err := demo.Run(context.Background(), demo.Options{Binary: os.Getenv(asParent + "_BINARY"), Dir: dir, Mode: 2})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "demo-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "tandem")
	build := exec.Command("go", "build", "-o", binary, "github.com/tandem-san/tandem/cmd/tandem")
	build.Stderr = os.Stderr
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build tandem:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// carryOut runs a demonstration and checks that nothing is left of it.
func carryOut(t *testing.T, ctx context.Context, o demo.Options) (_ demo.Result, story string, _ error) {
	t.Helper()
	var out bytes.Buffer
	o.Binary, o.Dir, o.Out = binary, shortDir(t), &out
	r, err := demo.Run(ctx, o)
	if left, _ := os.ReadDir(o.Dir); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
	if alive := processes(t, o.Dir); len(alive) > 0 {
		t.Errorf("processes are left: %q", alive)
	}
	return r, out.String(), err
}

// shortDir is a temporary directory with a name that leaves room for the
// longest a unix socket may have.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// processes are the command lines that name dir.
func processes(t *testing.T, dir string) (found []string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if b, err := os.ReadFile(l); err == nil && strings.Contains(string(b), dir) {
			found = append(found, strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return found
}

func TestEveryFaultIsSurvived(t *testing.T) {
	for mode, faults := range map[int][]demo.Fault{
		2: {demo.KillPrimary, demo.CutLink, demo.Terminate, demo.NoFault},
		1: {demo.KillSecondary},
		0: {demo.Handover},
	} {
		for _, fault := range faults {
			t.Run(fmt.Sprintf("%s in mode %d", fault, mode), func(t *testing.T) {
				r, out, err := carryOut(t, t.Context(), demo.Options{Fault: fault, Mode: mode, Duration: 3 * time.Second})
				t.Log("\n" + out)
				if err != nil {
					t.Fatal(err)
				}
				if !r.OK || r.LostWrites+r.StaleReads+r.CorruptReads+r.HardErrors+r.FailedOps > 0 {
					t.Fatalf("%+v", r)
				}
				if r.AckedWrites == 0 || r.VerifiedReads == 0 || r.IOPSBefore <= 0 || r.IOPSAfter <= 0 {
					t.Fatalf("nothing was done: %+v", r)
				}
			})
		}
	}
}

func TestEachRoundBreaksAWholeClusterAndHasItsPause(t *testing.T) {
	const rounds = 3
	r, out, err := carryOut(t, t.Context(), demo.Options{Fault: demo.KillPrimary, Mode: 2, Duration: 3 * time.Second, Rounds: rounds})
	t.Log("\n" + out)
	if err != nil || !r.OK {
		t.Fatalf("%+v: %v", r, err)
	}
	if n := strings.Count(out, "SIGKILL to controller"); n != rounds || len(r.PausesMS) != rounds {
		t.Fatalf("%d rounds of %d: %+v", n, rounds, r)
	}
	sorted := slices.Sorted(slices.Values(r.PausesMS))
	if r.MedianPauseMS != sorted[rounds/2] || r.MaxPauseMS != sorted[rounds-1] {
		t.Errorf("median and worst of %v: %+v", r.PausesMS, r)
	}
	// Nobody takes over before the last promise has run out.
	if sorted[0] < 400 {
		t.Errorf("a round without a takeover: %v", r.PausesMS)
	}
}

func TestInterruptingLeavesNothingBehind(t *testing.T) {
	for name, after := range map[string]time.Duration{"while it starts": 200 * time.Millisecond, "in the middle": 6 * time.Second} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			_, out, err := carryOut(t, ctx, demo.Options{Mode: 2, Duration: 30 * time.Second})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("interrupted after %v: %v\n%s", after, err, out)
			}
		})
	}
}

func TestTheClusterDiesWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process with its parent")
	}
	dir := shortDir(t)
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), asParent+"="+dir, asParent+"_BINARY="+binary)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	running := func(want int) bool {
		for range 1000 {
			if len(processes(t, dir)) == want {
				return true
			}
			time.Sleep(10 * time.Millisecond)
		}
		return false
	}
	started := running(3)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	if !started {
		t.Fatal("there were never three processes")
	}
	if !running(0) {
		t.Fatalf("still there: %q", processes(t, dir))
	}
}

func TestAControllerThatDoesNotStartIsTold(t *testing.T) {
	dir := shortDir(t)
	_, err := demo.Run(t.Context(), demo.Options{Binary: "/bin/false", Dir: dir, Mode: 2})
	if err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Fatalf("a cluster of /bin/false: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestBadOptionsAreRefusedByName(t *testing.T) {
	for want, o := range map[string]demo.Options{
		`fault "explode": expected one of kill-primary`: {Binary: binary, Fault: "explode", Mode: 2},
		"mode 7: expected 0":                            {Binary: binary, Mode: 7},
		"duration 1s: expected 3s to":                   {Binary: binary, Mode: 2, Duration: time.Second},
		"rest -1s: expected 0":                          {Binary: binary, Mode: 2, Rest: -time.Second},
		"rounds -1: expected 1 to":                      {Binary: binary, Mode: 2, Rounds: -1},
		"no tandem executable":                          {Mode: 2},
	} {
		if _, err := demo.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q: %v", want, err)
		}
	}
}
