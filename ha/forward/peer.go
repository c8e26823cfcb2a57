package forward

import (
	"context"
	"errors"
	"sync"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
)

// peer is another controller: what was sent to it (requests) and what came
// from it (served). Nothing is called while mu is held except the link's
// SendData and buffer pools, which do not wait.
type peer struct {
	forward *Forward
	id      ha.NodeID

	mu sync.Mutex
	up bool
	// life counts the links lost. What belongs to an earlier one is not sent.
	life uint64
	// ctx ends with the present life.
	ctx    context.Context
	cancel context.CancelFunc
	// backlog waits, in order, for the link's queue to have room again.
	backlog []link.Frame
	head    []byte // scratch

	// As secondary.

	lastRequest uint64
	requests    map[uint64]*request
	gathering   map[*lun.Task]*request // whose data-out the port gathers
	spare       []*request
	// late counts requests that are answered but not yet complete; answers to
	// task management functions wait for them.
	late    int
	answers []managed

	work   []*request // whose data is to be moved here
	movers int        // goroutines that do
	moving int        // requests whose data is, or is to be, moved here
	// stale are those of them that belong to an earlier life; settled is called
	// when there are none.
	stale   int
	settled []func()

	// As primary.

	tasks   map[uint64]*served
	units   map[string]*unit
	names   map[string]string // initiator ports, so that each has one string
	idle    []*served
	arrived *served // the command whose body is arriving
	// receiving is the command whose further data-out is arriving or being
	// handed over.
	receiving *served
	managing  int // task management functions under way
	// tickets are the commands whose data the peer may be moving, of all lives.
	tickets map[*served]struct{}
}

func newPeer(f *Forward, id ha.NodeID) *peer {
	return &peer{
		forward: f, id: id,
		requests:  make(map[uint64]*request),
		gathering: make(map[*lun.Task]*request),
		tasks:     make(map[uint64]*served),
		units:     make(map[string]*unit),
		names:     make(map[string]string),
		tickets:   make(map[*served]struct{}),
	}
}

// send queues a frame for the peer, behind others where the link's queue is
// full. It reports false when the link is down; the owner is then the
// caller's. The caller holds mu.
func (p *peer) send(f link.Frame) bool {
	if !p.up {
		return false
	}
	if len(p.backlog) == 0 {
		err := p.forward.link.SendData(p.id, f)
		if !errors.Is(err, link.ErrQueueFull) {
			return err == nil
		}
	}
	f.Head = append([]byte(nil), f.Head...)
	p.backlog = append(p.backlog, f)
	return true
}

// flush sends what waits for room in the link's queue. It is called whenever
// the link released something. The caller holds mu.
func (p *peer) flush() {
	for len(p.backlog) > 0 {
		if p.forward.link.SendData(p.id, p.backlog[0]) != nil {
			return
		}
		p.backlog[0] = link.Frame{}
		if p.backlog = p.backlog[1:]; len(p.backlog) == 0 {
			p.backlog = nil
		}
	}
}

func (p *peer) linkUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up = true
	p.ctx, p.cancel = context.WithCancel(context.Background())
}

func (p *peer) linkDown() {
	p.mu.Lock()
	p.up = false
	p.life++
	p.stale, p.settled = p.moving, nil
	p.cancel()
	backlog := p.backlog
	p.backlog = nil
	p.mu.Unlock()
	for _, f := range backlog { // the link never had them
		if f.Owner != nil {
			f.Owner.Release()
		}
	}
	p.dropServed()
	p.failRequests()
}
