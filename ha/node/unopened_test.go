package node

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/tandem-san/tandem/ha"
)

// A controller whose path to the disk is gone does not keep what it cannot serve.
func TestAControllerThatCannotOpenTheDiskHandsOverToOneThatCan(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	p.run(1, "host", write16(0, 1), fill(1, 1))
	p.unopenable.Store(2)

	// It was promoted: the operator hears of it.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.nodes[2].Promote(ctx, unitName, false); err == nil || !strings.Contains(err.Error(), errNoPath.Error()) {
		t.Errorf("promoting it: %v, want %v", err, errNoPath)
	}
	p.wait("controller 1 to serve again", func() bool { return p.unit(1).lu.Active() && p.route(2) == ha.RouteForward })
	for id := ha.NodeID(1); id <= 2; id++ {
		if got := p.run(id, "host", read16(0, 1), nil); !bytes.Equal(got, fill(1, 1)) {
			t.Errorf("through controller %d acknowledged data is lost", id)
		}
	}

	// It has taken over: nobody else is there, until controller 1 is back.
	p.nodes[1].stop()
	p.wait("the takeover and the fence", func() bool { g := p.grant(2); return g.Primary == 2 && g.Unfenced == 0 })
	p.start(1)
	p.wait("controller 1 to serve", func() bool { return p.unit(1).lu.Active() })
	if got := p.run(1, "host", read16(0, 1), nil); !bytes.Equal(got, fill(1, 1)) {
		t.Error("acknowledged data is lost")
	}
}
