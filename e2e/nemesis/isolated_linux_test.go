package nemesis

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
)

// startCluster starts a cluster that ends with the test, and waits until it
// serves.
func startCluster(t *testing.T, o options) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp(workplace, "cluster-")
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCluster(t.Context(), dir, o)
	t.Cleanup(func() {
		c.close()
		if t.Failed() {
			kept := filepath.Join(*keepFlag, "nemesis-"+filepath.Base(dir))
			t.Logf("logs: %s (%v)", kept, os.Rename(dir, kept))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	if err := c.await(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// isolateHost takes link and arbiter from a controller, and leaves it its
// clients.
func (c *cluster) isolateHost(host int) error {
	return (&villain{cluster: c, active: []step{{kind: isolate, port: port{host: host}}}}).impair()
}

// A controller that nobody hears cannot serve. It must not keep its clients,
// which have another path: it closes their sessions (S7). No fence helps here:
// that of the first case is not asked for, those of the others do nothing.
func TestAnIsolatedControllerClosesItsSessions(t *testing.T) {
	for _, k := range []struct {
		name  string
		mode  int
		host  int    // the isolated controller; 1 is the primary
		fence string // "" for one that kills
	}{
		{"the secondary of mode 2", 2, 2, ""},
		{"the secondary of mode 1", 1, 2, "exec /bin/false"},
		{"the primary", 2, 1, "exec /bin/false"},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, options{mode: k.mode, nodes: 2, fence: k.fence})
			x := c.controllers[k.host-1]
			s, err := host{c, "client", 3}.session(t.Context(), x)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			u := s.LogicalUnit(iscsi.NewLUN(dataLUN))
			for range 3 { // the unit attentions
				_ = u.TestUnitReady(t.Context())
			}
			if err := u.TestUnitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := c.isolateHost(x.host); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			// Five seconds without service, and what a machine with much to do
			// adds. The session is answered all the time: its pings do not end it.
			const limit = 12 * time.Second
			select {
			case <-s.Ending():
			case <-time.After(limit):
				t.Fatalf("the session to %s is still there %v after it has been isolated", x.name, limit)
			}
			t.Logf("the session was closed after %v: %v", time.Since(began).Round(time.Millisecond), s.Err())
			if err := x.lived(1); err != nil {
				t.Errorf("the session was not closed by %s: %v", x.name, err)
			}
		})
	}
}

// lived tells whether the process is in its nth life.
func (m *member) lived(n int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lives != n || m.cmd == nil {
		return fmt.Errorf("%s has begun %d lives, expected that it is in life %d", m.name, m.lives, n)
	}
	return nil
}

// forget removes what a round has left.
func forget(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}
