package node

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/scsi"
)

func TestThroughASilentLinkCommandsEndSoftlyAndSoon(t *testing.T) {
	p := newPair(t)
	cable := newCable(t, p.addresses[1])
	p.start(1)
	p.addresses[1] = cable.address()
	p.start(2)
	p.wait("a healthy pair", func() bool { return len(p.grant(1).Candidates) == 2 && p.route(2) == ha.RouteForward })
	p.run(2, "i", write16(0, 1), make([]byte, 512))

	cable.out.Store(true)
	began := time.Now()
	c := p.finish(p.submit(2, "i", write16(0, 1), make([]byte, 512), false))
	if c.Status != scsi.StatusCheckCondition || c.Sense.Key != scsi.NotReady || c.Sense.ASC != scsi.LogicalUnitNotAccessibleAsymmetricAccessStateTransition {
		t.Errorf("through the silent link: %v, %v", c.Status, c.Sense)
	}
	if took := time.Since(began); took >= patience/2 {
		t.Errorf("that took %v", took)
	}
	if g := p.grant(2); g.Has(2) {
		t.Errorf("an answer though the primary may rely on this controller: %v", g)
	}
	p.run(1, "i", write16(0, 1), make([]byte, 512))

	cable.out.Store(false)
	p.wait("a healthy pair again", func() bool { return p.grant(2).Has(2) && p.route(2) == ha.RouteForward })
	p.run(2, "i", write16(0, 1), make([]byte, 512))
}

// cable carries TCP connections to a controller. While it is out nothing
// arrives, and nothing is said about it.
type cable struct {
	net.Listener
	out atomic.Bool
}

func newCable(t *testing.T, target string) *cable {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{Listener: l}
	var ends sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	keep := func(n net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, n)
	}
	ends.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			keep(from)
			to, err := net.Dial("tcp", target)
			if err != nil {
				from.Close()
				continue
			}
			keep(to)
			ends.Go(func() { c.carry(to, from) })
			ends.Go(func() { c.carry(from, to) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		c.out.Store(false)
		mu.Lock()
		for _, n := range conns {
			n.Close()
		}
		mu.Unlock()
		ends.Wait()
	})
	return c
}

func (c *cable) address() string { return c.Addr().String() }

// carry copies until either end closes.
func (c *cable) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		for c.out.Load() {
			time.Sleep(time.Millisecond)
		}
		if _, werr := to.Write(b[:n]); werr != nil || err != nil {
			return
		}
	}
}
