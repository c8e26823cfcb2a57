package link

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"

	"github.com/tandem-san/tandem/identity"
)

// countedConn counts what is written: system calls, on a TCP connection.
type countedConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// greeted is a stream to a far end over a connection that counts, both after
// their TLS handshake.
func greeted(t *testing.T) (near *stream, far *tls.Conn, counted *countedConn) {
	t.Helper()
	ca := authority(t, "beast")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	counted = &countedConn{Conn: c}
	s := &socket{Conn: counted}
	near = &stream{tls: tls.Client(s, credentials(t, ca, identity.OfNode("beast", 2), ca).Client()), socket: s}
	far = tls.Server(accepted, credentials(t, ca, identity.OfNode("beast", 1), ca).Server())
	shaken := make(chan error)
	go func() { shaken <- far.Handshake() }()
	if err := near.tls.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close(); c.Close() })
	s.grow()
	return near, far, counted
}

// Many small frames under way cost about as many system calls as one.
func TestFramesThatAreQueuedTogetherAreWrittenTogether(t *testing.T) {
	near, far, counted := greeted(t)
	before := counted.writes.Load()
	const frames = 500
	q := newQueue(1 << 20)
	for range frames {
		if err := q.put(&Frame{Kind: 1, Head: make([]byte, 60)}); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error)
	go func() { ended <- near.writeLoop(q) }()
	r := newRecorder()
	go func() { ended <- readData(far, 1, r) }()
	for range frames {
		r.frame(t)
	}
	if n := counted.writes.Load() - before; n > 3 {
		t.Errorf("%d frames were written with %d system calls", frames, n)
	}
	q.close()
	near.close()
	<-ended
	<-ended
}
