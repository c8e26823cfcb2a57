package node

import (
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// PortGroup is the target port group of a controller: the numbers CTL gives
// its high-availability shelves.
func PortGroup(n ha.NodeID) uint16 { return uint16(n) + 1 }

// accessChanged tells a logical unit how it is reached, the way being what it is.
func (n *Node) accessChanged(u *Unit) { n.setAccess(u, u.way.Load().Route) }

// setAccess works out how a logical unit is reached through each controller when
// its commands go that way, and tells it.
func (n *Node) setAccess(u *Unit, w ha.Route) {
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
