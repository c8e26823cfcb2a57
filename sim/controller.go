package sim

import (
	"time"

	"github.com/tandem-san/tandem/ha"
)

// controller is a machine and, while life is not 0, the process on it: a real
// core, and around it what ha/node does.
type controller struct {
	w    *World
	id   ha.NodeID
	rate rate
	life uint64 // 0: no process
	dark bool   // the machine is off: packets are not even refused

	paused bool
	missed []func()

	core     *ha.Core
	stepping bool
	inbox    []ha.Event
	stuckTil time.Duration // the loop does not run before it
	units    [maxUnits]*unit
	peers    [ha.MaxNodes + 1]peer
	holder   holder
	tickets  []*ticket            // that peers may be using
	moving   [ha.MaxNodes + 1]int // how much is moved here for a primary
	earlier  [ha.MaxNodes + 1]int // and how much of that over earlier streams
	sessions []*session
	shown    ha.Instant // when the loop ran last
	asleep   bool       // the loop noticed that it had not run for long
	leaving  bool
	restarts bool // a restart is on its way
}

// peer is another controller as this process knows it.
type peer struct {
	linked bool
	// shown and taken: it has shown all its states, and has taken all of ours.
	shown, taken bool
	owed         bool // it was not told yet that all states are shown
	requests     []*request
	settled      []func() // told when nothing of earlier streams is moved here
}

func newController(w *World, id ha.NodeID) *controller {
	c := &controller{w: w, id: id, rate: w.plan.rates[id]}
	for i := range w.plan.units {
		c.units[i] = &unit{c: c, index: i, name: w.names[i]}
	}
	return c
}

// clock is what this machine's clock shows.
func (c *controller) clock() ha.Instant { return c.rate.local(c.w.now) }

// do has something happen in the process now: at once, or when it goes on.
func (c *controller) do(run func()) {
	switch {
	case c.life == 0:
	case c.paused:
		c.missed = append(c.missed, run)
	default:
		run()
	}
}

// after has something happen in this life of the process.
func (c *controller) after(d time.Duration, run func()) {
	c.w.queue.push(event{at: c.w.now + d, who: c, life: c.life, run: run})
}

// timer is after, by the machine's own clock.
func (c *controller) timer(d time.Duration, run func()) { c.after(c.rate.real(d), run) }

// soon has a goroutine of the process do something.
func (c *controller) soon(run func()) { c.late(30*ms, run) }

// late is soon for one that may be very late, because it waits for others.
func (c *controller) late(most time.Duration, run func()) {
	d := c.w.between(0, 60*us)
	if c.w.chance(c.w.plan.sluggish) {
		d = c.w.between(ms, most)
	}
	c.after(d, run)
}

// start begins a new life, unless writes of the last one are still with the
// kernel: then the process that made them is not quite gone.
func (c *controller) start() {
	if c.life != 0 || c.w.buried == c {
		return
	}
	if c.w.disk.pendingOf(c) && !mutantRestartUnawaited {
		c.w.after(20*ms, c.start)
		return
	}
	w := c.w
	w.lives++
	c.life, c.dark, c.restarts = w.lives, false, false
	c.paused, c.missed, c.inbox, c.stepping, c.stuckTil = false, nil, nil, false, 0
	c.leaving, c.asleep, c.sessions, c.holder = false, false, nil, holder{c: c}
	c.peers, c.tickets = [ha.MaxNodes + 1]peer{}, nil
	c.moving, c.earlier = [ha.MaxNodes + 1]int{}, [ha.MaxNodes + 1]int{}
	c.shown = c.clock()
	cfg := ha.Config{
		Self: c.id, Boot: c.life, Heartbeat: heartbeat, Lease: lease,
		StartGrace: w.plan.startGrace, Stall: w.plan.stall,
	}
	for _, o := range w.controllers[1:] {
		if o != c {
			cfg.Peers = append(cfg.Peers, o.id)
		}
	}
	for i := range w.plan.units {
		stored := c.units[i].replica // on stable storage
		if mutantStateNotStored {
			stored = replica{}
		}
		c.units[i] = &unit{c: c, index: i, name: w.names[i], replica: replica{at: stored.at, state: stored.state}}
		cfg.Units = append(cfg.Units, ha.UnitConfig{
			Name: w.names[i], Home: c.id == w.plan.home[i], Automatic: w.plan.fence != fenceNone,
			SecondaryWrites: w.plan.mode == modeTickets, Failback: w.plan.failback,
		})
	}
	core, err := ha.New(cfg, c.clock())
	if err != nil {
		panic("sim: " + err.Error())
	}
	c.core = core
	w.strikes(c.id, "starts, life %d", c.life)
	c.post(ha.Tick{})
	c.timer(w.between(0, w.plan.tick), c.tick)
	w.arbiter.watchers[c.id].renew(c)
	w.net.processBegan(c)
}

// crash ends the process. What it gave to the kernel goes on. With dark the
// whole machine is gone, and with it that.
func (c *controller) crash(dark bool, why string) {
	c.dark = c.dark || dark
	if c.life == 0 {
		return
	}
	w := c.w
	w.strikes(c.id, "crashes: %s", why)
	w.counts.Crashes++
	for _, u := range c.units[:w.plan.units] {
		u.right = 0
	}
	w.net.processEnded(c, !dark)
	for _, s := range c.sessions {
		s.lostServer(!dark)
	}
	c.life, c.sessions, c.paused, c.missed = 0, nil, false, nil
	if dark {
		w.disk.powerLost(c)
	}
}

// restart has the process started again after a while.
func (c *controller) restart(d time.Duration) {
	if c.restarts {
		return
	}
	c.restarts = true
	c.w.after(d, c.start)
}

// pause stops the process as SIGSTOP does; its kernel goes on.
func (c *controller) pause(d time.Duration) {
	if c.life == 0 || c.paused {
		return
	}
	c.w.strikes(c.id, "is paused for %v", d)
	c.w.counts.Pauses++
	c.paused = true
	life := c.life
	c.w.after(d, func() {
		if c.life == life {
			c.resume()
		}
	})
}

func (c *controller) resume() {
	if !c.paused {
		return
	}
	c.w.strikes(c.id, "goes on")
	c.paused = false
	missed := c.missed
	c.missed = nil
	for i, run := range missed {
		if c.life == 0 {
			return
		}
		if c.paused {
			c.missed = append(c.missed, missed[i:]...)
			return
		}
		run()
	}
}

// tick is what the loop does from time to time.
func (c *controller) tick() {
	c.timer(c.w.plan.tick, c.tick)
	c.w.counts.Steps++
	if c.w.now < c.stuckTil {
		return
	}
	c.post(ha.Tick{})
	c.keepVigil()
	if c.asleep {
		return
	}
	for _, u := range c.units[:c.w.plan.units] {
		u.sweep()
	}
	c.w.oracle.waits(c)
}

// post hands an event to the loop.
func (c *controller) post(e ha.Event) {
	c.inbox = append(c.inbox, e)
	if c.w.now < c.stuckTil {
		if len(c.inbox) == 1 {
			c.after(c.stuckTil-c.w.now, c.pump)
		}
		return
	}
	c.pump()
}

// pump feeds the core everything that came, one after the other.
func (c *controller) pump() {
	if c.stepping || c.life == 0 {
		return
	}
	c.stepping = true
	life := c.life
	for len(c.inbox) > 0 && c.life == life {
		e := c.inbox[0]
		c.inbox = c.inbox[1:]
		c.step(e)
	}
	if c.life == life {
		c.stepping = false
		c.inbox = nil
	}
}

// step feeds one event to the core and carries out what it decides.
func (c *controller) step(e ha.Event) {
	actions := c.core.Step(c.clock(), e)
	c.noticeGrants()
	for _, a := range actions {
		c.carryOut(a)
	}
}

// noticeGrants looks at the grants that the core has learned.
func (c *controller) noticeGrants() {
	for _, u := range c.units[:c.w.plan.units] {
		epoch := c.core.Epoch(u.name)
		if epoch == u.epoch {
			continue
		}
		if epoch < u.epoch {
			c.w.violated("S6", "controller %d went from epoch %d to %d of %s", c.id, u.epoch, epoch, u.name)
			return
		}
		u.epoch = epoch
		u.primary = c.core.Status()[u.index].Grant.Primary
	}
}

func (c *controller) carryOut(a ha.Action) {
	w := c.w
	switch a := a.(type) {
	case ha.Send:
		c.sendCore(a)
	case ha.AskChange:
		w.nemesis.moment(c)
		w.arbiter.change(c, a)
	case ha.Settle:
		w.arbiter.settle(c)
	case ha.Hold:
		if !a.On {
			w.nemesis.moment(c)
		}
		c.holder.ask(a)
	case ha.Fence:
		w.nemesis.moment(c)
		c.units[w.unitOf(a.LUN)].admission.forbid(a.Epoch)
		if a.Kept {
			c.spares(a, func(spared bool) {
				if spared {
					w.counts.Spared++
					w.tell(c.id, "%s: controller %d writes nothing and needs no fence", a.LUN, a.Node)
					c.post(ha.Fenced{LUN: a.LUN, Epoch: a.Epoch, OK: true})
					return
				}
				c.fence(a)
			})
			return
		}
		c.fence(a)
	case ha.Lapse:
		c.lapse(a)
	case ha.Drain:
		w.nemesis.moment(c)
		c.units[w.unitOf(a.LUN)].drain(a)
	case ha.Right:
		u := c.units[w.unitOf(a.LUN)]
		u.right = a.Until
		w.oracle.rightGiven(u)
	case ha.Route:
		if w.telling() {
			w.tell(c.id, "%s: %v", a.LUN, a)
		}
		u := c.units[w.unitOf(a.LUN)]
		u.admission.routed(c.core.Grant(a.LUN), a)
		u.route(a)
	case ha.Disconnect:
		w.tell(c.id, "%s: no service for too long, closing the sessions", a.LUN)
		w.counts.Disconnects++
		c.closeSessions()
	case ha.Note:
		if w.telling() {
			w.tell(c.id, "%s: %s", a.LUN, a.Text)
		}
	}
}

// sendCore sends a message of the core.
func (c *controller) sendCore(a ha.Send) {
	e := c.w.net.ends[c.id][a.To]
	from, message, to := c.id, a.Message, e.peer
	receive := func() { to.post(ha.Received{From: from, Message: message}) }
	if a.Message.Kind == ha.MessageRelease {
		c.w.nemesis.moment(c)
		c.w.nemesis.moment(to)
	}
	if c.w.plan.datagrams {
		if e.pair != 0 {
			e.datagram(receive)
		}
		return
	}
	e.send(controlStream, receive)
}
