package node

import (
	"time"

	"github.com/tandem-san/tandem/ha"
)

// A link can be silent and look established: TCP gives a cable that is out
// several seconds. What was forwarded over it waits as long, though its
// initiator has another path. So a primary that is not heard for as long as a
// promise to it lasts has its link reset: what is outstanding there comes back
// and is held.
//
// What is held is answered at once, with NOT READY 04h/0Ah, when waiting cannot
// help: the primary serves alone, and there is no link to it. It must not be
// before the last promise to the primary has run out: until then the primary
// may not know yet that it is alone, and start what was sent to it in the epoch
// before (see package forward).

// heard notes a message of a peer.
func (n *Node) heard(peer ha.NodeID) {
	n.peers.with(peer, func(s *peerState) { s.silent = 0 })
}

// promised notes that a promise was sent to a peer.
func (n *Node) promised(peer ha.NodeID) {
	now := n.clock.now()
	n.peers.with(peer, func(s *peerState) { s.promised = now })
}

// promiseSpan is how long a promise lasts.
func (n *Node) promiseSpan() time.Duration { return n.lease * 11 / 10 }

// noticeSilence is called with every tick. It counts ticks, not time: of a
// process that was stopped nobody knows whether others were silent.
func (n *Node) noticeSilence(every time.Duration) {
	var primaries ha.NodeSet
	for _, u := range n.units {
		if w := u.way.Load(); w.Kind == ha.RouteForward {
			primaries |= ha.Nodes(w.Primary)
		}
	}
	for _, id := range n.peers.ids() {
		if !primaries.Has(id) {
			n.heard(id)
			continue
		}
		lost := false
		n.peers.with(id, func(s *peerState) {
			s.silent++
			lost = s.linked && time.Duration(s.silent)*every >= n.promiseSpan()
		})
		if lost {
			n.heard(id)
			n.log.Warn("the primary is silent: the link is reset", "peer", id)
			n.link.Reset(id)
		}
	}
}

// answerHopeless answers the held tasks of a logical unit for which waiting cannot
// help.
func (n *Node) answerHopeless(u *Unit) {
	if u.queue.empty() || u.open() {
		return
	}
	g := n.core.Grant(u.cfg.Name)
	if g.Epoch == 0 || g.Primary == n.cfg.Self || g.Has(n.cfg.Self) {
		return
	}
	hopeless, now := false, n.clock.now()
	n.peers.with(g.Primary, func(s *peerState) {
		hopeless = !s.linked && (s.promised == 0 || now >= s.promised+n.promiseSpan())
	})
	if !hopeless {
		return
	}
	for _, e := range u.queue.takeReady() {
		e.notReady()
	}
}
