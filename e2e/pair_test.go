package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestAFileSystemCopiedThroughOneControllerIsWholeThroughTheOther(t *testing.T) {
	p := startPair(t)
	image := filesystem(t, p.dir, lunSize)
	succeed(t, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, p.a.url())
	contains(t, succeed(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", image, p.b.url()), "Images are identical")
	back := filepath.Join(p.dir, "back.img")
	succeed(t, "qemu-img", "convert", "-f", "raw", "-O", "raw", p.b.url(), back)
	succeed(t, "e2fsck", "-fn", back)
	if got, want := md5sum(t, back), md5sum(t, image); got != want {
		t.Errorf("read through the other controller: MD5 %s, written: %s", got, want)
	}
}

func TestBothControllersShowOneDiskThroughPortsOfTheirOwn(t *testing.T) {
	p := startPair(t)
	page := func(c *controller, code string) string {
		return succeed(t, "iscsi-inq", "-e", "1", "-c", code, c.url())
	}
	if a, b := page(p.a, "128"), page(p.b, "128"); a != b {
		t.Errorf("serial number through A %s, through B %s", a, b)
	}
	// The designators of the logical unit come last in page 83h.
	const ofLogicalUnit = "Association:(0) LOGICAL_UNIT"
	portA, unitA, _ := strings.Cut(page(p.a, "131"), ofLogicalUnit)
	portB, unitB, _ := strings.Cut(page(p.b, "131"), ofLogicalUnit)
	if !strings.Contains(unitA, "NAA") || unitA != unitB {
		t.Errorf("the logical unit is\n%qthrough A and\n%qthrough B", unitA, unitB)
	}
	if portA == portB {
		t.Errorf("the ports of both are\n%q", portA)
	}
}

// blockSize is what a writer writes at a time, in bytes.
const blockSize = 64 << 10

// writer writes one block after the other, each after the one before was
// acknowledged, so that what a controller has promised is known exactly.
type writer struct {
	*process
	acked int // blocks acknowledged
}

func newWriter(t *testing.T, c *controller) *writer {
	t.Helper()
	return &writer{process: start(t, "qemu-io", "-f", "raw", c.url())}
}

// send sends the next write and does not wait.
func (w *writer) send() {
	fmt.Fprintf(w.stdin, "write -P %d %d %d\n", pattern(w.acked), w.acked*blockSize, blockSize)
}

// write writes blocks and waits for each.
func (w *writer) write(t *testing.T, blocks int) {
	t.Helper()
	for range blocks {
		w.send()
		w.awaitLines(t, w.acked+1, fmt.Sprintf("wrote %d/%d", blockSize, blockSize))
		w.acked++
	}
}

// pattern is the byte that fills a block; never 0.
func pattern(block int) int { return 1 + block%251 }

// check reads every acknowledged block through a controller.
func (w *writer) check(t *testing.T, c *controller) {
	t.Helper()
	var reads []string
	for i := range w.acked {
		reads = append(reads, fmt.Sprintf("read -P %d %d %d", pattern(i), i*blockSize, blockSize))
	}
	qemuIO(t, c.url(), reads...)
}

func TestEveryWriteAcknowledgedBeforeThePrimaryWasKilledIsReadThroughTheOther(t *testing.T) {
	p := startPair(t)
	w := newWriter(t, p.a)
	w.write(t, 300)
	w.send() // one is on its way
	p.a.kill(t)
	p.b.awaitRole(t, "primary")
	w.check(t, p.b)

	p.a.start(t)
	p.a.awaitRole(t, "secondary")
	w.check(t, p.a)
}

func TestACopyThroughTheSecondaryGoesOnWhenThePrimaryIsKilled(t *testing.T) {
	p := startPair(t)
	source := randomFile(t, p.dir, "source", lunSize)
	copying := start(t, "qemu-img", "convert", "-r", "24M", "-n", "-f", "raw", "-O", "raw", source, p.b.url())
	eventually(t, "a quarter of the copy is done", func() bool { return allocated(t, p.disk) > lunSize/4 })
	copying.alive(t)
	p.a.kill(t)
	copying.alive(t)
	if code := copying.awaitExit(t); code != 0 {
		t.Errorf("the copy ended with status %d:\n%s", code, copying.output)
	}
	p.a.start(t)
	for _, c := range []*controller{p.a, p.b} {
		contains(t, succeed(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", source, c.url()), "Images are identical")
	}
}

func TestStatusTellsWhoServesWhat(t *testing.T) {
	p := startPair(t)
	client := newWriter(t, p.a)
	client.write(t, 1)
	for _, c := range []*controller{p.a, p.b} {
		s := status(t, c.socket)
		if s.Node != c.id || s.Cluster != "tandem" || s.Mode != "active-active-forward" || s.PID != c.cmd.Process.Pid || s.Version == "" {
			t.Errorf("controller %d: %+v", c.id, s)
		}
		if len(s.Nodes) != 1 || s.Nodes[0].ID != 3-c.id || s.Nodes[0].Link != 2 {
			t.Errorf("controller %d has the peers %+v, expected %d with link 2", c.id, s.Nodes, 3-c.id)
		}
		if s.Arbiter.Kind != "embedded" || !s.Arbiter.Quorum || len(s.Arbiter.Members) != 3 {
			t.Errorf("controller %d has the arbiter %+v, expected a quorum of three", c.id, s.Arbiter)
		}
		if u := c.unit(t); u.Name != lunName || u.Size != lunSize || u.Primary != 1 || u.Epoch == 0 || u.Serving != (c.id == 1) {
			t.Errorf("controller %d: logical unit %+v", c.id, u)
		}
		contains(t, succeed(t, tandem, "status", "-c", c.config), "tandem", "established", "embedded", lunName, "w")
	}
	if s := status(t, p.a.socket).Sessions; len(s) != 1 || s[0].Target != p.target {
		t.Errorf("sessions %+v, expected one", s)
	}
	for _, c := range []*controller{p.a, p.b} {
		c.awaitLine(t, "HA link status changed from 0 to 1")
		c.awaitLine(t, "HA link status changed from 1 to 2")
	}
}

func TestPortlistShowsThePortsOfBothControllersAsCTLDoes(t *testing.T) {
	p := startPair(t)
	row := regexp.MustCompile(`^(\d+) +(YES|NO) +(\S+) +(\S+) +(\d+) +(\d+) +(\S+)$`)
	for _, c := range []*controller{p.a, p.b} {
		lines := strings.Split(strings.TrimSpace(succeed(t, tandem, "portlist", "-c", c.config)), "\n")
		if lines[0] != "Port Online Frontend Name     pp   vp" && lines[0] != "Port Online Frontend Name     pp vp" {
			t.Errorf("controller %d: the header is %q", c.id, lines[0])
		}
		if len(lines) != 3 {
			t.Fatalf("controller %d: %q, expected a header and two ports", c.id, lines)
		}
		for i, port := range []string{"3", "131"} {
			f := row.FindStringSubmatch(lines[1+i])
			if f == nil {
				t.Errorf("controller %d: %q is no row", c.id, lines[1+i])
				continue
			}
			frontend, name := "iscsi", "iscsi"
			if owner := i + 1; owner != c.id {
				frontend, name = "ha", fmt.Sprintf("%d:iscsi", owner)
			}
			if f[1] != port || f[2] != "YES" || f[3] != frontend || f[4] != name {
				t.Errorf("controller %d: %q, expected port %s, frontend %s, name %s", c.id, lines[1+i], port, frontend, name)
			}
			var tag int
			if _, err := fmt.Sscan(f[5], &tag); err != nil || f[7] != fmt.Sprintf("%s,t,0x%04x", p.target, tag) || (i == 0) != (tag == 257) {
				t.Errorf("controller %d: %q, expected a tag of its own, 257 for controller 1, in column and name", c.id, lines[1+i])
			}
		}
		var ports []struct {
			Port     int    `json:"port"`
			Frontend string `json:"frontend"`
		}
		decode(t, succeed(t, tandem, "portlist", "--json", "--socket", c.socket), &ports)
		if len(ports) != 2 || ports[0].Port != 3 || ports[1].Port != 131 {
			t.Errorf("controller %d: ports %+v", c.id, ports)
		}
	}
}

func TestPromotingByHandMovesTheLogicalUnitAndFailsNoCommand(t *testing.T) {
	p := startPair(t)
	throughA, throughB := newWriter(t, p.a), newWriter(t, p.b)
	before := p.a.unit(t).Epoch
	for _, c := range []*controller{p.b, p.a, p.b} {
		other := p.a
		if c == p.a {
			other = p.b
		}
		throughA.write(t, 20)
		throughB.acked = throughA.acked
		contains(t, succeed(t, tandem, "promote", lunName, "--socket", c.socket), lunName)
		c.awaitRole(t, "primary")
		other.awaitRole(t, "secondary")
		if epoch := c.unit(t).Epoch; epoch <= before {
			t.Errorf("epoch %d after %d", epoch, before)
		} else {
			before = epoch
		}
	}
	throughA.write(t, 20)
	throughA.check(t, p.b)
	throughA.alive(t)
	if r := run(t, tandem, "promote", "gizmo", "--socket", p.a.socket); r.code != 1 || !strings.Contains(r.stderr, "gizmo") {
		t.Errorf("promoting a logical unit that is not there: status %d: %s", r.code, r.stderr)
	}
}

func TestTerminatingThePrimaryHandsItsLogicalUnitOver(t *testing.T) {
	p := startPair(t)
	w := newWriter(t, p.b)
	w.write(t, 50)
	started := time.Now()
	if code := p.a.terminate(t); code != 0 {
		t.Errorf("status %d, expected 0", code)
	}
	w.write(t, 50)
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("leaving took %v", took)
	}
	p.b.awaitRole(t, "primary")
	w.check(t, p.b)
	if log := p.b.output.String(); strings.Contains(log, "fenc") {
		t.Errorf("a controller that handed over was fenced")
	}
}

func TestAStandbyPathIsNotReadyUntilItsControllerIsPrimary(t *testing.T) {
	p := startPair(t, "--mode", "active-standby")
	qemuIO(t, p.a.url(), "write -P 7 0 1M")
	// LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN STANDBY STATE.
	contains(t, run(t, "iscsi-readcapacity16", p.b.url()).stderr, "NOT READY", "0x040b")
	contains(t, tryQemuIO(t, p.b.url(), "read -P 7 0 1M").stderr, "can't open")
	contains(t, succeed(t, "iscsi-ls", "iscsi://"+p.b.portal), p.target)
	p.a.kill(t)
	p.b.awaitRole(t, "primary")
	qemuIO(t, p.b.url(), "read -P 7 0 1M", "write -P 8 0 1M", "read -P 8 0 1M")
}
