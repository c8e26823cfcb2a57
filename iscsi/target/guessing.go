package target

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// Bounds of what is remembered of wrong CHAP responses.
const (
	// maxGuessers is how many addresses are remembered. When there are more,
	// the one that was wrong longest ago is forgotten.
	maxGuessers = 4096
	// guessPause is how long it takes until an address may be wrong once more.
	guessPause = time.Second
	// hostBits is the part of an IPv6 address that counts as one guesser:
	// whoever has an address has the whole subnet (RFC 4291 §2.5.4).
	hostBits = 64
)

// guessing bounds how often CHAP responses from one address may be wrong: a
// burst at once, and one more after each guessPause. Above that no response
// from there is looked at, right or wrong, so that guesses that are made side
// by side learn nothing either. It is safe for concurrent use.
type guessing struct {
	burst int

	mu     sync.Mutex
	byHost map[netip.Addr]*list.Element // of *guesser
	recent list.List                    // the one that guessed last comes last
	wrong  uint64
	unread uint64
}

// guesser is an address that was wrong.
type guesser struct {
	host netip.Addr
	// clear is when all that it did is forgiven. It lies no further ahead than
	// burst pauses.
	clear time.Time
	// told: its exclusion was reported.
	told bool
}

// guesserHost is what counts as one guesser.
func guesserHost(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	p, err := a.WithZone("").Prefix(hostBits)
	if err != nil {
		panic("target: " + err.Error()) // 64 bits are in every IPv6 address
	}
	return p.Addr()
}

// judgement is what has become of a response.
type judgement uint8

const (
	right judgement = iota
	wrong
	unread     // too many were wrong before
	unreadNews // and that is to be reported: it is the first
)

// judge has verify look at a response from an address, if it may.
func (g *guessing) judge(now time.Time, from netip.Addr, verify func() bool) judgement {
	host := guesserHost(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.byHost[host]
	limit := now.Add(time.Duration(g.burst-1) * guessPause)
	if e != nil && e.Value.(*guesser).clear.After(limit) {
		g.unread++
		who := e.Value.(*guesser)
		if who.told {
			return unread
		}
		who.told = true
		return unreadNews
	}
	if verify() {
		return right
	}
	g.wrong++
	if e == nil {
		g.makeRoom()
		e = g.recent.PushBack(&guesser{host: host})
		g.byHost[host] = e
	}
	who := e.Value.(*guesser)
	if who.clear.Before(now) {
		who.clear, who.told = now, false
	}
	who.clear = who.clear.Add(guessPause)
	g.recent.MoveToBack(e)
	return wrong
}

// makeRoom forgets the guesser that was wrong longest ago when there are too
// many; mu is held.
func (g *guessing) makeRoom() {
	if g.recent.Len() < maxGuessers {
		return
	}
	e := g.recent.Front()
	delete(g.byHost, e.Value.(*guesser).host)
	g.recent.Remove(e)
}

// CHAPCounters count CHAP responses since the server was made.
type CHAPCounters struct {
	Wrong  uint64 // of an unknown user, or made with another secret
	Unread uint64 // refused unread: too many from that address had been wrong
}

// CHAPCounters counts the CHAP responses that let nobody in.
func (s *Server) CHAPCounters() CHAPCounters {
	g := &s.guesses
	g.mu.Lock()
	defer g.mu.Unlock()
	return CHAPCounters{Wrong: g.wrong, Unread: g.unread}
}
