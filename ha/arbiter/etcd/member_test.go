package etcd_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha/arbiter"
	"github.com/tandem-san/tandem/ha/arbiter/arbitertest"
	"github.com/tandem-san/tandem/ha/arbiter/etcd"
)

// eventually waits until good or fails the test.
func eventually(t testing.TB, what string, good func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !good(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// leader is the leader's name as s knows it.
func leader(t testing.TB, s *etcd.Store) string {
	st, err := s.Status(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return st.Leader
}

// mustEnd fails the test if do takes longer than a call may that gives up.
func mustEnd(t testing.TB, what string, limit time.Duration, do func()) {
	t.Helper()
	start := time.Now()
	do()
	if took := time.Since(start); took > limit {
		t.Errorf("%s took %v, at most %v is accepted", what, took, limit)
	}
}

func TestTheWitnessTakesTheLeadershipBack(t *testing.T) {
	t.Parallel()
	c := arbitertest.Start(t, "1", "2", "w")
	s := c.StoreAt("1", 1)
	eventually(t, "the witness leads", func() bool { return leader(t, s) == "w" })
	c.Stop("w")
	eventually(t, "another leads", func() bool { l := leader(t, s); return l == "1" || l == "2" })
	change(t, s, arbiter.Change{LUN: "a", To: grant(1, 1, 1)})
	c.Restart("w")
	eventually(t, "the witness leads again", func() bool { return leader(t, s) == "w" })
	if got := change(t, s, arbiter.Change{LUN: "a", From: 1, To: grant(2, 1, 1)}); got.Epoch != 2 {
		t.Errorf("after the move: %v", got)
	}
}

// Five members, two of them witnesses: the leadership stays with either.
func TestOneOfTwoWitnessesLeadsAndTheOtherLeavesItThere(t *testing.T) {
	t.Parallel()
	c := arbitertest.Start(t, "1", "2", "3", "w", "w2")
	s := c.StoreAt("1", 1)
	led := func() string { return leader(t, s) }
	eventually(t, "a witness leads", func() bool { return led() == "w" || led() == "w2" })
	first := led()
	other := map[string]string{"w": "w2", "w2": "w"}[first]
	c.Stop(first)
	eventually(t, "the other witness leads", func() bool { return led() == other })
	c.Restart(first)
	c.Ready()
	// Each witness looks after its place once a second. Were they to take it from
	// each other, no three seconds would pass without a change; a busy machine
	// may cost an election now and then.
	last, since := "", time.Now()
	eventually(t, "a witness leads for three seconds", func() bool {
		if l := led(); l != last || l != "w" && l != "w2" {
			last, since = l, time.Now()
		}
		return time.Since(since) > 3*time.Second
	})
}

func TestAMemberRemembersAcrossARestart(t *testing.T) {
	c := arbitertest.Start(t, "1")
	s := c.Store(1)
	change(t, s, arbiter.Change{LUN: "a", To: grant(1, 1, 1)})
	s.Close()
	c.Stop("1")
	c.Restart("1")
	s = c.Store(1)
	st, err := s.Read(within(t))
	if err != nil || !st.Grants["a"].Equal(grant(1, 1, 1)) {
		t.Fatalf("after restart: %v, %v", st, err)
	}
	if got := change(t, s, arbiter.Change{LUN: "a", From: 1, To: grant(2, 1, 1)}); got.Epoch != 2 {
		t.Errorf("after restart: %v", got)
	}
}

func TestAMovedMemberIsFoundByTheOthers(t *testing.T) {
	t.Parallel()
	c := arbitertest.Start(t, "1", "2", "w")
	c.Stop("2")
	c.Move("2")
	c.Restart("2")
	c.Ready()
	want := c.Config("2").Members["2"]
	s := c.StoreAt("1", 1)
	eventually(t, "member 1 knows the new address of 2", func() bool {
		st, err := s.Status(within(t))
		return err == nil && len(st.Members) == 3 && st.Members[1].Addr == want
	})
	// Now 1 and 2 are the majority.
	c.Stop("w")
	if got := change(t, s, arbiter.Change{LUN: "a", To: grant(1, 1, 1)}); got.Epoch != 1 {
		t.Errorf("without the witness: %v", got)
	}
}

func TestWithoutAMajorityCallsFailInTime(t *testing.T) {
	c := arbitertest.Start(t, "1", "2", "w")
	s := c.StoreAt("1", 1)
	change(t, s, arbiter.Change{LUN: "a", To: grant(1, 1, 1)})
	c.Stop("2", "w")
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	for name, call := range map[string]func() error{
		"Read": func() error { _, err := s.Read(short()); return err },
		"Change": func() error {
			_, err := s.Change(short(), []arbiter.Change{{LUN: "a", From: 1, To: grant(2, 1, 1)}})
			return err
		},
		"Settle": func() error { _, err := s.Settle(short()); return err },
		"Hold":   func() error { _, err := s.Hold(short()); return err },
		"Drop":   func() error { return s.Drop(short()) },
	} {
		mustEnd(t, name, time.Second, func() {
			if err := call(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s without a majority: got %v, want the deadline", name, err)
			}
		})
	}
	st, err := s.Status(within(t))
	if err != nil || st.Quorum || len(st.Members) != 3 {
		t.Errorf("Status without a majority: %+v, %v", st, err)
	}
	// A call that was under way ends with the Store, and the member ends fast.
	ended := make(chan error)
	go func() { _, err := s.Read(context.Background()); ended <- err }()
	mustEnd(t, "Store.Close", time.Second, func() { s.Close() })
	if err := <-ended; err == nil {
		t.Error("Read succeeded without a majority")
	}
	mustEnd(t, "Member.Close", 2*time.Second, func() { c.Stop("1") })
	if _, err := s.Read(within(t)); err == nil {
		t.Error("Read succeeded after Close")
	}
}

func TestStartDoesNotWaitForOthers(t *testing.T) {
	t.Parallel()
	c := arbitertest.Start(t, "1", "2", "w")
	c.Stop("1", "2", "w")
	mustEnd(t, "Start of one of three", 3*time.Second, func() { c.Restart("1") })
	m := c.Member("1")
	select {
	case <-m.Ready():
		t.Error("ready alone")
	default:
	}
	c.Restart("w")
	c.Ready()
	c.Stop("1")
	<-m.Done()
	if err := m.Err(); err != nil {
		t.Errorf("Err after Close: %v", err)
	}
	if _, err := m.Store(1, 0); !errors.Is(err, etcd.ErrStopped) {
		t.Errorf("Store of a closed member: %v", err)
	}
}

func TestASecondStartOnTheSameDataFailsAtOnce(t *testing.T) {
	c := arbitertest.Start(t, "1")
	cfg := c.Config("1")
	cfg.Members["1"] = arbitertest.FreeAddr(t)
	mustEnd(t, "the second Start", time.Second, func() {
		if m, err := etcd.Start(cfg); !errors.Is(err, etcd.ErrInUse) {
			t.Errorf("got %v, %v, want ErrInUse", m, err)
		}
	})
}

func TestAMemberWithoutItsDataIsRefused(t *testing.T) {
	t.Parallel()
	c := arbitertest.Start(t, "1", "2", "w")
	c.Stop("2")
	c.Wipe("2")
	for range 2 {
		if m, err := etcd.Start(c.Config("2")); !errors.Is(err, etcd.ErrDataLost) {
			t.Fatalf("got %v, %v, want ErrDataLost", m, err)
		}
	}
}

func TestStartRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	c := arbitertest.Start(t, "1", "2")
	c.Stop("1", "2")
	for name, spoil := range map[string]func(*etcd.Config){
		"data of another member":  func(c *etcd.Config) { c.Self, c.DataDir = "2", c.DataDir+"/../1" },
		"data of another cluster": func(c *etcd.Config) { c.Cluster = "other" },
		"no cluster name":         func(c *etcd.Config) { c.Cluster = "" },
		"slash in cluster name":   func(c *etcd.Config) { c.Cluster = "a/b" },
		"self not a member":       func(c *etcd.Config) { c.Self = "3" },
		"no members":              func(c *etcd.Config) { c.Members = nil },
		"address without port":    func(c *etcd.Config) { c.Members["2"] = "127.0.0.1" },
		"one address twice":       func(c *etcd.Config) { c.Members["2"] = c.Members["1"] },
		"listen on a name":        func(c *etcd.Config) { c.Listen = "host:1" },
		"no data directory":       func(c *etcd.Config) { c.DataDir = "" },
		"no file for the start":   func(c *etcd.Config) { c.FirstStart = "" },
		"data under a file":       func(c *etcd.Config) { c.DataDir = c.TLS.CA + "/x" },
		"no certificate":          func(c *etcd.Config) { c.TLS.Cert = "/nonexistent" },
		"key of another":          func(c *etcd.Config) { c.TLS.Key = c.TLS.CA },
		"CA not a certificate":    func(c *etcd.Config) { c.TLS.CA = c.TLS.Key },
		"name not in certificate": func(c *etcd.Config) { c.TLS.ServerName = "elsewhere" },
		"no logger":               func(c *etcd.Config) { c.Log = nil },
	} {
		cfg := c.Config("1")
		spoil(&cfg)
		if m, err := etcd.Start(cfg); err == nil {
			t.Errorf("%s: started", name)
			m.Close()
		}
	}
}

// TestPeersAreKnownByTheirCertificate tries to reach a member without one,
// with one of another CA, and with an older TLS.
func TestPeersAreKnownByTheirCertificate(t *testing.T) {
	c := arbitertest.Start(t, "1")
	stranger := arbitertest.Start(t, "1").TLS["1"]
	cfg := c.Config("1")
	dial := func(creds *etcd.Credentials, version uint16) error {
		ca, err := os.ReadFile(cfg.TLS.CA)
		if err != nil {
			t.Fatal(err)
		}
		tc := &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool(), MaxVersion: version}
		tc.RootCAs.AppendCertsFromPEM(ca)
		if creds != nil {
			pair, err := tls.LoadX509KeyPair(creds.Cert, creds.Key)
			if err != nil {
				t.Fatal(err)
			}
			// Whatever authorities the server asks for.
			tc.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		conn, err := tls.Dial("tcp", cfg.Members["1"], tc)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Write([]byte("GET /version HTTP/1.0\r\n\r\n")); err != nil {
			return err
		}
		// In TLS 1.3 the server's verdict comes with the first read.
		_, err = conn.Read(make([]byte, 1))
		return err
	}
	own := cfg.TLS
	if err := dial(&own, tls.VersionTLS13); err != nil {
		t.Errorf("with the cluster's certificate: %v", err)
	}
	if err := dial(&own, tls.VersionTLS12); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
	if err := dial(nil, tls.VersionTLS13); err == nil {
		t.Error("a peer without a certificate was accepted")
	}
	if err := dial(&stranger, tls.VersionTLS13); err == nil {
		t.Error("a certificate of another authority was accepted")
	}
}

// TestAMemberOfAnotherAuthorityStaysOut starts member 2 with certificates the
// others do not trust.
func TestAMemberOfAnotherAuthorityStaysOut(t *testing.T) {
	t.Parallel()
	c := arbitertest.Start(t, "1", "2", "w")
	s := c.StoreAt("1", 1)
	c.Stop("2")
	cfg := c.Config("2")
	cfg.TLS = arbitertest.Start(t, "1").TLS["1"]
	m, err := etcd.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	// Two heartbeats' exchange would be enough to join; two hundred
	// changes give it time.
	for e := range uint64(200) {
		change(t, s, arbiter.Change{LUN: "a", From: e, To: grant(e+1, 1, 1)})
	}
	select {
	case <-m.Ready():
		t.Error("the stranger joined")
	default:
	}
}
