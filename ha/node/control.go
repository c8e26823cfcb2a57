package node

import (
	"encoding/json"
	"errors"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
)

// Messages of the control stream: a byte that says which, then JSON.
const (
	controlCore  byte = 1 // ha.Message
	controlState byte = 2 // stateCopy
	controlTaken byte = 3 // stateCopy without a state: it was taken
	controlShown byte = 4 // all states were shown
	controlAll   byte = 5 // all states shown were taken, and all data of earlier links was moved

	controlAskQuiet byte = 6 // quietWord: is it so?
	controlQuiet    byte = 7 // quietWord: it is
)

// stateCopy is the state of a logical unit on its way to a peer.
type stateCopy struct {
	LUN   string    `json:"lun"`
	At    ha.Stamp  `json:"at"`
	State lun.State `json:"state,omitzero"`
	Warm  bool      `json:"warm,omitempty"`
	// Awaited: the sender waits for the word that it was taken.
	Awaited bool `json:"awaited,omitempty"`
}

// Control implements link.Handler.
func (h *linkHandler) Control(peer ha.NodeID, payload []byte) {
	n := h.node
	if len(payload) == 0 {
		n.refuseControl(peer, "it is empty")
		return
	}
	n.heard(peer)
	kind, body := payload[0], payload[1:]
	switch kind {
	case controlCore:
		m, err := ha.DecodeMessage(body)
		if err != nil {
			n.refuseControl(peer, err.Error())
			return
		}
		n.post(ha.Received{From: peer, Message: m})
	case controlState, controlTaken:
		n.stateReceived(peer, kind, body)
	case controlShown:
		n.works.Go(func() { n.takeAll(peer) })
		n.progress(peer, func(s *peerState) { s.shown = true })
	case controlAskQuiet, controlQuiet:
		n.quietReceived(peer, kind, body)
	case controlAll:
		n.ships.PeerSettled(peer)
		n.progress(peer, func(s *peerState) { s.taken = true })
	default:
		n.refuseControl(peer, "its kind is unknown")
	}
}

// takeAll tells a peer that everything it has shown is on stable storage here.
func (n *Node) takeAll(peer ha.NodeID) {
	var session, now uint64
	n.peers.with(peer, func(s *peerState) { session = s.session })
	if !n.waitSaved() {
		return
	}
	n.peers.with(peer, func(s *peerState) { now = s.session })
	if now == session {
		// Not before what the peer admitted over an earlier link is done.
		n.ships.Settled(peer, func() { n.sendControl(peer, controlAll, nil) })
	}
}

// progress notes a step of getting to know a peer and tells the core when it
// was the last one.
func (n *Node) progress(peer ha.NodeID, step func(*peerState)) {
	up := false
	n.peers.with(peer, func(s *peerState) {
		before := s.shown && s.taken
		step(s)
		up = !before && s.shown && s.taken
	})
	if up {
		n.post(ha.PeerUp{Peer: peer})
	}
}

// refuseControl drops a message that no controller of this version sends.
func (n *Node) refuseControl(peer ha.NodeID, why string) {
	n.log.Warn("a message of a peer is refused", "peer", peer, "reason", why)
	n.link.Reset(peer)
}

// stateReceived takes a copy of a state, or the word that ours was taken.
func (n *Node) stateReceived(peer ha.NodeID, kind byte, body []byte) {
	var c stateCopy
	if err := json.Unmarshal(body, &c); err != nil {
		n.refuseControl(peer, "a state cannot be read: "+err.Error())
		return
	}
	u := n.named[c.LUN]
	if u == nil {
		n.refuseControl(peer, "a state is of an unknown logical unit")
		return
	}
	if kind == controlTaken {
		u.replica.ack(peer, c.At)
		return
	}
	distrusted := u.replica.distrust() != nil
	u.replica.offer(peer, c)
	if c.Awaited {
		u.replica.await()
	}
	n.save(u)
	if distrusted {
		n.trustChanged()
	}
}

// showStates sends every state this controller knows to a peer. While one of
// them may be less than what was acknowledged it does not say that these are
// all: the peers must not go on as if this controller had a copy.
func (n *Node) showStates(peer ha.NodeID) {
	for _, u := range n.units {
		if c, ok := u.replica.current(); ok {
			c.LUN = u.cfg.Name
			n.sendControl(peer, controlState, c)
		}
	}
	if n.distrusted() {
		return
	}
	owed := false
	n.peers.with(peer, func(s *peerState) { owed, s.owed = s.owed, false })
	if owed {
		n.sendControl(peer, controlShown, nil)
	}
}

// broadcastState sends the newest state of a logical unit to every peer; awaited
// when this controller waits until they have taken it.
func (n *Node) broadcastState(u *Unit, awaited bool) {
	c, _ := u.replica.current()
	c.LUN, c.Awaited = u.cfg.Name, awaited
	for _, p := range n.peers.ids() {
		n.sendControl(p, controlState, c)
	}
}

// sendCore sends a message of the core.
func (n *Node) sendCore(a ha.Send) {
	if a.Message.Kind == ha.MessagePromise {
		n.promised(a.To)
	}
	// A message that does not go out is lost, which the core expects.
	_ = n.link.SendControl(a.To, append([]byte{controlCore}, a.Message.Encode()...))
}

// sendControl sends a message of the node. What is lost because the link is
// down is shown again when it is up; a peer that takes nothing more is reset.
func (n *Node) sendControl(peer ha.NodeID, kind byte, v any) {
	payload := []byte{kind}
	if v != nil {
		b, err := json.Marshal(v)
		if err != nil {
			panic("ha/node: a message cannot be encoded: " + err.Error())
		}
		payload = append(payload, b...)
	}
	if err := n.link.SendControl(peer, payload); err != nil && !errors.Is(err, link.ErrDown) {
		n.log.Warn("a message to a peer cannot be sent", "peer", peer, "error", err)
		n.link.Reset(peer)
	}
}

func (n *Node) isLinked(peer ha.NodeID) (linked bool) {
	n.peers.with(peer, func(s *peerState) { linked = s.linked })
	return linked
}
