package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// give copies credentials from one member's directory to another's.
func give(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, to, name, string(b))
	}
}

func TestAControllerWithACertificateThatIsNotItsOwnDoesNotStart(t *testing.T) {
	p := newPair(t)
	stranger := newPair(t)
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T)
		want  []string
	}{
		{"the other controller's", func(t *testing.T) { give(t, p.a.dir, p.b.dir, "node.pem", "node.key") }, []string{"certificate", "1", "2"}},
		{"of another authority", func(t *testing.T) { give(t, stranger.b.dir, p.b.dir, "node.pem", "node.key") }, []string{"certificate"}},
		{"with another key", func(t *testing.T) { give(t, p.a.dir, p.b.dir, "node.key") }, []string{"key"}},
		{"missing", func(t *testing.T) { os.Remove(filepath.Join(p.b.dir, "node.pem")) }, []string{"node.pem"}},
		{"of another cluster", func(t *testing.T) { p.b.edit(t, "cluster tandem", "cluster other") }, []string{"certificate", "tandem", "other"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept := t.TempDir()
			give(t, p.b.dir, kept, "node.pem", "node.key", "ctl.conf")
			defer give(t, kept, p.b.dir, "node.pem", "node.key", "ctl.conf")
			c.spoil(t)
			r := run(t, tandem, "serve", "-c", p.b.config)
			if r.code != 1 {
				t.Errorf("status %d, expected 1", r.code)
			}
			contains(t, r.stderr, c.want...)
		})
	}
	if _, err := os.Stat(p.disk); err == nil {
		t.Errorf("a controller that did not start has made %s", p.disk)
	}
}

// refuses starts controller B, which is a stranger to A, and demands that A
// says so and goes on to serve, and that B serves nothing.
func refuses(t *testing.T, p *pair, says ...string) {
	t.Helper()
	p.startWitness(t)
	p.a.start(t)
	p.a.awaitRole(t, "primary")
	qemuIO(t, p.a.url(), "write -P 9 0 1M")
	p.b.launch(t)
	p.a.awaitLine(t, append([]string{"HA peer refused"}, says...)...)
	p.b.awaitLine(t, "HA peer refused")
	if r := run(t, "iscsi-readcapacity16", p.b.url()); r.code == 0 {
		t.Errorf("the stranger serves the logical unit: %s", r.stdout)
	}
	if strings.Contains(p.b.output.String(), "msg=ready") {
		t.Errorf("the stranger is ready")
	}
	p.a.awaitRole(t, "primary")
	qemuIO(t, p.a.url(), "read -P 9 0 1M", "write -P 10 0 1M", "read -P 10 0 1M")
	if u := status(t, p.a.socket); len(u.Nodes) != 1 || u.Nodes[0].Link == 2 {
		t.Errorf("the link to the stranger is established: %+v", u.Nodes)
	}
}

func TestAControllerOfAnotherAuthorityIsRefusedAndServesNothing(t *testing.T) {
	p, stranger := newPair(t), newPair(t)
	give(t, stranger.b.dir, p.b.dir, "node.pem", "node.key", "ca.pem")
	refuses(t, p, "certificate")
}
