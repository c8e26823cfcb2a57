package node

import (
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
