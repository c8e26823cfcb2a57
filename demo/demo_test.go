package demo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-san/tandem/demo"
)

// binary is the tandem executable, built for these tests.
var binary string

func TestMain(m *testing.M) {
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
func carryOut(t *testing.T, ctx context.Context, o demo.Options) (demo.Result, error, string) {
	t.Helper()
	var out bytes.Buffer
	o.Binary, o.Dir, o.Out = binary, t.TempDir(), &out
	r, err := demo.Run(ctx, o)
	if left, _ := os.ReadDir(o.Dir); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
	if alive := processes(t, o.Dir); len(alive) > 0 {
		t.Errorf("processes are left: %q", alive)
	}
	return r, err, out.String()
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
	for _, mode := range []int{2, 0} {
		for _, fault := range demo.Faults {
			t.Run(fmt.Sprintf("%s in mode %d", fault, mode), func(t *testing.T) {
				r, err, out := carryOut(t, t.Context(), demo.Options{Fault: fault, Mode: mode, Duration: 6 * time.Second})
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

func TestInterruptingLeavesNothingBehind(t *testing.T) {
	for name, after := range map[string]time.Duration{"while it starts": 200 * time.Millisecond, "in the middle": 6 * time.Second} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			_, err, out := carryOut(t, ctx, demo.Options{Mode: 2, Duration: 30 * time.Second})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("interrupted after %v: %v\n%s", after, err, out)
			}
		})
	}
}

func TestAControllerThatDoesNotStartIsTold(t *testing.T) {
	dir := t.TempDir()
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
		"mode 1 (active-active) is not available yet":   {Binary: binary, Mode: 1},
		"mode 7: expected 0":                            {Binary: binary, Mode: 7},
		"duration 1s: expected 3s to":                   {Binary: binary, Mode: 2, Duration: time.Second},
		"no tandem executable":                          {Mode: 2},
	} {
		if _, err := demo.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q: %v", want, err)
		}
	}
}
