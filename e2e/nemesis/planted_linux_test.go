package nemesis

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A nemesis that finds nothing proves something only where it would find
// something. Here the fence of the second cluster lies: it says that it has
// switched a controller off, and has not. Its primary, whose disk is slow, is
// cut off with writes on their way to the disk; they land when another serves
// and clients have written the same blocks again.
func TestTheJudgeFindsWhatALyingFenceDoes(t *testing.T) {
	disk, err := newSlowDisk(workplace, filepath.Base(workplace)+"-try")
	if err != nil {
		if machineRoot(t) {
			t.Fatalf("no disk can be made slow here: %v", err)
		}
		t.Skipf("only root of the machine can make a disk slow: %v", err)
	}
	if err := disk.close(); err != nil {
		t.Fatal(err)
	}
	s := shot{seed: 1, mode: 2, nodes: 2, length: 5 * time.Second, steps: []step{
		{kind: slowDisks, at: 500 * time.Millisecond, length: 4500 * time.Millisecond, port: port{host: 1}, amount: 2},
		{kind: unplug, at: 800 * time.Millisecond, length: 4200 * time.Millisecond, port: port{host: 1}},
	}}
	t.Run("a fence that kills", s.check)
	t.Run("a fence that lies", func(t *testing.T) {
		const attempts = 3 // as many writes as the disk took at once may have been all
		for range attempts {
			s.fence = "exec /bin/true"
			o, err := s.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if o.dir != "" {
				forget(t, o.dir)
			}
			for _, v := range o.violations {
				if strings.Contains(v, "was no register") {
					t.Logf("found as it should be: %s", v)
					return
				}
			}
		}
		t.Errorf("in %d rounds nothing was found", attempts)
	})
}

// machineRoot reports whether this process is root of the machine, not only of
// a user namespace (becomeRoot).
func machineRoot(t *testing.T) bool {
	t.Helper()
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	first := strings.Fields(string(ids))
	return os.Geteuid() == 0 && len(first) > 1 && first[1] == "0"
}
