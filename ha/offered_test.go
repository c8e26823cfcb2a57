package ha

import (
	"testing"
	"time"
)

// What the primary has given up is taken over although the arbiter's answer was
// lost once: the primary of before is not fenced for it.
func TestAReleaseIsTakenAgainAfterALostAnswer(t *testing.T) {
	c, err := New(Config{
		Self: 2, Boot: 1, Peers: []NodeID{1}, Units: []UnitConfig{{Name: "lun0", Automatic: true}},
		Heartbeat: DefaultHeartbeat, Lease: DefaultLease, StartGrace: DefaultStartGrace, Stall: DefaultStall,
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	old := Grant{Epoch: 4, Primary: 1, Candidates: []NodeID{1, 2}}
	state := State{Revision: 5, Grants: map[string]Grant{"lun0": old}, Holders: map[NodeID]bool{}}
	claim := []Claim{{"lun0", old}}
	c.Step(0, Settled{state})
	c.Step(time.Second, PeerUp{1}, Received{1, Message{Kind: MessageHeartbeat, Boot: 7, Seq: 1, Claims: claim}})
	asked := func(actions []Action) (ask AskChange) {
		t.Helper()
		for _, a := range actions {
			if a, ok := a.(AskChange); ok {
				ask = a
			}
		}
		if len(ask.Changes) != 1 || ask.Changes[0].From != 4 || !ask.Changes[0].To.Equal(Grant{Epoch: 5, Primary: 2, Candidates: []NodeID{1, 2}}) {
			t.Fatalf("asked for %+v", ask.Changes)
		}
		return ask
	}
	first := asked(c.Step(1010*time.Millisecond, Received{1, Message{Kind: MessageRelease, Boot: 7, Claims: claim}}))
	c.Step(1020*time.Millisecond, ChangeLost{first.ID})
	again := asked(c.Step(1030*time.Millisecond, Settled{state}))

	// A new life of the primary that claims it meanwhile gets no promise.
	for _, a := range c.Step(1040*time.Millisecond, Received{1, Message{Kind: MessageHeartbeat, Boot: 8, Seq: 1, Claims: claim}}) {
		if s, ok := a.(Send); ok && len(s.Message.Claims) != 1 {
			t.Errorf("%v promises what it is about to take", s.Message.Kind)
		}
	}
	c.Step(1050*time.Millisecond, Changed{again.ID, []Grant{{Epoch: 5, Primary: 2, Candidates: []NodeID{1, 2}}}})
	if got := c.Status()[0].Grant; got.Epoch != 5 || got.Primary != 2 {
		t.Errorf("the grant is %v", got)
	}
}
