package node

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun/statefile"
)

// States keeps the states of logical units on stable storage; statefile.Dir
// says what its methods do. They may be called from many goroutines.
type States interface {
	Load(lun string) (statefile.Record, error)
	Save(statefile.Record) error
	Discard(lun string) error
}

const (
	// maxSaves is how many states that are waited for are written to stable
	// storage at a time. A file system makes several durable in the time of one.
	maxSaves = 16
	// maxIdleSaves is how many that nobody waits for are. When everything moves
	// at once the disk, which may be that of the arbiter and of the logical
	// units too, has better things to do.
	maxIdleSaves = 2
	// saveRetry is the rest after a state could not be written.
	saveRetry = 500 * time.Millisecond
)

// loadState begins with what is on stable storage. A damaged file is put
// aside.
func (n *Node) loadState(u *Unit) error {
	name := u.cfg.Name
	rec, err := n.cfg.States.Load(name)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		err = errNoFile
	case errors.Is(err, statefile.ErrDamaged):
		u.damaged = true
		n.log.Error("the state of a logical unit is damaged and put aside", "lun", name, "error", err)
		if err := n.cfg.States.Discard(name); err != nil {
			return err
		}
	default:
		return err
	}
	u.replica.load(rec, err)
	return nil
}

// save brings the newest state of a logical unit to stable storage and then
// thanks the peers it came from. It does not wait.
func (n *Node) save(u *Unit) {
	if !u.replica.takeSaving() {
		n.sayThanks(u)
		return
	}
	n.works.Go(func() {
		for n.saveOnce(u) && u.replica.keepSaving() {
		}
	})
}

// saveOnce waits for its turn and writes the newest state of a logical unit;
// false when the node ends before.
func (n *Node) saveOnce(u *Unit) bool {
	turn := n.idleSaves
	select {
	case turn <- struct{}{}:
	case <-u.replica.whenAwaited():
		turn = n.saves
		turn <- struct{}{}
	case <-n.done:
		return false // what nobody waits for the next life does without
	}
	defer func() { <-turn }()
	rec := u.replica.record()
	rec.LUN = u.cfg.Name
	if !n.write(rec) {
		return false
	}
	u.replica.isSaved(rec.At)
	n.sayThanks(u)
	return true
}

// write tries until a record is on stable storage; false when the node ends
// before.
func (n *Node) write(rec statefile.Record) bool {
	for said := false; ; said = true {
		err := n.cfg.States.Save(rec)
		if err == nil {
			return true
		}
		if !said {
			n.log.Error("the state of a logical unit cannot be saved: what changes it is refused", "lun", rec.LUN, "error", err)
			n.notes.keep(rec.LUN, fmt.Sprintf("its state cannot be saved: %v", err), false)
		}
		select {
		case <-n.done:
			return false
		case <-time.After(saveRetry):
		}
	}
}

// sayThanks tells the peers that what they sent is on stable storage.
func (n *Node) sayThanks(u *Unit) {
	for p, at := range u.replica.due() {
		n.sendControl(p, controlTaken, stateCopy{LUN: u.cfg.Name, At: at})
	}
}

// waitSaved returns when all states known now are on stable storage; false when
// the node ends before.
func (n *Node) waitSaved() bool {
	for _, u := range n.units {
		u.replica.await()
	}
	for _, u := range n.units {
		for changed := u.replica.whenSaved(); changed != nil; changed = u.replica.whenSaved() {
			select {
			case <-changed:
			case <-n.done:
				return false
			}
		}
	}
	return true
}

// judge takes what the arbiter says about the states, before the core acts on
// it.
func (n *Node) judge(s ha.State) {
	for _, u := range n.units {
		g := s.Grants[u.cfg.Name]
		relied := g.Has(n.cfg.Self) || n.cfg.Manual && u.damaged
		u.replica.judge(g, s.Floors[u.cfg.Name], relied)
		n.save(u)
		u.nudge() // its mover may wait for this
	}
	n.trustChanged()
}

// distrusted reports whether a state must not count as a copy.
func (n *Node) distrusted() bool {
	for _, u := range n.units {
		if u.replica.distrust() != nil {
			return true
		}
	}
	return false
}

// trustChanged shows to the peers what could not be shown before.
func (n *Node) trustChanged() {
	if n.distrusted() {
		return
	}
	for _, p := range n.peers.ids() {
		owed := false
		n.peers.with(p, func(s *peerState) { owed = s.owed })
		if owed {
			n.showStates(p)
		}
	}
}

// complaint is said again only after a while.
type complaint struct{ last time.Time }

const complainEvery = 10 * time.Second

// due reports whether it is to be said now.
func (c *complaint) due() bool {
	if time.Since(c.last) < complainEvery {
		return false
	}
	c.last = time.Now()
	return true
}

// clear ends it and reports whether there was one.
func (c *complaint) clear() bool {
	was := !c.last.IsZero()
	c.last = time.Time{}
	return was
}
