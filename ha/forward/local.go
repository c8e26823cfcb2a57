package forward

import (
	"fmt"
	"sync"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// maxMovers is how many calls to devices run at a time for the commands that
// one primary admits.
const maxMovers = 32

// Local is the medium of a logical unit that another controller serves, as
// this controller has it open (mode 1).
type Local struct {
	device    block.Device
	blockSize int

	mu     sync.Mutex
	using  int // calls to the device, under way or about to be
	closed bool
	idle   chan struct{} // closed when it is closed and not in use
}

// NewLocal makes a Local of a shared device. The device stays the caller's to
// close, after Close.
func NewLocal(device block.Device, blockSize int) *Local {
	return &Local{device: device, blockSize: blockSize, idle: make(chan struct{})}
}

// begin reports whether the device may be used; end follows.
func (l *Local) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.using++
	}
	return !l.closed
}

func (l *Local) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.using--; l.closed && l.using == 0 {
		close(l.idle)
	}
}

// Close has no data moved any more and waits for that which is. It must be
// called once.
func (l *Local) Close() {
	l.mu.Lock()
	l.closed = true
	if l.using == 0 {
		close(l.idle)
	}
	l.mu.Unlock()
	<-l.idle
}

// sendGathered tells the primary that the data-out it asked for is here. The
// caller holds the peer's mu.
func (r *request) sendGathered() {
	p := r.peer
	r.sent, r.asked = r.wanted, time.Now()
	p.head = appendCount(p.head[:0], r.sent)
	p.send(link.Frame{Kind: kindGathered, Request: r.id, Epoch: r.epoch, Head: p.head})
}

// ticketCame has the data of an admitted command moved here. A ticket that
// cannot be used is returned: until then the primary keeps its blocks from
// others.
func (p *peer) ticketCame(f link.Frame) error {
	k, err := decodeTicket(f.Head, f.Flags)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.requests[f.Request]
	if r == nil || r.task == nil {
		p.giveBack(f.Request, f.Epoch)
		return nil
	}
	if r.local == nil || r.moving {
		return fmt.Errorf("%w: a ticket for request %d, which has not asked for one", errFrame, r.id)
	}
	if write := r.task.CDB[0]&0x02 != 0; k.move.Write != write { // so their operation codes differ
		return fmt.Errorf("%w: a ticket for the other direction than that of command %x", errFrame, r.task.CDB)
	}
	if n := k.move.Blocks * uint64(r.local.blockSize); n > MaxTransfer || k.move.Write && n > uint64(r.sent) {
		return fmt.Errorf("%w: a ticket for %d bytes, there are %d", errFrame, n, r.sent)
	}
	if !r.local.begin() {
		p.giveBack(r.id, r.epoch)
		return nil
	}
	r.ticket, r.moving = k, true
	p.moving++
	p.work = append(p.work, r)
	if p.movers < maxMovers {
		p.movers++
		p.forward.working.Go(p.moveAll)
	}
	return nil
}

// giveBack returns a ticket; the primary then says how the command ends. The
// caller holds mu.
func (p *peer) giveBack(request, epoch uint64) {
	p.send(link.Frame{Kind: kindMoved, Flags: flagReturned, Request: request, Epoch: epoch})
}

// moveAll moves data as long as there is some to be moved.
func (p *peer) moveAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.work) > 0 {
		r := p.work[0]
		p.work[0] = nil
		p.work = p.work[1:]
		p.mu.Unlock()
		in, moved := r.move()
		p.mu.Lock()
		p.moved(r, in, moved)
	}
	p.work = nil
	p.movers--
}

// valid reports whether the ticket may still be used.
func (r *request) valid() bool { return time.Since(r.asked) < r.ticket.lease }

// move moves the data of a command: from its data-out to the medium, or from
// there to a buffer. The ticket must hold right before the medium is touched
// and when what was done counts (S4).
func (r *request) move() (in *block.Buffer, moved bool) {
	defer r.local.end()
	if !r.valid() {
		return nil, false
	}
	m, device := r.ticket.move, r.local.device
	at, n := int64(m.LBA)*int64(r.local.blockSize), int(m.Blocks)*r.local.blockSize
	var err error
	if m.Write {
		if err = device.WriteAt(r.task.DataOut[:n], at); err == nil && m.Sync {
			err = device.Sync()
		}
	} else {
		if in = r.peer.forward.config.Pool.Get(n); in == nil {
			return nil, false
		}
		err = device.ReadAt(in.Bytes(), at)
	}
	if err != nil {
		r.peer.forward.config.Log.Error("device error; the primary is asked to move the data",
			"lun", r.unit, "epoch", r.epoch, "lba", m.LBA, "write", m.Write, "error", err)
	}
	if err != nil || !r.valid() {
		in.Release()
		return nil, false
	}
	return in, true
}

// moved ends a command whose data was moved here, or gives it back to the
// primary. It is called with mu held and holds it again when it returns.
func (p *peer) moved(r *request, in *block.Buffer, moved bool) {
	p.moving--
	if r.life != p.life {
		p.stale--
	}
	r.moving = false
	if !moved && !r.detached {
		p.giveBack(r.id, r.epoch)
		p.tellSettled()
		return
	}
	t := r.task
	if moved {
		t.Status, t.Sense, t.Transfer, t.DataIn = scsi.StatusGood, scsi.Sense{}, r.ticket.transfer, in
	} else {
		t.NotServed, t.Uncertain = true, true
	}
	if !r.detached {
		delete(p.requests, r.id)
		p.send(link.Frame{Kind: kindMoved, Request: r.id, Epoch: r.epoch})
	}
	p.recycle(r)
	p.late++
	p.mu.Unlock()
	t.Transport.CommandComplete(t)
	p.mu.Lock()
	p.lateDone()
	p.tellSettled()
}

// Settled calls f when no data is moved here any more in the right of tickets
// that came from a peer over an earlier link, perhaps at once; never when the
// present link is lost before.
func (f *Forward) Settled(id ha.NodeID, then func()) {
	p := f.peers[id]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled = append(p.settled, then)
	p.tellSettled()
}

// tellSettled is called with mu held and releases it meanwhile.
func (p *peer) tellSettled() {
	for p.stale == 0 && len(p.settled) > 0 {
		then := p.settled[0]
		p.settled = p.settled[1:]
		p.mu.Unlock()
		then()
		p.mu.Lock()
	}
}

var _ lun.Mover = (*served)(nil)
