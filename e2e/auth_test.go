package e2e

import (
	"strings"
	"testing"
)

// Secrets of 12 to 16 characters.
const (
	aliceSecret  = "alices-secret1"
	targetSecret = "targets-secret"
)

func TestCHAPLetsInOnlyWhoKnowsTheSecret(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	s.configure(t, "auth-group users { chap alice "+aliceSecret+" }",
		"target "+target+" { auth-group users  portal-group pg0  lun 0 { backend ramdisk  size 16M } }")
	s.start(t)
	who := func(credentials string) string { return url(credentials+s.portal, target, 0) }

	contains(t, succeed(t, "iscsi-inq", who("alice%"+aliceSecret+"@")), "Vendor:TANDEM")
	qemuIO(t, who("alice%"+aliceSecret+"@"), "write -P 1 0 1M", "read -P 1 0 1M")
	for _, c := range []struct{ name, credentials string }{
		{"a wrong secret", "alice%wrong-secret-1@"},
		{"a secret that differs in its last character", "alice%" + aliceSecret[:len(aliceSecret)-1] + "2@"},
		{"an unknown name", "mallory%" + aliceSecret + "@"},
		{"no credentials", ""},
	} {
		r := run(t, "iscsi-inq", who(c.credentials))
		if r.code == 0 || strings.Contains(r.stdout, "Vendor") {
			t.Errorf("%s: let in: %s", c.name, r.stdout)
		}
		if !strings.Contains(r.stderr, "Authentication") && !strings.Contains(r.stderr, "auth") {
			t.Errorf("%s: the initiator is not told that it is the authentication: %s", c.name, r.stderr)
		}
	}
	if log := s.output.String(); strings.Contains(log, aliceSecret) {
		t.Errorf("the secret is in the log")
	}
}

func TestMutualCHAPProvesTheTargetToTheInitiator(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	s.configure(t, "auth-group users { chap-mutual alice "+aliceSecret+" storage "+targetSecret+" }",
		"target "+target+" { auth-group users  portal-group pg0  lun 0 { backend ramdisk  size 16M } }")
	s.start(t)
	who := url("alice%"+aliceSecret+"@"+s.portal, target, 0)

	contains(t, succeed(t, "iscsi-inq", who+"?target_user=storage&target_password="+targetSecret), "Vendor:TANDEM")
	if r := run(t, "iscsi-inq", who+"?target_user=storage&target_password=wrong-secret-1"); r.code == 0 {
		t.Errorf("the initiator takes a target for good that does not know the secret it expects: %s", r.stdout)
	}
}

func TestDiscoveryCanNeedCHAPToo(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	portal := freeAddress(t, "127.0.0.1")
	s.configure(t, "auth-group users { chap alice "+aliceSecret+" }",
		"portal-group closed { discovery-auth-group users  listen "+portal+" }",
		"target "+target+" { auth-group users  portal-group closed  lun 0 { backend ramdisk  size 16M } }")
	s.start(t)
	contains(t, succeed(t, "iscsi-ls", "iscsi://alice%"+aliceSecret+"@"+portal), target)
	if r := run(t, "iscsi-ls", "iscsi://"+portal); strings.Contains(r.stdout, target) {
		t.Errorf("discovery without credentials shows the target: %s", r.stdout)
	}
	if r := run(t, "iscsi-ls", "iscsi://"+s.portal); strings.Contains(r.stdout, target) {
		t.Errorf("a portal group shows a target of another: %s", r.stdout)
	}
}

func TestOnlyTheInitiatorsThatAreNamedAreLetIn(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	s.configure(t, "auth-group named { auth-type none  initiator-name iqn.2026-01.com.example:host }",
		"target "+target+" { auth-group named  portal-group pg0  lun 0 { backend ramdisk  size 16M } }")
	s.start(t)
	contains(t, succeed(t, "iscsi-inq", "-i", "iqn.2026-01.com.example:host", s.url(0)), "Vendor:TANDEM")
	if r := run(t, "iscsi-inq", "-i", "iqn.2026-01.com.example:other", s.url(0)); r.code == 0 {
		t.Errorf("an initiator that is not named is let in: %s", r.stdout)
	}
}

func TestAnAddressThatGuessesSecretsIsHeldUp(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	s.configure(t, "auth-group users { chap alice "+aliceSecret+" }",
		"target "+target+" { auth-group users  portal-group pg0  lun 0 { backend ramdisk  size 16M } }",
		open(target+".open", "lun 0 { backend ramdisk  size 16M }"))
	s.start(t)
	wrong, right := url("alice%wrong-secret-1@"+s.portal, target, 0), url("alice%"+aliceSecret+"@"+s.portal, target, 0)
	eventually(t, "guesses are refused unread", func() bool {
		if r := run(t, "iscsi-inq", wrong); r.code == 0 {
			t.Fatalf("let in: %s", r.stdout)
		}
		return strings.Contains(s.output.String(), "too many wrong CHAP responses from this address")
	})
	contains(t, succeed(t, "iscsi-inq", url(s.portal, target+".open", 0)), "Vendor:TANDEM")
	contains(t, succeed(t, tandem, "status", "--socket", s.socket), "responses were wrong", "refused unread")
	eventually(t, "the right secret lets in again", func() bool { return run(t, "iscsi-inq", right).code == 0 })
}

func TestInitiatorsFollowARedirection(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	there := freeAddress(t, "127.0.0.1")
	group := func(name, statements string) string {
		return "portal-group " + name + " { discovery-auth-group no-authentication  " + statements + " }"
	}
	all := freeAddress(t, "127.0.0.1")
	s.configure(t, group("there", "listen "+there), group("all", "listen "+all+"  redirect "+there),
		"auth-group users { chap alice "+aliceSecret+" }",
		// Through the group, before authentication; and of the target, after it.
		"target "+target+" { auth-group users  portal-group all  portal-group there  lun 0 { backend ramdisk  size 16M } }",
		"target "+target+".moved { auth-group users  portal-group pg0  redirect "+all+"  lun 0 { backend ramdisk  size 16M } }")
	s.start(t)
	const alice = "alice%" + aliceSecret + "@"
	contains(t, succeed(t, "iscsi-inq", url(alice+all, target, 0)), "Vendor:TANDEM")
	qemuIO(t, url(alice+all, target, 0), "write -P 7 0 1M", "read -P 7 0 1M")
	qemuIO(t, url(alice+there, target, 0), "read -P 7 0 1M")
	// Who does not know the secret is not told where the target is.
	if r := run(t, "iscsi-inq", url("alice%wrong-secret-1@"+s.portal, target+".moved", 0)); !strings.Contains(r.stderr, "uthentication") {
		t.Errorf("%s", r.stderr)
	}
	if r := run(t, "iscsi-inq", url(alice+s.portal, target+".moved", 0)); r.code == 0 {
		t.Errorf("a target that has moved serves: %s", r.stdout)
	}
}
