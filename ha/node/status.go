package node

import (
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// Status is what an operator wants to know of a node.
type Status struct {
	Peers []link.PeerStatus
	Units []UnitStatus
	// Drained are the controllers that are, this one and those that are known.
	Drained map[ha.NodeID]bool
}

// UnitStatus is one logical unit as this controller sees it.
type UnitStatus struct {
	ha.UnitStatus
	// Serving: commands are executed here, now.
	Serving bool
	// RightLeft is how long the right lasts unless it is extended.
	RightLeft time.Duration
	// Held is how many commands wait for a way.
	Held int
	// Access is the state of this controller's ports.
	Access scsi.AccessState
	// Alarm is the last one, "" when there was none.
	Alarm string
}

// Status tells how everything stands.
func (n *Node) Status() (Status, error) {
	var units []ha.UnitStatus
	s := Status{Peers: n.link.Peers(), Drained: map[ha.NodeID]bool{}}
	if err := n.ask(func() {
		units = n.core.Status()
		for _, id := range append(n.peers.ids(), n.cfg.Self) {
			s.Drained[id] = n.core.Drained(id)
		}
	}); err != nil {
		return Status{}, err
	}
	now := n.clock.now()
	for i, us := range units {
		u := n.units[i]
		w := u.way.Load()
		st := UnitStatus{
			UnitStatus: us, Held: int(u.queue.count.Load()), Access: n.ownState(w.Route), Alarm: n.notes.last(us.LUN),
			Serving: w.Kind == ha.RouteServe && u.right.Valid(),
		}
		if left := us.Right - now; us.Right > 0 && left > 0 {
			st.RightLeft = left
		}
		s.Units = append(s.Units, st)
	}
	return s, nil
}

// Ports are the target ports of a logical unit at each controller, as far as
// they are known.
func (n *Node) Ports(name string) map[ha.NodeID][]lun.Port {
	out := map[ha.NodeID][]lun.Port{}
	if u := n.named[name]; u != nil {
		out[n.cfg.Self] = u.cfg.Ports
	}
	for _, id := range n.peers.ids() {
		n.peers.with(id, func(s *peerState) {
			if p := s.ports[name]; s.linked && len(p) > 0 {
				out[id] = p
			}
		})
	}
	return out
}
