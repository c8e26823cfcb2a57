package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter"
	"github.com/tandem-san/tandem/ha/arbiter/arbitertest"
	"github.com/tandem-san/tandem/ha/arbiter/etcd"
)

// startEtcd runs etcd as it comes, with a TLS listener for clients, and
// returns its endpoint and its CA file.
func startEtcd(t testing.TB) (endpoint, ca string) {
	t.Helper()
	dir := t.TempDir()
	info, err := transport.SelfCert(zap.NewNop(), dir, []string{"127.0.0.1:0"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	client := url.URL{Scheme: "https", Host: arbitertest.FreeAddr(t)}
	peer := url.URL{Scheme: "http", Host: arbitertest.FreeAddr(t)}
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = "external", filepath.Join(dir, "data")
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.ClientTLSInfo = info
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	<-e.Server.ReadyNotify()
	return client.String(), info.CertFile
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func connect(t testing.TB, node ha.NodeID, ca string, endpoints ...string) *etcd.Store {
	t.Helper()
	s, err := etcd.Connect(etcd.ClientConfig{Endpoints: endpoints, CA: ca, Cluster: "beast", Node: node, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestAnExternalClusterServesAsWell walks through a Store's life against
// etcd's own limits; the first endpoint is dead.
func TestAnExternalClusterServesAsWell(t *testing.T) {
	endpoint, ca := startEtcd(t)
	dead := "https://" + arbitertest.FreeAddr(t)
	s, other := connect(t, 1, ca, dead, endpoint), connect(t, 2, ca, endpoint)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	states := other.Watch(ctx)

	var batch []arbiter.Change
	for i := range 250 {
		batch = append(batch, arbiter.Change{LUN: fmt.Sprintf("lun%d", i), To: grant(1, 1, 1, 2)})
	}
	got, err := s.Change(within(t), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range got {
		if !g.Equal(batch[i].To) {
			t.Fatalf("%s: %v", batch[i].LUN, g)
		}
	}
	until, err := s.Hold(within(t))
	if err != nil || time.Until(until) < time.Second {
		t.Fatalf("Hold: %v, %v", until, err)
	}
	for st := range states {
		if len(st.Grants) == 250 && st.Holders[1] {
			break
		}
	}
	if got := change(t, other, arbiter.Change{LUN: "lun0", From: 1, To: grant(2, 2, 2), Lapsed: 1}); got.Epoch != 1 {
		t.Errorf("taken over while held: %v", got)
	}
	if err := s.Drop(within(t)); err != nil {
		t.Fatal(err)
	}
	if got := change(t, other, arbiter.Change{LUN: "lun0", From: 1, To: grant(2, 2, 2), Lapsed: 1}); got.Epoch != 2 {
		t.Errorf("not taken over after Drop: %v", got)
	}
	st, err := s.Settle(within(t))
	if err != nil || !st.Grants["lun0"].Equal(grant(2, 2, 2)) {
		t.Errorf("Settle: %v, %v", st.Grants["lun0"], err)
	}
	status, err := s.Status(within(t))
	if err != nil || !status.Quorum || status.Leader != "external" || status.Kind != etcd.KindExternal {
		t.Errorf("Status: %+v, %v", status, err)
	}
	silence(t, s)
	if _, err := connect(t, 1, ca, endpoint).Hold(within(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hold(within(t)); !errors.Is(err, etcd.ErrSuperseded) {
		t.Errorf("the earlier process: got %v, want ErrSuperseded", err)
	}
}

// TestAWatchSurvivesCompaction takes away the history that a slow watcher
// still needs.
func TestAWatchSurvivesCompaction(t *testing.T) {
	endpoint, ca := startEtcd(t)
	s := connect(t, 1, ca, endpoint)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	states := s.Watch(ctx)
	<-states
	for e := range uint64(20) {
		change(t, s, arbiter.Change{LUN: "a", From: e, To: grant(e+1, 1, 1)})
		st, err := s.Read(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Client().Compact(within(t), st.Revision); err != nil {
			t.Fatal(err)
		}
	}
	for st := range states {
		if st.Grants["a"].Epoch == 20 {
			return
		}
	}
	t.Fatal("the watch ended")
}

func TestANonsensicalValueIsReportedByName(t *testing.T) {
	endpoint, ca := startEtcd(t)
	s := connect(t, 1, ca, endpoint)
	for key, value := range map[string]string{
		"/tandem/beast/grant/a":    "{",
		"/tandem/beast/grant/b":    `{"epoch":1,"primary":2,"candidates":[1]}`,
		"/tandem/beast/grant/c\n":  `{"epoch":1,"primary":1,"candidates":[1]}`,
		"/tandem/beast/floor/a":    "{",
		"/tandem/beast/floor/b\n":  `{"epoch":1,"version":1}`,
		"/tandem/beast/alive/9":    "x",
		"/tandem/beast/alive/01":   "x",
		"/tandem/beast/alive/1 ":   "x",
		"/tandem/beast/grant/long": string(make([]byte, 5000)),
	} {
		if _, err := s.Client().Put(within(t), key, value); err != nil {
			t.Fatal(err)
		}
		if st, err := s.Read(within(t)); err == nil {
			t.Errorf("%q = %q: read as %v", key, value, st)
		}
		if _, err := s.Client().Delete(within(t), key); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Read(within(t)); err != nil {
		t.Errorf("with all that removed: %v", err)
	}
}

func TestConnectRefusesWhatCannotWork(t *testing.T) {
	good := etcd.ClientConfig{Endpoints: []string{"https://127.0.0.1:2379"}, Cluster: "beast", Node: 1, Log: logger(t)}
	for name, spoil := range map[string]func(*etcd.ClientConfig){
		"no endpoint":          func(c *etcd.ClientConfig) { c.Endpoints = nil },
		"no port":              func(c *etcd.ClientConfig) { c.Endpoints = []string{"https://h"} },
		"no scheme":            func(c *etcd.ClientConfig) { c.Endpoints = []string{"127.0.0.1:2379"} },
		"mixed":                func(c *etcd.ClientConfig) { c.Endpoints = append(c.Endpoints, "http://h:1") },
		"TLS files, no TLS":    func(c *etcd.ClientConfig) { c.Endpoints, c.CA = []string{"http://h:1"}, "ca.pem" },
		"no CA file":           func(c *etcd.ClientConfig) { c.CA = "/nonexistent" },
		"key without cert":     func(c *etcd.ClientConfig) { c.Key = "/nonexistent" },
		"node 0":               func(c *etcd.ClientConfig) { c.Node = 0 },
		"node 9":               func(c *etcd.ClientConfig) { c.Node = 9 },
		"cluster with slash":   func(c *etcd.ClientConfig) { c.Cluster = "a/b" },
		"lease too short":      func(c *etcd.ClientConfig) { c.TTL = time.Millisecond },
		"lease not in seconds": func(c *etcd.ClientConfig) { c.TTL = 1500 * time.Millisecond },
		"lease too long":       func(c *etcd.ClientConfig) { c.TTL = time.Hour },
		"no logger":            func(c *etcd.ClientConfig) { c.Log = nil },
	} {
		cfg := good
		cfg.Endpoints = append([]string(nil), good.Endpoints...)
		spoil(&cfg)
		if s, err := etcd.Connect(cfg); err == nil {
			t.Errorf("%s: connected", name)
			s.Close()
		}
	}
}
