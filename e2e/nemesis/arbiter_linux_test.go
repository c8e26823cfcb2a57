package nemesis

import (
	"context"
	"testing"
	"time"
)

// After its network is back the arbiter must not be away for as long again: a
// controller that fails meanwhile is taken over by nobody. TCP tries a
// connection the more rarely the longer it has been deaf; sixteen seconds fall
// into one of its long pauses, from the 13th to the 26th second.
func TestTheArbiterIsBackSoonAfterItsNetwork(t *testing.T) {
	t.Parallel()
	c := startCluster(t, options{mode: 2, nodes: 2})
	v := &villain{cluster: c}
	for _, x := range c.controllers {
		v.active = append(v.active, step{kind: cutOff, port: port{arbiter, x.host}, in: true, out: true})
	}
	if err := v.impair(); err != nil {
		t.Fatal(err)
	}
	if !pause(t.Context(), 16*time.Second) {
		return
	}
	if err := v.mend(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	if err := c.await(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("the arbiter was back after %v", time.Since(began).Round(time.Millisecond))
}
