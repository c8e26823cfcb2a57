package node

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/lun/statefile"
)

// The watch of the arbiter, or a peer, may tell a controller that it is the
// primary before the answer to its own request does, and with that the floor.
func TestABrainWaitsForTheFloorThatBelongsToItsGrant(t *testing.T) {
	var r replica
	r.load(statefile.Record{}, nil)
	r.judge(ha.Grant{Epoch: 3, Primary: 1, Candidates: []ha.NodeID{1}}, ha.Stamp{}, true)
	if !r.told(3) || r.told(4) {
		t.Fatalf("after the arbiter has told epoch 3: epoch 3 %t, epoch 4 %t", r.told(3), r.told(4))
	}
	floor := ha.Stamp{Epoch: 3, Version: 7}
	r.judge(ha.Grant{Epoch: 4, Primary: 2, Candidates: []ha.NodeID{2}}, floor, false)
	if !r.told(4) || r.distrust() == nil {
		t.Fatalf("after epoch 4 with the floor %v: told %t, distrust %v", floor, r.told(4), r.distrust())
	}
	if r.accept(); !r.told(4) || r.distrust() != nil {
		t.Fatalf("after the operator's force: told %t, distrust %v", r.told(4), r.distrust())
	}
	r.accept()
	if r.judge(ha.Grant{Epoch: 5, Primary: 2, Candidates: []ha.NodeID{2}}, floor, false); r.distrust() != nil {
		t.Fatalf("the floor that was forced is told again: %v", r.distrust())
	}
	floor.Version++
	if r.judge(ha.Grant{Epoch: 6, Primary: 1, Candidates: []ha.NodeID{1}}, floor, false); r.distrust() == nil {
		t.Fatal("what was acknowledged since the force counts for nothing")
	}
}

func TestAStateThatIsForcedWritesNothing(t *testing.T) {
	for _, reign := range []bool{true, false} {
		var r replica
		r.load(statefile.Record{State: lun.State{Version: 1, Durable: lun.Durable{Erasure: &lun.Erasure{Kind: lun.EraseBlocks}}}}, nil)
		r.reign = reign
		r.accept()
		if failed := r.state.Durable.Erasure.Failed; failed == reign {
			t.Errorf("the brain is here: %t, the erasure has failed: %t", reign, failed)
		}
	}
}

// A controller may become primary again while its brain of before still stops,
// because of a command that does not end. It serves when that is over.
func TestAControllerServesThatBecamePrimaryWhileItsBrainOfBeforeStopped(t *testing.T) {
	p := newPair(t)
	p.fence = &Fence{Command: "true"} // the process fence waits until a controller has stopped
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	var stuck atomic.Bool
	p.disk.before = func() {
		if stuck.CompareAndSwap(true, false) {
			<-gate
		}
	}
	p.startBoth()
	t.Cleanup(open) // before the controllers are stopped
	p.run(1, "host", read16(0, 1), nil)
	stuck.Store(true)
	slow := make(chan *command)
	go func() { slow <- p.submit(1, "host", write16(0, 1), fill(1, 1), false) }()
	p.wait("the command to be stuck", func() bool { return !stuck.Load() })

	end := p.silence(1)
	p.serves(2)
	end()
	p.wait("controller 1 to be a candidate", func() bool { g := p.grant(1); return g.Primary == 2 && g.Has(1) })
	p.nodes[2].stop()
	p.wait("the takeover and the fence", func() bool { g := p.grant(1); return g.Primary == 1 && g.Unfenced == 0 })
	if r := &p.unit(1).replica; !reigns(r) {
		t.Fatal("the brain of before has stopped")
	}
	open()
	p.serves(1)
	p.finish(<-slow)
	p.run(1, "host", write16(0, 1), fill(2, 1))
}

func reigns(r *replica) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reign
}
