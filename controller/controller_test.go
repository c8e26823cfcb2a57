package controller

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
)

// refused makes a controller that cannot be made, and then one that can, for
// which all of the first must have been closed again.
func refused(t *testing.T, s *site, text, want, good string) {
	t.Helper()
	if _, err := New(parse(t, s.text(text)), s.options()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	c, err := New(parse(t, s.text(good)), s.options())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestAControllerThatCannotBeMadeLeavesNothingOpen(t *testing.T) {
	const good = "pidfile %s/pid\nlun a { path %s/a size 1M }\n"
	for want, bad := range map[string]string{
		"f:5:9: ":        "lun b { path %s/absent }\n",
		"is in use":      "lun b { path %s/./a size 1M }\n",
		"wrong size":     "lun b { path %s/small size 1M }\n",
		"no such file":   "lun b { path /nonexistent/b size 1M }\n",
		"is a directory": "lun b { path %s size 1M }\n",
	} {
		s := newSite(t)
		if err := os.WriteFile(s.path("small"), make([]byte, 512), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, s, good+bad, want, good)
	}
}

func TestAControllerOfAClusterThatCannotBeMadeLeavesNothingOpen(t *testing.T) {
	s := newSite(t)
	head := s.haSection()
	good := head + fmt.Sprintf("lun x { path %%s/x size 1M option shared on option fence \"process %%s/%%d.pid\" }\ntarget %s { auth-group no-authentication portal-group pg0 lun 0 x }\n", disk)
	refused(t, s, strings.Replace(good, "id 1 listen", "id 3 listen", 1), "the certificate is of tandem://beast/node/1, expected one of tandem://beast/node/3", good)
	refused(t, s, strings.Replace(good, "/x size", "/absent/x size", 1), "no such file", good)
	broken := parse(t, s.text(good))
	broken.PortalGroup("pg0").Tag = 0
	if _, err := New(broken, s.options()); err == nil || !strings.Contains(err.Error(), "tag 0") {
		t.Errorf("a target that cannot be made: %v", err)
	}
	refused(t, s, strings.Replace(good, "/x size 1M", "/x size 2M", 1), "wrong size", good)
}

func TestASecondControllerOnTheSamePlaceIsRefused(t *testing.T) {
	s := newSite(t)
	s.start(s.text("pidfile %s/pid\n"))
	if _, err := New(parse(t, s.text("pidfile %s/pid\n")), s.options()); err == nil || !strings.Contains(err.Error(), "already running") {
		t.Errorf("with its pid file: %v", err)
	}
	if _, err := New(parse(t, s.text("")), s.options()); err == nil || !strings.Contains(err.Error(), "another process answers it") {
		t.Errorf("with its socket: %v", err)
	}
}
