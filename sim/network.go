package sim

import (
	"slices"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// The two streams between a pair of controllers.
const (
	controlStream = iota
	dataStream
	streams
)

// network is everything packets travel through.
type network struct {
	w    *World
	ends [ha.MaxNodes + 1][ha.MaxNodes + 1]*end // [self][peer]
	// How many faults cut the way between a client or the arbiter and a
	// controller.
	clientCuts  [maxClients][ha.MaxNodes + 1]int
	arbiterCuts [ha.MaxNodes + 1]int
	arbiterDeaf [ha.MaxNodes + 1]int           // only what comes from the arbiter is lost
	arbiterLag  [ha.MaxNodes + 1]time.Duration // or comes that much later
	// How much longer what a controller asks the arbiter for takes to get there.
	changeLag, settleLag [ha.MaxNodes + 1]time.Duration
}

// end is one controller's end of the link to a peer, and the way out of it.
// What is sent arrives in order within a stream, or the streams break: each end
// learns of that by itself, perhaps long after the other.
type end struct {
	net        *network
	self, peer *controller
	pair       uint64 // of streams; 0 while there is none
	cuts       int    // how many faults cut the way from self to peer
	stalls     [streams]int
	free       [streams]time.Duration // what is sent now arrives no earlier
	stuck      []frame                // waits for the way to be whole
	since      [streams]time.Duration // that something is stuck
	backoff    time.Duration
}

// frame is a message in a stream.
type frame struct {
	pair    uint64
	life    uint64 // of the sender
	stream  int
	sent    time.Duration
	late    bool // was sent again by TCP, so that it dies with its sender
	deliver func()
}

func (n *network) init(w *World) {
	n.w = w
	for a := 1; a <= w.plan.nodes; a++ {
		for b := 1; b <= w.plan.nodes; b++ {
			if a != b {
				n.ends[a][b] = &end{net: n, self: w.controllers[a], peer: w.controllers[b]}
			}
		}
	}
}

func (e *end) other() *end { return e.net.ends[e.peer.id][e.self.id] }

func (e *end) blocked(stream int) bool { return e.cuts > 0 || e.stalls[stream] > 0 }

// delay is how long a packet takes.
func (n *network) delay() time.Duration {
	d := n.w.plan.latency
	return d + time.Duration(n.w.rnd.Int64N(int64(d)))
}

// send puts a message into a stream; deliver happens in the peer's process. It
// reports false when there is no stream.
func (e *end) send(stream int, deliver func()) bool {
	if e.pair == 0 {
		return false
	}
	f := frame{pair: e.pair, life: e.self.life, stream: stream, sent: e.net.w.now, deliver: deliver}
	if e.blocked(stream) || e.stuckIn(stream) {
		e.keep(f)
		return true
	}
	d := e.net.delay()
	if e.net.w.chance(e.net.w.plan.retransmits) || stream == dataStream && e.net.w.chance(e.net.w.plan.lateData) {
		d += e.net.w.between(20*ms, slowestLink)
		f.late = true
	}
	e.ship(f, d)
	return true
}

// ship has a frame arrive after the frames before it.
func (e *end) ship(f frame, d time.Duration) {
	w := e.net.w
	at := max(w.now+d, e.free[f.stream])
	e.free[f.stream] = at
	f.late = f.late || at-f.sent > 5*ms
	w.at(at, func() { e.arrive(f) })
}

// arrive hands a frame over to the peer, when the streams it was sent in are
// still there.
func (e *end) arrive(f frame) {
	if e.blocked(f.stream) && e.net.w.now-f.sent > 5*ms {
		e.keep(f) // it was under way when the way was cut
		return
	}
	if f.late && (f.life != e.self.life || f.pair != e.pair) {
		return // who would send it again has thrown it away
	}
	p := e.peer
	p.do(func() {
		if e.other().pair == f.pair {
			f.deliver()
		}
	})
}

// keep holds a frame until the way is whole, or TCP gives up.
func (e *end) keep(f frame) {
	if !e.stuckIn(f.stream) {
		since := e.net.w.now
		e.since[f.stream] = since
		e.self.after(e.net.w.plan.linkGivesUp, func() {
			if e.pair == f.pair && e.since[f.stream] == since && e.stuckIn(f.stream) {
				e.breakDown("what was sent is not acknowledged")
			}
		})
	}
	e.stuck = append(e.stuck, f)
}

func (e *end) stuckIn(stream int) bool {
	return slices.ContainsFunc(e.stuck, func(f frame) bool { return f.stream == stream })
}

// flow sends what was stuck when the way is whole again: TCP tries only from
// time to time.
func (e *end) flow() {
	var free []frame
	e.stuck = slices.DeleteFunc(e.stuck, func(f frame) bool {
		if e.blocked(f.stream) {
			return false
		}
		free = append(free, f)
		return true
	})
	var wait [streams]time.Duration
	for s := range wait {
		wait[s] = e.net.w.between(0, min(e.net.w.now-e.since[s], slowestLink))
	}
	for _, f := range free {
		f.late = true
		e.ship(f, e.net.delay()+wait[f.stream])
	}
}

// breakDown ends the streams at this end and lets the other know, when it can
// be told.
func (e *end) breakDown(why string) {
	pair := e.pair
	if pair == 0 {
		return
	}
	e.down(pair, why)
	e.tellOther(pair)
}

// tellOther has the other end learn that the streams are gone: at once by a
// reset, or after a while by itself.
func (e *end) tellOther(pair uint64) {
	o := e.other()
	d := e.net.delay()
	if e.cuts > 0 {
		d = e.net.w.plan.linkGivesUp + e.net.w.between(0, 500*ms)
	}
	o.self.after(d, func() { o.down(pair, "the peer closed it") })
}

// down is the end of a pair of streams as its process learns it.
func (e *end) down(pair uint64, why string) {
	if e.pair != pair {
		return
	}
	e.pair = 0
	e.stuck = nil
	e.net.w.tell(e.self.id, "link to %d is down: %s", e.peer.id, why)
	e.self.linkDown(e.peer)
	if e.self.id > e.peer.id {
		e.backoff = 20 * ms
		e.redial()
	}
}

// redial sets the streams up again, as the controller with the higher id does.
func (e *end) redial() {
	w := e.net.w
	e.self.after(e.backoff+w.between(0, 30*ms), func() {
		e.backoff = min(2*e.backoff, 500*ms)
		if e.pair != 0 {
			return
		}
		o := e.other()
		if e.cuts > 0 || o.cuts > 0 || o.self.life == 0 || o.self.paused {
			e.redial()
			return
		}
		peerLife := o.self.life
		e.self.after(6*e.net.delay(), func() { e.establish(peerLife) })
	})
}

// establish is the end of the greeting: both ends have new streams.
func (e *end) establish(peerLife uint64) {
	o := e.other()
	if e.pair != 0 {
		return
	}
	if e.cuts > 0 || o.cuts > 0 || o.self.life != peerLife || o.self.paused {
		e.redial()
		return
	}
	if o.pair != 0 {
		o.down(o.pair, "the peer opened new streams")
	}
	pair := e.net.w.next()
	for _, x := range [2]*end{o, e} {
		x.pair, x.stuck, x.free = pair, nil, [streams]time.Duration{}
		e.net.w.tell(x.self.id, "link to %d is up", x.peer.id)
	}
	o.self.linkUp(e.self)
	e.self.linkUp(o.self)
}

// processEnded closes the streams of a process that is gone. Without a reset,
// because the machine is gone too, the peers have to find out.
func (n *network) processEnded(c *controller, reset bool) {
	for id := 1; id <= n.w.plan.nodes; id++ {
		e := n.ends[c.id][id]
		if e == nil || e.pair == 0 {
			continue
		}
		pair := e.pair
		e.pair, e.stuck = 0, nil
		if reset {
			e.tellOther(pair)
			continue
		}
		o := e.other()
		o.self.after(n.w.plan.linkGivesUp+n.w.between(0, 500*ms), func() { o.down(pair, "the peer is silent") })
	}
}

// processBegan dials the peers that it has to. A peer that still believes in the
// streams of an earlier life learns better as soon as TCP sends something.
func (n *network) processBegan(c *controller) {
	for _, o := range n.w.controllers[1:] {
		if o == c {
			continue
		}
		if o.id < c.id {
			e := n.ends[c.id][o.id]
			e.backoff = 20 * ms
			e.redial()
		}
		e := n.ends[o.id][c.id]
		e.backoff = 20 * ms
		if pair := e.pair; pair != 0 {
			o.after(n.w.between(ms, 500*ms), func() {
				if e.cuts == 0 {
					e.down(pair, "the peer does not know it")
				}
			})
		}
	}
}

// datagram carries a message outside of the streams' promises: late, never or
// twice, to whatever life of the peer there is by then. It never overtakes the
// stream it was put into.
func (e *end) datagram(deliver func()) {
	w := e.net.w
	copies := 1
	switch {
	case w.chance(w.plan.loss):
		copies = 0
	case w.chance(0.03):
		copies = 2
	}
	for range copies {
		at := max(w.now+e.net.delay(), e.free[controlStream])
		if w.chance(w.plan.late) {
			at += w.between(0, 900*ms)
		}
		w.at(at, func() {
			if e.cuts == 0 && e.stalls[controlStream] == 0 {
				e.peer.do(deliver)
			}
		})
	}
}
