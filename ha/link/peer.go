package link

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tandem-san/tandem/ha"
)

// Why a pair of streams was closed from here.
var (
	errShutdown = errors.New("this controller closes the link")
	errReset    = errors.New("the link was reset")
	errReplaced = errors.New("the peer opened new streams")
)

// maxSuperseded is how many earlier lives of a peer are remembered.
const maxSuperseded = 16

// peer is another controller as the link sees it.
type peer struct {
	id      ha.NodeID
	address string
	// up is the pair that works; set from before PeerUp until before PeerDown.
	up atomic.Pointer[pair]
	// turn is held from PeerUp to PeerDown, so that pairs do not overlap.
	turn sync.Mutex

	mu sync.Mutex
	// current is the newest pair that was greeted, up or on its way there.
	current    *pair
	boot       uint64   // of the peer's newest life
	superseded []uint64 // its earlier lives
	ended      bool     // failAll was called: no pair is adopted any more
}

// key names the peer among the reports.
func (p *peer) key() string { return fmt.Sprintf("node %d", p.id) }

// admit refuses a life of the peer that a later one has replaced: the process
// would not come back, so two controllers go by this id.
func (p *peer) admit(boot uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.superseded, boot) {
		return refuse("two nodes have id %d: another process with this id has connected since", p.id)
	}
	return nil
}

// adopt makes a pair the newest one, in place of any earlier.
func (p *peer) adopt(n *pair) {
	p.mu.Lock()
	old, ended := p.current, p.ended
	p.current = n
	if p.boot != n.boot {
		if p.boot != 0 {
			p.superseded = append(p.superseded, p.boot)
			p.superseded = p.superseded[max(0, len(p.superseded)-maxSuperseded):]
		}
		p.boot = n.boot
	}
	p.mu.Unlock()
	if old != nil {
		old.fail(errReplaced)
	}
	if ended {
		n.fail(errShutdown)
	}
}

// failAll closes whatever there is and whatever will be adopted.
func (p *peer) failAll(err error) {
	p.mu.Lock()
	current := p.current
	p.ended = true
	p.mu.Unlock()
	if current != nil {
		current.fail(err)
	}
}

// offer hands a data stream to the pair that waits for it.
func (p *peer) offer(h hello, data *stream) error {
	p.mu.Lock()
	current := p.current
	p.mu.Unlock()
	if current == nil || current.id != h.pair || current.boot != h.boot || !current.attach(data) {
		return errors.New("a data stream came without its control stream")
	}
	select {
	case current.arrived <- struct{}{}:
		return nil
	default:
		return errors.New("a second data stream came")
	}
}

// pair is the two streams to one life of a peer.
type pair struct {
	peer         *peer
	id, boot     uint64
	control      *stream
	controlQueue *queue
	dataQueue    *queue
	arrived      chan struct{} // the data stream was attached by offer
	failed       chan struct{} // closed by the first fail

	mu   sync.Mutex
	data *stream
	err  error // why it failed
}

func (l *Link) newPair(p *peer, id, boot uint64, control *stream) *pair {
	return &pair{
		peer: p, id: id, boot: boot, control: control,
		controlQueue: newQueue(l.config.ControlQueue),
		dataQueue:    newQueue(l.config.DataQueue),
		arrived:      make(chan struct{}, 1),
		failed:       make(chan struct{}),
	}
}

// attach gives the pair its data stream; false when it cannot have one.
func (p *pair) attach(data *stream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil || p.data != nil {
		return false
	}
	p.data = data
	return true
}

// fail closes both streams. The first reason counts.
func (p *pair) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return
	}
	p.err = err
	close(p.failed)
	p.control.close()
	if p.data != nil {
		p.data.close()
	}
	p.controlQueue.close()
	p.dataQueue.close()
}

// reason is why the pair failed.
func (p *pair) reason() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// serve carries a pair from PeerUp to PeerDown. It waits for the pair before
// it to end first.
func (l *Link) serve(n *pair) {
	p := n.peer
	p.turn.Lock()
	defer p.turn.Unlock()
	if n.reason() != nil {
		return
	}
	p.up.Store(n)
	l.reports.forget(p.key())
	l.logState(p, Configured, Established, nil)
	l.handler.PeerUp(p.id, n.boot)
	var wg sync.WaitGroup
	for name, loop := range map[string]func() error{
		"control stream": func() error { return readControl(n.control.reader(), p.id, l.handler) },
		"data stream":    func() error { return readData(n.data.reader(), p.id, l.handler) },
		"control queue":  func() error { return n.control.writeLoop(n.controlQueue) },
		"data queue":     func() error { return n.data.writeLoop(n.dataQueue) },
	} {
		wg.Go(func() { n.fail(fmt.Errorf("%s: %w", name, loop())) })
	}
	wg.Wait()
	p.up.Store(nil)
	l.logState(p, Established, Configured, n.reason())
	l.handler.PeerDown(p.id, n.reason())
}
