package target_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/target"
)

const (
	security    = iscsi.SecurityNegotiation
	operational = iscsi.LoginOperationalNegotiation
	fullFeature = iscsi.FullFeaturePhase
)

func TestLoginsAreRefusedWithTheStatusOfTheRFC(t *testing.T) {
	f := newFixture(t, func(c *target.Config, _ *target.Options) {
		for name, auth := range map[string]target.AuthGroup{
			"nobody":    nobody,
			"named":     {Kind: target.AuthNone, InitiatorNames: []string{"iqn.2016-01.local.beast:other"}},
			"elsewhere": {Kind: target.AuthNone, InitiatorPortals: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		} {
			c.Targets = append(c.Targets, target.Target{Name: "iqn.2016-01.local.beast:" + name,
				Ports: []target.Port{{PortalGroup: "pg0", Auth: auth, RelativePort: 1}}})
		}
		c.PortalGroups = append(c.PortalGroups, target.PortalGroup{Name: "pg1", Tag: 258, DiscoveryAuth: anyone})
		c.Targets = append(c.Targets, target.Target{Name: "iqn.2016-01.local.beast:other-portal",
			Ports: []target.Port{{PortalGroup: "pg1", Auth: anyone, RelativePort: 2}}})
	})
	me := []string{"InitiatorName", initiatorName}
	to := func(name string) []string { return append(me[:2:2], "TargetName", "iqn.2016-01.local.beast:"+name) }
	type request = iscsi.LoginRequest
	for _, c := range []struct {
		name   string
		change func(*request)
		text   []string
		want   iscsi.LoginStatus
	}{
		{"version above ours", func(r *request) { r.VersionMin, r.VersionMax = 1, 1 }, to("target0"), iscsi.LoginUnsupportedVersion},
		{"no initiator name", nil, []string{"TargetName", targetName}, iscsi.LoginMissingParameter},
		{"no target name", nil, me, iscsi.LoginMissingParameter},
		{"no keys at all", nil, nil, iscsi.LoginMissingParameter},
		{"initiator name that is none", nil, []string{"InitiatorName", "me", "TargetName", targetName}, iscsi.LoginInitiatorError},
		{"unknown target", nil, to("target1"), iscsi.LoginNotFound},
		{"target name that is none", nil, []string{"InitiatorName", initiatorName, "TargetName", "you"}, iscsi.LoginNotFound},
		{"target of another portal group", nil, to("other-portal"), iscsi.LoginNotFound},
		{"target for nobody", nil, to("nobody"), iscsi.LoginAuthorizationFailure},
		{"initiator name not listed", nil, to("named"), iscsi.LoginAuthorizationFailure},
		{"initiator address not listed", nil, to("elsewhere"), iscsi.LoginAuthorizationFailure},
		{"authentication skipped", nil, to("secret"), iscsi.LoginAuthenticationFailure},
		{"authentication skipped in its stage", func(r *request) { r.CSG = security }, to("secret"), iscsi.LoginAuthenticationFailure},
		{"only None offered", func(r *request) { r.CSG = security }, append(to("secret"), "AuthMethod", "None"), iscsi.LoginAuthenticationFailure},
		{"only CHAP offered where None is wanted", func(r *request) { r.CSG = security }, append(to("target0"), "AuthMethod", "CHAP"), iscsi.LoginAuthenticationFailure},
		{"CHAP answer before the challenge", func(r *request) { r.CSG = security }, append(to("secret"), "CHAP_N", "x", "CHAP_R", "0x00"), iscsi.LoginInitiatorError},
		{"unknown session type", nil, append(to("target0"), "SessionType", "Abnormal"), iscsi.LoginSessionTypeNotSupported},
		{"session that does not exist", func(r *request) { r.TSIH = 9 }, to("target0"), iscsi.LoginSessionDoesNotExist},
		{"stage that is reserved", func(r *request) { r.CSG = 2 }, to("target0"), iscsi.LoginInitiatorError},
		{"login in full feature phase", func(r *request) { r.CSG = fullFeature }, to("target0"), iscsi.LoginInitiatorError},
		{"transit backwards", func(r *request) { r.NSG = security }, to("target0"), iscsi.LoginInitiatorError},
		{"transit to where it is", func(r *request) { r.NSG = operational }, to("target0"), iscsi.LoginInitiatorError},
		{"transit to a reserved stage", func(r *request) { r.NSG = 2 }, to("target0"), iscsi.LoginInitiatorError},
		{"T and C", func(r *request) { r.Continue = true }, to("target0"), iscsi.LoginInitiatorError},
		{"key twice", nil, append(to("target0"), "MaxBurstLength", "512", "MaxBurstLength", "512"), iscsi.LoginInitiatorError},
		{"operational key in the security stage", func(r *request) { r.CSG = security }, append(to("target0"), "MaxBurstLength", "512"), iscsi.LoginInitiatorError},
		{"key of the target", nil, append(to("target0"), "TargetAlias", "x"), iscsi.LoginInitiatorError},
		{"text without an equals sign", nil, append(to("target0"), "X", "y\x00nonsense"), iscsi.LoginInitiatorError},
		{"too many keys", nil, append(to("target0"), strings.Split(strings.Repeat("X-k,v,", 70)+"X,y", ",")...), iscsi.LoginInitiatorError},
		{"data segment too long", nil, append(to("target0"), "X-long", strings.Repeat("x", 8200)), iscsi.LoginInitiatorError},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := f.connect()
			cl.t = t
			r := cl.loginRequest(operational, fullFeature)
			if c.change != nil {
				c.change(&r)
			}
			cl.send(r, pairs(c.text...))
			got, _ := cl.answer()
			if got.Status != c.want || got.Transit || got.TSIH != r.TSIH {
				t.Errorf("answered %v (T %v, TSIH %d), want %v", got.Status, got.Transit, got.TSIH, c.want)
			}
			if got.ISID != r.ISID || got.InitiatorTaskTag != r.InitiatorTaskTag {
				t.Error("the answer is not to this request")
			}
			cl.expectClosed(0)
		})
	}
	if s := f.Sessions(); len(s) != 0 {
		t.Errorf("sessions: %v", s)
	}
}

func TestTheFirstPDUMustBeALoginRequest(t *testing.T) {
	f := newFixture(t, nil)
	for name, h := range map[string]iscsi.BHS{
		"nothing behind it":    {0: byte(iscsi.OpNOPOut)},
		"text of HTTP":         iscsi.BHS([]byte("GET / HTTP/1.1\r\nHost: 192.0.2.1\r\nUser-Agent: x\r\n")[:iscsi.BHSLength]),
		"AHS and data to come": {0: byte(iscsi.OpSCSICommand), 4: 0xff, 5: 0xff, 6: 0xff, 7: 0xff},
		"another reserved one": {0: 0x3f, 4: 0xff},
	} {
		c := f.connect()
		c.sendRaw(h[:])
		// It does not wait for what the header promises.
		began := time.Now()
		if n, err := c.conn.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("%s: answered", name)
		}
		if waited := time.Since(began); waited > patience/2 {
			t.Errorf("%s: closed after %v", name, waited)
		}
	}
}

func TestALoginRequestIsJudgedByItsHeader(t *testing.T) {
	f := newFixture(t, nil)
	for name, lengths := range map[string][]byte{
		"additional header segments": {0xff, 0, 0, 0},
		"a huge data segment":        {0, 0xff, 0xff, 0xff},
	} {
		c := f.connect()
		var h iscsi.BHS
		c.loginRequest(operational, fullFeature).Encode(&h)
		copy(h[4:], lengths)
		c.sendRaw(h[:]) // and nothing that it promises
		if got, _ := c.answer(); got.Status != iscsi.LoginInitiatorError {
			t.Errorf("%s: %v", name, got.Status)
		}
	}
}

func TestOtherPDUsDuringLoginAreRefused(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	r := c.loginRequest(operational, fullFeature)
	r.Transit = false
	c.send(r, pairs("InitiatorName", initiatorName, "TargetName", targetName))
	c.answer()
	c.send(c.command(make([]byte, 6)), nil)
	if got, _ := c.answer(); got.Status != iscsi.LoginInvalidDuringLogin {
		t.Error(got.Status)
	}
	c.expectClosed(0)
}

func TestALoginMayTakeManySteps(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	r := c.loginRequest(security, operational)

	// The names come in pieces, cut inside a key.
	text := pairs("InitiatorName", initiatorName, "InitiatorAlias", "mine", "TargetName", targetName, "AuthMethod", "CHAP,None")
	r.Transit, r.Continue = false, true
	for _, piece := range [][]byte{text[:5], text[5:40]} {
		c.send(r, piece)
		if got, said := c.answer(); got.Transit || len(said) != 0 || got.Status != 0 {
			t.Fatalf("%+v, %v", got, said)
		}
	}
	r.Continue = false
	c.send(r, text[40:])
	got, said := c.answer()
	if got.Transit || said["AuthMethod"] != "None" || said["TargetPortalGroupTag"] != "257" || said["TargetAlias"] != "a disk" {
		t.Fatalf("%+v, %v", got, said)
	}
	r.Transit = true
	c.send(r, nil)
	if got, _ := c.answer(); !got.Transit || got.NSG != operational || got.TSIH != 0 {
		t.Fatalf("%+v", got)
	}

	r = c.loginRequest(operational, fullFeature)
	r.Transit = false
	c.send(r, pairs("MaxRecvDataSegmentLength", "65536", "ImmediateData", "No", "HeaderDigest", "CRC32C,None", "MaxBurstLength", "16776192"))
	got, said = c.answer()
	want := map[string]string{"ImmediateData": "No", "HeaderDigest": "CRC32C", "MaxBurstLength": "1048576", "MaxRecvDataSegmentLength": "262144"}
	if got.Transit || fmt.Sprint(said) != fmt.Sprint(want) {
		t.Fatalf("%+v, %v; want %v", got, said, want)
	}
	r.Transit = true
	c.send(r, pairs("FirstBurstLength", "65536"))
	got, said = c.answer()
	if !got.Transit || got.TSIH == 0 || said["FirstBurstLength"] != "65536" || said["MaxRecvDataSegmentLength"] != "" {
		t.Fatalf("%+v, %v", got, said)
	}
	if got.ExpCmdSN != r.CmdSN || got.MaxCmdSN != r.CmdSN+127 {
		t.Errorf("command window %d to %d", got.ExpCmdSN, got.MaxCmdSN)
	}
	s := f.Sessions()[0]
	p := s.Parameters
	if s.InitiatorAlias != "mine" || p.ImmediateData || !p.InitialR2T || p.Digests.Header != iscsi.CRC32C || p.Digests.Data != iscsi.NoDigest ||
		p.MaxBurstLength != 1<<20 || p.FirstBurstLength != 65536 || p.PeerMaxRecvDataSegmentLength != 65536 || p.MaxRecvDataSegmentLength != 256<<10 {
		t.Errorf("%+v", s)
	}
}

func TestTheStageAndTheIdentityMustNotChangeDuringLogin(t *testing.T) {
	f := newFixture(t, nil)
	for name, change := range map[string]func(*iscsi.LoginRequest){
		"stage": func(r *iscsi.LoginRequest) { r.CSG = security },
		"ISID":  func(r *iscsi.LoginRequest) { r.ISID[5]++ },
		"CID":   func(r *iscsi.LoginRequest) { r.CID++ },
		"TSIH":  func(r *iscsi.LoginRequest) { r.TSIH++ },
	} {
		c := f.connect()
		r := c.loginRequest(operational, fullFeature)
		r.Transit = false
		c.send(r, pairs("InitiatorName", initiatorName, "TargetName", targetName))
		c.answer()
		change(&r)
		c.send(r, nil)
		if got, _ := c.answer(); got.Status != iscsi.LoginInitiatorError {
			t.Errorf("%s: %v", name, got.Status)
		}
	}
}

func TestALoginThatNeverEndsIsCut(t *testing.T) {
	f := newFixture(t, func(_ *target.Config, o *target.Options) {
		o.Limits.LoginTime = 50 * time.Millisecond
		o.Limits.Exchanges = 4
	})
	silent := f.connect()
	silent.expectClosed(0)

	c := f.connect()
	r := c.loginRequest(operational, fullFeature)
	r.Transit, r.Continue = false, true
	for range 5 {
		c.send(r, []byte("X"))
		if got, _ := c.answer(); got.Status == iscsi.LoginInitiatorError {
			c.expectClosed(0)
			return
		}
	}
	t.Error("five requests were taken")
}

func TestALoginMayTakeForEver(t *testing.T) {
	f := newFixture(t, func(_ *target.Config, o *target.Options) { o.Limits.LoginTime = target.NoLoginTime })
	f.dial(nil)
	silent := f.connect()
	_ = silent.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // a login that is cut at once ends before
	if _, err := silent.conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a login under way ended: %v", err)
	}
}

func TestEndlessTextIsCut(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	r := c.loginRequest(operational, fullFeature)
	r.Transit, r.Continue = false, true
	for range 3 {
		c.send(r, bytes.Repeat([]byte("x"), 8192))
		got, _ := c.answer()
		if got.Status == iscsi.LoginInitiatorError {
			return
		}
	}
	t.Error("24 KiB of text were taken")
}

// startCHAP goes as far as the challenge of the target.
func TestPortalGroupsAndTargetsRedirect(t *testing.T) {
	elsewhere := netip.MustParseAddrPort("[2001:db8::1]:3261")
	for name, adjust := range map[string]func(*target.Config){
		"portal group": func(c *target.Config) { c.PortalGroups[0].Redirect = elsewhere },
		"target":       func(c *target.Config) { c.Targets[0].Redirect = elsewhere },
	} {
		f := newFixture(t, func(c *target.Config, _ *target.Options) { adjust(c) })
		c := f.connect()
		c.send(c.loginRequest(operational, fullFeature), pairs("InitiatorName", initiatorName, "TargetName", targetName))
		got, said := c.answer()
		if got.Status != iscsi.LoginTargetMovedTemporarily || said["TargetAddress"] != "[2001:db8::1]:3261" {
			t.Errorf("%s: %v, %v", name, got.Status, said)
		}
	}
}

func TestASecondConnectionForASessionIsRefused(t *testing.T) {
	f := newFixture(t, nil)
	first := f.connect()
	tsih := first.logIn().TSIH
	c := f.connect()
	r := c.loginRequest(operational, fullFeature)
	r.TSIH = tsih
	r.CID++
	c.send(r, pairs("InitiatorName", initiatorName, "TargetName", targetName))
	if got, _ := c.answer(); got.Status != iscsi.LoginTooManyConnections {
		t.Error(got.Status)
	}
	first.ping()
}

func TestARedirectedInitiatorArrives(t *testing.T) {
	f := newFixture(t, func(c *target.Config, _ *target.Options) {
		c.PortalGroups = append(c.PortalGroups, target.PortalGroup{Name: "pg1", Tag: 258, DiscoveryAuth: anyone,
			Portals: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}})
		c.Targets[1].Ports = append(c.Targets[1].Ports, target.Port{PortalGroup: "pg1", Auth: chap, RelativePort: 2})
		c.Targets[0].Ports = append(c.Targets[0].Ports, target.Port{PortalGroup: "pg1", Auth: anyone, RelativePort: 2})
	})
	f.config.PortalGroups[0].Redirect = f.Portals()["pg1"][0]
	if err := f.Apply(f.config); err != nil {
		t.Fatal(err)
	}
	f.dial(nil)
	f.dial(func(c *initiator.Config) {
		c.TargetName = secretName
		c.CHAP = &initiator.Credentials{Name: "one-way", Secret: iscsi.NewSecret("iscsi0pass123456")}
	})
	for _, s := range f.Sessions() {
		if s.PortalGroup != "pg1" {
			t.Errorf("the session is in portal group %s", s.PortalGroup)
		}
	}
	if n := len(f.Sessions()); n != 2 {
		t.Errorf("%d sessions", n)
	}
}
