package initiator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

const (
	clientName = "iqn.2020-01.com.example:client"
	serverName = "iqn.2020-01.com.example:server"
	diskSize   = 64 << 20
)

type right struct{}

func (right) Valid() bool { return true }

// serve starts a real target with one logical unit and returns its portal.
func serve(t testing.TB, auth target.AuthGroup) (portal string) {
	t.Helper()
	pool := block.NewPool(256 << 20)
	u, err := lun.New(lun.Config{Name: "disk", Identity: scsi.Identify("test", serverName, 0), Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	u.SetAccess(lun.Access{Local: 1, Groups: []lun.PortGroup{{
		ID: 1, State: scsi.ActiveOptimized, Ports: []lun.Port{{Relative: 1, Name: iscsi.TargetPortName(serverName, 1)}},
	}}})
	if err := u.Activate(block.NewRamdisk(diskSize), right{}, lun.State{}); err != nil {
		t.Fatal(err)
	}
	s, err := target.New(target.Config{
		PortalGroups: []target.PortalGroup{{
			Name: "pg", Tag: 1, Portals: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, DiscoveryAuth: auth,
		}},
		Targets: []target.Target{{
			Name: serverName, LUNs: map[uint16]lun.Unit{0: u}, Ports: []target.Port{{PortalGroup: "pg", Auth: auth, RelativePort: 1}},
		}},
	}, target.Options{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		u.Deactivate()
	})
	return s.Portals()["pg"][0].String()
}

var open = target.AuthGroup{Kind: target.AuthNone}

func client(portal string) initiator.Config {
	return initiator.Config{Portal: portal, TargetName: serverName, InitiatorName: clientName}
}

// login returns the logical unit, its first unit attentions taken.
func login(t *testing.T, cfg initiator.Config) *initiator.LogicalUnit {
	t.Helper()
	s, err := initiator.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if s.Err() == nil {
			if err := s.Logout(ctx); err != nil {
				t.Errorf("logout: %v", err)
			}
		}
		_ = s.Close()
	})
	u := s.LogicalUnit(iscsi.NewLUN(0))
	for range 10 {
		err := u.TestUnitReady(t.Context())
		if err == nil {
			return u
		}
		var sense scsi.Sense
		if !errors.As(err, &sense) || sense.Key != scsi.UnitAttention {
			t.Fatal(err)
		}
	}
	t.Fatal("the unit attentions do not end")
	return nil
}

func TestTheConnectionIsMadeByTheDialerOfTheConfiguration(t *testing.T) {
	portal := serve(t, open)
	cfg := client("192.0.2.1:3260")
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if network != "tcp" || address != "192.0.2.1:3260" {
			t.Errorf("asked for %s %s", network, address)
		}
		var d net.Dialer
		return d.DialContext(ctx, network, portal)
	}
	login(t, cfg)
}

// What is written is read back, by many tasks at once, in every size and under
// every combination of parameters that changes the way of the data.
func TestDataSurvivesEveryWayOfTransfer(t *testing.T) {
	portal := serve(t, open)
	for combination := range 1 << 4 {
		cfg := client(portal)
		cfg.HeaderDigest = combination&1 != 0
		cfg.DataDigest = combination&2 != 0
		cfg.NoImmediateData = combination&4 != 0
		cfg.InitialR2T = combination&8 != 0
		name := fmt.Sprintf("header digest %t, data digest %t, immediate %t, InitialR2T %t",
			cfg.HeaderDigest, cfg.DataDigest, !cfg.NoImmediateData, cfg.InitialR2T)
		t.Run(name, func(t *testing.T) {
			u := login(t, cfg)
			p := u.Session().Params()
			if (p.Header == iscsi.CRC32C) != cfg.HeaderDigest || (p.Data == iscsi.CRC32C) != cfg.DataDigest ||
				p.ImmediateData == cfg.NoImmediateData || p.InitialR2T != cfg.InitialR2T {
				t.Fatalf("negotiated was %+v", p)
			}
			var wg sync.WaitGroup
			const writers, area = 8, diskSize / 8 / 512
			for w := range writers {
				wg.Go(func() {
					random := rand.NewChaCha8([32]byte{byte(w)})
					for size := 512; size <= 2<<20; size = size*3/512*512 + 512 {
						blocks := uint32(size / 512)
						lba := uint64(w*area) + rand.Uint64N(uint64(area-int(blocks)))
						out, in := make([]byte, size), make([]byte, size)
						_, _ = random.Read(out)
						if err := u.Write(t.Context(), lba, blocks, out); err != nil {
							t.Error(err)
							return
						}
						if err := u.Read(t.Context(), lba, blocks, in); err != nil {
							t.Error(err)
							return
						}
						if !bytes.Equal(in, out) {
							t.Errorf("%d bytes at block %d came back changed", size, lba)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestTheLogicalUnitTellsAboutItself(t *testing.T) {
	u := login(t, client(serve(t, open)))
	ctx := t.Context()
	if q, err := u.Inquiry(ctx); err != nil || q.Vendor != lun.DefaultVendor || q.Product != lun.DefaultProduct {
		t.Errorf("inquiry: %+v, %v", q, err)
	}
	if c, err := u.ReadCapacity(ctx); err != nil || c.Bytes() != diskSize || c.BlockLength != 512 {
		t.Errorf("capacity: %+v, %v", c, err)
	}
	if l, err := u.Session().ReportLUNs(ctx); err != nil || len(l) != 1 || l[0] != 0 {
		t.Errorf("LUNs: %v, %v", l, err)
	}
	if g, err := u.ReportTargetPortGroups(ctx); err != nil || len(g) != 1 || g[0].State != scsi.ActiveOptimized {
		t.Errorf("target port groups: %+v, %v", g, err)
	}
	ds, err := u.Designators(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := []byte(scsi.Identify("test", serverName, 0).NAA)
	found := false
	for _, d := range ds {
		found = found || d.Type == scsi.DesignatorNAA && bytes.Equal(d.Value, want)
	}
	if !found {
		t.Errorf("NAA %x is not among %+v", want, ds)
	}
	if err := u.SyncCache(ctx); err != nil {
		t.Error(err)
	}
	var sense scsi.Sense
	if err := u.Read(ctx, diskSize/512, 1, make([]byte, 512)); !errors.As(err, &sense) || sense.ASC != scsi.LBAOutOfRange {
		t.Errorf("a read past the end: %v", err)
	}
	if r, err := u.Session().Manage(ctx, scsi.LogicalUnitReset, iscsi.NewLUN(0)); err != nil || r != scsi.FunctionComplete {
		t.Errorf("logical unit reset: %v, %v", r, err)
	}
}

func TestARealTargetIsDiscovered(t *testing.T) {
	portal := serve(t, open)
	cfg := client(portal)
	cfg.TargetName = ""
	found, err := initiator.Discover(t.Context(), cfg)
	if err != nil || len(found) != 1 || found[0].TargetName != serverName || found[0].Address.Tag != 1 {
		t.Fatalf("found %+v, %v", found, err)
	}
}

func TestCHAPWithARealTarget(t *testing.T) {
	portal := serve(t, target.AuthGroup{Name: "ag", Kind: target.AuthCHAP, Users: []target.User{{
		Name: "user", Secret: iscsi.NewSecret("secret of the user"), MutualName: "array", MutualSecret: iscsi.NewSecret("secret of the array"),
	}}})
	credentials := func(name, secret string) *initiator.Credentials {
		return &initiator.Credentials{Name: name, Secret: iscsi.NewSecret(secret)}
	}
	user, array := credentials("user", "secret of the user"), credentials("array", "secret of the array")
	for name, c := range map[string]struct {
		chap, mutual *initiator.Credentials
		ok           bool
	}{
		"one way":             {user, nil, true},
		"mutual":              {user, array, true},
		"wrong secret":        {credentials("user", "secret of another"), nil, false},
		"unknown user":        {credentials("nobody", "secret of the user"), nil, false},
		"no credentials":      {nil, nil, false},
		"wrong mutual secret": {user, credentials("array", "secret of another"), false},
		"wrong mutual name":   {user, credentials("impostor", "secret of the array"), false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := client(portal)
			cfg.CHAP, cfg.Mutual = c.chap, c.mutual
			if c.ok {
				login(t, cfg)
				if _, err := initiator.Discover(t.Context(), cfg); err != nil {
					t.Errorf("discovery: %v", err)
				}
				return
			}
			s, err := initiator.Dial(t.Context(), cfg)
			if err == nil {
				_ = s.Close()
			}
			if !errors.Is(err, initiator.ErrAuthentication) {
				t.Fatalf("login: %v", err)
			}
		})
	}
}

// Logging in again as the same initiator port ends the session before
// (session reinstatement, RFC 7143 §6.3.5).
func TestTheSameISIDReplacesTheSession(t *testing.T) {
	cfg := client(serve(t, open))
	cfg.ISID = initiator.RandomISID()
	first := login(t, cfg)
	second := login(t, cfg)
	select {
	case <-first.Session().Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the first session goes on")
	}
	if err := first.TestUnitReady(t.Context()); !errors.Is(err, initiator.ErrSessionLost) {
		t.Fatalf("a command of the first session: %v", err)
	}
	if err := second.TestUnitReady(t.Context()); err != nil {
		var sense scsi.Sense
		if !errors.As(err, &sense) || sense.Key != scsi.UnitAttention {
			t.Fatal(err)
		}
	}
}

func BenchmarkRead4KiB(b *testing.B) {
	s, err := initiator.Dial(b.Context(), client(serve(b, open)))
	if err != nil {
		b.Fatal(err)
	}
	u := s.LogicalUnit(iscsi.NewLUN(0))
	for range 10 {
		if u.TestUnitReady(b.Context()) == nil {
			break
		}
	}
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		p := make([]byte, 4096)
		for pb.Next() {
			if err := u.Read(b.Context(), 0, 8, p); err != nil {
				b.Error(err)
				return
			}
		}
	})
	_ = s.Close()
}
