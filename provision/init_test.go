package provision

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func loopback(t *testing.T) Options {
	t.Helper()
	return Options{Dir: filepath.Join(t.TempDir(), "out"), Loopback: true, LUNs: []LUN{{Name: "data", Path: "/srv/data.img", Size: 10 << 30}}}
}

func machines(t *testing.T) Options {
	t.Helper()
	return Options{
		Dir:       filepath.Join(t.TempDir(), "out"),
		Cluster:   "beast",
		Nodes:     []Node{{1, netip.MustParseAddr("192.168.10.101")}, {2, netip.MustParseAddr("192.168.10.102")}},
		Witnesses: []netip.Addr{netip.MustParseAddr("192.168.10.103")},
		LUNs:      []LUN{{Name: "data", Path: "/srv/data.img", Size: 10 << 30}},
	}
}

func mustInit(t *testing.T, o Options) *Result {
	t.Helper()
	r, err := Init(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// load reads what Init has written for controllers and the first witness.
func load(t *testing.T, r *Result) ([]*ctlconf.Config, *ctlconf.Witness) {
	t.Helper()
	var configs []*ctlconf.Config
	for _, n := range r.Controllers {
		c, d := ctlconf.Parse(n.Config, read(t, n.Config))
		if err := d.Err(); err != nil {
			t.Fatal(err)
		}
		configs = append(configs, c)
	}
	w, d := ctlconf.ParseWitness(r.Witnesses[0].Config, read(t, r.Witnesses[0].Config))
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	return configs, w
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAClusterOfMachinesUsesTheDefaultPorts(t *testing.T) {
	r := mustInit(t, machines(t))
	configs, w := load(t, r)
	addr := netip.MustParseAddrPort
	for i, c := range configs {
		own, peer := fmt.Sprintf("192.168.10.%d", 101+i), fmt.Sprintf("192.168.10.%d", 102-i)
		h, e := c.HA, c.HA.Arbiter.Embedded
		if h.Cluster != "beast" || int(h.ID) != i+1 || h.Listen != addr(own+":7777") || len(h.Peers) != 1 || h.Peers[0].Address != addr(peer+":7777") {
			t.Errorf("ha %+v", h)
		}
		if e.Data != "/var/lib/tandem/arbiter" || e.Listen != addr(own+":7778") || len(e.Members) != 3 || e.Member("w").Address != addr("192.168.10.103:7778") {
			t.Errorf("arbiter %+v", e)
		}
		if want := []ctlconf.Role{ctlconf.RolePrimary, ctlconf.RoleSecondary}[i]; h.Role != want || h.Mode != ctlconf.ActiveActiveForward {
			t.Errorf("node %d is %v in mode %v", h.ID, h.Role, h.Mode)
		}
		target := c.Target("iqn.2026-01.san.tandem:beast")
		if target == nil || target.Ports[0].PortalGroup.Portals[0].Address != addr(own+":3260") || int(target.Ports[0].PortalGroup.Tag) != 256*(i+1)+1 {
			t.Fatalf("target %+v", target)
		}
		l := target.LUNs[0].LUN
		if target.LUNs[0].Number != 0 || l.Name != "data" || l.Path != "/srv/data.img" || l.Size != 10<<30 || !l.Options.Shared || l.Options.Fence.Kind != ctlconf.FenceNone {
			t.Errorf("lun %+v", l)
		}
		if c.PIDFile != "" || c.Socket != "" {
			t.Errorf("pid file %q, socket %q", c.PIDFile, c.Socket)
		}
	}
	if w.Cluster != "beast" || w.Name != "w" || w.Arbiter.Listen != addr("192.168.10.103:7778") || len(w.Arbiter.Members) != 3 {
		t.Errorf("witness %+v", w)
	}
	if got := strings.Join(r.Warnings, "\n"); !strings.Contains(got, "no automatic takeover") {
		t.Errorf("warnings %q", got)
	}
}

func TestTheCommandsSayWhereEachMemberGoes(t *testing.T) {
	o := machines(t)
	r := mustInit(t, o)
	want := []Command{
		{netip.MustParseAddr("192.168.10.103"), "scp -rp " + o.Dir + "/w/. 192.168.10.103:/etc/tandem", "tandem witness -c /etc/tandem/witness.conf"},
		{netip.MustParseAddr("192.168.10.101"), "scp -rp " + o.Dir + "/1/. 192.168.10.101:/etc/tandem", "tandem serve -c /etc/tandem/ctl.conf"},
		{netip.MustParseAddr("192.168.10.102"), "scp -rp " + o.Dir + "/2/. 192.168.10.102:/etc/tandem", "tandem serve -c /etc/tandem/ctl.conf"},
	}
	for i := range want {
		if r.Commands[i] != want[i] {
			t.Errorf("command %+v, expected %+v", r.Commands[i], want[i])
		}
	}
	o = loopback(t)
	o.Dir = filepath.Join(filepath.Dir(o.Dir), "it's here")
	if got, want := mustInit(t, o).Commands[1], (Command{Run: "tandem serve -c '" + filepath.Dir(o.Dir) + `/it'\''s here/1/ctl.conf'`}); got != want {
		t.Errorf("command %+v, expected %+v", got, want)
	}
}

func TestLoopbackKeepsEverythingInTheDirectory(t *testing.T) {
	o := loopback(t)
	r := mustInit(t, o)
	configs, w := load(t, r)
	seen := make(map[netip.AddrPort]bool)
	for i, c := range configs {
		e := c.HA.Arbiter.Embedded
		id := fmt.Sprint(i + 1)
		run := filepath.Join(o.Dir, "run", id)
		if c.PIDFile != run+".pid" || c.Socket != run+".sock" || e.Data != filepath.Join(o.Dir, id, "arbiter") {
			t.Errorf("pid file %q, socket %q, arbiter %q", c.PIDFile, c.Socket, e.Data)
		}
		if f := c.LUN("data").Options.Fence; f.Kind != ctlconf.FenceProcess || f.PIDFile(uint8(i+1)) != c.PIDFile {
			t.Errorf("fence %v does not find %s", f, c.PIDFile)
		}
		got := r.Controllers[i]
		if got.Portal != c.PortalGroup("pg0").Portals[0].Address || got.Link != c.HA.Listen || got.Arbiter != e.Listen || got.PIDFile != c.PIDFile || got.Socket != c.Socket {
			t.Errorf("result %+v is not what is written", got)
		}
		for _, a := range []netip.AddrPort{got.Portal, got.Link, got.Arbiter} {
			if seen[a] || a.Addr() != netip.MustParseAddr("127.0.0.1") {
				t.Errorf("address %v", a)
			}
			seen[a] = true
		}
	}
	if got := r.Witnesses[0]; got.Arbiter != w.Arbiter.Listen || seen[w.Arbiter.Listen] || got.PIDFile != w.PIDFile || w.PIDFile != filepath.Join(o.Dir, "run", "w.pid") {
		t.Errorf("witness %+v, written %+v", got, w)
	}
	if len(r.Warnings) > 0 {
		t.Errorf("warnings %v", r.Warnings)
	}
	if r.Target != "iqn.2026-01.san.tandem:tandem" || configs[0].Target(r.Target) == nil {
		t.Errorf("target %s", r.Target)
	}
}

func TestControllersAndWitnessesAreAnOddNumberOfMembers(t *testing.T) {
	for nodes := 2; nodes <= 8; nodes++ {
		o := loopback(t)
		for id := range nodes {
			o.Nodes = append(o.Nodes, Node{ID: uint8(id + 1)})
		}
		o.LUNs = append(o.LUNs, LUN{Name: "more", Path: "/srv/more.img", Size: 1 << 20, Home: uint8(nodes)})
		r := mustInit(t, o)
		if len(r.Warnings) > 0 {
			t.Errorf("%d controllers: %q", nodes, r.Warnings)
		}
		configs, _ := load(t, r)
		for i, c := range configs {
			if members := len(c.HA.Arbiter.Embedded.Members); members != nodes+len(r.Witnesses) || members%2 == 0 || len(c.HA.Peers) != nodes-1 {
				t.Errorf("controller %d of %d: %d members with %d witnesses, %d peers", i+1, nodes, members, len(r.Witnesses), len(c.HA.Peers))
			}
			for lun, home := range map[string]int{"data": 1, "more": nodes} {
				if is := c.LUN(lun).Options.Role == ctlconf.RolePrimary; is != (i+1 == home) {
					t.Errorf("controller %d of %d is the home of %s: %v", i+1, nodes, lun, is)
				}
			}
		}
	}
}

func TestWithOneWitnessThreeControllersAreWarnedOf(t *testing.T) {
	o := machines(t)
	o.Nodes = append(o.Nodes, Node{3, netip.MustParseAddr("192.168.10.104")})
	if got := strings.Join(mustInit(t, o).Warnings, "\n"); !strings.Contains(got, "arbiter has 4 members, expected an odd number") {
		t.Errorf("warnings %q", got)
	}
	for _, witnesses := range [][]netip.Addr{nil, append(o.Witnesses, netip.MustParseAddr("192.168.10.105"))} {
		o.Dir, o.Witnesses = filepath.Join(t.TempDir(), "out"), witnesses
		r := mustInit(t, o)
		if got := strings.Join(r.Warnings, "\n"); strings.Contains(got, "members") || len(r.Witnesses) != len(witnesses) {
			t.Errorf("%d witnesses, %d asked for: warnings %q", len(r.Witnesses), len(witnesses), got)
		}
	}
}

func TestRelativePathsOfLUNsBeginAtTheWorkingDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	r := mustInit(t, Options{Dir: "out", Loopback: true, LUNs: []LUN{{Name: "data", Path: "data.img", Size: 1 << 20}}})
	configs, _ := load(t, r)
	want, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := configs[0].LUN("data").Path; got != filepath.Join(want, "data.img") && got != filepath.Join(dir, "data.img") {
		t.Errorf("path %s", got)
	}
	if configs[0].HA.Certificate != "out/1/node.pem" || r.Commands[1].Run != "tandem serve -c out/1/ctl.conf" {
		t.Errorf("certificate %s, command %s", configs[0].HA.Certificate, r.Commands[1].Run)
	}
}

func TestMembersAuthenticateEachOtherWithWhatIsWritten(t *testing.T) {
	r := mustInit(t, machines(t))
	configs, w := load(t, r)
	var all []*identity.Credentials
	for _, c := range configs {
		all = append(all, mustLoad(t, c.HA.Certificate, c.HA.Key, c.HA.CA))
	}
	all = append(all, mustLoad(t, w.Certificate, w.Key, w.CA))
	want := []identity.Identity{identity.OfNode("beast", 1), identity.OfNode("beast", 2), identity.OfWitness("beast", "w")}
	for i, server := range all {
		for j, client := range all {
			if i == j {
				continue
			}
			if got, version := handshake(t, server.Server(), client.Client()); got != want[j] || version != tls.VersionTLS13 {
				t.Errorf("%v saw %v in version %x", want[i], got, version)
			}
		}
	}
}

func mustLoad(t *testing.T, cert, key, ca string) *identity.Credentials {
	t.Helper()
	c, err := identity.Load(cert, key, ca)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings()) > 0 {
		t.Errorf("warnings %v", c.Warnings())
	}
	return c
}

// handshake returns whom the server saw.
func handshake(t *testing.T, server, client *tls.Config) (identity.Identity, uint16) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	_ = a.SetDeadline(time.Now().Add(10 * time.Second))
	_ = b.SetDeadline(time.Now().Add(10 * time.Second))
	failed := make(chan error, 1)
	go func() { failed <- tls.Client(a, client).Handshake() }()
	conn := tls.Server(b, server)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	who, err := identity.FromConnection(conn.ConnectionState())
	if err != nil {
		t.Fatal(err)
	}
	return who, conn.ConnectionState().Version
}

func TestKeysAreForTheirOwnerAlone(t *testing.T) {
	for _, o := range []Options{machines(t), loopback(t)} {
		r := mustInit(t, o)
		written := 0
		for path, mode := range listing(t, o.Dir) {
			want := fs.FileMode(0o600)
			switch {
			case mode.IsDir():
				want = fs.ModeDir | 0o700
			case strings.HasSuffix(path, ".pem"):
				want = 0o644
			}
			if mode != want {
				t.Errorf("%s has mode %v, expected %v", path, mode, want)
			}
			if !mode.IsDir() {
				written++
			}
		}
		if written != len(r.Files) {
			t.Errorf("%d files, the result lists %v", written, r.Files)
		}
	}
}

// listing is what is below dir, with modes.
func listing(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	modes := make(map[string]fs.FileMode)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		modes[path] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return modes
}

func TestNothingIsOverwritten(t *testing.T) {
	for _, there := range []string{"1", "2", "w", "ca", "run"} {
		o := loopback(t)
		if err := os.MkdirAll(o.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(o.Dir, there)
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := listing(t, o.Dir)
		if _, err := Init(o); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v, expected one that names %s", err, path)
		}
		if after := listing(t, o.Dir); len(after) != len(before) || string(read(t, path)) != "mine" {
			t.Errorf("%v became %v", before, after)
		}
	}
}

func TestASecondInitIsRefusedAndTheFirstStays(t *testing.T) {
	o := machines(t)
	r := mustInit(t, o)
	key := read(t, filepath.Join(o.Dir, "ca", "ca.key"))
	if _, err := Init(o); err == nil {
		t.Error("overwrote a cluster")
	}
	load(t, r)
	if string(read(t, filepath.Join(o.Dir, "ca", "ca.key"))) != string(key) {
		t.Error("the key of the authority has changed")
	}
}

func TestOfTwoAtOnceOneWins(t *testing.T) {
	o := machines(t)
	results := make([]*Result, 8)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() { results[i], _ = Init(o) })
	}
	group.Wait()
	var won []*Result
	for _, r := range results {
		if r != nil {
			won = append(won, r)
		}
	}
	if len(won) != 1 {
		t.Fatalf("%d have written the directory, expected 1", len(won))
	}
	configs, _ := load(t, won[0])
	mustLoad(t, configs[0].HA.Certificate, configs[0].HA.Key, configs[0].HA.CA)
}

func TestAFailureHalfWayRemovesOnlyWhatWasMade(t *testing.T) {
	root := t.TempDir()
	mine := filepath.Join(root, "mine")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := listing(t, root)
	work := &tree{}
	err := work.write(filepath.Join(root, "a", "b"), []string{filepath.Join(root, "a", "b", "c")}, []content{
		{filepath.Join(root, "a", "b", "c", "1"), []byte("x"), secretMode},
		{mine, []byte("yours"), secretMode},
		{filepath.Join(root, "a", "b", "c", "2"), []byte("x"), secretMode},
	})
	if err == nil || !strings.Contains(err.Error(), mine) {
		t.Errorf("error %v", err)
	}
	if err := work.remove(); err != nil {
		t.Error(err)
	}
	if after := listing(t, root); len(after) != len(before) || string(read(t, mine)) != "mine" {
		t.Errorf("%v became %v", before, after)
	}
}

func TestWhatCannotBecomeAClusterIsRefusedAndNothingIsWritten(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no directory":          {func(o *Options) { o.Dir = "" }, "no directory"},
		"one node":              {func(o *Options) { o.Nodes = o.Nodes[:1] }, "1 nodes, expected 2 to 8"},
		"no witness":            {func(o *Options) { o.Witnesses = nil }, "no witness"},
		"no lun":                {func(o *Options) { o.LUNs = nil }, "no lun"},
		"one id twice":          {func(o *Options) { o.Nodes[1].ID = 1 }, "node 1 is given twice"},
		"one address twice":     {func(o *Options) { o.Nodes[1].Address = o.Nodes[0].Address }, "node 1 and node 2 have the address"},
		"witness on a node":     {func(o *Options) { o.Witnesses[0] = o.Nodes[0].Address }, "witness w and node 1 have the address"},
		"both witnesses on one": {func(o *Options) { o.Witnesses = append(o.Witnesses, o.Witnesses[0]) }, "witness w and witness w2 have the address"},
		"three witnesses":       {func(o *Options) { o.Witnesses = make([]netip.Addr, 3) }, "3 witnesses, expected at most 2"},
		"nine nodes":            {func(o *Options) { o.Nodes = make([]Node, 9) }, "9 nodes, expected 2 to 8"},
		"home of nobody":        {func(o *Options) { o.LUNs[0].Home = 3 }, "lun data has its home at controller 3"},
		"one lun twice":         {func(o *Options) { o.LUNs = append(o.LUNs, o.LUNs[0]) }, "lun data is given twice"},
		"one path twice":        {func(o *Options) { o.LUNs = append(o.LUNs, LUN{Name: "b", Path: o.LUNs[0].Path}) }, "path of lun"},
		"lun with a bad name":   {func(o *Options) { o.LUNs[0].Name = "a b" }, "expected a name"},
		"size of half a block":  {func(o *Options) { o.LUNs[0].Size = 1000 }, "multiple of 512"},
		"cluster of two words":  {func(o *Options) { o.Cluster = "a b" }, `cluster "a b"`},
		"target that is none":   {func(o *Options) { o.Target = "disk" }, `target "disk"`},
		"target with a section": {func(o *Options) { o.Target = "iqn.2026-01.com.example:a { }" }, "holds ' '"},
		"mode that is none":     {func(o *Options) { o.Mode = "3" }, `mode "3"`},
		"fence that is none":    {func(o *Options) { o.LUNs[0].Fence = "moat" }, "option fence"},
		"loopback elsewhere":    {func(o *Options) { o.Loopback, o.Witnesses = true, nil }, "node 1 at 192.168.10.101 with loopback"},
		"file in the way":       {func(o *Options) { o.Dir = "/dev/null/out" }, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			o := machines(t)
			parent := filepath.Dir(o.Dir)
			test.change(&o)
			if _, err := Init(o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, expected one with %q", err, test.want)
			}
			if left := listing(t, parent); len(left) != 1 {
				t.Errorf("left behind %v", left)
			}
		})
	}
}

func TestOnLoopbackAFileWithoutSizeMustExist(t *testing.T) {
	o := loopback(t)
	o.LUNs = []LUN{{Name: "data", Path: filepath.Join(t.TempDir(), "data.img")}}
	if _, err := Init(o); err == nil || !strings.Contains(err.Error(), "lun data has no size") {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(o.LUNs[0].Path, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	mustInit(t, o)
}

func TestAProcessFenceFindsThePIDFile(t *testing.T) {
	o := machines(t)
	o.LUNs[0].Fence = "process /run/tandem/%d.pid"
	configs, _ := load(t, mustInit(t, o))
	if configs[1].PIDFile != "/run/tandem/2.pid" {
		t.Errorf("pid file %q", configs[1].PIDFile)
	}
}

func TestIPv6ClustersParse(t *testing.T) {
	o := machines(t)
	o.Nodes = []Node{{1, netip.MustParseAddr("2001:db8::1")}, {2, netip.MustParseAddr("2001:db8::2")}}
	o.Witnesses = []netip.Addr{netip.MustParseAddr("2001:db8::3")}
	r := mustInit(t, o)
	load(t, r)
	if got := r.Commands[1].Copy; !strings.HasSuffix(got, " [2001:db8::1]:/etc/tandem") {
		t.Errorf("copy %q", got)
	}
}
