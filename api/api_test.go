package api

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
)

// fixed is a controller that always answers the same.
type fixed struct {
	status   Status
	ports    []Port
	refusal  error
	promoted atomic.Pointer[Promotion]
	drained  atomic.Int32 // the controller drained last; negative: undrained
}

func (f *fixed) Status(context.Context) (Status, error) { return f.status, f.refusal }
func (f *fixed) Ports(context.Context) ([]Port, error)  { return f.ports, f.refusal }
func (f *fixed) Promote(_ context.Context, p Promotion) error {
	f.promoted.Store(&p)
	return f.refusal
}

func (f *fixed) Drain(_ context.Context, m Maintenance) (int, error) {
	f.drained.Store(int32(m.Node))
	return m.Node, f.refusal
}

func (f *fixed) Undrain(_ context.Context, m Maintenance) (int, error) {
	f.drained.Store(-int32(m.Node))
	return m.Node, f.refusal
}

// serve answers for a controller on a socket of the test's own.
func serve(t *testing.T, c Controller) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- Serve(ctx, l, c, "test") }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return NewClient(path)
}

func TestWhatTheControllerSaysArrivesWhole(t *testing.T) {
	c := &fixed{
		status: Status{
			Version: "v1", PID: 7, Cluster: "beast", Node: 1, Mode: "active-active-forward",
			Drained: true,
			Nodes:   []Node{{ID: 2, Address: "192.0.2.2:7777", Link: 2, Drained: true}},
			Arbiter: &Arbiter{Kind: "embedded", Quorum: true, Leader: "w", Members: []string{"1", "2", "w"}},
			LUNs: []LUN{{Name: "data", Mappings: []Mapping{{Target: "iqn.2026-11.test:t", LUN: 3}}, Size: 1 << 40,
				Role: "primary", Access: "active/optimized", Serving: true, Primary: 1, Epoch: 1<<53 + 1, Candidates: []int{1, 2}}},
			Sessions: []Session{{Initiator: "iqn.2026-11.test:i", Address: "192.0.2.9:1", Target: "iqn.2026-11.test:t", Portal: "192.0.2.1:3260"}},
		},
		ports: []Port{{Port: 131, Online: true, Frontend: "ha", Name: "2:iscsi", Physical: 513, Virtual: 1, Target: "iqn.2026-11.test:t,t,0x0201"}},
	}
	client := serve(t, c)
	status, err := client.Status(t.Context())
	if err != nil || !reflect.DeepEqual(status, c.status) {
		t.Errorf("status is %+v, %v", status, err)
	}
	ports, err := client.Ports(t.Context())
	if err != nil || !reflect.DeepEqual(ports, c.ports) {
		t.Errorf("ports are %+v, %v", ports, err)
	}
}

func TestAPromotionCarriesItsWordsBothWays(t *testing.T) {
	c := &fixed{}
	client := serve(t, c)
	want := Promotion{LUN: "iqn.2026-11.test:t,lun,0", Force: true}
	if err := client.Promote(t.Context(), want); err != nil || *c.promoted.Load() != want {
		t.Errorf("promoted %+v, %v", c.promoted.Load(), err)
	}
	c.refusal = errors.New("controller 2 is not a candidate yet")
	if err := client.Promote(t.Context(), want); err == nil || err.Error() != c.refusal.Error() {
		t.Errorf("a refusal arrives as %v", err)
	}
	c.promoted.Store(nil)
	if err := client.Promote(t.Context(), Promotion{}); err == nil || c.promoted.Load() != nil {
		t.Errorf("a promotion of nothing: %v, reached the controller: %v", err, c.promoted.Load() != nil)
	}
}

func TestMaintenanceCarriesItsWordsBothWays(t *testing.T) {
	c := &fixed{}
	client := serve(t, c)
	want := Maintenance{Node: 2}
	if got, err := client.Drain(t.Context(), want); err != nil || got != want || c.drained.Load() != 2 {
		t.Errorf("drain: %+v, %v, the controller heard %d", got, err, c.drained.Load())
	}
	if got, err := client.Undrain(t.Context(), want); err != nil || got != want || c.drained.Load() != -2 {
		t.Errorf("undrain: %+v, %v, the controller heard %d", got, err, c.drained.Load())
	}
	c.refusal = errors.New("controller 2 is drained, and still serves data")
	if _, err := client.Drain(t.Context(), want); err == nil || err.Error() != c.refusal.Error() {
		t.Errorf("a refusal arrives as %v", err)
	}
	c.drained.Store(0)
	if _, err := client.Drain(t.Context(), Maintenance{Node: 9}); err == nil || c.drained.Load() != 0 {
		t.Errorf("a controller that cannot be: %v, the controller heard %d", err, c.drained.Load())
	}
}

func TestTheSocketIsItsOwnersAndNobodyElses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	first, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another process answers it") {
		t.Errorf("a second listener: %v", err)
	}
	// What a killed process leaves behind is replaced.
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	second, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("a file in the place: %v", err)
	}
}

func TestAClientSaysThatNobodyAnswers(t *testing.T) {
	_, err := NewClient(filepath.Join(t.TempDir(), "none")).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "is it running?") {
		t.Errorf("error %v", err)
	}
}
