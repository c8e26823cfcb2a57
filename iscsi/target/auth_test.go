package target_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/target"
)

func TestCHAPLetsInWhoKnowsTheSecret(t *testing.T) {
	f := newFixture(t, nil)
	for _, c := range []struct {
		name           string
		user, secret   string
		mutual, proof  string
		in             bool
		targetIsProved bool
	}{
		{"one-way", "one-way", "iscsi0pass123456", "", "", true, false},
		{"mutual", "mutual", "iscsi1pass123456", "target", "iscsi2pass123456", true, true},
		{"mutual user that does not ask", "mutual", "iscsi1pass123456", "", "", true, false},
		{"wrong secret", "one-way", "iscsi1pass123456", "", "", false, false},
		{"secret of the target", "mutual", "iscsi2pass123456", "", "", false, false},
		{"unknown user", "nobody", "iscsi0pass123456", "", "", false, false},
		{"mutual asked of a user without", "one-way", "iscsi0pass123456", "target", "iscsi2pass123456", false, false},
		{"target that does not know the secret", "mutual", "iscsi1pass123456", "target", "iscsi3pass123456", false, false},
	} {
		s, err := f.tryDial(func(cfg *initiator.Config) {
			cfg.TargetName = secretName
			cfg.CHAP = &initiator.Credentials{Name: c.user, Secret: iscsi.NewSecret(c.secret)}
			if c.mutual != "" {
				cfg.Mutual = &initiator.Credentials{Name: c.mutual, Secret: iscsi.NewSecret(c.proof)}
			}
		})
		if (err == nil) != c.in {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.in {
			if got := f.Sessions()[0].User; got != c.user {
				t.Errorf("%s: the session is of user %q", c.name, got)
			}
			_ = s.Close()
			eventually(t, "the session ends", func() bool { return len(f.Sessions()) == 0 })
		} else if c.mutual == "" {
			var refused *initiator.LoginError
			if !errors.As(err, &refused) || refused.Status != iscsi.LoginAuthenticationFailure {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	if _, err := f.tryDial(func(cfg *initiator.Config) { cfg.TargetName = secretName }); err == nil {
		t.Error("logged in without a secret")
	}
}

func startCHAP(c *client) (iscsi.LoginRequest, map[string]string) {
	r := c.loginRequest(security, operational)
	r.Transit = false
	c.send(r, pairs("InitiatorName", initiatorName, "TargetName", secretName, "AuthMethod", "CHAP"))
	c.answer()
	c.send(r, pairs("CHAP_A", "5"))
	_, said := c.answer()
	return r, said
}

func TestAReflectedChallengeIsRefused(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	r, said := startCHAP(c)
	a, err := iscsi.ChooseCHAP(said["CHAP_A"])
	if err != nil {
		t.Fatal(err)
	}
	id, err := iscsi.ParseCHAPIdentifier(said["CHAP_I"])
	if err != nil {
		t.Fatal(err)
	}
	challenge, err := iscsi.DecodeBinary(said["CHAP_C"], 64)
	if err != nil {
		t.Fatal(err)
	}
	response := iscsi.EncodeBinary(a.Response(id, []byte("iscsi1pass123456"), challenge))
	c.send(r, pairs("CHAP_N", "mutual", "CHAP_R", response, "CHAP_I", "1", "CHAP_C", said["CHAP_C"]))
	if got, said := c.answer(); got.Status != iscsi.LoginAuthenticationFailure || said["CHAP_R"] != "" {
		t.Errorf("%v, %v", got.Status, said)
	}
}

func TestAChallengeIsGoodForOneResponse(t *testing.T) {
	f := newFixture(t, nil)
	seen := map[string]bool{}
	for range 3 {
		c := f.connect()
		r, said := startCHAP(c)
		if seen[said["CHAP_C"]] {
			t.Error("the same challenge twice")
		}
		seen[said["CHAP_C"]] = true
		c.send(r, pairs("CHAP_N", "mutual", "CHAP_R", "0x00"))
		if got, _ := c.answer(); got.Status != iscsi.LoginAuthenticationFailure {
			t.Error(got.Status)
		}
		c.expectClosed(0)
	}
}

func TestGuessingASecretIsHeldUp(t *testing.T) {
	var log lockedBuffer
	f := newFixture(t, func(_ *target.Config, o *target.Options) {
		o.Limits.WrongCHAP = 3
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	with := func(secret string) error {
		_, err := f.tryDial(func(c *initiator.Config) {
			c.TargetName = secretName
			c.CHAP = &initiator.Credentials{Name: "one-way", Secret: iscsi.NewSecret(secret)}
		})
		return err
	}
	const secret = "iscsi0pass123456"
	if err := with(secret); err != nil {
		t.Fatal(err)
	}
	var refused *initiator.LoginError
	held := 0
	for range 20 {
		if errors.As(with("another-secret-1"), &refused) && refused.Status == iscsi.LoginServiceUnavailable {
			held++
		}
	}
	if held == 0 {
		t.Fatal("twenty wrong secrets are all looked at")
	}
	if n := f.CHAPCounters(); n.Wrong < 3 || n.Unread != uint64(held) || n.Wrong+n.Unread != 20 {
		t.Errorf("%+v, %d were held up", n, held)
	}
	// Who needs no secret is not concerned, and the right one is let in again
	// after a moment.
	f.dial(nil)
	eventually(t, "the right secret is looked at", func() bool { return with(secret) == nil })
	text := log.String()
	if strings.Count(text, "too many wrong CHAP responses from this address") == 0 || strings.Contains(text, secret) || strings.Contains(text, "another-secret-1") {
		t.Errorf("log: %s", text)
	}
}

func TestEveryCHAPAlgorithmLetsIn(t *testing.T) {
	f := newFixture(t, nil)
	for _, a := range iscsi.CHAPAlgorithms {
		c := f.connect()
		r := c.loginRequest(security, operational)
		r.Transit = false
		c.send(r, pairs("InitiatorName", initiatorName, "TargetName", secretName, "AuthMethod", "CHAP"))
		c.answer()
		// The weakest comes first: it is not for the initiator to weaken both.
		c.send(r, pairs("CHAP_A", fmt.Sprintf("5,%d,99", a.ID)))
		_, said := c.answer()
		if said["CHAP_A"] != fmt.Sprint(a.ID) {
			t.Fatalf("%s: the answer is CHAP_A=%s", a.Name, said["CHAP_A"])
		}
		id, err := iscsi.ParseCHAPIdentifier(said["CHAP_I"])
		if err != nil {
			t.Fatal(err)
		}
		challenge, err := iscsi.DecodeBinary(said["CHAP_C"], iscsi.MaxCHAPChallenge)
		if err != nil || len(challenge) != a.Size {
			t.Fatalf("%s: a challenge of %d bytes, %v", a.Name, len(challenge), err)
		}
		r.Transit = true
		answer := a.Response(id, []byte("iscsi1pass123456"), challenge)
		c.send(r, pairs("CHAP_N", "mutual", "CHAP_R", iscsi.EncodeBinary(answer), "CHAP_I", "77", "CHAP_C", "0x0102030405060708"))
		got, said := c.answer()
		proof, err := iscsi.DecodeBinary(said["CHAP_R"], a.Size)
		if got.Status != iscsi.LoginSuccess || !got.Transit || err != nil ||
			!a.Verify(proof, 77, []byte("iscsi2pass123456"), []byte{1, 2, 3, 4, 5, 6, 7, 8}) {
			t.Errorf("%s: %v, %v, %v", a.Name, got.Status, said, err)
		}
	}
}
