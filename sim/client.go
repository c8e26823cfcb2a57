package sim

import (
	"slices"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// client is an initiator with a path to every controller. It does one thing
// after the other. Of each block and each registration there is one client that
// writes it, so that a command that is sent again, and so may be done twice,
// does nothing that the first time did not; everybody reads everything.
type client struct {
	w        *World
	id       int
	sessions [ha.MaxNodes + 1]*session
	at       int  // the controller it prefers
	spreads  bool // it uses all paths alike
	op       *operation
	attempts uint64      // the newest one counts
	final    []operation // what is left to do when all is repaired
	quota    int         // and how much more after that
	done     bool
}

// session is an I_T nexus.
type session struct {
	client *client
	c      *controller
	life   uint64 // of the controller's process
	open   bool   // as the controller sees it
	alive  bool   // as the client sees it
	cmd    *command
}

// operation is what a client wants done, from its first command to the answer.
type operation struct {
	client int
	kind   kind
	unit   int
	block  int
	value  uint32 // written, or read
	least  uint32 // was there before the first command
	call   int64
	end    int64 // 0 while it has not ended
}

func newClient(w *World, id int) *client {
	return &client{w: w, id: id, at: 1 + w.rnd.IntN(w.plan.nodes), spreads: w.chance(0.4)}
}

// next does the next thing.
func (c *client) next() {
	w := c.w
	op, ok := c.choose()
	if !ok {
		c.done = true
		return
	}
	w.counts.Operations++
	op.client = c.id
	c.op = w.oracle.began(op)
	c.attempt()
}

// choose picks what to do: when all is repaired, to write what it may and then
// to read everything.
func (c *client) choose() (operation, bool) {
	w := c.w
	if !w.healed {
		return c.any(), true
	}
	if c.final == nil {
		c.final = c.lastOnes()
	}
	switch {
	case len(c.final) > 0:
		op := c.final[0]
		c.final = c.final[1:]
		return op, true
	case c.quota > 0:
		c.quota--
		return c.any(), true
	}
	return operation{}, false
}

// any is something to do.
func (c *client) any() operation {
	w := c.w
	op := operation{unit: w.rnd.IntN(w.plan.units)}
	switch n := w.rnd.IntN(100); {
	case n == 0 && w.plan.moves:
		op.kind, op.block = kindMove, 1+w.rnd.IntN(w.plan.nodes)
	case n < w.plan.registers/2:
		op.kind, op.block = kindRegister, c.id
	case n < w.plan.registers:
		op.kind, op.block = kindKeys, w.rnd.IntN(w.plan.clients)
	case n%2 == 0:
		op.kind, op.block = kindWrite, c.own()
	default:
		op.kind, op.block = kindRead, w.rnd.IntN(w.plan.blocks)
	}
	if op.kind == kindWrite && op.block < 0 {
		op.kind, op.block = kindRead, w.rnd.IntN(w.plan.blocks)
	}
	c.fill(&op)
	return op
}

// own is a block this client writes; -1 when it has none.
func (c *client) own() int {
	var mine []int
	for b := range c.w.plan.blocks {
		if b%c.w.plan.clients == c.id {
			mine = append(mine, b)
		}
	}
	if len(mine) == 0 {
		return -1
	}
	return mine[c.w.rnd.IntN(len(mine))]
}

func (c *client) fill(op *operation) {
	if op.kind == kindWrite || op.kind == kindRegister {
		c.w.values++
		op.value = c.w.values
	}
}

// lastOnes is one write and one registration, and a read of everything.
func (c *client) lastOnes() []operation {
	var ops []operation
	for u := range c.w.plan.units {
		if b := c.own(); b >= 0 {
			ops = append(ops, operation{kind: kindWrite, unit: u, block: b})
		}
		ops = append(ops, operation{kind: kindRegister, unit: u, block: c.id})
		for b := range c.w.plan.blocks {
			ops = append(ops, operation{kind: kindRead, unit: u, block: b})
		}
		for b := range c.w.plan.clients {
			ops = append(ops, operation{kind: kindKeys, unit: u, block: b})
		}
	}
	for i := range ops {
		c.fill(&ops[i])
	}
	return ops
}

// attempt sends the command once.
func (c *client) attempt() {
	w := c.w
	c.attempts++
	n := c.attempts
	at := c.at
	if c.spreads && w.chance(0.5) {
		at = 1 + w.rnd.IntN(w.plan.nodes)
	}
	target := w.controllers[at]
	again := func(d time.Duration) {
		w.after(d, func() {
			if c.attempts == n {
				c.attempt()
			}
		})
	}
	if s := c.sessions[at]; s != nil && s.alive {
		c.send(s)
		return
	}
	// Log in first.
	switch {
	case c.cut(target) || target.dark:
		c.turn()
		again(w.between(100*ms, 400*ms))
	case target.life == 0: // refused
		c.turn()
		again(w.between(ms, 20*ms))
	default:
		w.after(3*w.net.delay(), func() {
			if c.attempts != n {
				return
			}
			if target.life == 0 || target.paused || c.cut(target) {
				c.turn()
				again(w.between(20*ms, 200*ms))
				return
			}
			s := &session{client: c, c: target, life: target.life, open: true, alive: true}
			c.sessions[at] = s
			target.sessions = append(target.sessions, s)
			c.send(s)
		})
	}
}

// turn prefers the next controller from now on.
func (c *client) turn() { c.at = c.at%c.w.plan.nodes + 1 }

func (c *client) cut(to *controller) bool { return c.w.net.clientCuts[c.id][to.id] > 0 }

// send sends the command over a session. When nothing is heard for long the
// session is given up, and with it whatever of the command is still here.
func (c *client) send(s *session) {
	w, op := c.w, c.op
	w.counts.Attempts++
	cmd := &command{session: s, kind: op.kind, unit: op.unit, block: op.block, value: op.value}
	s.cmd = cmd
	if w.telling() {
		w.tell(0, "client %d sends %d: %v", c.id, s.c.id, cmd)
	}
	if !c.cut(s.c) {
		w.after(c.delay(), func() {
			if !s.open || s.c.life != s.life {
				s.lostServer(!s.c.dark) // nobody knows the connection
				return
			}
			s.c.do(func() {
				if s.open {
					s.c.units[cmd.unit].submit(cmd)
				}
			})
		})
	}
	patience := w.plan.patience
	if mutantImpatientClient {
		patience = lease + lease/2
	}
	w.after(patience, func() {
		if s.alive && s.cmd == cmd {
			if w.telling() {
				w.tell(0, "client %d gives up its session with %d", c.id, s.c.id)
			}
			s.giveUp()
		}
	})
}

// delay is how long a packet is on its way between a client and a controller.
func (c *client) delay() time.Duration {
	d := c.w.net.delay()
	if c.w.chance(0.02) {
		d += c.w.between(0, slowestPath-2*ms)
	}
	return d
}

// giveUp closes the session from the client's side. A controller that cannot be
// told finds out when it next pings.
func (s *session) giveUp() {
	s.alive = false
	w := s.client.w
	d := s.client.delay()
	if s.client.cut(s.c) {
		d = w.between(time.Second, 5*time.Second)
	}
	w.after(d, func() {
		if s.c.life != s.life {
			return
		}
		s.c.do(func() {
			if s.open {
				s.c.sessions = slices.DeleteFunc(s.c.sessions, func(o *session) bool { return o == s })
				s.closedHere()
			}
		})
	})
	s.retry()
}

// retry sends the command that was under way here again, elsewhere.
func (s *session) retry() {
	if s.cmd == nil {
		return
	}
	s.cmd = nil
	s.client.turn()
	s.client.attempt()
}

// lostServer is the end of the session at the controller. The client is told by
// a reset when there is somebody to send one; else it finds out by itself.
func (s *session) lostServer(reset bool) {
	s.open = false
	if !reset || s.client.cut(s.c) {
		return
	}
	s.client.w.after(s.client.delay(), func() {
		if s.alive {
			s.alive = false
			s.retry()
		}
	})
}

// answer sends the status of a command to the client.
func (s *session) answer(cmd *command, r result) {
	if !s.open || r.status == statusAborted {
		return
	}
	c := s.client
	w := c.w
	if r.status == statusHardError {
		w.violated("S7", "controller %d answers a %v of client %d with a hard error", s.c.id, cmd.kind, c.id)
	}
	if c.cut(s.c) {
		return
	}
	w.after(c.delay(), func() {
		if !s.alive || s.cmd != cmd {
			return
		}
		s.cmd = nil
		if w.telling() {
			w.tell(0, "client %d hears from %d: %v %d", c.id, s.c.id, r.status, r.value)
		}
		if r.status == statusGood || r.status == statusMoveFailed {
			w.oracle.ended(c.op, r.value)
			w.after(w.between(ms, w.plan.think), c.next)
			return
		}
		if w.chance(0.7) {
			c.turn()
		}
		n := c.attempts
		w.after(w.between(2*ms, 60*ms), func() {
			if c.attempts == n {
				c.attempt()
			}
		})
	})
}
