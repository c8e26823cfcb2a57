package etcd_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha/arbiter"
	"github.com/tandem-san/tandem/ha/arbiter/arbitertest"
	"github.com/tandem-san/tandem/ha/arbiter/etcd"
)

func TestAMemberThatLostItsDataIsReplacedAndCountsAgain(t *testing.T) {
	for _, lost := range []string{"w", "1"} {
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			c := arbitertest.Start(t, "1", "2", "w")
			store := c.StoreAt("2", 2)
			change(t, store, arbiter.Change{LUN: "a", To: grant(1, 2, 2)})
			c.Stop(lost)
			c.Wipe(lost)
			cfg := c.Config(lost)
			if m, err := etcd.Start(cfg); !errors.Is(err, etcd.ErrDataLost) {
				t.Fatalf("got %v, %v, want ErrDataLost", m, err)
			}
			if err := etcd.Rejoin(within(t), cfg); err != nil {
				t.Fatal(err)
			}
			if err := etcd.Rejoin(within(t), cfg); err != nil {
				t.Errorf("once more before the start: %v", err)
			}
			c.Restart(lost)
			c.Ready()
			if err := etcd.Rejoin(within(t), cfg); !errors.Is(err, etcd.ErrInUse) {
				t.Errorf("while it runs: %v", err)
			}
			// It has what the others have, and its vote makes a majority.
			third := map[string]string{"w": "1", "1": "w"}[lost]
			c.Stop(third)
			if got := change(t, store, arbiter.Change{LUN: "a", From: 1, To: grant(2, 2, 2)}); got.Epoch != 2 {
				t.Errorf("with the vote of the member that was replaced: %v", got)
			}
			c.Stop(lost)
			c.Restart(lost)
			c.Ready()
			if got := change(t, store, arbiter.Change{LUN: "a", From: 2, To: grant(3, 2, 2)}); got.Epoch != 3 {
				t.Errorf("after another restart: %v", got)
			}
			st, err := c.StoreAt(lost, 3).Status(within(t))
			if err != nil || len(st.Members) != 3 {
				t.Errorf("members %v, %v", st.Members, err)
			}
		})
	}
}

func TestAMemberWithItsDataIsNotReplaced(t *testing.T) {
	c := arbitertest.Start(t, "1", "2", "w")
	before, err := c.StoreAt("2", 2).Status(within(t))
	if err != nil {
		t.Fatal(err)
	}
	c.Stop("w")
	if err := etcd.Rejoin(within(t), c.Config("w")); err != nil {
		t.Fatal(err)
	}
	c.Restart("w")
	c.Ready()
	after, err := c.StoreAt("2", 2).Status(within(t))
	if err != nil || len(after.Members) != len(before.Members) {
		t.Errorf("members %v, %v", after.Members, err)
	}
}

func TestWithoutAMajorityOfOthersNobodyIsReplaced(t *testing.T) {
	t.Parallel()
	c := arbitertest.Start(t, "1", "2", "w")
	c.Stop("w", "2")
	c.Wipe("w")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := etcd.Rejoin(ctx, c.Config("w")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want to wait", err)
	}
}

// The wish is heard and answered by members alone, and the answer must know it.
func TestAStrangerCannotAnswerTheWishToBeReplaced(t *testing.T) {
	t.Parallel()
	c := arbitertest.Start(t, "1", "2", "w")
	c.Stop("w", "2", "1")
	c.Wipe("w")
	cfg := c.Config("w")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- etcd.Rejoin(ctx, cfg) }()
	ca, err := os.ReadFile(cfg.TLS.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	own, err := tls.LoadX509KeyPair(c.TLS["1"].Cert, c.TLS["1"].Key)
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path, body string, certificates ...tls.Certificate) (int, error) {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: certificates}}
		defer tr.CloseIdleConnections()
		q, err := http.NewRequestWithContext(t.Context(), method, "https://"+cfg.Members["w"]+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		a, err := tr.RoundTrip(q)
		if err != nil {
			return 0, err
		}
		a.Body.Close()
		return a.StatusCode, nil
	}
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if code, err := call("GET", "/tandem/rejoin", "", own); err == nil && code == http.StatusOK {
			break
		} else if time.Now().After(until) {
			t.Fatalf("a member is not answered: %d, %v", code, err)
		}
	}
	if code, err := call("GET", "/tandem/rejoin", ""); err == nil {
		t.Errorf("who has no certificate is answered with %d", code)
	}
	for _, q := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/tandem/rejoin", "", http.StatusForbidden},
		{"POST", "/tandem/rejoin", strings.Repeat("x", 1<<20), http.StatusForbidden},
		{"DELETE", "/tandem/rejoin", "", http.StatusMethodNotAllowed},
		{"POST", "/raft", "", http.StatusNotFound},
	} {
		if code, err := call(q.method, q.path, q.body, own); err != nil || code != q.want {
			t.Errorf("%s %s: %d, %v, want %d", q.method, q.path, code, err, q.want)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it was replaced by strangers: %v", err)
	}
}

func TestADirectoryWithoutDataIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	c := arbitertest.Start(t, "1")
	c.Stop("1")
	c.Wipe("1")
	cfg := c.Config("1")
	cfg.FirstStart = filepath.Join(t.TempDir(), "first-start.1")
	refused := func(when string) {
		t.Helper()
		if m, err := etcd.Start(cfg); !errors.Is(err, etcd.ErrDataLost) {
			t.Errorf("%s: got %v, %v, want ErrDataLost", when, m, err)
		}
	}
	started := func(when string) {
		t.Helper()
		m, err := etcd.Start(cfg)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		<-m.Ready()
		m.Close()
	}
	refused("without the file")
	if err := os.WriteFile(cfg.FirstStart, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	started("with it")
	if _, err := os.Stat(cfg.FirstStart); err == nil {
		t.Error("the file is still there")
	}
	started("with the data")
	if err := os.RemoveAll(filepath.Join(cfg.DataDir, "member")); err != nil {
		t.Fatal(err)
	}
	refused("with an owner and no data")
	c.Wipe("1")
	refused("with an empty directory")
}

// A process may end between any two steps of the first start.
func TestAFirstStartThatWasCutShortGoesOn(t *testing.T) {
	t.Parallel()
	c := arbitertest.Start(t, "1")
	c.Stop("1")
	c.Wipe("1")
	cfg := c.Config("1")
	cfg.FirstStart = filepath.Join(t.TempDir(), "first-start.1")
	owner := []byte(`{"cluster":"` + cfg.Cluster + `","member":"1"}`)
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{filepath.Join(cfg.DataDir, "owner.json"), cfg.FirstStart} {
		if err := os.WriteFile(f, owner, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := etcd.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := os.Stat(cfg.FirstStart); err == nil {
		t.Error("the file is still there")
	}
}
