package ctlconf

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// parseFile parses a file of testdata/conf that has no errors.
func parseFile(t *testing.T, name string) (*Config, Diagnostics) {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("testdata", "conf", name))
	if err != nil {
		t.Fatal(err)
	}
	c, d := Parse("/etc/tandem/"+name, src)
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	return c, d
}

// parse parses a text that has no errors.
func parse(t *testing.T, src string) *Config {
	t.Helper()
	c, d := Parse("f", []byte(src))
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheExamplesOfExistingInstallationsParseUnchanged(t *testing.T) {
	for _, name := range []string{"pair.conf", "single.conf", "ha.conf"} {
		t.Run(name, func(t *testing.T) {
			if _, d := parseFile(t, name); len(d.Warnings) > 0 {
				t.Errorf("warnings: %v", d.Warnings)
			}
		})
	}
}

func TestASingleTargetHasWhatItsFileSays(t *testing.T) {
	c, _ := parseFile(t, "single.conf")
	if len(c.Targets) != 2 || len(c.LUNs) != 2 || c.HA != nil {
		t.Fatalf("%d targets, %d luns, ha %v", len(c.Targets), len(c.LUNs), c.HA)
	}
	target := c.Target("iqn.2018-05.com.meetbsd.storage:target1")
	port := target.Ports[0]
	if port.PortalGroup != c.PortalGroup("pg1") || port.AuthGroup != c.AuthGroup("ag1") || len(target.Ports) != 1 {
		t.Errorf("ports %+v", target.Ports)
	}
	if g := port.PortalGroup; g.Portals[0].Address != netip.MustParseAddrPort("192.168.2.10:3260") || g.DiscoveryAuthGroup.Type != AuthNone {
		t.Errorf("portal group %+v", g)
	}
	if g := port.AuthGroup; g.Type != AuthCHAP || g.CHAP[0].User != "iscsi2" || g.CHAP[0].Secret.Reveal() != "iscsi1pass123456" {
		t.Errorf("auth group %+v", g)
	}
	m := target.LUNs[0]
	if m.Number != 1 || m.LUN.Path != "/dev/zvol/storage/iscsi_1" || m.LUN.Size != 10<<30 || m.LUN.BlockSize != 512 || m.LUN.Name != target.Name+",lun,1" {
		t.Errorf("lun %d %+v", m.Number, m.LUN)
	}
}

func TestTheHASectionHasWhatItsFileSays(t *testing.T) {
	c, _ := parseFile(t, "ha.conf")
	addr := netip.MustParseAddrPort
	h := c.HA
	if h.Cluster != "beast" || h.ID != 1 || h.Mode != ActiveActiveForward || h.Role != RolePrimary || h.Listen != addr("192.168.10.101:7777") {
		t.Errorf("ha %+v", h)
	}
	if len(h.Peers) != 1 || h.Peers[0].ID != 2 || h.Peers[0].Address != addr("192.168.10.102:7777") {
		t.Errorf("peers %+v", h.Peers)
	}
	if h.Certificate != "/etc/tandem/node.pem" || h.Key != "/etc/tandem/node.key" || h.CA != "/etc/tandem/ca.pem" {
		t.Errorf("files %q %q %q", h.Certificate, h.Key, h.CA)
	}
	if h.Heartbeat != 100*time.Millisecond || h.Lease != 500*time.Millisecond {
		t.Errorf("heartbeat %v, lease %v", h.Heartbeat, h.Lease)
	}
	e := h.Arbiter.Embedded
	if h.Arbiter.Kind != ArbiterEmbedded || e.Data != "/var/lib/tandem/arbiter" || e.Listen != addr("192.168.10.101:7778") || len(e.Members) != 3 || e.Member("w").Address != addr("192.168.10.103:7778") {
		t.Errorf("arbiter %+v", e)
	}
	o := c.LUNs[0].Options
	if !o.Shared || o.Fence.Kind != FenceProcess || o.Fence.PIDFile(2) != "/run/tandem/2.pid" || o.Role != RolePrimary || o.Failback {
		t.Errorf("options %+v", o)
	}
}

func TestDefaultsAreThoseOfTheManual(t *testing.T) {
	c := parse(t, `target iqn.2026-01.com.example:a { lun 0 { path /a } }`)
	if c.LoginTimeout != time.Minute || c.MaxProc != 30 || c.Debug != 0 || c.ISNS.Period != 900*time.Second || c.ISNS.Timeout != 5*time.Second {
		t.Errorf("%+v", c)
	}
	port := c.Targets[0].Ports[0]
	if port.PortalGroup.Name != "default" || port.AuthGroup.Name != "default" || port.AuthGroup.Type != AuthDeny {
		t.Errorf("port %+v", port)
	}
	var portals []string
	for _, p := range port.PortalGroup.Portals {
		portals = append(portals, p.Address.String())
	}
	if got := strings.Join(portals, " "); got != "0.0.0.0:3260 [::]:3260" || port.PortalGroup.DiscoveryAuthGroup.Type != AuthDeny {
		t.Errorf("default portals %s, discovery %v", got, port.PortalGroup.DiscoveryAuthGroup)
	}
	if c.AuthGroup("no-authentication").Type != AuthNone || c.AuthGroup("no-access").Type != AuthDeny {
		t.Error("predefined auth groups are wrong")
	}
	o := c.LUNs[0].Options
	if !o.ReadCache || !o.WriteCache || !o.Unmap || o.ReadOnly || o.Shared || o.Fence.Kind != FenceNone {
		t.Errorf("options %+v", o)
	}
}

func TestDefaultGroupsMayBeRedefined(t *testing.T) {
	c := parse(t, `auth-group default { auth-type none } portal-group default { listen 10.0.0.1 }
		target iqn.2026-01.com.example:a { }`)
	port := c.Targets[0].Ports[0]
	if port.AuthGroup.Type != AuthNone || len(port.PortalGroup.Portals) != 1 || len(c.PortalGroups) != 1 {
		t.Errorf("port %+v", port)
	}
}

func TestPortalGroupTagsCountFromTheNodesOwnRange(t *testing.T) {
	const groups = `portal-group a { listen 10.0.0.1 } portal-group b { listen 10.0.0.2 tag 9 } portal-group c { listen 10.0.0.3 } portal-group d { listen 10.0.0.4 option tag 10 }`
	const ha = `ha { cluster c id 2 listen 10.0.0.5 peer 1 10.0.0.6 certificate /c key /k ca /ca arbiter none }`
	for src, want := range map[string][]uint16{
		groups:      {256, 257, 9, 259, 10},
		groups + ha: {512, 513, 9, 515, 10},
	} {
		var got []uint16
		for _, g := range parse(t, src).PortalGroups {
			got = append(got, g.Tag)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("tags %v, expected %v", got, want)
		}
	}
}

func TestModesHaveWordsAndNumbers(t *testing.T) {
	for word, want := range map[string]Mode{"active-standby": ActiveStandby, "0": ActiveStandby, "active-active": ActiveActive, "1": ActiveActive, "active-active-forward": ActiveActiveForward, "2": ActiveActiveForward} {
		c := parse(t, `ha { mode `+word+` cluster c id 2 listen 10.0.0.5 peer 1 10.0.0.6 certificate /c key /k ca /ca arbiter none }`)
		if c.HA.Mode != want {
			t.Errorf("mode %s is %v", word, c.HA.Mode)
		}
	}
}

func TestRolesAreTheLUNsOrTheNodesOrTheLowestIDs(t *testing.T) {
	const luns = `lun a { path /a option shared on option ha_role primary } lun b { path /b option shared on option ha_role 1 } lun c { path /c option shared on }`
	const rest = ` cluster c listen 10.0.0.5 certificate /c key /k ca /ca arbiter none } ` + luns
	for src, want := range map[string][]Role{
		`ha { id 1 peer 2 10.0.0.6` + rest:              {RolePrimary, RoleSecondary, RolePrimary},
		`ha { id 2 peer 1 10.0.0.6` + rest:              {RolePrimary, RoleSecondary, RoleSecondary},
		`ha { role primary id 2 peer 1 10.0.0.6` + rest: {RolePrimary, RoleSecondary, RolePrimary},
		`ha { role 1 id 1 peer 2 10.0.0.6` + rest:       {RolePrimary, RoleSecondary, RoleSecondary},
	} {
		for i, l := range parse(t, src).LUNs {
			if l.Options.Role != want[i] {
				t.Errorf("%s: lun %s is %v", src[:30], l.Name, l.Options.Role)
			}
		}
	}
}

func TestCertificatesMayBeRelativeToTheFile(t *testing.T) {
	const section = `{ certificate node.pem key ../node.key ca /ca.pem }`
	c, _ := Parse("/etc/tandem/1/ctl.conf", []byte("ha "+section))
	w, _ := ParseWitness("witness.conf", []byte("witness "+section))
	if h := c.HA; h.Certificate != "/etc/tandem/1/node.pem" || h.Key != "/etc/tandem/node.key" || h.CA != "/ca.pem" {
		t.Errorf("%q %q %q", h.Certificate, h.Key, h.CA)
	}
	if w.Certificate != "node.pem" || w.Key != "../node.key" || w.CA != "/ca.pem" {
		t.Errorf("%q %q %q", w.Certificate, w.Key, w.CA)
	}
}

func TestQuotedStringsHoldAnything(t *testing.T) {
	c := parse(t, `target iqn.2026-01.com.example:a { alias "a \"quoted\" \\ \n # { } ;" }`)
	if got, want := c.Targets[0].Alias, `a "quoted" \ \n # { } ;`; got != want {
		t.Errorf("alias %q, expected %q", got, want)
	}
}

func TestItemsRememberWhereTheyStand(t *testing.T) {
	c := parse(t, "# first\ntarget iqn.2026-01.com.example:a {\n\tlun 0 {\n\t\tpath /a\n\t\toption naa 0x50015178f369f093 }\n}")
	l := c.LUNs[0]
	for keyword, want := range map[string]string{"path": "4:3", "option naa": "5:3", "size": "3:2"} {
		if got := l.At(keyword).String(); got != want {
			t.Errorf("%s is at %s, expected %s", keyword, got, want)
		}
	}
	if got := c.Errorf(l.At("path"), "cannot open %s", l.Path).Error(); got != "f:4:3: cannot open /a" {
		t.Errorf("error %q", got)
	}
	if got := c.Errorf(c.PortalGroup("default").Position, "no such address").Error(); got != "f: no such address" {
		t.Errorf("error %q", got)
	}
}

func TestLogicalUnitsAreSharedByTargets(t *testing.T) {
	c := parse(t, `target iqn.2026-01.com.example:a { lun 0 x lun 1 { path /y } } lun x { path /x }
		target iqn.2026-01.com.example:b { lun 7 x }`)
	if a, b := c.Targets[0].LUNs[0].LUN, c.Targets[1].LUNs[0].LUN; a != b || a != c.LUN("x") {
		t.Errorf("luns %+v and %+v", a, b)
	}
	if len(c.LUNs) != 2 || c.LUNs[0].Path != "/y" || c.LUNs[1].Path != "/x" {
		t.Errorf("luns are not in the order of the file: %+v", c.LUNs)
	}
}

func TestFilesBeyondALimitAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ src, want string }{
		"size":          {strings.Repeat("#", MaxFileSize+1), "file of 4194305 bytes, expected at most 4194304"},
		"word":          {"pidfile /" + strings.Repeat("x", MaxWordLength), "f:1:9: word of 4097 bytes, expected at most 4096"},
		"string":        {`pidfile "` + strings.Repeat("x", MaxWordLength+1) + `"`, "f:1:9: word of 4097 bytes, expected at most 4096"},
		"errors":        {strings.Repeat("x\n", MaxErrors*10), "f:101:1: too many errors, the rest is not shown"},
		"nesting":       {strings.Repeat("lun a { ", 100000), `unknown keyword "lun" in lun`},
		"portal groups": {numbered("portal-group g%d { foreign }\n", MaxPortalGroups+1), "portal-group: more than 255 of them"},
		"target ports":  {numbered("target iqn.2026-01.com.example:%d { auth-group no-authentication }\n", MaxTargetPorts+1), "f:126:1: more than 125 target ports"},
		"luns":          {numbered("lun l%d { path /%d }\n", MaxItems+1), "lun: more than 4096 of them"},
		"targets":       {numbered("target iqn.2026-01.com.example:%d { }\n", MaxItems+1), "target: more than 4096 of them"},
		"auth groups":   {numbered("auth-group g%d { auth-type none }\n", MaxItems), "auth-group: more than 4096 of them"},
		"credentials":   {"auth-group g { " + numbered("chap u%d twelve-chars\n", MaxItems+1) + "}", "chap: more than 4096 of them"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, d := Parse("f", []byte(test.src))
			if err := d.Err(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("errors %.300v, expected %q", err, test.want)
			}
			if len(d.Errors) > MaxErrors+1 {
				t.Errorf("%d errors", len(d.Errors))
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// numbered repeats a text, each %d in it being the number of the repetition.
func numbered(text string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(text, "%d", decimals([]int{i})[0]))
	}
	return b.String()
}

func TestAWitnessHasWhatItsFileSays(t *testing.T) {
	w, d := ParseWitness("/etc/tandem/witness.conf", []byte(`pidfile /run/w.pid
		witness { cluster beast name w certificate node.pem key node.key ca ca.pem
			arbiter embedded { data /data listen 0.0.0.0 member 1 10.0.0.1 member 2 10.0.0.2 member w 10.0.0.3 } }`))
	if d.Err() != nil || len(d.Warnings) > 0 {
		t.Fatal(d)
	}
	if w.Cluster != "beast" || w.Name != "w" || w.PIDFile != "/run/w.pid" || w.Certificate != "/etc/tandem/node.pem" || w.Arbiter.Data != "/data" || len(w.Arbiter.Members) != 3 {
		t.Errorf("%+v", w)
	}
	if got := w.Errorf(w.Arbiter.At("data"), "cannot open").Error(); got != "/etc/tandem/witness.conf:3:23: cannot open" {
		t.Errorf("error %q", got)
	}
}
