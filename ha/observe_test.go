package ha

import (
	"testing"
	"time"
)

// The primary is alone and has just taken its lease again. A state of the
// arbiter that is older comes late, by another way: the other controller must
// not believe that the lease has lapsed, and go on asking for ever.
func TestAnOldStateOfTheArbiterDoesNotHideALease(t *testing.T) {
	c, err := New(Config{
		Self: 1, Boot: 1, Peers: []NodeID{2}, Heartbeat: DefaultHeartbeat, Lease: DefaultLease,
		StartGrace: DefaultStartGrace, Stall: DefaultStall, Units: []UnitConfig{{Name: "lun0", Automatic: true}},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	alone := map[string]Grant{"lun0": {Epoch: 4, Primary: 2, Candidates: []NodeID{2}}}
	c.Step(0, Settled{State{Revision: 5, Grants: alone, Holders: map[NodeID]bool{2: true}}})
	c.Step(time.Second, Observed{State{Revision: 7, Grants: alone, Holders: map[NodeID]bool{2: true}}})
	c.Step(time.Second, Observed{State{Revision: 6, Grants: alone, Holders: map[NodeID]bool{}}})
	for now := time.Second; now < 20*time.Second; now += 10 * time.Millisecond {
		for _, a := range c.Step(now, Tick{}) {
			switch a := a.(type) {
			case AskChange:
				t.Fatalf("at %v it asks for %v, whose lease is held", now, a.Changes)
			case Hold:
				if a.On {
					t.Fatalf("at %v it wants the lease, to take over from a primary that is alive", now)
				}
			}
		}
	}
}

// A request that a lease was in the way of is not sent again at once.
func TestARefusedRequestRests(t *testing.T) {
	c, err := New(Config{
		Self: 1, Boot: 1, Peers: []NodeID{2}, Heartbeat: DefaultHeartbeat, Lease: DefaultLease,
		StartGrace: DefaultStartGrace, Stall: DefaultStall, Units: []UnitConfig{{Name: "lun0", Automatic: true}},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	alone := Grant{Epoch: 4, Primary: 2, Candidates: []NodeID{2}}
	c.Step(0, Settled{State{Revision: 5, Grants: map[string]Grant{"lun0": alone}, Holders: map[NodeID]bool{}}})
	asked := 0
	for now := 5 * time.Second; now < 6*time.Second; now += time.Millisecond {
		for todo := c.Step(now, Tick{}); len(todo) > 0; todo = todo[1:] {
			switch a := todo[0].(type) {
			case Hold:
				todo = append(todo, c.Step(now, Held{Generation: a.Generation, Until: never})...)
			case AskChange:
				asked++
				todo = append(todo, c.Step(now, Changed{ID: a.ID, Grants: []Grant{alone}})...)
			}
			if asked > 30 {
				t.Fatalf("at %v it has asked %d times", now, asked)
			}
		}
	}
	if asked < 5 {
		t.Fatalf("it asked %d times in a second", asked)
	}
}

// An earlier life of the primary may have asked for another candidate, and the
// arbiter may still do it. The promises of the candidates that are known are not
// enough until that is out of the question.
func TestALifeServesNothingBeforeItsFirstSettleIsAnswered(t *testing.T) {
	c, err := New(Config{
		Self: 1, Boot: 1, Peers: []NodeID{2, 3}, Heartbeat: DefaultHeartbeat, Lease: DefaultLease,
		StartGrace: DefaultStartGrace, Stall: DefaultStall, Units: []UnitConfig{{Name: "lun0", Automatic: true}},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := State{Revision: 5, Grants: map[string]Grant{"lun0": {Epoch: 2, Primary: 1, Candidates: []NodeID{1, 2}}}}
	promised := func(now Instant, events ...Event) (right Instant) {
		for len(events) > 0 {
			for _, a := range c.Step(now, events[0]) {
				switch a := a.(type) {
				case Right:
					right = a.Until
				case Send:
					if a.To == 2 && a.Message.Kind == MessageHeartbeat {
						events = append(events, Received{From: 2, Message: Message{Kind: MessagePromise, Boot: 1, Seq: a.Message.Seq}})
					}
				}
			}
			events = events[1:]
		}
		return right
	}
	if right := promised(0, Observed{s}, PeerUp{2}, Tick{}); right != 0 {
		t.Fatalf("it may serve until %v, and an earlier life may have asked for controller 3", right)
	}
	if right := promised(time.Second, Settled{s}, Tick{}); right == 0 {
		t.Fatal("it may not serve, with every promise and nothing under way")
	}
}
