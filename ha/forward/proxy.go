package forward

import (
	"context"
	"fmt"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// Proxy is a logical unit that another controller serves in one epoch; it
// implements lun.Unit. It holds nothing itself: a new one is made when the
// route changes, and tasks of the old one still end.
type Proxy struct {
	peer  *peer
	unit  string
	epoch uint64
	local *Local // not nil: the data of reads and writes is moved here
}

var _ lun.Unit = (*Proxy)(nil)

// Proxy answers the unit as primary serves it in that epoch. A name longer
// than MaxName or a primary that is no peer panics.
func (f *Forward) Proxy(unit string, primary ha.NodeID, epoch uint64) *Proxy {
	if len(unit) > MaxName || primary < 1 || primary > ha.MaxNodes || primary == f.config.Node {
		panic(fmt.Sprintf("forward: no proxy for logical unit %q on node %d", unit, primary))
	}
	return &Proxy{peer: f.peers[primary], unit: unit, epoch: epoch}
}

// Moving is Proxy for a unit whose medium this controller has open too (mode
// 1): the primary admits each READ and WRITE, and its data is moved here.
// Everything else is shipped.
func (f *Forward) Moving(unit string, primary ha.NodeID, epoch uint64, local *Local) *Proxy {
	u := f.Proxy(unit, primary, epoch)
	u.local = local
	return u
}

// Submit sends the task to the primary; see lun.Unit. Without a link it ends
// with NotServed, and when more are outstanding than may be with TASK SET
// FULL.
func (u *Proxy) Submit(t *lun.Task) {
	t.Status, t.Sense, t.DataIn, t.Transfer = scsi.StatusGood, scsi.Sense{}, nil, 0
	t.Aborted, t.NotServed = false, false
	if len(t.CDB) == 0 || len(t.CDB) > maxCDB || len(t.Nexus.InitiatorPort) > maxPortName {
		panic(fmt.Sprintf("forward: CDB of %d bytes from a port name of %d bytes", len(t.CDB), len(t.Nexus.InitiatorPort)))
	}
	p := u.peer
	p.mu.Lock()
	sent := p.submit(u, t)
	p.mu.Unlock()
	if !sent {
		t.Transport.CommandComplete(t)
	}
}

// DataOutReceived sends the data-out that the primary asked for; see lun.Unit.
// A call for a task that has ended meanwhile does nothing.
func (u *Proxy) DataOutReceived(t *lun.Task) {
	p := u.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.gathering[t]; r != nil && len(t.DataOut) >= r.wanted {
		delete(p.gathering, t)
		r.sendDataOut()
	}
}

// Manage has the primary perform the function; see lun.Unit. Without an answer
// from there it answers FUNCTION REJECTED.
func (u *Proxy) Manage(ctx context.Context, m lun.Management) scsi.FunctionResponse {
	p := u.peer
	p.mu.Lock()
	r := p.newRequest(u, p.forward.config.MaxTasks+maxManaging)
	if r == nil {
		p.mu.Unlock()
		return scsi.FunctionRejected
	}
	answer := make(chan scsi.FunctionResponse, 1)
	r.answer = answer
	p.head = appendManagement(p.head[:0], u.unit, m)
	if !p.send(link.Frame{Kind: kindManage, Request: r.id, Epoch: u.epoch, Head: p.head}) {
		p.forget(r)
		p.mu.Unlock()
		return scsi.FunctionRejected
	}
	id := r.id
	p.mu.Unlock()
	select {
	case response := <-answer:
		return response
	case <-ctx.Done():
		p.mu.Lock()
		defer p.mu.Unlock()
		if r := p.requests[id]; r != nil {
			p.forget(r)
		}
		return scsi.FunctionRejected
	}
}

// NexusLost tells the primary that the nexus is gone; see lun.Unit. Without a
// link the primary finds out by itself.
func (u *Proxy) NexusLost(n lun.Nexus) {
	p := u.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	p.head = appendManagement(p.head[:0], u.unit, lun.Management{Nexus: n})
	p.send(link.Frame{Kind: kindNexusLost, Epoch: u.epoch, Head: p.head})
}

// Withdraw ends what is outstanding of the unit at this primary up to this
// epoch, as the loss of the link would: tasks with NotServed and Uncertain,
// functions with FUNCTION REJECTED. It is for an epoch that is over and a
// primary that has fallen silent; one that has handed over answers by itself,
// a moment later than it says so, because answers and promises travel on
// different streams. A link that is stuck with data-out of such tasks is
// reset.
func (u *Proxy) Withdraw() {
	if u.peer.withdraw(u.unit, u.epoch) {
		u.peer.forward.link.Reset(u.peer.id)
	}
}
