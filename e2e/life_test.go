package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestTerminatingAControllerEndsItWithStatusZeroAndKeepsTheData(t *testing.T) {
	t.Parallel()
	s := serveDisk(t)
	qemuIO(t, s.url(0), "write -P 0x33 1M 1M")
	if code := s.terminate(t); code != 0 {
		t.Errorf("status %d, expected 0", code)
	}
	qemuIO(t, s.disk("disk"), "read -P 0x33 1M 1M")
	if _, err := os.Stat(s.socket); err == nil {
		t.Errorf("the admin socket %s is still there", s.socket)
	}
	s.start(t)
	qemuIO(t, s.url(0), "read -P 0x33 1M 1M")
}

func TestAKilledControllerStartsAgainAndHasEveryAcknowledgedWrite(t *testing.T) {
	t.Parallel()
	s := serveDisk(t)
	qemuIO(t, s.url(0), "write -P 0x44 1M 1M")
	s.kill(t)
	s.start(t)
	qemuIO(t, s.url(0), "read -P 0x44 1M 1M")
}

func TestTheIdentityOfALogicalUnitOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	s := serveDisk(t)
	identity := func() string {
		return succeed(t, "iscsi-inq", "-e", "1", "-c", "128", s.url(0)) + succeed(t, "iscsi-inq", "-e", "1", "-c", "131", s.url(0))
	}
	before := identity()
	s.terminate(t)
	s.start(t)
	if after := identity(); after != before {
		t.Errorf("pages 80h and 83h were\n%sand are\n%s", before, after)
	}
}

func TestReloadAddsATargetWhileASessionOfAnotherGoesOn(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	one := open(target, fmt.Sprintf("lun 0 { path %s  size 64M }", s.disk("disk")))
	s.configure(t, one)
	s.start(t)
	client := start(t, "qemu-io", "-f", "raw", s.url(0))
	fmt.Fprintln(client.stdin, "write -P 1 0 1M")
	client.awaitLine(t, "wrote 1048576/1048576")

	other := "iqn.2026-01.com.example:other"
	s.configure(t, one, open(other, "lun 0 { backend ramdisk  size 16M }"))
	s.reload(t)
	contains(t, succeed(t, "iscsi-ls", "iscsi://"+s.portal), target, other)
	qemuIO(t, url(s.portal, other, 0), "write -P 2 0 1M", "read -P 2 0 1M")

	s.configure(t, one)
	s.reload(t)
	if list := succeed(t, "iscsi-ls", "iscsi://"+s.portal); strings.Contains(list, other) {
		t.Errorf("a target that is configured no more is still shown: %s", list)
	}

	fmt.Fprintln(client.stdin, "read -P 1 0 1M")
	client.awaitLine(t, "read 1048576/1048576")
	client.stdin.Close()
	client.awaitExit(t)
	if logins := countLines(s.output.String(), []string{`msg="logged in"`, "linux-kvm", "target=" + target + " "}); logins != 1 {
		t.Errorf("the session of the target that did not change logged in %d times, expected once", logins)
	}
	if text := client.output.String(); strings.Contains(text, "failed") || strings.Contains(text, "error") {
		t.Errorf("the session of the target that did not change saw an error:\n%s", text)
	}
}

func TestAReloadOfAWrongConfigurationChangesNothing(t *testing.T) {
	t.Parallel()
	s := serveDisk(t)
	good, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ name, text, want string }{
		{"a word that is unknown", string(good) + "\nwrong { }\n", "wrong"},
		{"a path that cannot be opened", string(good) + open(target+"2", "lun 0 { path /nonexistent/disk  size 1M }"), "/nonexistent/disk"},
		{"another size", strings.Replace(string(good), "64M", "32M", 1), "cannot change"},
	} {
		write(t, s.dir, "ctl.conf", c.text)
		s.signal(t, hangup)
		s.awaitLines(t, i+1, "not reloaded")
		s.awaitLine(t, c.want)
		contains(t, succeed(t, "iscsi-readcapacity16", s.url(0)), "Total size:67108864")
	}
	s.alive(t)
}
