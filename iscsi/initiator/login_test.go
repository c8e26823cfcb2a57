package initiator

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
)

// respond sends a Login Response to r.
func (s *script) respond(r iscsi.LoginRequest, transit bool, pairs ...iscsi.KeyValue) {
	s.send(iscsi.LoginResponse{
		Transit: transit, CSG: r.CSG, NSG: r.NSG, ISID: r.ISID, TSIH: 1, InitiatorTaskTag: r.InitiatorTaskTag,
	}, iscsi.AppendText(nil, pairs...), true)
}

// request takes the next Login Request.
func (s *script) request() (r iscsi.LoginRequest, pairs map[string]string) {
	h, data, ok := s.expect(iscsi.OpLoginRequest)
	pairs = map[string]string{}
	if !ok {
		return r, pairs
	}
	r.Decode(h)
	list, err := iscsi.ParseText(data, iscsi.DefaultTextLimits)
	if err != nil {
		s.t.Errorf("login text: %v", err)
	}
	for _, kv := range list {
		pairs[kv.Key] = kv.Value
	}
	return r, pairs
}

func TestAHostileLoginIsRefused(t *testing.T) {
	none := iscsi.KeyValue{Key: iscsi.KeyAuthMethod, Value: iscsi.ValueNone}
	cases := map[string]struct {
		play func(*script)
		want string
	}{
		"another PDU": {func(s *script) {
			s.request()
			s.send(iscsi.NOPIn{}, nil, true)
		}, "no place in the login phase"},
		"silence": {func(s *script) {
			s.request()
			s.drain()
		}, "deadline exceeded"},
		"one byte at a time": {func(s *script) {
			s.request()
			for range 200 {
				if _, err := s.conn.Write([]byte{0x23}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}, "deadline exceeded"},
		"endless text": {func(s *script) {
			for {
				r, _ := s.request()
				if r.InitiatorTaskTag == 0 {
					return
				}
				s.send(iscsi.LoginResponse{Continue: true, CSG: r.CSG, InitiatorTaskTag: r.InitiatorTaskTag, TSIH: 1}, make([]byte, 8000), true)
			}
		}, "longer than 65536 bytes"},
		"endless rounds": {func(s *script) {
			r, _ := s.request()
			for s.respond(r, false, none); r.InitiatorTaskTag != 0; s.respond(r, false) {
				r, _ = s.request()
			}
		}, "not over after 32 rounds"},
		"a huge segment": {func(s *script) {
			r, _ := s.request()
			s.send(iscsi.LoginResponse{CSG: r.CSG, InitiatorTaskTag: r.InitiatorTaskTag}, make([]byte, 20000), true)
		}, "longer than MaxRecvDataSegmentLength"},
		"another version": {func(s *script) {
			r, _ := s.request()
			s.send(iscsi.LoginResponse{VersionActive: 3, CSG: r.CSG, InitiatorTaskTag: r.InitiatorTaskTag}, nil, true)
		}, "version 3"},
		"a leap to the full feature phase": {func(s *script) {
			r, _ := s.request()
			r.NSG = iscsi.FullFeaturePhase
			s.respond(r, true, none)
		}, "which was not asked for"},
		"a session without a TSIH": {func(s *script) {
			r, _ := s.request()
			s.respond(r, true, none)
			r, _ = s.request()
			s.send(iscsi.LoginResponse{Transit: true, CSG: r.CSG, NSG: r.NSG, InitiatorTaskTag: r.InitiatorTaskTag}, nil, true)
		}, "TSIH 0"},
		"keys left unanswered": {func(s *script) {
			r, _ := s.request()
			s.respond(r, true, none)
			r, _ = s.request()
			s.respond(r, true)
		}, "while keys are not answered"},
		"an answer above the offer": {func(s *script) {
			r, _ := s.request()
			s.respond(r, true, none)
			r, _ = s.request()
			s.respond(r, false, iscsi.KeyValue{Key: iscsi.KeyMaxBurstLength, Value: "16777215"})
		}, "contradicts the offer"},
		"text that is none": {func(s *script) {
			r, _ := s.request()
			s.send(iscsi.LoginResponse{CSG: r.CSG, InitiatorTaskTag: r.InitiatorTaskTag}, []byte("no equals sign\x00"), true)
		}, "malformed text"},
		"CHAP where none was offered": {func(s *script) {
			r, _ := s.request()
			s.respond(r, false, iscsi.KeyValue{Key: iscsi.KeyAuthMethod, Value: iscsi.AuthCHAP})
		}, "answered AuthMethod=CHAP to None"},
		"a refusal": {func(s *script) {
			r, _ := s.request()
			s.send(iscsi.LoginResponse{CSG: r.CSG, InitiatorTaskTag: r.InitiatorTaskTag, Status: iscsi.LoginNotFound}, nil, true)
		}, "not found (0203h)"},
		"moved to nowhere":    {moved(""), "login refused: target moved temporarily"},
		"moved to no address": {moved("[::1"), "a bracket is not closed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(listen(t, c.play))
			cfg.LoginTimeout = time.Second
			s, err := Dial(t.Context(), cfg)
			if err == nil {
				_ = s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("the login ended with %v, expected %q", err, c.want)
			}
		})
	}
}

// moved plays a target that has moved.
func moved(to string) func(*script) {
	return func(s *script) {
		r, _ := s.request()
		var text []byte
		if to != "" {
			text = iscsi.AppendText(nil, iscsi.KeyValue{Key: iscsi.KeyTargetAddress, Value: to})
		}
		s.send(iscsi.LoginResponse{CSG: r.CSG, InitiatorTaskTag: r.InitiatorTaskTag, Status: iscsi.LoginTargetMovedTemporarily}, text, true)
	}
}

func TestATargetThatHasMovedIsFollowed(t *testing.T) {
	there := listen(t, func(s *script) {
		if s.login() {
			s.drain()
		}
	})
	s, err := Dial(t.Context(), testConfig(listen(t, moved(there+",7"))))
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}

func TestATargetThatMovesAgainIsNotFollowed(t *testing.T) {
	third := listen(t, func(*script) { t.Error("the second move was followed") })
	second := listen(t, moved(third))
	s, err := Dial(t.Context(), testConfig(listen(t, moved(second))))
	if err == nil {
		_ = s.Close()
		t.Fatal("logged in")
	}
	var refused *LoginError
	if !errors.As(err, &refused) || refused.Address != third || !strings.Contains(err.Error(), "redirected by portal") {
		t.Errorf("the login ended with %v", err)
	}
}

func TestTwoPortalsThatRedirectToEachOtherEndTheLogin(t *testing.T) {
	var address atomic.Pointer[string]
	loop := func(s *script) { moved(*address.Load())(s) }
	portal := listen(t, loop, loop, loop)
	address.Store(&portal)
	if s, err := Dial(t.Context(), testConfig(portal)); err == nil {
		_ = s.Close()
		t.Fatal("logged in")
	}
}

// chapTarget plays the target's part of CHAP with MD5; prove makes the
// target's own answer to a mutual challenge.
func chapTarget(prove func(a iscsi.CHAPAlgorithm, pairs map[string]string) []iscsi.KeyValue) func(*script) {
	return func(s *script) {
		r, _ := s.request()
		s.respond(r, false, iscsi.KeyValue{Key: iscsi.KeyAuthMethod, Value: iscsi.AuthCHAP})
		r, _ = s.request()
		challenge := []byte("0123456789abcdef")
		a, _ := iscsi.ChooseCHAP("5")
		s.respond(r, false, iscsi.KeyValue{Key: iscsi.KeyCHAPA, Value: "5"}, iscsi.KeyValue{Key: iscsi.KeyCHAPI, Value: "9"},
			iscsi.KeyValue{Key: iscsi.KeyCHAPC, Value: iscsi.EncodeBinary(challenge)})
		r, pairs := s.request()
		response, err := iscsi.DecodeBinary(pairs[iscsi.KeyCHAPR], 64)
		if err != nil || pairs[iscsi.KeyCHAPN] != "user" || !a.Verify(response, 9, []byte("secret of the user"), challenge) {
			s.send(iscsi.LoginResponse{CSG: r.CSG, InitiatorTaskTag: r.InitiatorTaskTag, Status: iscsi.LoginAuthenticationFailure}, nil, true)
			return
		}
		s.respond(r, true, prove(a, pairs)...)
		if s.login() {
			s.drain()
		}
	}
}

func TestCHAPConvincesEitherSideOrFails(t *testing.T) {
	user := &Credentials{"user", iscsi.NewSecret("secret of the user")}
	target := &Credentials{"target", iscsi.NewSecret("secret of the target")}
	silent := func(iscsi.CHAPAlgorithm, map[string]string) []iscsi.KeyValue { return nil }
	proof := func(secret string, challenge func(map[string]string) string) func(iscsi.CHAPAlgorithm, map[string]string) []iscsi.KeyValue {
		return func(a iscsi.CHAPAlgorithm, pairs map[string]string) []iscsi.KeyValue {
			id, _ := iscsi.ParseCHAPIdentifier(pairs[iscsi.KeyCHAPI])
			c, _ := iscsi.DecodeBinary(challenge(pairs), iscsi.MaxCHAPChallenge)
			return []iscsi.KeyValue{
				{Key: iscsi.KeyCHAPN, Value: "target"},
				{Key: iscsi.KeyCHAPR, Value: iscsi.EncodeBinary(a.Response(id, []byte(secret), c))},
			}
		}
	}
	ours := func(pairs map[string]string) string { return pairs[iscsi.KeyCHAPC] }
	cases := map[string]struct {
		chap, mutual *Credentials
		prove        func(iscsi.CHAPAlgorithm, map[string]string) []iscsi.KeyValue
		ok           bool
	}{
		"one way":                           {user, nil, silent, true},
		"wrong secret":                      {&Credentials{"user", iscsi.NewSecret("another secret!")}, nil, silent, false},
		"wrong name":                        {&Credentials{"nobody", iscsi.NewSecret("secret of the user")}, nil, silent, false},
		"mutual":                            {user, target, proof("secret of the target", ours), true},
		"mutual, any name":                  {user, &Credentials{"", iscsi.NewSecret("secret of the target")}, proof("secret of the target", ours), true},
		"mutual, target of another secret":  {user, target, proof("secret of a stranger", ours), false},
		"mutual, target of another name":    {user, &Credentials{"other", iscsi.NewSecret("secret of the target")}, proof("secret of the target", ours), false},
		"mutual, target proves nothing":     {user, target, silent, false},
		"mutual, answer to other challenge": {user, target, proof("secret of the target", func(map[string]string) string { return "0x00" }), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(listen(t, chapTarget(c.prove)))
			cfg.CHAP, cfg.Mutual = c.chap, c.mutual
			s, err := Dial(t.Context(), cfg)
			if err == nil {
				_ = s.Close()
			}
			if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrAuthentication) {
				t.Fatalf("login: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret of") {
				t.Fatalf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestATargetThatDoesNotAskForCHAPIsNotTrusted(t *testing.T) {
	cfg := testConfig(listen(t, func(s *script) { s.login() }))
	cfg.CHAP = &Credentials{"user", iscsi.NewSecret("secret of the user")}
	if _, err := Dial(t.Context(), cfg); !errors.Is(err, ErrAuthentication) {
		t.Fatalf("login without the CHAP that was asked for: %v", err)
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	cfg := Config{CHAP: &Credentials{"user", iscsi.NewSecret("secret of the user")}}
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %s", cfg.CHAP, cfg.CHAP, cfg.CHAP, cfg.CHAP.Secret), fmt.Sprintf("%+v %#v", *cfg.CHAP, *cfg.CHAP), fmt.Sprintf("%q %x", cfg.CHAP.Secret, cfg.CHAP.Secret)} {
		if strings.Contains(s, "secret of the user") || strings.Contains(s, fmt.Sprintf("%x", "secret of the user")) {
			t.Errorf("printed: %s", s)
		}
	}
}

func TestBadConfigsAreRefusedByName(t *testing.T) {
	cases := map[string]func(*Config){
		"no portal given":        func(c *Config) { c.Portal = "" },
		"TargetName":             func(c *Config) { c.TargetName = "disk" },
		"InitiatorName":          func(c *Config) { c.InitiatorName = "" },
		"MaxBurstLength 100":     func(c *Config) { c.MaxBurstLength = 100 },
		"no more than MaxBurst":  func(c *Config) { c.FirstBurstLength = 2 << 20 },
		"MaxTasks 70000":         func(c *Config) { c.MaxTasks = 70000 },
		"needs CHAP credentials": func(c *Config) { c.Mutual = &Credentials{} },
		"two secrets": func(c *Config) {
			c.CHAP, c.Mutual = &Credentials{"a", iscsi.NewSecret("x")}, &Credentials{"b", iscsi.NewSecret("x")}
		},
		"MaxRecvDataSegmentLength 1": func(c *Config) { c.MaxRecvDataSegmentLength = 1 },
	}
	for want, spoil := range cases {
		cfg := testConfig("127.0.0.1:1")
		spoil(&cfg)
		if _, err := Dial(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("config with %s: error %v", want, err)
		}
	}
}

func TestDiscoveryListsTargetsAndTheirPortals(t *testing.T) {
	text := "TargetName=iqn.2020-01.com.example:a\x00TargetAddress=192.0.2.1:3260,257\x00TargetAddress=[2001:db8::1]:3261,258\x00" +
		"TargetName=iqn.2020-01.com.example:b\x00"
	cfg := testConfig(listen(t, func(s *script) {
		if !s.login() {
			return
		}
		h, data, _ := s.expect(iscsi.OpTextRequest)
		if string(data) != "SendTargets=All\x00" {
			s.t.Errorf("asked was %q", data)
		}
		s.cmdSN++
		const cut = 50
		s.send(iscsi.TextResponse{Continue: true, InitiatorTaskTag: h.InitiatorTaskTag(), TargetTransferTag: 7}, []byte(text[:cut]), true)
		s.send(iscsi.NOPIn{InitiatorTaskTag: iscsi.NoTag, TargetTransferTag: 3}, nil, false)
		h, data, _ = s.expect(iscsi.OpTextRequest)
		var r iscsi.TextRequest
		r.Decode(h)
		if r.TargetTransferTag != 7 || len(data) != 0 {
			s.t.Errorf("the rest was asked for with %+v and %q", r, data)
		}
		s.cmdSN++
		s.send(iscsi.TextResponse{Final: true, InitiatorTaskTag: h.InitiatorTaskTag(), TargetTransferTag: iscsi.NoTag}, []byte(text[cut:]), true)
		s.drain()
	}))
	cfg.TargetName = ""
	found, err := Discover(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range found {
		got = append(got, p.TargetName+" "+p.Address.String())
	}
	want := []string{
		"iqn.2020-01.com.example:a 192.0.2.1:3260,257",
		"iqn.2020-01.com.example:a [2001:db8::1]:3261,258",
		"iqn.2020-01.com.example:b " + cfg.Portal,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("found %q, expected %q", got, want)
	}
}

func TestEndlessDiscoveryIsCutOff(t *testing.T) {
	cfg := testConfig(listen(t, func(s *script) {
		if !s.login() {
			return
		}
		for {
			h, _, ok := s.expect(iscsi.OpTextRequest)
			if !ok {
				return
			}
			s.cmdSN++
			s.send(iscsi.TextResponse{Continue: true, InitiatorTaskTag: h.InitiatorTaskTag(), TargetTransferTag: 7}, make([]byte, 200<<10), true)
		}
	}))
	if _, err := Discover(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "longer than 4194304 bytes") {
		t.Fatalf("endless discovery ended with %v", err)
	}
}
