package node

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/forward"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
)

// peerTable is what is known of the other controllers.
type peerTable struct {
	mu    sync.Mutex
	known map[ha.NodeID]*peerState
}

// peerState is one other controller.
type peerState struct {
	linked bool // the link is established
	// The peer has shown all its states, and has taken all of ours; when both
	// are so the core is told that it is up.
	shown, taken bool
	owed         bool                  // it has not been told yet that our states are all shown
	silent       int                   // ticks since it was heard last
	promised     ha.Instant            // when it was sent a promise last; 0 when never
	session      uint64                // counts how often the link was established
	ports        map[string][]lun.Port // by logical unit, from its configuration
}

func (p *peerTable) init(peers map[ha.NodeID]string) {
	p.known = map[ha.NodeID]*peerState{}
	for id := range peers {
		p.known[id] = &peerState{}
	}
}

func (p *peerTable) ids() []ha.NodeID { return slices.Sorted(maps.Keys(p.known)) }

// with runs f with the state of a peer.
func (p *peerTable) with(id ha.NodeID, f func(*peerState)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.known[id]; s != nil {
		f(s)
	}
}

// makeLink prepares the link and what is shipped over it.
func (n *Node) makeLink() error {
	configuration, err := json.Marshal(n.agreement())
	if err != nil {
		return fmt.Errorf("encoding the configuration for the peers: %w", err)
	}
	handler := &linkHandler{node: n}
	n.link, err = link.New(link.Config{
		Cluster: n.cfg.Cluster, Node: n.cfg.Self, Listen: n.cfg.Listen, Peers: n.cfg.Peers,
		Credentials: n.cfg.Credentials, Configuration: configuration, Compare: n.compare, Log: n.cfg.Log,
	}, handler)
	if err != nil {
		return err
	}
	n.ships = forward.New(n.link, forward.Config{Node: n.cfg.Self, Pool: n.cfg.Pool, Serving: n.serving, Lease: n.ticketLease, Log: n.cfg.Log})
	handler.Forward = n.ships
	return nil
}

// serving is where a command shipped by a peer goes: to the logical unit of
// this process, when it serves under the epoch that the peer believes in.
func (n *Node) serving(name string, epoch uint64) (lun.Unit, error) {
	u := n.named[name]
	if u == nil {
		return nil, fmt.Errorf("there is no logical unit %q", name)
	}
	if w := u.way.Load(); w.Kind != ha.RouteServe || w.Epoch != epoch {
		return nil, fmt.Errorf("logical unit %s is not served here in epoch %d", name, epoch)
	}
	return u.lu, nil
}

// linkHandler is told by the link what arrives. Frames of the data stream are
// the forwarder's.
type linkHandler struct {
	*forward.Forward
	node *Node
}

var _ link.Handler = (*linkHandler)(nil)

// PeerUp implements link.Handler. Both sides first show each other the states
// they have; only then the core hears of the peer.
func (h *linkHandler) PeerUp(peer ha.NodeID, _ uint64) {
	h.Forward.PeerUp(peer)
	h.node.peers.with(peer, func(s *peerState) {
		s.linked, s.shown, s.taken, s.owed = true, false, false, true
		s.session++
	})
	h.node.showStates(peer)
	h.node.allAccessChanged()
}

// PeerDown implements link.Handler.
func (h *linkHandler) PeerDown(peer ha.NodeID, _ error) {
	h.Forward.PeerDown(peer)
	h.node.peers.with(peer, func(s *peerState) { s.linked, s.owed = false, false })
	for _, u := range h.node.units {
		u.replica.forget(peer)
	}
	h.node.post(ha.PeerDown{Peer: peer})
	h.node.allAccessChanged()
}
