package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// folder makes a directory for a test. Its path is short enough for the unix
// sockets in it, which t.TempDir's is not.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tandem")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// write makes a file in a directory.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readFile is what a file has.
func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// given are the ports that tests have got already.
var given sync.Map

// freeAddress is an address of a host, in brackets when it is IPv6, with a
// port that nobody listens on and that the system gives to no connection of
// its own.
func freeAddress(t *testing.T, host string) string {
	t.Helper()
	for range 100 {
		port := 10000 + rand.IntN(20000)
		address := fmt.Sprintf("%s:%d", host, port)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		l.Close()
		if _, taken := given.LoadOrStore(port, true); !taken {
			return address
		}
	}
	t.Fatalf("no free port on %s", host)
	return ""
}

// single is a controller without high availability.
type single struct {
	*process
	dir    string
	config string // its configuration's path
	socket string
	portal string
}

// The target that most tests use.
const target = "iqn.2026-01.com.example:disk"

// newSingle prepares a controller: a directory, an admin socket and a portal.
func newSingle(t *testing.T) *single {
	t.Helper()
	dir := folder(t)
	return &single{
		dir:    dir,
		config: filepath.Join(dir, "ctl.conf"),
		socket: filepath.Join(dir, "socket"),
		portal: freeAddress(t, "127.0.0.1"),
	}
}

// configure writes the configuration: the sections given, after the admin
// socket and a portal group pg0 that anybody may ask for targets.
func (s *single) configure(t *testing.T, sections ...string) {
	t.Helper()
	head := fmt.Sprintf("socket %s\nportal-group pg0 {\n\tdiscovery-auth-group no-authentication\n\tlisten %s\n}\n", s.socket, s.portal)
	write(t, s.dir, "ctl.conf", head+strings.Join(sections, "\n"))
}

// start starts the controller and waits until it serves.
func (s *single) start(t *testing.T) {
	t.Helper()
	s.process = start(t, tandem, "serve", "-c", s.config)
	s.awaitLine(t, "msg=ready")
}

// reload makes the controller read its configuration again.
func (s *single) reload(t *testing.T) {
	t.Helper()
	before := countLines(s.output.String(), []string{"msg=reloaded"})
	s.signal(t, hangup)
	s.awaitLines(t, before+1, "msg=reloaded")
}

// disk is a file in the controller's directory.
func (s *single) disk(name string) string { return filepath.Join(s.dir, name) }

// url names a logical unit of the target for libiscsi.
func (s *single) url(lun int) string { return url(s.portal, target, lun) }

// open is a target section: one that needs no authentication, in pg0.
func open(name string, statements ...string) string {
	return fmt.Sprintf("target %s {\n\tauth-group no-authentication\n\tportal-group pg0\n\t%s\n}\n", name, strings.Join(statements, "\n\t"))
}

// serveDisk starts a controller with one logical unit of 64 MiB, in the sparse
// file "disk".
func serveDisk(t *testing.T) *single {
	t.Helper()
	s := newSingle(t)
	s.configure(t, open(target, fmt.Sprintf("lun 0 { path %s  size 64M }", s.disk("disk"))))
	s.start(t)
	return s
}
