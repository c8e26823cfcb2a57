package node

import (
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/scsi"
)

// A command that waits here for a way may wait for longer than its initiator: it
// has lost the path, without our hearing of it, has sent the command through
// another controller and gone on from there. Were ours run when a way is found
// it would bring old data back over newer (S4).
//
// The other controller can have served it only without this one, or else this
// one's promises would have ended first: initiators wait longer than a lease
// before they give a path up (see vigil). So a command that changes something and
// is older than a lease is not run when there was, since it came, or may have
// been, a grant in which this controller was no candidate. It is answered as by a
// port in transition: who is still there sends it again.

// ranks is what a controller knows of its part in the grants of a logical unit.
type ranks struct {
	epoch  uint64 // of the newest grant that is known; 0: none
	intact uint64 // from this epoch on it was a candidate in every grant
}

// learn takes a newer grant in. Where one was missed it may have been one
// without this controller.
func (r ranks) learn(g ha.Grant, self ha.NodeID) ranks {
	switch {
	case g.Epoch <= r.epoch:
		return r
	case !g.Has(self):
		r.intact = g.Epoch + 1
	case g.Epoch != r.epoch+1:
		r.intact = g.Epoch
	}
	r.epoch = g.Epoch
	return r
}

// learn notes the grant that a route follows from. It is called by the loop.
func (u *Unit) learn(g ha.Grant) {
	r := u.rank().learn(g, u.node.cfg.Self)
	u.ranks.Store(&r)
}

func (u *Unit) rank() ranks {
	if r := u.ranks.Load(); r != nil {
		return *r
	}
	return ranks{}
}

// outdated reports whether the initiator of a task may have gone on without it.
func (u *Unit) outdated(e *errand) bool {
	if e.epoch >= u.rank().intact || u.node.clock.now() <= e.came+u.node.lease {
		return false
	}
	id, _ := scsi.Lookup(e.task.CDB)
	if id == scsi.NoCommand {
		return false
	}
	effect := scsi.Commands[id].Effect
	return effect == scsi.EffectWrites || effect == scsi.EffectState
}
