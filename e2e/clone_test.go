package e2e

import (
	"path/filepath"
	"testing"

	"github.com/tandem-san/tandem/ctlconf"
)

func TestTwoControllersWithOneIdDoNotServeTogether(t *testing.T) {
	p := newPair(t)
	// B is a copy of A at addresses of its own, as when a machine was cloned.
	give(t, p.a.dir, p.b.dir, "node.pem", "node.key", filepath.Base(ctlconf.FirstStart("ctl.conf", "1")))
	p.b.edit(t, "id 2", "id 1", "peer 1", "peer 2", "role secondary", "role primary", "member 1", "member 2", "member 2", "member 1", "run/%d.pid", "elsewhere/%d.pid")
	refuses(t, p, "two nodes have id 1")
}
