package controller

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/identity"
	"github.com/tandem-san/tandem/iscsi/initiator"
)

const (
	disk     = "iqn.2026-01.com.example:disk"
	patience = 20 * time.Second
)

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// folder makes a directory whose path is short enough for a unix socket.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// free is an address of this machine with a port that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// parse reads a configuration that has no errors.
func parse(t *testing.T, text string) *ctlconf.Config {
	t.Helper()
	c, found := ctlconf.Parse("f", []byte(text))
	if err := found.Err(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// site is where a controller of a test lives.
type site struct {
	t      *testing.T
	dir    string
	portal string
	log    journal
	*Controller
}

func newSite(t *testing.T) *site {
	t.Helper()
	return &site{t: t, dir: folder(t), portal: free(t)}
}

// path is a file of the site.
func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// text is a configuration with a portal group pg0 and an admin socket. %s in
// what follows stands for the directory.
func (s *site) text(rest string) string {
	return fmt.Sprintf("socket %s\nportal-group pg0 { discovery-auth-group no-authentication listen %s }\n%s",
		s.path("socket"), s.portal, strings.ReplaceAll(rest, "%s", s.dir))
}

func (s *site) options() Options {
	return Options{Version: "test", Log: slog.New(slog.NewTextHandler(&s.log, nil))}
}

// launch makes a controller and runs it until the test ends.
func (s *site) launch(text string) {
	s.t.Helper()
	var err error
	if s.Controller, err = New(parse(s.t, text), s.options()); err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.t.Errorf("the controller ended with %v", err)
		}
	})
}

// start launches a controller and waits until it serves.
func (s *site) start(text string) {
	s.t.Helper()
	s.launch(text)
	eventually(s.t, "ready", func() bool { return strings.Contains(s.log.String(), "msg=ready") })
}

// write makes a file of the site.
func (s *site) write(name string, b []byte) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// login opens a session.
func (s *site) login(portal, target string) *initiator.Session {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	session, err := initiator.Dial(ctx, initiator.Config{Portal: portal, TargetName: target,
		InitiatorName: "iqn.2026-01.com.example:host", PingInterval: -1})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = session.Close() })
	return session
}

// haSection is that of controller 1, which is alone: no arbiter, and a peer
// that never comes. Its certificate is made in the directory.
func (s *site) haSection() string {
	s.t.Helper()
	authority, err := identity.NewAuthority("beast")
	if err != nil {
		s.t.Fatal(err)
	}
	cert, key, err := authority.Issue(identity.OfNode("beast", 1))
	if err != nil {
		s.t.Fatal(err)
	}
	for name, b := range map[string][]byte{"node.pem": cert, "node.key": key, "ca.pem": authority.Certificate()} {
		if err := os.WriteFile(s.path(name), b, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return fmt.Sprintf("ha { cluster beast id 1 listen %s peer 2 %s certificate %[3]s/node.pem key %[3]s/node.key ca %[3]s/ca.pem arbiter none }\nstate %[3]s/state\n",
		free(s.t), free(s.t), s.dir)
}
