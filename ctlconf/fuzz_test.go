package ctlconf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for part := range strings.SplitSeq(string(src), "\n\n") {
			f.Add([]byte(part))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 1<<16 {
			t.Skip("longer files say nothing new")
		}
		c, d := Parse("f", src)
		checkDiagnostics(t, src, d)
		if len(d.Errors) == 0 {
			checkComplete(t, c)
		}
		_, d = ParseWitness("f", src)
		checkDiagnostics(t, src, d)
	})
}

// checkDiagnostics checks that each is inside the file, and that there are not
// more than allowed.
func checkDiagnostics(t *testing.T, src []byte, d Diagnostics) {
	t.Helper()
	lines := strings.Split(string(src), "\n")
	for _, each := range append(d.Errors, d.Warnings...) {
		if each.Position == (Position{}) {
			continue
		}
		if each.Line < 1 || each.Line > len(lines) || each.Column < 1 || each.Column > len(lines[each.Line-1])+1 {
			t.Errorf("outside the file: %v", each)
		}
		if each.Message == "" || strings.ContainsAny(each.Message, "\n\r") {
			t.Errorf("message is not one line: %q", each.Message)
		}
	}
	if len(d.Errors) > MaxErrors+1 || len(d.Warnings) > MaxErrors {
		t.Errorf("%d errors and %d warnings", len(d.Errors), len(d.Warnings))
	}
}

// checkComplete checks what a Config without errors promises.
func checkComplete(t *testing.T, c *Config) {
	t.Helper()
	for _, g := range c.PortalGroups {
		if g.Tag == 0 || g.DiscoveryAuthGroup == nil || g.Used && !g.Foreign && len(g.Portals) == 0 {
			t.Errorf("incomplete portal-group %+v", g)
		}
	}
	for _, target := range c.Targets {
		if target.Name == "" || target.AuthGroup == nil || len(target.Ports) == 0 {
			t.Errorf("incomplete target %+v", target)
		}
		for _, p := range target.Ports {
			if p.PortalGroup == nil || p.AuthGroup == nil || !p.PortalGroup.Used {
				t.Errorf("incomplete port of target %+v", target)
			}
		}
		for _, m := range target.LUNs {
			if m.LUN == nil || c.LUN(m.LUN.Name) != m.LUN {
				t.Errorf("incomplete lun of target %+v", target)
			}
		}
	}
	for _, l := range c.LUNs {
		if l.Name == "" || l.BlockSize < 512 || l.Backend == BackendBlock && l.Path == "" {
			t.Errorf("incomplete lun %+v", l)
		}
		if c.HA != nil && (!l.Options.Shared || l.Options.Role == RoleUnset) {
			t.Errorf("lun %+v cannot move", l)
		}
	}
	if h := c.HA; h != nil && (h.Cluster == "" || h.ID == 0 || !h.Listen.IsValid() || len(h.Peers) == 0 || h.Lease <= h.Heartbeat || h.Heartbeat <= 0 || h.Arbiter.Kind == ArbiterUnset || h.Role == RoleUnset) {
		t.Errorf("incomplete ha %+v", h)
	}
}
