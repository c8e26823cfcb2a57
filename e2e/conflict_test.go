package e2e

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Two controllers whose configurations do not fit refuse each other and say what
// it is at either; the one that serves goes on.
func TestControllersWithConflictingConfigurationsRefuseEachOther(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.startWitness(t)
	p.a.start(t)
	p.a.awaitRole(t, "primary")
	qemuIO(t, p.a.url(), "write -P 9 0 1M")
	kept := string(readFile(t, p.b.config))
	other := randomFile(t, p.dir, "other.img", lunSize)
	smaller := randomFile(t, p.dir, "smaller.img", lunSize/2)
	for _, c := range []struct {
		name    string
		changes []string
		want    []string // what both say
	}{
		{"size", []string{p.disk, smaller, "size 64M", "size 32M"}, []string{"67108864 bytes", "33554432 bytes"}},
		{"path", []string{p.disk, other}, []string{p.disk, other}},
		{"serial", []string{"option shared on", "option shared on\n\tserial OTHER"}, []string{"serial OTHER"}},
		{"device-id", []string{"option shared on", "option shared on\n\tdevice-id OTHER"}, []string{"OTHER"}},
		{"mode", []string{"mode active-active-forward", "mode active-standby"}, []string{"mode differs: 2 on controller 1, 0 on controller 2"}},
		{"fence", []string{"option fence \"process ", "option fence \"exec /bin/true "}, []string{"fence process", "fence exec"}},
		{"lease", []string{"lease 500ms", "lease 900ms"}, []string{"lease differs: 500ms on controller 1, 900ms on controller 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := p.a.unit(t)
			p.b.edit(t, c.changes...)
			defer write(t, p.b.dir, "ctl.conf", kept)
			p.b.launch(t)
			for _, x := range []*controller{p.a, p.b} {
				x.awaitLine(t, append([]string{"HA peer refused", "on controller 1", "on controller 2"}, c.want...)...)
			}
			if r := run(t, "iscsi-readcapacity16", p.b.url()); r.code == 0 {
				t.Errorf("the controller that does not fit serves the logical unit: %s", r.stdout)
			}
			if s := status(t, p.a.socket).Nodes; len(s) != 1 || s[0].Link == 2 || !strings.Contains(s[0].Problem, c.want[0]) {
				t.Errorf("the status of the other one is %+v, expected the problem with %q", s, c.want[0])
			}
			if u := p.a.unit(t); u.Epoch != before.Epoch || !u.Serving {
				t.Errorf("the controller that serves was disturbed: %+v, before %+v", u, before)
			}
			qemuIO(t, p.a.url(), "read -P 9 0 1M", "write -P 9 0 1M")
			p.b.kill(t)
		})
	}
	p.b.start(t)
	p.b.awaitRole(t, "secondary")
	qemuIO(t, p.b.url(), "read -P 9 0 1M")
}

// A primary that is stopped for longer than its lease and then goes on believes
// in an epoch that is over. (Its fence here does nothing, so that it can.)
func TestAControllerThatReturnsWithAnOldEpochIsRefusedAndFollows(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for _, c := range []*controller{p.a, p.b} {
		c.edit(t, `option fence "process `, `option fence "exec /bin/true `)
	}
	p.startWitness(t)
	p.a.start(t)
	p.b.start(t)
	p.a.awaitRole(t, "primary")
	p.b.awaitRole(t, "secondary")
	qemuIO(t, p.a.url(), "write -P 1 0 1M")
	old := p.a.unit(t).Epoch
	p.a.signal(t, syscall.SIGSTOP)
	p.b.awaitRole(t, "primary")
	qemuIO(t, p.b.url(), "write -P 2 0 1M")
	p.a.signal(t, syscall.SIGCONT)
	p.a.awaitRole(t, "secondary")
	if a, b := p.a.unit(t), p.b.unit(t); a.Primary != 2 || a.Epoch <= old || !b.Serving {
		t.Errorf("after epoch %d: A %+v, B %+v", old, a, b)
	}
	for _, c := range []*controller{p.a, p.b} {
		qemuIO(t, c.url(), "read -P 2 0 1M")
	}
	if strings.Contains(p.b.output.String(), "two grants of one epoch") {
		t.Error("both controllers have had one epoch")
	}
}

func TestFencePROnWhatHasNoReservationsIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	text := string(readFile(t, p.a.config))
	fence := text[strings.Index(text, "option fence"):]
	p.a.edit(t, fence[:strings.Index(fence, "\n")], "option fence pr")
	contains(t, succeed(t, tandem, "check", "-c", p.a.config), "good")
	write(t, p.dir, filepath.Base(p.disk), strings.Repeat("\x00", lunSize))
	r := run(t, tandem, "serve", "-c", p.a.config)
	if r.code != 1 {
		t.Errorf("status %d, expected 1", r.code)
	}
	contains(t, r.stderr, "ctl.conf:", "fence pr", p.disk, "no block device", "expected a SCSI or NVMe disk")
}

var listens = regexp.MustCompile(`(?m)^\t+listen (\S+)$`)

// Strangers without a certificate on the ports between the members: the link and
// the arbiter.
func TestJunkOnThePortsOfTheClusterDisturbsNobody(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	w := newWriter(t, p.b)
	w.write(t, 10)
	var silent []net.Conn
	ports := listens.FindAllStringSubmatch(string(readFile(t, p.a.config)), 2)
	if len(ports) != 2 {
		t.Fatalf("%s listens on %q, expected a link and an arbiter first", p.a.config, ports)
	}
	for _, port := range ports {
		for _, junk := range []string{"GET / HTTP/1.0\r\n\r\n", strings.Repeat("\x00", 4096), "\x16\x03\x01\x40\x00", ""} {
			for range 5 {
				c, err := net.Dial("tcp", port[1])
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				if _, err := io.WriteString(c, junk); err != nil && junk != "" {
					t.Logf("%s: %v", port[1], err) // it was closed already
				}
				silent = append(silent, c)
			}
		}
	}
	w.write(t, 100)
	p.a.awaitLine(t, "HA peer refused", "127.0.0.1", "tls")
	// Those of the link are cut off in the end.
	for _, c := range silent[:20] {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a connection that says nothing stays open")
		}
	}
	w.write(t, 10)
	w.check(t, p.a)
	for _, c := range []*controller{p.a, p.b} {
		if u := c.unit(t); u.Primary != 1 {
			t.Errorf("controller %d was disturbed: %+v", c.id, u)
		}
		if s := status(t, c.socket); len(s.Nodes) != 1 || s.Nodes[0].Link != 2 || !s.Arbiter.Quorum {
			t.Errorf("controller %d was disturbed: %+v", c.id, s)
		}
	}
}
