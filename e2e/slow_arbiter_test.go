package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// startSlowWitness starts the witness on a disk that takes so much longer for
// each sync.
func (p *pair) startSlowWitness(t *testing.T, delay time.Duration) {
	t.Helper()
	p.witness = start(t, "strace",
		"-D", // the witness is the process that is started, not its tracer
		"--follow-forks", "--seccomp-bpf", "--quiet=all", "--output=/dev/null",
		"--trace=fsync,fdatasync", "-e", fmt.Sprintf("inject=fsync,fdatasync:delay_enter=%d", delay.Microseconds()),
		tandem, "witness", "-c", filepath.Join(p.dir, "out", "w", "witness.conf"))
}

// startBoth starts both controllers and waits until each may serve.
func (p *pair) startBoth(t *testing.T) {
	t.Helper()
	p.a.launch(t)
	p.b.launch(t)
	p.a.awaitLine(t, "msg=ready")
	p.b.awaitLine(t, "msg=ready")
	p.a.awaitRole(t, "primary")
	eventually(t, "both are candidates", func() bool { return p.a.candidates(t) == 2 })
}

// leader is who leads the arbiter.
func (c *controller) leader(t *testing.T) string {
	t.Helper()
	var s struct {
		Arbiter struct {
			Leader string `json:"leader"`
		} `json:"arbiter"`
	}
	decode(t, succeed(t, tandem, "status", "--json", "--socket", c.socket), &s)
	return s.Arbiter.Leader
}

func TestASlowDiskUnderTheWitnessDelaysATakeoverAndNothingElse(t *testing.T) {
	p := newPair(t)
	p.startSlowWitness(t, 150*time.Millisecond)
	p.startBoth(t)
	eventually(t, "the witness leads", func() bool { return p.a.leader(t) == "w" })
	disk := p.multipath(t)
	healthy := busyWhile(t, disk, func() { time.Sleep(2 * time.Second) })
	takeover := busyWhile(t, disk, func() {
		p.a.kill(t)
		p.b.awaitRole(t, "primary")
	})
	alone := busyWhile(t, disk, func() { time.Sleep(2 * time.Second) })
	back := busyWhile(t, disk, func() {
		p.a.start(t)
		eventually(t, "both are candidates", func() bool { return p.b.candidates(t) == 2 })
	})
	t.Logf("longest pause: healthy %v, takeover %v, alone %v, when the other returns %v", healthy, takeover, alone, back)
	if healthy > maxHandoverPause {
		t.Errorf("a healthy pair stood still for %v", healthy)
	}
}

func TestAWitnessWhoseDiskIsTooSlowDoesNotLead(t *testing.T) {
	p := newPair(t)
	p.startSlowWitness(t, 600*time.Millisecond)
	p.startBoth(t)
	p.witness.awaitLine(t, "level=WARN", "the disk of this arbiter member is slow: it does not lead")
	eventually(t, "a controller leads", func() bool { l := p.a.leader(t); return l == "1" || l == "2" })
	// The controllers are a majority with quick disks.
	disk := p.multipath(t)
	for _, c := range []*controller{p.b, p.a} {
		if pause := busyWhile(t, disk, func() {
			succeed(t, tandem, "promote", lunName, "--socket", c.socket)
			c.awaitRole(t, "primary")
			eventually(t, "both are candidates", func() bool { return c.candidates(t) == 2 })
		}); pause > maxHandoverPause {
			t.Errorf("a handover took %v", pause)
		}
	}
	if l := p.a.leader(t); l == "w" {
		t.Errorf("the witness leads with a slow disk")
	}
}
