package ha

import (
	"testing"
	"time"
)

// The operator's force is for a primary that is off. It must not outlast a sign of
// that one's next life: what it takes is not fenced (S4).
func TestForceIsOverWithASignOfThePrimaryAndWithItsTime(t *testing.T) {
	grant := Grant{Epoch: 4, Primary: 1, Candidates: []NodeID{1, 2, 3}}
	const forced = 10 * time.Second
	for _, test := range []struct {
		name   string
		events []Event       // shortly after the force
		look   time.Duration // after it
		takes  bool
	}{
		{"nothing happens", nil, time.Second, true},
		{"nothing happens, for almost as long as it lasts", nil, 1790 * time.Millisecond, true},
		{"its time is over", nil, 1800 * time.Millisecond, false},
		{
			"the primary is heard", []Event{
				PeerUp{1}, Received{1, Message{Kind: MessageHeartbeat, Boot: 8, Seq: 1, Claims: []Claim{{"lun0", grant}}}}, PeerDown{1},
			}, time.Second, false,
		},
		{
			"the primary changes the grant",
			[]Event{Observed{State{Revision: 6, Grants: map[string]Grant{"lun0": {Epoch: 5, Primary: 1, Candidates: []NodeID{1, 2}}}}}},
			time.Second, false,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := follower(t, false, 1, 3)
			c.Step(0, Settled{State{Revision: 5, Grants: map[string]Grant{"lun0": grant}}})
			heard := Received{1, Message{Kind: MessageHeartbeat, Boot: 7, Seq: 1, Claims: []Claim{{"lun0", grant}}}}
			c.Step(forced-time.Millisecond, PeerUp{1}, heard, PeerDown{1})
			c.Step(forced, Promote{LUN: "lun0", Force: true})
			c.Step(forced+time.Millisecond, test.events...)
			if got := takes(c.Step(forced+test.look, Tick{})); got != test.takes {
				t.Errorf("%v after the force it takes over: %t, want %t", test.look, got, test.takes)
			}
		})
	}
}

// takes reports whether a controller begins to take over: it needs the arbiter's
// lease first.
func takes(actions []Action) bool {
	for _, a := range actions {
		switch a := a.(type) {
		case Hold:
			return a.On
		case AskChange:
			return true
		}
	}
	return false
}
