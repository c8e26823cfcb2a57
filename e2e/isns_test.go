package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// isns is an iSNS server that was written elsewhere: open-isns.
type isns struct {
	*process
	address string
	client  string // the configuration of isnsadm
}

func startISNS(t *testing.T) *isns {
	t.Helper()
	dir := folder(t)
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := &isns{address: freeAddress(t, "127.0.0.1")}
	common := "HostName = localhost\nSecurity = 0\nControlSocket = " + filepath.Join(dir, "control") + "\n"
	server := write(t, dir, "isnsd.conf", common+"SourceName = iqn.2026-01.com.example:isns\nSLPRegister = 0\nDefaultDiscoveryDomain = 1\n"+
		"Database = "+filepath.Join(dir, "db")+"\nPIDFile = "+filepath.Join(dir, "pid")+"\nBindAddress = "+s.address+"\n")
	s.client = write(t, dir, "isnsadm.conf", common+"SourceName = iqn.2026-01.com.example:asker\nServerAddress = "+s.address+"\n")
	s.process = start(t, "isnsd", "-f", "-4", "-c", server)
	eventually(t, "isnsd answers", func() bool { return run(t, "isnsadm", "-c", s.client, "--local", "--list", "entities").code == 0 })
	return s
}

// list is what the server has of a type of object, in the words of isnsadm.
func (s *isns) list(t *testing.T, kind string) string {
	t.Helper()
	return succeed(t, "isnsadm", "-c", s.client, "--local", "--list", kind)
}

// await waits until the server has, or has not, all the parts among its
// objects of a type.
func (s *isns) await(t *testing.T, kind string, there bool, parts ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("isnsd has %q: %v", parts, there), func() bool {
		text := s.list(t, kind)
		for _, p := range parts {
			if strings.Contains(text, p) != there {
				return false
			}
		}
		return true
	})
}

// port is how isnsadm shows the port of a portal.
func port(portal string) string { return "= " + portal[strings.LastIndex(portal, ":")+1:] + "/tcp" }

func TestTargetsAreRegisteredWithAnISNSServer(t *testing.T) {
	t.Parallel()
	server := startISNS(t)
	s := newSingle(t)
	more := freeAddress(t, "127.0.0.1")
	sections := []string{
		"isns-server " + server.address,
		"isns-period 3",
		"portal-group more { discovery-auth-group no-authentication  tag 300  listen " + more + " }",
		open(target, `alias "the disk"`, "portal-group more", "lun 0 { backend ramdisk  size 16M }"),
	}
	other := open(target+".other", "lun 0 { backend ramdisk  size 16M }")
	s.configure(t, append(sections, other)...)
	s.start(t)

	server.await(t, "nodes", true, target+`"`, target+`.other"`, "iSCSI node type = Target", `iSCSI alias = "the disk"`)
	server.await(t, "portals", true, "127.0.0.1", port(s.portal), port(more))
	server.await(t, "portal-groups", true, "tag = 257", "tag = 300")
	if groups := server.list(t, "portal-groups"); strings.Contains(groups, "tag = 1\n") {
		t.Errorf("a target counts as offered through a portal that does not offer it:\n%s", groups)
	}

	s.configure(t, sections...)
	s.reload(t)
	server.await(t, "nodes", false, target+`.other"`)
	server.await(t, "nodes", true, target+`"`)

	// A server that has lost something is told again.
	for _, lost := range [][]string{{"iscsi-name=" + target}, {"portal-addr=127.0.0.1", "portal-port=" + strings.TrimPrefix(port(more), "= ")}} {
		succeed(t, "isnsadm", append([]string{"-c", server.client, "--local", "--deregister"}, lost...)...)
		server.await(t, "portals", true, port(s.portal), port(more))
		server.await(t, "nodes", true, target+`"`)
	}

	s.terminate(t)
	server.await(t, "nodes", false, target)
	server.await(t, "portals", false, port(s.portal), port(more))
}

func TestBothControllersRegisterInOneNetworkEntity(t *testing.T) {
	t.Parallel()
	server := startISNS(t)
	p := newPair(t)
	p.startWitness(t)
	for _, c := range []*controller{p.a, p.b} {
		c.edit(t, "\nsocket ", "\nisns-server "+server.address+"\nsocket ")
		c.launch(t)
	}
	server.await(t, "portals", true, port(p.a.portal), port(p.b.portal))
	server.await(t, "portal-groups", true, "tag = 257", "tag = 513")
	if n := strings.Count(server.list(t, "entities"), "Entity identifier"); n != 1 {
		t.Errorf("%d network entities", n)
	}
	p.b.awaitLine(t, "msg=ready")
	p.b.terminate(t)
	server.await(t, "portals", false, port(p.b.portal))
	server.await(t, "portals", true, port(p.a.portal))
	server.await(t, "nodes", true, p.target)
}
