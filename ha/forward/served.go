package forward

import (
	"fmt"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// served is a command of a peer on its way through a unit here, and the
// transport of its task. The mutex of the peer protects it.
type served struct {
	task    lun.Task
	peer    *peer
	unit    *unit
	target  lun.Unit // where it was submitted
	life    uint64   // of the peer when it came
	request uint64
	epoch   uint64

	buffer    *block.Buffer // of the data-out
	wanted    int           // data-out asked for; 0 when none is awaited
	sending   bool          // the link has the data-in
	completed bool          // the unit is done with it, or nobody has it
	full      bool          // aborted from here for want of memory

	// Of a command whose data the peer moves.

	ticket   bool // it may be moving it
	write    bool // to the medium
	answered bool // it has moved it and answered its initiator
	pins     int  // who is about to tell the unit that this is over

	cdb  [maxCDB]byte
	head [9 + scsi.MaxSenseLength]byte
}

// placeCommand takes a command whose data-out follows, and lends memory for it.
func (p *peer) placeCommand(f link.Frame, n int) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.newServed(f)
	if err != nil {
		return nil, err
	}
	if n > s.task.ExpectedOut {
		p.recycleServed(s)
		return nil, fmt.Errorf("%w: %d bytes of data-out, expected are %d", errFrame, n, s.task.ExpectedOut)
	}
	p.arrived = s
	if s.buffer = p.forward.config.Pool.Get(n); s.buffer == nil {
		return nil, nil
	}
	s.task.DataOut = s.buffer.Bytes()
	return s.task.DataOut, nil
}

// commandCame submits a command, or refuses it.
func (p *peer) commandCame(f link.Frame) error {
	s, err := p.takeArrived(f)
	if s == nil {
		return err
	}
	return p.start(s, f)
}

// start submits a command, or refuses it.
func (p *peer) start(s *served, f link.Frame) error {
	target, refused := p.forward.config.Serving(s.unit.name, s.epoch)
	p.mu.Lock()
	switch {
	case p.tasks[s.request] != nil:
		p.recycleServed(s)
		p.mu.Unlock()
		return fmt.Errorf("%w: request %d used twice", errFrame, s.request)
	case refused != nil || s.task.Mover != nil && !admits(target):
		s.task.NotServed = true
	case f.Lost || len(p.tasks) >= p.forward.config.MaxTasks || !s.unit.knows(s.task.Nexus):
		s.task.Status = scsi.StatusTaskSetFull
	default:
		s.target, s.unit.target = target, target
		p.tasks[s.request] = s
		s.unit.submit(s)
		return nil
	}
	p.finish(s)
	p.mu.Unlock()
	return nil
}

// takeArrived answers the command of a frame; nil when it is broken.
func (p *peer) takeArrived(f link.Frame) (*served, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.arrived
	p.arrived = nil
	if s != nil || f.Lost { // placeCommand has looked at it
		return s, nil
	}
	return p.newServed(f)
}

// newServed makes a command of its frame. The caller holds mu.
func (p *peer) newServed(f link.Frame) (*served, error) { return p.newServedOf(f, f.Head) }

// newServedOf makes the command of a head. The caller holds mu.
func (p *peer) newServedOf(f link.Frame, head []byte) (*served, error) {
	c, err := decodeCommand(head)
	if err != nil {
		return nil, err
	}
	u, err := p.unitNamed(c.unit)
	if err != nil {
		return nil, err
	}
	var s *served
	if last := len(p.idle) - 1; last >= 0 {
		s, p.idle = p.idle[last], p.idle[:last]
	} else {
		s = &served{peer: p}
	}
	s.unit, s.life, s.request, s.epoch, s.completed = u, p.life, f.Request, f.Epoch, false
	s.task = lun.Task{
		Nexus: lun.Nexus{InitiatorPort: p.portName(c.port), TargetPort: c.target},
		Tag:   c.tag, CDB: s.cdb[:copy(s.cdb[:], c.cdb)], Attribute: c.attribute,
		ExpectedOut: c.expectedOut, ExpectedIn: c.expectedIn, Transport: s,
		Scanning: f.Flags&flagScanning != 0, HandoverAsked: f.Flags&flagAsked != 0,
		CopyManager: f.Flags&flagCopies != 0,
	}
	return s, nil
}

// recycleServed lets go of a command that nobody has any more. The caller
// holds mu.
func (p *peer) recycleServed(s *served) {
	s.buffer.Release()
	s.task.Release()
	s.task, s.unit, s.target, s.buffer = lun.Task{Transport: s}, nil, nil, nil
	s.wanted, s.sending, s.completed, s.full = 0, false, true, false
	s.ticket, s.write, s.answered = false, false, false
	p.idle = append(p.idle, s)
}

// CommandComplete sends the result to the secondary (lun.Transport).
func (s *served) CommandComplete(t *lun.Task) {
	p := s.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.full && t.Aborted {
		t.Aborted, t.Status, t.Transfer = false, scsi.StatusTaskSetFull, 0
	}
	if p.tasks[s.request] == s {
		delete(p.tasks, s.request)
	}
	p.finish(s)
}

// finish sends the result of a command unless its link is lost, and lets go of
// it. The caller holds mu.
func (p *peer) finish(s *served) {
	s.completed = true
	if s.ticket { // the brain was stopped
		s.ticket = false
		delete(p.tickets, s)
	}
	if s.life == p.life && !s.answered {
		p.sendResult(s)
	}
	p.letGo(s)
}

// letGo recycles a command that nobody has any more. It is called whenever
// somebody ceases to have it. The caller holds mu.
func (p *peer) letGo(s *served) {
	if s.completed && !s.sending && s.pins == 0 && p.receiving != s {
		p.recycleServed(s)
	}
}

func (p *peer) sendResult(s *served) {
	t := &s.task
	var body []byte
	if t.DataIn != nil {
		body = t.DataIn.Bytes()
		body = body[:min(len(body), t.ExpectedIn)]
	}
	if len(body) > MaxTransfer {
		body, t.Transfer = nil, 0
		t.Status, t.Sense = scsi.StatusCheckCondition, scsi.Illegal(scsi.InvalidFieldInCDB)
	}
	head, flags := appendResult(s.head[:0], t)
	f := link.Frame{Kind: kindComplete, Flags: flags, Request: s.request, Epoch: s.epoch, Head: head}
	if len(body) > 0 {
		f.Body, f.Owner = body, s
	}
	s.sending = p.send(f) && len(body) > 0
}

// Release is called when the link needs the data-in no more (link.Releaser).
func (s *served) Release() {
	p := s.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	s.sending = false
	p.flush()
	p.letGo(s)
}

// ReceiveDataOut asks the secondary for data-out (lun.Transport).
func (s *served) ReceiveDataOut(_ *lun.Task, n int) {
	p := s.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.life != p.life || s.completed {
		return // the loss of the nexus ends it
	}
	if s.task.Mover == nil && !s.makeRoom(n) {
		s.full = true
		s.unit.enter(operation{
			target: s.target, life: s.life, ctx: p.ctx,
			manage: lun.Management{Function: scsi.AbortTask, Nexus: s.task.Nexus, Tag: s.task.Tag},
		})
		return
	}
	s.wanted = n
	p.head = appendCount(p.head[:0], n)
	p.send(link.Frame{Kind: kindReceive, Request: s.request, Epoch: s.epoch, Head: p.head})
}

// makeRoom gives the task a buffer of n bytes with the data-out there is.
func (s *served) makeRoom(n int) bool {
	b := s.peer.forward.config.Pool.Get(n)
	if b == nil || n > MaxTransfer {
		b.Release()
		return false
	}
	s.task.DataOut = b.Bytes()[:copy(b.Bytes(), s.task.DataOut)]
	s.buffer.Release()
	s.buffer = b
	return true
}

// placeDataOut says where data-out of a command goes.
func (p *peer) placeDataOut(f link.Frame, n int) ([]byte, error) {
	at, err := decodeCount(f.Head)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.tasks[f.Request]
	if s == nil || s.completed {
		return nil, nil
	}
	if have := len(s.task.DataOut); at != have || n > s.wanted-have {
		return nil, fmt.Errorf("%w: data-out of %d bytes at %d, %d of %d are there", errFrame, n, at, have, s.wanted)
	}
	p.receiving = s
	return s.buffer.Bytes()[at : at+n], nil
}

// dataOutCame goes on with a command whose data-out is complete. The command
// is not let go of before that has returned.
func (p *peer) dataOutCame(f link.Frame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.receiving
	if s == nil {
		return nil // it ended before
	}
	if !s.completed {
		s.task.DataOut = s.buffer.Bytes()[:len(s.task.DataOut)+len(f.Body)]
		if len(s.task.DataOut) == s.wanted {
			s.wanted = 0
			p.mu.Unlock()
			s.target.DataOutReceived(&s.task)
			p.mu.Lock()
		}
	}
	p.receiving = nil
	p.letGo(s)
	return nil
}

// dropServed lets go of what came over the link that was lost. The link does
// not touch any of it now.
func (p *peer) dropServed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.arrived; s != nil {
		p.arrived = nil
		p.recycleServed(s)
	}
	if s := p.receiving; s != nil {
		p.receiving = nil
		p.letGo(s)
	}
	clear(p.tasks) // they end with the nexuses
	clear(p.names)
	for _, u := range p.units {
		u.loseAll()
	}
}
