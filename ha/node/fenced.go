package node

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
)

// openDisk opens the backend. Where reservations are the fence, this controller
// is registered by it, and learns here when it is fenced later.
func (m *mover) openDisk() (block.Device, error) {
	u := m.unit
	disk := u.cfg.Fence.Disk
	if disk == nil {
		return u.cfg.Open()
	}
	taken := &atomic.Bool{}
	device, err := disk.Open(func(why error) {
		u.node.log.Error("this controller was fenced: its key was taken from the disk", "lun", u.cfg.Name, "error", why)
		taken.Store(true)
		u.nudge()
	})
	if err != nil {
		return nil, err
	}
	m.taken = taken
	return device, nil
}

// letGo closes a disk from which the key of this controller was taken. As
// primary it does not open it again in this reign: whoever took the key may be
// writing, and nobody has said that it may be taken back. What is moved for
// another primary goes on after a rest, since that one admits each command.
func (m *mover) letGo(ctx context.Context) {
	if m.taken == nil || !m.taken.Load() {
		return
	}
	u := m.unit
	m.taken = nil
	m.open(ha.Route{LUN: u.cfg.Name}, nil)
	if m.device != nil {
		u.barred.Store(m.since)
		m.stop(ctx)
	}
	if m.local != nil {
		m.closeLocal()
		m.rest = time.Now().Add(localRetry)
		time.AfterFunc(localRetry, u.nudge)
	}
}

// takeKeys fences the controllers that cannot be reached where the disk can do
// it, before this one serves by the operator's force. That was asked for whether
// it works or not.
func (u *Unit) takeKeys() {
	disk := u.cfg.Fence.Disk
	if disk == nil {
		return
	}
	for _, p := range u.node.peers.ids() {
		if u.node.isLinked(p) {
			continue
		}
		if err := disk.Fence(context.Background(), uint8(p)); err != nil {
			u.node.log.Error("served by force though another controller could not be fenced", "lun", u.cfg.Name, "controller", p, "error", err)
			continue
		}
		u.node.log.Info("controller is fenced by force", "lun", u.cfg.Name, "controller", p)
	}
}

// giveAway hands a logical unit that this controller cannot serve over to the
// first controller that can take it, and reports whether there is one.
func (n *Node) giveAway(u *Unit) (begun bool) {
	// When the loop has ended, there is nobody to give it to.
	_ = n.inLoop(func(ctx context.Context) {
		for _, p := range n.peers.ids() {
			if n.core.Refusal(u.cfg.Name, p) == "" {
				n.step(ctx, ha.HandOver{LUN: u.cfg.Name, To: p})
				begun = true
				return
			}
		}
	})
	return begun
}
