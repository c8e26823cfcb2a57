package forward

import (
	"fmt"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
)

// admitter is a unit that admits commands whose data is moved elsewhere;
// *lun.LogicalUnit is one.
type admitter interface {
	DataMoved(t *lun.Task, moved bool)
}

func admits(u lun.Unit) bool {
	_, ok := u.(admitter)
	return ok
}

// admitCame submits a command whose data the peer moves.
func (p *peer) admitCame(f link.Frame) error {
	if len(f.Head) < 8 {
		return errFrame
	}
	have, err := decodeCount(f.Head[:8])
	if err != nil {
		return err
	}
	p.mu.Lock()
	s, err := p.newServedOf(f, f.Head[8:])
	if err == nil {
		s.task.Mover, s.task.Gathered = s, have
		if have > s.task.ExpectedOut || !lun.Movable(s.task.CDB) {
			err = fmt.Errorf("%w: command %x cannot be admitted with %d bytes of data-out there", errFrame, s.task.CDB, have)
			p.recycleServed(s)
		}
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return p.start(s, f)
}

// gatheredCame goes on with a command whose data-out has been gathered at the
// peer.
func (p *peer) gatheredCame(f link.Frame) error {
	n, err := decodeCount(f.Head)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.tasks[f.Request]
	if s == nil || s.completed {
		return nil // it ended before
	}
	if s.task.Mover == nil || n != s.wanted {
		return fmt.Errorf("%w: data-out of %d bytes is there, asked for are %d", errFrame, n, s.wanted)
	}
	s.wanted, s.task.Gathered = 0, n
	p.receiving = s
	p.mu.Unlock()
	s.target.DataOutReceived(&s.task)
	p.mu.Lock()
	p.receiving = nil
	p.letGo(s)
	return nil
}

// MoveData allows the secondary to move the data of a command (lun.Mover). What
// it may not be allowed any more ends at once.
func (s *served) MoveData(t *lun.Task, m lun.Move) {
	if !s.allow(t, m) {
		s.target.(admitter).DataMoved(t, false)
	}
}

func (s *served) allow(t *lun.Task, m lun.Move) bool {
	p := s.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.life != p.life || p.forward.config.Lease == nil {
		return false
	}
	lease := p.forward.config.Lease(s.unit.name, p.id, s.epoch)
	if lease <= 0 {
		return false
	}
	head, flags := appendTicket(p.head[:0], ticket{move: m, transfer: t.Transfer, lease: min(lease, maxLease)})
	p.head = head
	s.ticket, s.write = true, m.Write
	p.tickets[s] = struct{}{}
	if !p.send(link.Frame{Kind: kindTicket, Flags: flags, Request: s.request, Epoch: s.epoch, Head: head}) {
		s.ticket = false
		delete(p.tickets, s)
	}
	return s.ticket
}

// movedCame ends a command whose data the secondary has moved, or will not.
func (p *peer) movedCame(f link.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.tasks[f.Request]; s != nil && s.ticket {
		s.answered = f.Flags&flagReturned == 0
		p.lapse(s)
	}
}

// lapse ends a ticket: the secondary certainly uses it no more. It is called
// with mu held and releases it meanwhile.
func (p *peer) lapse(s *served) {
	s.ticket = false
	delete(p.tickets, s)
	target, moved := s.target.(admitter), s.answered
	s.pins++ // or it might be another command by then
	p.mu.Unlock()
	target.DataMoved(&s.task, moved)
	p.mu.Lock()
	s.pins--
	p.letGo(s)
}

// Writing counts the writes of a logical unit that a peer may be doing in the
// right of an epoch before this one.
func (f *Forward) Writing(unit string, id ha.NodeID, before uint64) int {
	p := f.peers[id]
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for s := range p.tickets {
		if s.unit.name == unit && s.epoch < before && s.write {
			n++
		}
	}
	return n
}

// Lapse ends what a peer was allowed to move in the right of epochs before this
// one. The caller knows that it moves none of it any more.
func (f *Forward) Lapse(unit string, id ha.NodeID, before uint64) {
	f.peers[id].lapseIf(func(s *served) bool { return s.unit.name == unit && s.epoch < before })
}

// PeerSettled ends what a peer was allowed to move over earlier links: it has
// said that it moves none of it any more (Settled).
func (f *Forward) PeerSettled(id ha.NodeID) {
	p := f.peers[id]
	p.lapseIf(func(s *served) bool { return s.life != p.life })
}

func (p *peer) lapseIf(over func(*served) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*served
	for s := range p.tickets {
		if over(s) {
			all = append(all, s)
		}
	}
	for _, s := range all {
		if s.ticket {
			p.lapse(s)
		}
	}
}
