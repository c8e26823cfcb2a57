package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestReloadAddsAndRemovesWithoutDisturbingSessions(t *testing.T) {
	s := newSite(t)
	const open = "auth-group no-authentication portal-group pg0"
	first := fmt.Sprintf("target %s { %s lun 0 { path %%s/a size 1M } }\n", disk, open)
	s.start(s.text(first))
	session := s.login(s.portal, disk)
	look := func(when string, want ...uint16) {
		t.Helper()
		if got, err := session.ReportLUNs(context.Background()); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: LUNs %v, %v, want %v", when, got, err, want)
		}
	}
	look("at first", 0)
	more := fmt.Sprintf("target %s { %s lun 0 { path %%s/a size 1M } lun 4 b }\nlun b { path %%s/b size 2M }\ntarget %s2 { %s lun 0 b }\n", disk, open, disk, open)
	if err := s.Reload(parse(t, s.text(more))); err != nil {
		t.Fatal(err)
	}
	look("with more", 0, 4)
	s.login(s.portal, disk+"2")
	if err := s.Reload(parse(t, s.text(first))); err != nil {
		t.Fatal(err)
	}
	look("with less", 0)
	// What was removed is closed: its file can be opened again.
	if err := s.Reload(parse(t, s.text(more))); err != nil {
		t.Fatal(err)
	}
	look("with more again", 0, 4)
}

func TestAReloadThatFailsChangesNothing(t *testing.T) {
	s := newSite(t)
	const open = "auth-group no-authentication portal-group pg0"
	first := fmt.Sprintf("target %s { %s lun 0 { path %%s/a size 1M } }\n", disk, open)
	s.start(s.text(first))
	session := s.login(s.portal, disk)
	more := first + fmt.Sprintf("lun b { path %%s/b size 1M }\ntarget %s2 { %s lun 0 b }\n", disk, open)
	for what, text := range map[string]string{
		"absent": more + "lun c { path %s/absent }\n",
		"assign": more + fmt.Sprintf("portal-group pg1 { listen 192.0.2.77 }\ntarget %s3 { auth-group no-authentication portal-group pg1 }\n", disk),
	} {
		before, err := s.Ports(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Reload(parse(t, s.text(text))); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		status, err := s.Status(context.Background())
		if err != nil || len(status.LUNs) != 1 {
			t.Errorf("%s: logical units %+v, %v", what, status.LUNs, err)
		}
		if after, err := s.Ports(context.Background()); err != nil || !slices.Equal(after, before) {
			t.Errorf("%s: ports %v, %v, before %v", what, after, err, before)
		}
		if _, err := session.ReportLUNs(context.Background()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := s.Reload(parse(t, s.text(more))); err != nil {
		t.Error(err)
	}
}

// refusals lists what a controller says to a reload from one configuration to
// another, without opening anything.
func refusals(t *testing.T, old, next string) string {
	t.Helper()
	c := &Controller{config: parse(t, old)}
	if err := c.refuseReload(parse(t, next)); err != nil {
		return err.Error()
	}
	return ""
}

const restart = " cannot change while the controller runs: restart it"

func TestWhatOnlyARestartChangesIsRefusedByName(t *testing.T) {
	const old = `pidfile /run/a.pid socket /run/a.sock timeout 60 debug 0
		target iqn.2026-01.com.example:a { auth-group no-authentication lun 0 a } lun a { path /a }`
	const ha = `ha { cluster c id 1 listen 10.0.0.1 peer 2 10.0.0.2 certificate /c key /k ca /ca arbiter none }`
	for name, test := range map[string]struct{ from, to, want string }{
		"nothing":     {"", "", ""},
		"debug":       {"debug 0", "debug 1", ""},
		"pid file":    {"a.pid", "b.pid", "f:1:1: pidfile" + restart},
		"socket":      {"socket /run/a.sock", "", "f: socket" + restart},
		"timeout":     {"timeout 60", "timeout 0", "f:1:39: timeout" + restart},
		"path":        {"path /a", "path /b", `f:2:77: lun "a"` + restart},
		"option":      {"path /a", "path /a option readonly on", `f:2:77: lun "a"` + restart},
		"another lun": {"lun a { path /a }", "lun a { path /a } lun b { path /b }", ""},
		"auth group":  {"no-authentication", "no-access", ""},
		"ha":          {"lun a { path /a }", "lun a { path /a option shared on }" + ha, "the ha section cannot come or go"},
	} {
		t.Run(name, func(t *testing.T) {
			got := refusals(t, old, strings.Replace(old, test.from, test.to, 1))
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestWhatAClusterWasToldAtTheStartIsRefusedByName(t *testing.T) {
	const old = `ha { cluster c id 1 listen 10.0.0.1 peer 2 10.0.0.2 certificate /c key /k ca /ca lease 500ms
	arbiter embedded { data /a listen 10.0.0.1 member 1 10.0.0.1 member 2 10.0.0.2 member w 10.0.0.3 } }
portal-group g { listen 10.0.1.1 }
portal-group h { listen 10.0.2.1 }
target iqn.2026-01.com.example:a { auth-group no-authentication portal-group g lun 0 x lun 1 y }
target iqn.2026-01.com.example:empty { auth-group no-authentication portal-group g }
lun x { path /x option shared on } lun y { path /y option shared on } lun z { path /z option shared on }
`
	for name, test := range map[string]struct {
		from, to string
		want     []string // in this order, one to a line
	}{
		"nothing":               {"", "", nil},
		"places in the file":    {"portal-group g {", "\n\n  portal-group g {", nil},
		"portal":                {"listen 10.0.1.1", "listen 10.0.1.9 listen 10.0.1.10 dscp ef option ping_timeout 9", nil},
		"auth group":            {"no-authentication", "no-access", nil},
		"LUN number":            {"lun 1 y", "lun 9 y", nil},
		"target without a LUN":  {"target iqn.2026-01.com.example:empty", "target iqn.2026-01.com.example:void", nil},
		"lease":                 {"lease 500ms", "lease 600ms", []string{"f:1:1: the ha section" + restart}},
		"peer":                  {"peer 2 10.0.0.2", "peer 2 10.0.0.9", []string{"f:1:1: the ha section" + restart}},
		"arbiter":               {"member w 10.0.0.3", "member w 10.0.0.4", []string{"f:1:1: the ha section" + restart}},
		"no ha":                 {old[:strings.Index(old, "portal-group")], "", []string{"the ha section cannot come or go while the controller runs: restart it"}},
		"option":                {"path /x", "path /x option vendor V", []string{`f:7:1: lun "x"` + restart}},
		"new logical unit":      {"lun x {", "lun n { path /n option shared on } lun x {", []string{`f:7:1: the list of logical units of a cluster (new: "n")` + restart}},
		"logical unit gone":     {"lun z { path /z option shared on }", "", []string{`lun "z" cannot be removed from a cluster while the controller runs: restart it`}},
		"tag":                   {"listen 10.0.1.1", "listen 10.0.1.1 tag 9", []string{`f:3:34: the tag of portal-group "g" (257, not 9) in a cluster` + restart}},
		"option tag":            {"listen 10.0.1.1", "listen 10.0.1.1 option tag 9", []string{`f:3:34: the tag of portal-group "g" (257, not 9) in a cluster` + restart}},
		"tag by another group":  {"portal-group g {", "portal-group f { listen 10.0.3.1 } portal-group g {", []string{`f:3:36: the tag of portal-group "g" (257, not 258) in a cluster` + restart}},
		"new port":              {"portal-group g lun 0", "portal-group g portal-group h lun 0", []string{`f:5:80: the target ports of a cluster (new: iqn.2026-01.com.example:a in portal-group "h")` + restart}},
		"new target":            {"target iqn.2026-01.com.example:empty {", "target iqn.2026-01.com.example:empty { lun 0 x", []string{`f:6:77: the target ports of a cluster (new: iqn.2026-01.com.example:empty in portal-group "g")` + restart}},
		"target gone":           {"target iqn.2026-01.com.example:a {", "target iqn.2026-01.com.example:b {", []string{`f:5:65: the target ports of a cluster (new: iqn.2026-01.com.example:b in portal-group "g")` + restart, `f: the target ports of a cluster (gone: iqn.2026-01.com.example:a in portal-group "g")` + restart}},
		"LUN that is not there": {"lun 1 y", "", []string{"f:5:1: the list of logical units of target iqn.2026-01.com.example:a in a cluster" + restart}},
		"other LUN":             {"lun 1 y", "lun 1 z", []string{"f:5:1: the list of logical units of target iqn.2026-01.com.example:a in a cluster" + restart}},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(old, test.from) {
				t.Fatalf("nothing is %q", test.from)
			}
			got := refusals(t, old, strings.Replace(old, test.from, test.to, 1))
			if want := strings.Join(test.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestAControllerOfAClusterReloadsPortalsAndNothingItToldOf(t *testing.T) {
	s := newSite(t)
	other := free(t)
	head := s.haSection()
	target := fmt.Sprintf("lun x { path %%s/x size 1M option shared on }\ntarget %s { auth-group no-authentication portal-group pg0 lun 0 x }\n", disk)
	s.start(s.text(head + target))
	moved := strings.Replace(s.text(head+target), s.portal, other, 1)
	if err := s.Reload(parse(t, moved)); err != nil {
		t.Fatal(err)
	}
	session := s.login(other, disk)
	if err := s.Reload(parse(t, strings.Replace(moved, "listen "+other, "listen "+other+" tag 7", 1))); err == nil || !strings.Contains(err.Error(), `the tag of portal-group "pg0"`) {
		t.Errorf("another tag: %v", err)
	}
	if _, err := session.ReportLUNs(context.Background()); err != nil {
		t.Errorf("after a reload that was refused: %v", err)
	}
}
