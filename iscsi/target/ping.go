package target

import (
	"time"

	"github.com/tandem-san/tandem/iscsi"
)

// A session is looked at ticksPerTimeout times in a ping timeout: after
// pingAfter of them without a PDU it is pinged, after all of them dropped.
const (
	ticksPerTimeout = 5
	pingAfter       = 2
)

// pingTag is the target transfer tag of a ping, and a bit no R2T has.
const pingTag uint32 = 1 << 31

// quiet is what the ticker knows of a connection.
type quiet struct {
	next  time.Time // when it is looked at again
	ticks int       // without a PDU
}

// shortestTick is how often connections are looked at when ping timeouts are
// very short.
const (
	shortestTick = 10 * time.Millisecond
	longestTick  = time.Second
)

// tick is the ticker goroutine: it looks at every session until the server
// stops.
func (s *Server) tick() {
	timer := time.NewTimer(shortestTick)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-timer.C:
			timer.Reset(s.lookAtSessions(now))
		}
	}
}

// lookAtSessions pings or drops what has been quiet, and returns when to look
// again.
func (s *Server) lookAtSessions(now time.Time) time.Duration {
	again := longestTick
	if g := s.shortestPing(); g > 0 {
		again = min(again, g/ticksPerTimeout)
	}
	for _, ses := range s.live() {
		for _, c := range ses.members.all() {
			if timeout := c.portal.group.Load().PingTimeout; timeout > 0 {
				c.lookQuiet(now, timeout/ticksPerTimeout)
			}
		}
	}
	return max(again, shortestTick)
}

// shortestPing is the shortest ping timeout of the configuration; 0 when there
// is none.
func (s *Server) shortestPing() (shortest time.Duration) {
	for _, g := range s.config.Load().groups {
		if g.PingTimeout > 0 && (shortest == 0 || g.PingTimeout < shortest) {
			shortest = g.PingTimeout
		}
	}
	return shortest
}

// lookQuiet is one tick of one connection.
func (c *connection) lookQuiet(now time.Time, tick time.Duration) {
	if now.Before(c.quiet.next) {
		return
	}
	c.quiet.next = now.Add(tick - tick/ticksPerTimeout)
	if c.alive.Swap(false) {
		c.quiet.ticks = 0
		return
	}
	c.quiet.ticks++
	switch {
	case c.quiet.ticks >= ticksPerTimeout:
		c.close(errPingTimeout)
	case c.quiet.ticks == pingAfter:
		c.ping()
	}
}

// ping sends a NOP-In that wants an answer (RFC 7143 §11.19). It returns the
// number of the ping.
func (c *connection) ping() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pings++
	o := c.newPDU()
	iscsi.NOPIn{InitiatorTaskTag: iscsi.NoTag, TargetTransferTag: pingTag | c.pings&^(3<<30)}.Encode(o.Header())
	c.send(o)
	c.toWriter.Signal()
	return c.pings
}
