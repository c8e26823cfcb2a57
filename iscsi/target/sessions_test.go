package target_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

func TestASessionIsDescribed(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	tsih := c.logIn("InitiatorAlias", "mine", "DataDigest", "CRC32C").TSIH
	c.ready()
	s := f.Sessions()
	if len(s) != 1 {
		t.Fatalf("%d sessions", len(s))
	}
	if time.Since(s[0].Started) > patience {
		t.Errorf("started %v", s[0].Started)
	}
	want := target.SessionInfo{
		Initiator: initiatorName, InitiatorAlias: "mine",
		InitiatorAddress: c.conn.LocalAddr().(*net.TCPAddr).AddrPort(), Portal: netip.MustParseAddrPort(f.portal),
		PortalGroup: "pg0", PortalGroupTag: 257, Target: targetName, RelativePort: 1, ISID: c.isid, TSIH: tsih, CID: 7,
		Parameters: s[0].Parameters, Started: s[0].Started, Connections: 1, Counters: target.Counters{Commands: 1},
	}
	if s[0] != want {
		t.Errorf("\n got %+v\nwant %+v", s[0], want)
	}
	if p := s[0].Parameters; p.Digests != (iscsi.Digests{Data: iscsi.CRC32C}) {
		t.Errorf("%+v", p)
	}
}

func TestLogoutEndsTheSession(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	logout := func(reason iscsi.LogoutReason, cid uint16) iscsi.LogoutResult {
		c.send(iscsi.LogoutRequest{Reason: reason, CID: cid, InitiatorTaskTag: c.nextITT(), CmdSN: c.nextCmdSN(), ExpStatSN: c.statSN}, nil)
		h, _ := c.expect(iscsi.OpLogoutResponse)
		var p iscsi.LogoutResponse
		p.Decode(h)
		return p.Response
	}
	if r := logout(iscsi.RemoveConnectionForRecovery, 7); r != iscsi.LogoutRecoveryNotSupported {
		t.Error(r)
	}
	if r := logout(iscsi.CloseConnection, 8); r != iscsi.LogoutCIDNotFound {
		t.Error(r)
	}
	c.ping()
	if r := logout(iscsi.CloseSession, 0); r != iscsi.LogoutSuccess {
		t.Error(r)
	}
	c.expectClosed(0)
	eventually(t, "the session ends", func() bool { return len(f.Sessions()) == 0 })
}

func TestTheSameInitiatorPortReinstatesItsSession(t *testing.T) {
	f := newFixture(t, nil)
	old := f.connect()
	oldTSIH := old.logIn().TSIH
	old.ready()
	w := old.command(write16(0, 1)) // waits for its data for ever
	w.Write, w.ExpectedDataTransferLength = true, 512
	old.send(w, nil)
	old.expect(iscsi.OpR2T)

	other := f.connect() // another ISID: another session
	other.isid[5]++
	other.logIn()

	renewed := f.connect()
	if tsih := renewed.logIn().TSIH; tsih == oldTSIH {
		t.Error("the same TSIH")
	}
	old.expectClosed(0)
	other.ping()
	if n := len(f.Sessions()); n != 2 {
		t.Errorf("%d sessions", n)
	}
	// The nexus was lost: the new one hears of it, and the range is free.
	renewed.send(renewed.command(make([]byte, 6)), nil)
	if _, sense := renewed.response(); sense.Key != scsi.UnitAttention {
		t.Error(sense)
	}
	renewed.read(0, 1)
}

func TestAQuietInitiatorIsPingedAndDropped(t *testing.T) {
	f := newFixture(t, func(c *target.Config, _ *target.Options) { c.PortalGroups[0].PingTimeout = 100 * time.Millisecond })
	c := f.connect()
	c.logIn()
	for range 3 {
		h, _ := c.expect(iscsi.OpNOPIn)
		var p iscsi.NOPIn
		p.Decode(h)
		if p.InitiatorTaskTag != iscsi.NoTag || p.TargetTransferTag == iscsi.NoTag {
			t.Fatalf("%+v", p)
		}
		c.send(iscsi.NOPOut{Immediate: true, InitiatorTaskTag: iscsi.NoTag, TargetTransferTag: p.TargetTransferTag, LUN: p.LUN, CmdSN: c.cmdSN}, nil)
	}
	if len(f.Sessions()) != 1 {
		t.Fatal("dropped though it answered")
	}
	c.expect(iscsi.OpNOPIn)
	eventually(t, "the session is dropped", func() bool { return len(f.Sessions()) == 0 })
}

func TestShutdownAsksForLogoutAndCloses(t *testing.T) {
	f := newFixture(t, nil)
	polite, rude := f.connect(), f.connect()
	polite.logIn()
	rude.isid[5]++
	rude.logIn()
	half := f.connect() // has not logged in
	ended := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		ended <- f.Shutdown(ctx)
	}()
	async := func(c *client) (p iscsi.AsyncMessage) {
		h, _ := c.expect(iscsi.OpAsyncMessage)
		p.Decode(h)
		return p
	}
	for _, c := range []*client{polite, rude} {
		if p := async(c); p.Event != iscsi.AsyncLogoutRequest || p.Parameter3 > 2 {
			t.Errorf("%+v", p)
		}
	}
	half.expectClosed(0)
	if _, err := net.Dial("tcp", f.portal); err == nil {
		t.Error("a connection was accepted")
	}
	polite.send(iscsi.LogoutRequest{Immediate: true, InitiatorTaskTag: 9, CmdSN: polite.cmdSN}, nil)
	polite.expect(iscsi.OpLogoutResponse)
	if p := async(rude); p.Event != iscsi.AsyncSessionDrop {
		t.Errorf("%+v", p)
	}
	rude.expectClosed(0)
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown says %v", err)
	}
	if err := f.Shutdown(context.Background()); err != nil {
		t.Errorf("a second Shutdown says %v", err)
	}
	if f.Start() == nil || f.Apply(f.config) == nil {
		t.Error("started again")
	}
}

func TestCloseSessionsClosesThoseChosen(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	for _, x := range []target.SessionFilter{
		{Target: secretName}, {Initiator: "iqn.2016-01.local.beast:nobody"}, {Unit: newUnit(t, f.pool, 9)},
	} {
		if n, err := f.CloseSessions(t.Context(), x); n != 0 || err != nil {
			t.Errorf("%+v chooses %d", x, n)
		}
	}
	c.ping()
	if n, err := f.CloseSessions(t.Context(), target.SessionFilter{Unit: f.unit, Target: targetName, Initiator: initiatorName}); n != 1 || err != nil {
		t.Errorf("%d sessions", n)
	}
	h, _ := c.expect(iscsi.OpAsyncMessage)
	var p iscsi.AsyncMessage
	if p.Decode(h); p.Event != iscsi.AsyncSessionDrop {
		t.Errorf("%+v", p)
	}
	c.expectClosed(0)
}

func TestReloadKeepsSessionsOfTargetsThatDidNotChange(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	c.ready()
	gone := f.dial(func(cfg *initiator.Config) {
		cfg.TargetName = secretName
		cfg.CHAP = &initiator.Credentials{Name: "one-way", Secret: iscsi.NewSecret("iscsi0pass123456")}
	})
	next := f.config
	next.PortalGroups = append(next.PortalGroups[:1:1], target.PortalGroup{Name: "pg1", Tag: 258, Portals: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}})
	second := newUnit(t, f.pool, 1)
	next.Targets = []target.Target{f.config.Targets[0], {Name: secretName, LUNs: f.config.Targets[1].LUNs}}
	next.Targets[0].LUNs = map[uint16]lun.Unit{0: f.unit, 1: second}
	if err := f.Apply(next); err != nil {
		t.Fatal(err)
	}
	// The target is no longer offered here.
	eventually(t, "the session of the other target ends", func() bool { return len(f.Sessions()) == 1 })
	if err := gone.LogicalUnit(0).TestUnitReady(context.Background()); !errors.Is(err, initiator.ErrSessionLost) {
		t.Error(err)
	}
	// The new LUN is there, and was announced once.
	c.send(c.command(make([]byte, 6)), nil)
	if _, sense := c.response(); sense.ASC != scsi.ReportedLUNsDataHasChanged {
		t.Error(sense)
	}
	c.send(c.command(make([]byte, 6)), nil)
	if r, _ := c.response(); r.Status != scsi.StatusGood {
		t.Error(r.Status)
	}
	p := c.command(make([]byte, 6))
	p.LUN = iscsi.NewLUN(1)
	c.send(p, nil)
	if _, sense := c.response(); sense.Key != scsi.UnitAttention {
		t.Error(sense)
	}
	// The new portal serves, and goes away again.
	portal := f.Portals()["pg1"][0].String()
	conn, err := net.Dial("tcp", portal)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := f.Apply(f.config); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", portal); err == nil {
		t.Error("the portal is still there")
	}
	c.ping()
	c.send(p, nil) // LUN 1 is gone: skipped by CmdSN
	p.CmdSN, p.InitiatorTaskTag = c.nextCmdSN(), c.nextITT()
	c.send(p, nil)
	if _, sense := c.response(); sense.ASC != scsi.LogicalUnitNotSupported {
		t.Error(sense)
	}
}

func TestABadConfigurationChangesNothing(t *testing.T) {
	f := newFixture(t, nil)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := func(auth target.AuthGroup) []target.Port {
		return []target.Port{{PortalGroup: "pg0", Auth: auth, RelativePort: 1}}
	}
	users := func(u ...target.User) target.AuthGroup { return target.AuthGroup{Kind: target.AuthCHAP, Users: u} }
	secret := iscsi.NewSecret("iscsi0pass123456")
	for name, change := range map[string]func(*target.Config){
		"portal that is taken": func(c *target.Config) {
			c.PortalGroups[0].Portals = append(c.PortalGroups[0].Portals, taken.Addr().(*net.TCPAddr).AddrPort())
		},
		"portal twice": func(c *target.Config) {
			a := netip.MustParseAddrPort("127.0.0.1:3260")
			c.PortalGroups[0].Portals = []netip.AddrPort{a, a}
		},
		"portal group twice": func(c *target.Config) { c.PortalGroups = append(c.PortalGroups, c.PortalGroups[0]) },
		"tag twice": func(c *target.Config) {
			c.PortalGroups = append(c.PortalGroups, target.PortalGroup{Name: "x", Tag: 257})
		},
		"tag 0":                func(c *target.Config) { c.PortalGroups[0].Tag = 0 },
		"target twice":         func(c *target.Config) { c.Targets[1].Name = c.Targets[0].Name },
		"target name":          func(c *target.Config) { c.Targets[0].Name = "disk" },
		"unknown portal group": func(c *target.Config) { c.Targets[0].Ports[0].PortalGroup = "pg9" },
		"relative port 0":      func(c *target.Config) { c.Targets[0].Ports[0].RelativePort = 0 },
		"LUN too large":        func(c *target.Config) { c.Targets[0].LUNs = map[uint16]lun.Unit{scsi.MaxLUN + 1: f.unit} },
		"no unit":              func(c *target.Config) { c.Targets[0].LUNs = map[uint16]lun.Unit{0: nil} },
		"user without secret":  func(c *target.Config) { c.Targets[0].Ports = port(users(target.User{Name: "a"})) },
		"the same secret twice": func(c *target.Config) {
			c.Targets[0].Ports = port(users(target.User{Name: "a", Secret: secret, MutualName: "b", MutualSecret: secret}))
		},
		"user twice": func(c *target.Config) {
			u := target.User{Name: "a", Secret: secret}
			c.Targets[0].Ports = port(users(u, u))
		},
		"user without CHAP": func(c *target.Config) {
			c.Targets[0].Ports = port(target.AuthGroup{Kind: target.AuthNone, Users: []target.User{{Name: "a", Secret: secret}}})
		},
		"mutual without a secret": func(c *target.Config) {
			c.Targets[0].Ports = port(users(target.User{Name: "a", Secret: secret, MutualName: "b"}))
		},
		"initiator name": func(c *target.Config) {
			c.Targets[0].Ports = port(target.AuthGroup{Kind: target.AuthNone, InitiatorNames: []string{"me"}})
		},
		"negative ping timeout": func(c *target.Config) { c.PortalGroups[0].PingTimeout = -1 },
	} {
		next := f.config
		next.PortalGroups = append([]target.PortalGroup(nil), next.PortalGroups...)
		next.Targets = append([]target.Target(nil), next.Targets...)
		next.Targets[0].Ports = append([]target.Port(nil), next.Targets[0].Ports...)
		change(&next)
		err := f.Apply(next)
		if err == nil {
			t.Errorf("%s: applied", name)
			continue
		}
		if bytes.Contains([]byte(err.Error()), []byte("pass")) {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
		if _, err := target.New(next, target.Options{Pool: f.pool}); err == nil && name != "portal that is taken" {
			t.Errorf("%s: accepted by New", name)
		}
	}
	c := f.connect()
	c.logIn()
	c.ping()
	if _, err := target.New(f.config, target.Options{Pool: f.pool, Limits: target.Limits{Commands: -1}}); err == nil {
		t.Error("a negative limit was accepted")
	}
	if _, err := target.New(f.config, target.Options{}); err == nil {
		t.Error("accepted without a pool")
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if s := fmt.Sprintf(verb, chap); bytes.Contains([]byte(s), []byte("pass")) || bytes.Contains([]byte(s), []byte("70617373")) {
			t.Errorf("%s: %s", verb, s)
		}
	}
}

func TestSessionsAboveTheLimitAreRefused(t *testing.T) {
	for name, limits := range map[string]target.Limits{
		"portal":  {SessionsPerPortal: 2},
		"address": {SessionsPerAddress: 2},
	} {
		f := newFixture(t, func(_ *target.Config, o *target.Options) { o.Limits = limits })
		var in []*client
		for range 2 {
			c := f.connect()
			c.isid[5] += byte(len(in))
			c.logIn()
			in = append(in, c)
		}
		c := f.connect()
		c.isid[0] = 0
		c.send(c.loginRequest(operational, fullFeature), pairs("InitiatorName", initiatorName, "TargetName", targetName))
		if p, _ := c.answer(); p.Status != iscsi.LoginOutOfResources {
			t.Errorf("%s: %v", name, p.Status)
		}
		_ = in[0].conn.Close()
		eventually(t, "the session ends", func() bool { return len(f.Sessions()) == 1 })
		again := f.connect()
		again.isid[0] = 0
		again.logIn()
		in[1].ping()
	}
}

func TestLoginsAboveTheRateAreRefused(t *testing.T) {
	f := newFixture(t, func(_ *target.Config, o *target.Options) { o.Limits.LoginsPerSecond = 3 })
	refused := 0
	for range 6 {
		c := f.connect()
		c.send(c.loginRequest(operational, fullFeature), pairs("InitiatorName", initiatorName, "TargetName", targetName))
		if p, _ := c.answer(); p.Status == iscsi.LoginServiceUnavailable {
			refused++
		}
	}
	if refused < 2 {
		t.Errorf("%d of 6 refused", refused)
	}
}

func TestTheOldestThatHasNotLoggedInMakesRoom(t *testing.T) {
	for name, limits := range map[string]target.Limits{
		"portal":  {ConnectionsPerPortal: 3},
		"address": {ConnectionsPerAddress: 3},
	} {
		f := newFixture(t, func(_ *target.Config, o *target.Options) { o.Limits = limits })
		in := f.connect()
		in.logIn()
		oldest, younger := f.connect(), f.connect()
		newest := f.connect()
		oldest.expectClosed(0)
		newest.isid[5]++
		newest.logIn()
		younger.isid[5] += 2
		younger.logIn()
		in.ping()
		// Now all have logged in: there is no room.
		f.connect().expectClosed(0)
		if n := len(f.Sessions()); n != 3 {
			t.Errorf("%s: %d sessions", name, n)
		}
	}
}

func TestAStuckClientHoldsUpNobody(t *testing.T) {
	f := newFixture(t, func(c *target.Config, _ *target.Options) { c.PortalGroups[0].PingTimeout = 500 * time.Millisecond })
	stuck := f.connect()
	stuck.logIn("MaxRecvDataSegmentLength", "262144")
	stuck.ready()
	for range 60 { // it reads none of the answers
		p := stuck.command(read16(0, 0))
		p.CDB[12] = 4 // 1024 blocks
		p.Read, p.ExpectedDataTransferLength = true, 512<<10
		stuck.send(p, nil)
	}
	s := f.dial(func(c *initiator.Config) { c.InitiatorName += "2" })
	u := s.LogicalUnit(0)
	_ = u.TestUnitReady(context.Background())
	b := make([]byte, 4096)
	start := time.Now()
	for range 200 {
		if err := u.Read(context.Background(), 0, 8, b); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("200 reads took %v", d)
	}
	_ = s.Close()
	eventually(t, "the stuck session is dropped", func() bool { return len(f.Sessions()) == 0 })
	eventually(t, "its buffers come back", func() bool { return f.pool.Stats().Lent == 0 })
}
