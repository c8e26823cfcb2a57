package node

import (
	"strings"
	"testing"

	"github.com/tandem-san/tandem/ha"
)

// A controller that slept through a handover says, as the last thing, what it
// still believes.
func TestAClaimOfAnOldEpochIsRefusedAndLoggedAndHasNoEffect(t *testing.T) {
	p := newPair(t).unhurried()
	p.startBoth()
	p.must(p.nodes[2].Promote(t.Context(), unitName, false))
	p.run(1, "host", write16(0, 1), fill(1, 1))
	before := p.grant(2)
	n := p.nodes[2]
	// The start and the handover may have overtaken heartbeats too.
	const line = "message=heartbeat epoch=1 present="
	logged := strings.Count(n.log.String(), line)
	old := ha.Grant{Epoch: 1, Primary: 1, Candidates: []ha.NodeID{1}}
	for range 3 {
		n.post(ha.Received{From: 1, Message: ha.Message{Kind: ha.MessageHeartbeat, Boot: 1, Seq: 1, Claims: []ha.Claim{{LUN: unitName, Grant: old}}}})
	}
	p.wait("the claim to be looked at", func() (seen bool) {
		p.must(n.ask(func() { seen = n.old[oldClaim{1, unitName}] == old.Epoch+1 && len(n.events) == 0 }))
		return seen
	})
	p.run(1, "host", write16(0, 1), fill(2, 1))
	if g := p.grant(2); !g.Equal(before) || p.route(2) != ha.RouteServe {
		t.Errorf("the grant is %v, was %v; %v", g, before, p.route(2))
	}
	n.stop()
	if got := strings.Count(n.log.String(), line) - logged; got != 1 || !strings.Contains(n.log.String(), "a message of an old epoch is refused") {
		t.Errorf("it is logged %d times", got)
	}
}
