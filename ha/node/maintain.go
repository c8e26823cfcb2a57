package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// handOver begins to hand a logical unit over to the controller of a target
// port group, as an initiator asks for it (lun.Config.HandOver). It waits for
// the loop only; when it returns nil no command starts here any more.
func (n *Node) handOver(u *Unit, group uint16) error {
	to := groupNode(group)
	var refusal string
	if err := n.inLoop(func(ctx context.Context) {
		if refusal = n.core.Refusal(u.cfg.Name, to); refusal == "" {
			n.step(ctx, ha.HandOver{LUN: u.cfg.Name, To: to})
		}
	}); err != nil {
		return err
	}
	if refusal != "" {
		return errors.New(refusal)
	}
	return nil
}

// drained reports whether a controller is, as far as is known here.
func (n *Node) drained(who ha.NodeID) (is bool, err error) {
	err = n.ask(func() { is = n.core.Drained(who) })
	return is, err
}

// Drain has a controller, this one or a peer, hand over every logical unit that
// another one can serve, without failing a command, and take none until
// Undrain or its restart. It returns when the controller serves nothing; when
// ctx ends first it names what is still served there, which stays drained all
// the same.
func (n *Node) Drain(ctx context.Context, who ha.NodeID) error {
	return n.maintain(ctx, ha.Maintenance{Node: who, On: true})
}

// Undrain ends what Drain began. It returns when the controller has said so.
// What was handed over stays where it is, unless fail-back is on for it.
func (n *Node) Undrain(ctx context.Context, who ha.NodeID) error {
	return n.maintain(ctx, ha.Maintenance{Node: who})
}

// maintain repeats a wish, which may be lost on its way, until it is fulfilled.
func (n *Node) maintain(ctx context.Context, wish ha.Maintenance) error {
	if wish.Node != n.cfg.Self && n.cfg.Peers[wish.Node] == "" {
		return fmt.Errorf("controller %d: there is none of that id in this cluster", wish.Node)
	}
	for {
		n.post(wish)
		for until := time.Now().Add(promoteRetry); time.Now().Before(until); pause(ctx, 2*time.Millisecond) {
			drained, left, err := n.leftAt(wish.Node)
			switch {
			case err != nil:
				return err
			case drained == wish.On && (len(left) == 0 || !wish.On):
				return nil
			case ctx.Err() == nil:
			case drained != wish.On:
				return fmt.Errorf("controller %d cannot be reached", wish.Node)
			default:
				return fmt.Errorf("controller %d is drained, and still serves what no other controller can take now: %s", wish.Node, strings.Join(left, ", "))
			}
		}
	}
}

// leftAt reports whether a controller is drained, and what it still serves.
func (n *Node) leftAt(who ha.NodeID) (drained bool, left []string, err error) {
	var units []ha.UnitStatus
	err = n.ask(func() { drained, units = n.core.Drained(who), n.core.Status() })
	for i, u := range units {
		if u.Grant.Primary == who || who == n.cfg.Self && n.units[i].lu.Active() {
			left = append(left, u.LUN)
		}
	}
	return drained, left, err
}
