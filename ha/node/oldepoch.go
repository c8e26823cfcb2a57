package node

import "github.com/tandem-san/tandem/ha"

// oldEpochs is which old epoch of a logical unit each peer has claimed last, so
// that it is logged once. The loop has it.
type oldEpochs map[oldClaim]uint64

type oldClaim struct {
	peer ha.NodeID
	lun  string
}

// noteOldEpochs tells the log of claims that the core is about to refuse (S6): the
// peer has slept through a change, or they were long on their way.
func (n *Node) noteOldEpochs(r ha.Received) {
	if r.Message.Kind == ha.MessagePromise || r.Message.Kind == ha.MessageRefuse {
		return // their claims tell what the peer knows, and claim nothing
	}
	var refused []ha.Claim
	for _, c := range r.Message.Claims {
		now, old := n.core.Epoch(c.LUN), c.Grant.Epoch
		claim := oldClaim{r.From, c.LUN}
		if now == 0 || old >= now || n.old[claim] == old+1 {
			continue
		}
		n.old[claim] = old + 1 // 0 is none
		refused = append(refused, c)
	}
	if len(refused) > maxLines {
		n.log.Info("a message of old epochs is refused", "peer", r.From, "message", r.Message.Kind,
			"luns", len(refused), "first", refused[0].LUN, "last", refused[len(refused)-1].LUN)
		return
	}
	for _, c := range refused {
		n.log.Info("a message of an old epoch is refused", "peer", r.From, "lun", c.LUN,
			"message", r.Message.Kind, "epoch", c.Grant.Epoch, "present", n.core.Epoch(c.LUN))
	}
}
