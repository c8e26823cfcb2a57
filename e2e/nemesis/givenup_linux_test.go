package nemesis

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/api"
	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
)

// A secondary without link and arbiter has writes that it cannot forward, and
// loses its client. The client gives the path up, and writes the same blocks
// again through the primary, and something newer. Then the link is back, before
// the client: what waits at the secondary must not reach the disk any more (S4).
// Several writes wait, as unit attentions end the first ones by chance.
func TestWritesThatAClientHasGivenUpDoNotComeBack(t *testing.T) {
	for _, mode := range []int{1, 2} {
		t.Run([]string{1: "mode 1", 2: "mode 2"}[mode], func(t *testing.T) {
			t.Parallel()
			givenUp(t, startCluster(t, options{mode: mode, nodes: 2}))
		})
	}
}

func givenUp(t *testing.T, c *cluster) {
	primary, secondary := c.controllers[0], c.controllers[1]
	// Of nothing the secondary is primary: nobody takes over from it and fences
	// it.
	if err := primary.admin.Promote(t.Context(), api.Promotion{LUN: heldName}); err != nil {
		t.Fatal(err)
	}
	near, far := c.unit(t, primary, 5), c.unit(t, secondary, 6)
	v := &villain{cluster: c}
	breaks := func(now ...step) {
		t.Helper()
		v.active = now
		if err := v.impair(); err != nil {
			t.Fatal(err)
		}
	}
	wait := func(d time.Duration) {
		if !pause(t.Context(), d) {
			t.FailNow()
		}
	}
	alone := step{kind: isolate, port: port{host: secondary.host}}
	voteless := step{kind: cutOff, port: port{arbiter, secondary.host}, in: true, out: true}
	clientless := step{kind: cutOff, port: port{clients, secondary.host}, in: true, out: true}

	breaks(alone)
	wait(50 * time.Millisecond)
	const writes, perWrite = 8, blockSize / 512
	var under sync.WaitGroup
	for i := range writes {
		under.Go(func() {
			if err := far.Write(context.Background(), uint64(i*perWrite), perWrite, bytes.Repeat([]byte{1}, blockSize)); err == nil {
				t.Error("a write that could reach nobody was acknowledged")
			}
		})
	}
	wait(300 * time.Millisecond)
	breaks(alone, clientless)
	wait(time.Second) // as long as a client is silent to, at least
	_ = far.Session().Close()
	under.Wait()

	newer := bytes.Repeat([]byte{2}, writes*blockSize)
	retried(t, func() error { return near.Write(t.Context(), 0, writes*perWrite, newer) })
	breaks(voteless, clientless)
	got := make([]byte, len(newer))
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); wait(pollTime) {
		retried(t, func() error { return near.Read(t.Context(), 0, writes*perWrite, got) })
		if !bytes.Equal(got, newer) {
			t.Fatalf("an old write has come back over one that was acknowledged: the blocks begin with %d, expected 2", got[0])
		}
	}
}

// unit is the logical unit that clients work on, through one controller.
func (c *cluster) unit(t *testing.T, x *controller, isid byte) *initiator.LogicalUnit {
	t.Helper()
	s, err := host{c, "client", isid}.session(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	u := s.LogicalUnit(iscsi.NewLUN(dataLUN))
	retried(t, func() error { return u.TestUnitReady(t.Context()) })
	return u
}

// retried does something until it succeeds.
func retried(t *testing.T, f func() error) {
	t.Helper()
	for end := time.Now().Add(*recoveryTime); ; {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) || !pause(t.Context(), pollTime) {
			t.Fatal(err)
		}
	}
}
