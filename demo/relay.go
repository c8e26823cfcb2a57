package demo

import (
	"fmt"
	"net"
	"sync"
)

// relay forwards TCP connections until it is cut: then it stays silent, as a
// cable that is out, and forwards what it holds once it is whole again.
type relay struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu     sync.Mutex
	whole  *sync.Cond // or closed
	silent bool
	closed bool
	open   map[net.Conn]bool
}

// newRelay listens on a port of its own, until close.
func newRelay(target string) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("relay to %s: %w", target, err)
	}
	r := &relay{listener: l, target: target, open: make(map[net.Conn]bool)}
	r.whole = sync.NewCond(&r.mu)
	r.wg.Go(r.accept)
	return r, nil
}

func (r *relay) address() string { return r.listener.Addr().String() }

// cut makes the relay silent, or whole again.
func (r *relay) cut(silent bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent = silent
	r.whole.Broadcast()
}

// close ends all connections and waits for what they ran on.
func (r *relay) close() {
	r.mu.Lock()
	r.closed = true
	r.whole.Broadcast()
	for c := range r.open {
		_ = c.Close()
	}
	r.mu.Unlock()
	_ = r.listener.Close()
	r.wg.Wait()
}

func (r *relay) accept() {
	for {
		from, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.serve(from) })
	}
}

// serve forwards one connection both ways until either side closes it.
func (r *relay) serve(from net.Conn) {
	defer r.forget(from)
	if !r.keep(from) || !r.pass() {
		return
	}
	to, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer r.forget(to)
	if !r.keep(to) {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.forward(from, to)
	}()
	r.forward(to, from)
	<-done
}

// forward copies until either end is closed, then closes both: a link has no
// use for half of a connection.
func (r *relay) forward(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	p := make([]byte, 64<<10)
	for {
		n, err := from.Read(p)
		if !r.pass() {
			return
		}
		if _, werr := to.Write(p[:n]); werr != nil || err != nil {
			return
		}
	}
}

// pass waits while the relay is cut; false when it is closed.
func (r *relay) pass() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.silent && !r.closed {
		r.whole.Wait()
	}
	return !r.closed
}

// keep makes close end the connection; false when that has been.
func (r *relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[c] = true
	return !r.closed
}

// forget closes a connection.
func (r *relay) forget(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
	_ = c.Close()
}
