package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAConfigurationThatIsWrongIsRefusedWithTheReasonAndTheExitStatus(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	portal := freeAddress(t, "127.0.0.1")
	group := "portal-group pg0 { discovery-auth-group no-authentication  listen " + portal + " }\n"
	disk := write(t, dir, "disk", strings.Repeat("x", mib))
	for _, c := range []struct {
		name, text string
		check      bool // `tandem check` sees it too
		want       []string
	}{
		{"unknown section", group + "gizmo g0 {\n}\n", true, []string{"ctl.conf:2:1: ", `"gizmo"`}},
		{"unknown statement", group + "target " + target + " {\n\tportal-group pg0\n\tcolour red\n}\n", true, []string{"ctl.conf:4:2: ", `"colour"`}},
		{"unknown option", group + open(target, "lun 0 { path "+disk+"  option gizmo on }"), true, []string{"ctl.conf:5:", `"gizmo"`}},
		{"duplicate target", group + open(target) + open(target), true, []string{"ctl.conf:7:8: ", target, "second time"}},
		{"duplicate lun", group + open(target, "lun 0 { path "+disk+" }", "lun 0 { path "+disk+" }"), true, []string{"ctl.conf:6:", "lun 0", "second time"}},
		{"overlapping portals", group + "portal-group pg1 { listen " + portal + " }\n" + open(target), true, []string{"ctl.conf:2:", portal, "pg0"}},
		{"overlapping portals by the wildcard", group + "portal-group pg1 { listen 0.0.0.0" + portal[strings.LastIndex(portal, ":"):] + " }\n" + open(target), true, []string{"ctl.conf:2:", "pg0"}},
		{"portal group that is not defined", open(target), true, []string{"ctl.conf:3:", `"pg0"`, "not defined"}},
		{"unbalanced braces", group + "target " + target + " {", true, []string{"ctl.conf:2:"}},
		{"size that is none", group + open(target, "lun 0 { path "+disk+"  size huge }"), true, []string{"ctl.conf:5:", `"huge"`}},
		{"size that is no multiple of the block", group + open(target, "lun 0 { path "+disk+"  size 1000 }"), true, []string{"ctl.conf:5:", "1000", "512"}},
		{"NVMe over Fabrics", group + "controller nqn.2026-01.com.example:a { }\n", true, []string{"ctl.conf:2:1: ", "not supported"}},
		{"address that is none", "portal-group pg0 { listen 300.1.1.1 }\n", true, []string{"ctl.conf:1:", "300.1.1.1"}},
		{"unreadable path", group + open(target, "lun 0 { path /nonexistent/disk }"), false, []string{"ctl.conf:5:", "/nonexistent/disk", "no such file"}},
		{"file without a size", group + open(target, "lun 0 { path "+filepath.Join(dir, "absent")+" }"), false, []string{"ctl.conf:5:", filepath.Join(dir, "absent")}},
		{"wrong size", group + open(target, "lun 0 { path "+disk+"  size 2M }"), false, []string{"ctl.conf:5:", disk, "1048576", "2097152"}},
		{"directory as a disk", group + open(target, "lun 0 { path "+dir+"  size 1M }"), false, []string{"ctl.conf:5:", dir}},
		{"address that is not here", "portal-group pg0 { listen 192.0.2.77:" + portal[strings.LastIndex(portal, ":")+1:] + " }\n" + open(target, "lun 0 { path "+disk+" }"), false, []string{"192.0.2.77", "assign"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, dir, "ctl.conf", c.text)
			if r := run(t, tandem, "check", "-c", path); c.check {
				if r.code != 1 {
					t.Errorf("check: status %d, expected 1", r.code)
				}
				contains(t, r.stdout+r.stderr, c.want...)
			} else if r.code != 0 {
				t.Errorf("check: status %d, expected 0: %s", r.code, r.stdout)
			}
			r := run(t, tandem, "serve", "-c", path, "--socket", filepath.Join(dir, "socket"))
			if r.code != 1 {
				t.Errorf("serve: status %d, expected 1", r.code)
			}
			contains(t, r.stderr, c.want...)
		})
	}
	if info, err := os.Stat(disk); err != nil || info.Size() != mib {
		t.Errorf("a refused configuration has changed the file: %v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 2 {
		t.Errorf("refused configurations left %q behind, expected ctl.conf and disk only", left)
	}
}

func TestCheckPrintsEveryErrorAtOnce(t *testing.T) {
	t.Parallel()
	path := write(t, folder(t), "ctl.conf", "gizmo a\nportal-group pg0 { listen nowhere }\ntarget disk0 {\n\tportal-group pg9\n}\n")
	r := run(t, tandem, "check", "-c", path)
	if r.code != 1 {
		t.Errorf("status %d, expected 1", r.code)
	}
	contains(t, r.stdout, path+":1:1: ", path+":2:27: ", path+":3:8: ", path+":4:15: ")
}

func TestCheckWarnsOfShortSecretsAndNeverShowsThem(t *testing.T) {
	t.Parallel()
	path := write(t, folder(t), "ctl.conf", "auth-group a { chap bob hunter2 }\n")
	r := run(t, tandem, "check", "-c", path)
	if r.code != 0 {
		t.Errorf("status %d, expected 0", r.code)
	}
	contains(t, r.stdout, path+":1:", "12")
	if strings.Contains(r.stdout+r.stderr, "hunter2") {
		t.Errorf("the secret is printed: %s", r.stdout)
	}
}

func TestCheckSaysWhichFileIsMissing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(folder(t), "absent.conf")
	for _, command := range []string{"check", "serve", "witness"} {
		r := run(t, tandem, command, "-c", path)
		if r.code != 1 || !strings.Contains(r.stdout+r.stderr, path) {
			t.Errorf("%s: status %d, expected 1 and the name of the file: %s%s", command, r.code, r.stdout, r.stderr)
		}
	}
}

func TestASecondStartOnTheSameDataFailsAndDisturbsNothing(t *testing.T) {
	t.Parallel()
	s := serveDisk(t)
	qemuIO(t, s.url(0), "write -P 0x21 0 1M")
	r := run(t, tandem, "serve", "-c", s.config)
	if r.code != 1 || !strings.Contains(r.stderr, s.socket) {
		t.Errorf("the same configuration: status %d, expected 1 and the name of the socket: %s", r.code, r.stderr)
	}
	// Another controller on the same file, with nothing else in common.
	other := newSingle(t)
	other.configure(t, open(target, fmt.Sprintf("lun 0 { path %s  size 64M }", s.disk("disk"))))
	r = run(t, tandem, "serve", "-c", other.config)
	if r.code != 1 || !strings.Contains(r.stderr, s.disk("disk")) {
		t.Errorf("the same file: status %d, expected 1 and its name: %s", r.code, r.stderr)
	}
	s.alive(t)
	qemuIO(t, s.url(0), "read -P 0x21 0 1M", "write -P 0x22 0 1M")
	status(t, s.socket)
}

func TestCommandsToLookSayThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(folder(t), "socket")
	for _, args := range [][]string{{"status"}, {"portlist"}, {"promote", "lun0"}} {
		r := run(t, tandem, append(args, "--socket", socket)...)
		if r.code != 1 || !strings.Contains(r.stderr, socket) {
			t.Errorf("%q: status %d, expected 1 and the path of the socket: %s", args, r.code, r.stderr)
		}
	}
}
