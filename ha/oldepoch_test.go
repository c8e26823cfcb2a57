package ha

import (
	"fmt"
	"testing"
	"time"
)

// A controller that slept through two changes says what it still believes. It
// changes nothing, and is told the newest grant (S6).
func TestWhatAControllerWithAnOldEpochSaysIsRefused(t *testing.T) {
	now := 10 * time.Second
	old := []Claim{{"lun0", Grant{Epoch: 3, Primary: 2, Candidates: []NodeID{1, 2}}}}
	for name, present := range map[string]Grant{
		"while this one is the primary": {Epoch: 5, Primary: 1, Candidates: []NodeID{1}},
		"while a third one is":          {Epoch: 5, Primary: 3, Candidates: []NodeID{1, 3}},
	} {
		for _, m := range []Message{
			{Kind: MessageHeartbeat, Boot: 9, Seq: 4, Claims: old},
			{Kind: MessageRelease, Claims: old},
			{Kind: MessageRefuse, Claims: old},
			{Kind: MessagePromise, Boot: 1, Seq: 1, Claims: old},
		} {
			t.Run(fmt.Sprintf("%v %s", m.Kind, name), func(t *testing.T) {
				c, err := New(Config{
					Self: 1, Boot: 1, Peers: []NodeID{2, 3}, Heartbeat: DefaultHeartbeat, Lease: DefaultLease,
					StartGrace: DefaultStartGrace, Stall: DefaultStall, Units: []UnitConfig{{Name: "lun0", Automatic: true}},
				}, 0)
				if err != nil {
					t.Fatal(err)
				}
				c.Step(0, Settled{State{Revision: 5, Grants: map[string]Grant{"lun0": present}, Holders: map[NodeID]bool{1: true, 3: true}}})
				c.Step(0, PeerUp{Peer: 2})
				c.Step(0, PeerUp{Peer: 3})
				before := c.units[0].promised
				told := false
				for _, a := range c.Step(now, Received{From: 2, Message: m}) {
					switch a := a.(type) {
					case AskChange, Drain, Fence:
						t.Errorf("it has %+v follow", a)
					case Send:
						if a.To == 2 && a.Message.Kind == MessagePromise {
							told = len(a.Message.Claims) == 1 && a.Message.Claims[0].Grant.Equal(present)
						}
					}
				}
				if m.Kind == MessageHeartbeat && !told {
					t.Error("a heartbeat is not answered with the present grant")
				}
				if got := c.Grant("lun0"); !got.Equal(present) {
					t.Errorf("the grant is now %v", got)
				}
				if c.units[0].promised != before {
					t.Error("it has a promise follow")
				}
			})
		}
	}
}
