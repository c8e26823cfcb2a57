package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pair is a cluster on loopback as `tandem init` writes it: a witness and two
// controllers, of which the first is the primary of the one logical unit.
type pair struct {
	dir     string
	disk    string // the file that both controllers share
	target  string
	witness *process
	a, b    *controller
}

// controller is one of the pair.
type controller struct {
	*process
	id     int
	dir    string
	config string
	socket string
	portal string
	target string
}

// The logical unit of a pair.
const (
	lunName = "data"
	lunSize = 64 * mib
)

var initSummary = regexp.MustCompile(`log in to (\S+) at (\S+) (\S+)\n`)

// newPair writes a cluster and starts nothing.
func newPair(t *testing.T, args ...string) *pair {
	t.Helper()
	dir := folder(t)
	p := &pair{dir: dir, disk: filepath.Join(dir, "data.img")}
	lun := fmt.Sprintf("%s=%s,size=%d", lunName, p.disk, lunSize)
	out := succeed(t, tandem, append([]string{"init", "--loopback", "--dir", filepath.Join(dir, "out"), "--lun", lun}, args...)...)
	found := initSummary.FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("init does not say where to log in:\n%s", out)
	}
	p.target = found[1]
	member := func(id int) *controller {
		own := filepath.Join(dir, "out", fmt.Sprint(id))
		return &controller{
			id: id, dir: own, config: filepath.Join(own, "ctl.conf"), portal: found[1+id], target: p.target,
			socket: filepath.Join(dir, "out", "run", fmt.Sprintf("%d.sock", id)),
		}
	}
	p.a, p.b = member(1), member(2)
	return p
}

// startPair writes a cluster, starts it, and waits until both controllers
// serve, the first as primary.
func startPair(t *testing.T, args ...string) *pair {
	t.Helper()
	p := newPair(t, args...)
	p.startWitness(t)
	p.a.launch(t)
	p.b.launch(t)
	p.a.awaitLine(t, "msg=ready")
	p.b.awaitLine(t, "msg=ready")
	p.a.awaitRole(t, "primary")
	p.b.awaitRole(t, "secondary")
	return p
}

func (p *pair) startWitness(t *testing.T) {
	t.Helper()
	p.witness = start(t, tandem, "witness", "-c", filepath.Join(p.dir, "out", "w", "witness.conf"))
}

// launch starts the controller and does not wait.
func (c *controller) launch(t *testing.T) {
	t.Helper()
	c.process = start(t, tandem, "serve", "-c", c.config)
}

// start starts the controller and waits until it serves.
func (c *controller) start(t *testing.T) {
	t.Helper()
	c.launch(t)
	c.awaitLine(t, "msg=ready")
}

// url names the logical unit as it is reached through the controller.
func (c *controller) url() string { return url(c.portal, c.target, 0) }

// unit is how the controller sees the logical unit.
func (c *controller) unit(t *testing.T) lunJSON {
	t.Helper()
	s := status(t, c.socket)
	if len(s.LUNs) != 1 {
		t.Fatalf("controller %d has the logical units %+v, expected one", c.id, s.LUNs)
	}
	return s.LUNs[0]
}

// awaitRole waits until the controller has a role and the LUN can be reached
// through it.
func (c *controller) awaitRole(t *testing.T, role string) {
	t.Helper()
	var last lunJSON
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("controller %d was last seen as %+v", c.id, last)
		}
	})
	eventually(t, fmt.Sprintf("controller %d is %s", c.id, role), func() bool {
		last = c.unit(t)
		return last.Role == role && (last.Serving || role == "secondary")
	})
}

// edit changes the controller's configuration.
func (c *controller) edit(t *testing.T, changes ...string) {
	t.Helper()
	text, err := os.ReadFile(c.config)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(string(text), changes[i]) {
			t.Fatalf("%s does not have %q:\n%s", c.config, changes[i], text)
		}
	}
	write(t, c.dir, "ctl.conf", strings.NewReplacer(changes...).Replace(string(text)))
}
