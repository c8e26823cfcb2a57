package node

import (
	"sync"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// PortGroup is the target port group of a controller: the numbers CTL gives
// its high-availability shelves.
func PortGroup(n ha.NodeID) uint16 { return uint16(n) + 1 }

// groupNode is the controller of a target port group; 0 for one that no
// controller can have.
func groupNode(group uint16) ha.NodeID {
	if group < PortGroup(1) || group > PortGroup(ha.MaxNodes) {
		return 0
	}
	return ha.NodeID(group - PortGroup(0))
}

// heading is where the commands of a logical unit go or are about to go. The lock
// is held until the logical unit has been told what follows from it, so that of
// two changes at a time the older is not told last.
type heading struct {
	mu    sync.Mutex
	route ha.Route
}

// accessChanged tells a logical unit how it is reached now that something about
// the peers has changed.
func (n *Node) accessChanged(u *Unit) {
	u.heading.mu.Lock()
	defer u.heading.mu.Unlock()
	n.tellAccess(u)
}

// setAccess tells a logical unit how it is reached when its commands go that
// way.
func (n *Node) setAccess(u *Unit, r ha.Route) {
	u.heading.mu.Lock()
	defer u.heading.mu.Unlock()
	u.heading.route = r
	n.tellAccess(u)
}

// tellAccess works out how a logical unit is reached through each controller,
// and tells it. The heading is locked.
func (n *Node) tellAccess(u *Unit) {
	w := u.heading.route
	access := lun.Access{Local: PortGroup(n.cfg.Self)}
	access.Groups = append(access.Groups, lun.PortGroup{
		ID: PortGroup(n.cfg.Self), State: n.ownState(w), Ports: u.cfg.Ports,
	})
	for _, id := range n.peers.ids() {
		var g lun.PortGroup
		n.peers.with(id, func(s *peerState) {
			g = lun.PortGroup{ID: PortGroup(id), State: n.peerAccess(w, id, s.linked), Ports: s.ports[u.cfg.Name]}
		})
		access.Groups = append(access.Groups, g)
	}
	u.lu.SetAccess(access)
}

func (n *Node) allAccessChanged() {
	for _, u := range n.units {
		n.accessChanged(u)
	}
}

// losePorts tells a logical unit that has just come here of the controllers that
// cannot be reached: the nexuses through their ports are lost with them.
func (n *Node) losePorts(u *Unit) {
	for _, id := range n.peers.ids() {
		var lost []lun.Port
		n.peers.with(id, func(s *peerState) {
			if !s.linked {
				lost = s.ports[u.cfg.Name]
			}
		})
		for _, p := range lost {
			u.lu.PortLost(p.Relative)
		}
	}
}

// ownState is the access state of this controller's ports.
func (n *Node) ownState(w ha.Route) scsi.AccessState {
	switch w.Kind {
	case ha.RouteServe:
		return scsi.ActiveOptimized
	case ha.RouteForward:
		return n.secondaryState()
	}
	return scsi.Transitioning
}

// peerAccess is the access state of another controller's ports, as far as it
// is known here.
func (n *Node) peerAccess(w ha.Route, id ha.NodeID, linked bool) scsi.AccessState {
	switch {
	case !linked:
		return scsi.Unavailable
	case w.Kind == ha.RouteHold:
		return scsi.Transitioning
	case w.Primary == id:
		return scsi.ActiveOptimized
	}
	return n.secondaryState()
}

// secondaryState is the access state of ports whose controller is not the
// primary.
func (n *Node) secondaryState() scsi.AccessState {
	if n.cfg.Mode == ActiveStandby {
		return scsi.Standby
	}
	return scsi.ActiveNonOptimized
}
