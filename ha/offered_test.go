package ha

import (
	"testing"
	"time"
)

// follower is controller 2 with one logical unit, which others serve.
func follower(t *testing.T, automatic bool, peers ...NodeID) *Core {
	t.Helper()
	c, err := New(Config{
		Self: 2, Boot: 1, Peers: peers, Units: []UnitConfig{{Name: "lun0", Automatic: automatic}},
		Heartbeat: DefaultHeartbeat, Lease: DefaultLease, StartGrace: DefaultStartGrace, Stall: DefaultStall,
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What the primary has given up is taken over although the arbiter's answer was
// lost once: the primary of before is not fenced for it.
func TestAReleaseIsTakenAgainAfterALostAnswer(t *testing.T) {
	c := follower(t, true, 1)
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

// A later life of the primary, once it is promised to, may serve what the release of
// an earlier one gave up (S4).
func TestAReleaseOfAnEarlierLifeThanTheOnePromisedToIsNotTaken(t *testing.T) {
	claims := []Claim{{"lun0", Grant{Epoch: 4, Primary: 1, Candidates: []NodeID{1, 2}}}}
	release := func(boot uint64) Event {
		return Received{1, Message{Kind: MessageRelease, Boot: boot, Claims: claims}}
	}
	const at = 10 * time.Second
	for _, test := range []struct {
		name  string
		boot  uint64
		heard []uint64 // lives of the primary that are promised to
		takes bool
	}{
		{"of the life that is promised to", 7, []uint64{7}, true},
		{"of the life before", 7, []uint64{7, 8}, false},
		{"of the life before, which alone was heard", 7, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := follower(t, false, 1)
			c.Step(0, Settled{State{Revision: 5, Grants: map[string]Grant{"lun0": claims[0].Grant}}}, PeerUp{1})
			for i, boot := range test.heard {
				c.Step(at, Received{1, Message{Kind: MessageHeartbeat, Boot: boot, Seq: uint64(i), Claims: claims}})
			}
			if got := takes(c.Step(at, release(test.boot))); got != test.takes {
				t.Errorf("it takes over: %t, want %t", got, test.takes)
			}
		})
	}
}
