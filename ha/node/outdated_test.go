package node

import (
	"testing"

	"github.com/tandem-san/tandem/ha"
)

func TestAControllerKnowsSinceWhenItHasBeenACandidate(t *testing.T) {
	const self = 2
	grant := func(epoch uint64, primary ha.NodeID, candidates ...ha.NodeID) ha.Grant {
		return ha.Grant{Epoch: epoch, Primary: primary, Candidates: candidates}
	}
	for _, c := range []struct {
		name   string
		grants []ha.Grant
		intact uint64
	}{
		{"the first that is known", []ha.Grant{grant(7, 1, 1, 2)}, 7},
		{"it takes over from a primary that died", []ha.Grant{grant(7, 1, 1, 2), grant(8, 2, 2)}, 7},
		{"a third one is added", []ha.Grant{grant(7, 1, 1, 2), grant(8, 1, 1, 2, 3)}, 7},
		{"it is left out", []ha.Grant{grant(7, 1, 1, 2), grant(8, 1, 1)}, 9},
		{"it was left out and is back", []ha.Grant{grant(7, 1, 1, 2), grant(8, 1, 1), grant(9, 1, 1, 2)}, 9},
		{"one was missed, perhaps without it", []ha.Grant{grant(7, 1, 1, 2), grant(9, 1, 1, 2)}, 9},
		{"an old one comes late", []ha.Grant{grant(7, 1, 1, 2), grant(8, 1, 1, 2), grant(7, 1, 1)}, 7},
	} {
		var r ranks
		for _, g := range c.grants {
			r = r.learn(g, self)
		}
		if r.intact != c.intact {
			t.Errorf("%s: a candidate since epoch %d, want %d", c.name, r.intact, c.intact)
		}
	}
}
