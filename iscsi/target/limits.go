package target

import (
	"container/list"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/tandem-san/tandem/iscsi"
)

// Limits bound what clients can make the target use. A zero field takes its
// default.
type Limits struct {
	// ConnectionsPerPortal and ConnectionsPerAddress bound the connections to
	// one portal and from one initiator address, those that log in still
	// included: when one arrives above the limit, the oldest that has not
	// logged in makes room. Defaults 16384 and 8192.
	ConnectionsPerPortal  int
	ConnectionsPerAddress int
	// SessionsPerPortal and SessionsPerAddress bound the sessions. Logins
	// above are refused with "out of resources". Defaults 4096 and 1024.
	SessionsPerPortal  int
	SessionsPerAddress int
	// LoginTime bounds a login from accept to full feature phase; default 15 s.
	// NoLoginTime is no bound.
	LoginTime time.Duration
	// LoginsPerSecond bounds how many logins begin in a second, over all
	// portals; those above are refused with "service unavailable". Default
	// 2000.
	LoginsPerSecond int
	// WrongCHAP bounds how many CHAP responses in a row may be wrong from one
	// initiator address, of IPv6 from one subnet; one is forgiven each second.
	// Logins with CHAP from there are refused above it with "service
	// unavailable". Default 32.
	WrongCHAP int
	// LoginPDU is the longest data segment before full feature phase, in
	// bytes; default 8192, the least the RFC allows.
	LoginPDU int
	// Text bounds the text of one login stage or one text exchange, in bytes
	// over all its PDUs; default 16 KiB. Keys bounds the keys in it; default
	// 64. Exchanges bounds the PDUs of a login; default 64.
	Text      int
	Keys      int
	Exchanges int
	// Commands is the command window of a session: how many commands it may
	// have outstanding, 1 to 4096; default 128. As many immediate ones come on
	// top.
	Commands int
	// Functions bounds the task management functions a session may have
	// outstanding; default 16.
	Functions int
	// DataOutPerCommand is the most a single command may write, in bytes;
	// default 32 MiB.
	DataOutPerCommand int
	// DataOutPerSession bounds the data-out buffers of one session, in equal
	// parts for the connections it may have, in bytes;
	// default 64 MiB. A command above ends with TASK SET FULL.
	DataOutPerSession int
	// LUNsPerTarget bounds a LUN map; default 1024.
	LUNsPerTarget int
	// ReadBuffer is the size of a session's read buffer, in bytes; default
	// 64 KiB.
	ReadBuffer int
}

// NoLoginTime lets a login take for ever. Its connection still makes room for
// others when there are too many.
const NoLoginTime time.Duration = math.MaxInt64

func (l Limits) withDefaults() (Limits, error) {
	for _, d := range []struct {
		name     string
		value    *int
		initial  int
		min, max int
	}{
		{"ConnectionsPerPortal", &l.ConnectionsPerPortal, 16384, 1, 1 << 20},
		{"ConnectionsPerAddress", &l.ConnectionsPerAddress, 8192, 1, 1 << 20},
		{"SessionsPerPortal", &l.SessionsPerPortal, 4096, 1, 65535},
		{"SessionsPerAddress", &l.SessionsPerAddress, 1024, 1, 65535},
		{"LoginsPerSecond", &l.LoginsPerSecond, 2000, 1, 1 << 20},
		{"WrongCHAP", &l.WrongCHAP, 32, 1, 1 << 20},
		{"LoginPDU", &l.LoginPDU, 8192, 8192, 1 << 20},
		{"Text", &l.Text, 16 << 10, 8192, 1 << 20},
		{"Keys", &l.Keys, 64, 16, 1024},
		{"Exchanges", &l.Exchanges, 64, 4, 1024},
		{"Commands", &l.Commands, 128, 1, 4096},
		{"Functions", &l.Functions, 16, 1, 1024},
		{"DataOutPerCommand", &l.DataOutPerCommand, 32 << 20, 64 << 10, 1 << 30},
		{"DataOutPerSession", &l.DataOutPerSession, 64 << 20, 64 << 10, 1 << 40},
		{"LUNsPerTarget", &l.LUNsPerTarget, 1024, 1, 1 << 14},
		{"ReadBuffer", &l.ReadBuffer, 64 << 10, 4 << 10, 16 << 20},
	} {
		if *d.value == 0 {
			*d.value = d.initial
		}
		if *d.value < d.min || *d.value > d.max {
			return l, fmt.Errorf("limit %s is %d, want %d to %d", d.name, *d.value, d.min, d.max)
		}
	}
	if l.LoginTime == 0 {
		l.LoginTime = 15 * time.Second
	}
	if l.LoginTime < 0 {
		return l, fmt.Errorf("limit LoginTime is %v, want more than 0", l.LoginTime)
	}
	return l, nil
}

func (l *Limits) text() iscsi.TextLimits {
	return iscsi.TextLimits{Pairs: l.Keys, Value: iscsi.DefaultTextLimits.Value}
}

// usage is what one portal or one initiator address uses. The server's lock
// guards it.
type usage struct {
	connections int
	sessions    int
	waiting     list.List // *connection that have not logged in, oldest first
}

// full tells whether another connection is above the limit, and which one
// makes room for it.
func (u *usage) full(limit int) (bool, *connection) {
	if u.connections < limit {
		return false, nil
	}
	if e := u.waiting.Front(); e != nil {
		return true, e.Value.(*connection)
	}
	return true, nil
}

// place is where a connection is counted.
type place struct {
	usage   *usage
	element *list.Element // in usage.waiting
}

// admit counts a new connection. It reports false when there is no room; the
// connection that has to make room, if any, is closed.
func (s *Server) admit(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	address := s.addresses[c.remote.Addr()]
	if address == nil {
		address = new(usage)
		s.addresses[c.remote.Addr()] = address
	}
	for _, u := range []struct {
		*usage
		limit int
	}{{&c.portal.usage, s.limits.ConnectionsPerPortal}, {address, s.limits.ConnectionsPerAddress}} {
		full, oldest := u.full(u.limit)
		if full && oldest == nil {
			return false
		}
		if full {
			s.forgetWaiting(oldest)
			s.uncount(oldest)
			oldest.close(errCrowdedOut)
		}
	}
	for i, u := range []*usage{&c.portal.usage, address} {
		u.connections++
		c.places[i] = place{u, u.waiting.PushBack(c)}
	}
	c.counted = true
	s.connections[c] = struct{}{}
	return true
}

// forgetWaiting takes c off the lists of those that log in.
func (s *Server) forgetWaiting(c *connection) {
	for i := range c.places {
		if p := &c.places[i]; p.element != nil {
			p.usage.waiting.Remove(p.element)
			p.element = nil
		}
	}
}

// uncount takes c out of the usage, once.
func (s *Server) uncount(c *connection) {
	if !c.counted {
		return
	}
	c.counted = false
	for i := range c.places {
		c.places[i].usage.connections--
	}
	s.forgetAddress(c)
}

// forgetAddress drops the usage of the address of c when there is none.
func (s *Server) forgetAddress(c *connection) {
	address := c.places[1].usage
	if address.connections == 0 && address.sessions == 0 && s.addresses[c.remote.Addr()] == address {
		delete(s.addresses, c.remote.Addr())
	}
}

// release takes a connection that has ended out of all counts.
func (s *Server) release(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetWaiting(c)
	s.uncount(c)
	delete(s.connections, c)
}

// loginRate is a token bucket of one second's worth.
type loginRate struct {
	tokens float64
	last   time.Time
}

// take tells whether a login may begin now.
func (r *loginRate) take(now time.Time, perSecond int) bool {
	r.tokens = min(float64(perSecond), r.tokens+now.Sub(r.last).Seconds()*float64(perSecond))
	r.last = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}

// mayLogIn counts the beginning of a login.
func (s *Server) mayLogIn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins.take(time.Now(), s.limits.LoginsPerSecond)
}

// initiatorAddress is a remote address in the form in which it is compared.
func initiatorAddress(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
