package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
)

// valve passes TCP connections on, and can hold back for a while what is said to
// the other side.
type valve struct {
	listener net.Listener
	to       string
	wg       sync.WaitGroup

	mu    sync.Mutex
	shut  bool
	pipes []*pipe
}

// pipe is one connection.
type pipe struct {
	from, to net.Conn
	back     []byte // held back
}

// newValve makes a valve in front of an address. It ends with the test.
func newValve(t *testing.T, to string) *valve {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &valve{listener: l, to: to}
	v.wg.Go(v.accept)
	t.Cleanup(func() {
		l.Close()
		v.mu.Lock()
		for _, p := range v.pipes {
			p.close()
		}
		v.mu.Unlock()
		v.wg.Wait()
	})
	return v
}

// address is where it is dialled.
func (v *valve) address() string { return v.listener.Addr().String() }

// hold holds back what is said from now on, until release.
func (v *valve) hold() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = true
}

// release lets it pass.
func (v *valve) release() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = false
	for _, p := range v.pipes {
		p.pass()
	}
}

// held is how many bytes are held back.
func (v *valve) held() (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.pipes {
		n += len(p.back)
	}
	return n
}

func (v *valve) accept() {
	for {
		c, err := v.listener.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", v.to)
		if err != nil {
			c.Close()
			continue
		}
		p := &pipe{from: c, to: s}
		v.mu.Lock()
		v.pipes = append(v.pipes, p)
		v.mu.Unlock()
		v.wg.Go(func() { io.Copy(c, s); p.close() })
		v.wg.Go(func() { v.carry(p); p.close() })
	}
}

// carry takes what one side says.
func (v *valve) carry(p *pipe) {
	b := make([]byte, 256<<10)
	for {
		n, err := p.from.Read(b)
		if err != nil {
			return
		}
		v.mu.Lock()
		p.back = append(p.back, b[:n]...)
		if !v.shut {
			p.pass()
		}
		v.mu.Unlock()
	}
}

// pass says it to the other side. Where that is gone the connection ends.
func (p *pipe) pass() {
	if _, err := p.to.Write(p.back); err != nil {
		p.close()
	}
	p.back = nil
}

func (p *pipe) close() {
	p.from.Close()
	p.to.Close()
}
