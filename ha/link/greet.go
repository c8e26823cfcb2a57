package link

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/identity"
)

const (
	// lingerTime and lingerBytes are for how long and how much a refused
	// connection is still read, so that the reason is not lost to a reset.
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 1 << 20
)

// greeting is one connection on its way to being a stream.
type greeting struct {
	link   *Link
	stream *stream
	remote ha.NodeID // by its certificate; 0 before TLS is done
}

// greet makes a connection a stream: TLS, then f, which exchanges greetings,
// both under one time limit. When f fails the connection is closed, after the refusal was sent where f found
// reason to refuse.
func (l *Link) greet(ctx context.Context, c net.Conn, makeTLS func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config, f func(*greeting) error) (*greeting, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	tune(c)
	_ = c.SetDeadline(time.Now().Add(l.timing.greet)) // fails only on a closed connection, as will the next call
	s := &socket{Conn: c}
	g := &greeting{link: l, stream: &stream{tls: makeTLS(s, config), socket: s}}
	err := g.stream.tls.HandshakeContext(ctx)
	if err == nil {
		err = f(g)
		var r *refusal
		if errors.As(err, &r) && !r.byPeer {
			_, _ = g.stream.tls.Write(encodeRefusal(r.reason)) // best effort
		}
	}
	if err != nil {
		linger(c)
		return g, err
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		c.Close()
		return g, err
	}
	s.grow()
	return g, nil
}

// linger closes a connection after what was sent on it had time to arrive.
func linger(c net.Conn) {
	defer c.Close()
	if t, ok := c.(interface{ CloseWrite() error }); !ok || t.CloseWrite() != nil {
		return
	}
	if c.SetDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, c, lingerBytes)
	}
}

// certificate learns from the certificate who the remote is and refuses who
// cannot be a peer of ours.
func (g *greeting) certificate() error {
	who, err := identity.FromConnection(g.stream.tls.ConnectionState())
	if err != nil {
		return refuse("%v", err)
	}
	l := g.link
	g.remote = ha.NodeID(who.NodeID())
	switch {
	case who.Cluster != l.config.Cluster:
		return refuse("certificate is of cluster %q, expected %q", who.Cluster, l.config.Cluster)
	case g.remote == 0:
		return refuse("certificate is of %s, which is not a controller", who)
	case g.remote == l.config.Node:
		return refuse("two nodes have id %d", g.remote)
	case l.peers[g.remote] == nil:
		return refuse("node %d is not a peer of node %d by its configuration", g.remote, l.config.Node)
	}
	return nil
}

// judge refuses a hello that does not fit.
func (g *greeting) judge(h hello) error {
	l := g.link
	switch {
	case h.cluster != l.config.Cluster:
		return refuse("hello is of cluster %q, expected %q", h.cluster, l.config.Cluster)
	case h.node != g.remote:
		return refuse("hello is of node %d but the certificate of node %d", h.node, g.remote)
	case h.boot == l.config.Boot:
		return refuse("two nodes have boot id %#x", h.boot)
	}
	if err := l.peers[g.remote].admit(h.boot); err != nil {
		return err
	}
	if h.stream == dataStream || l.config.Compare == nil {
		return nil
	}
	if err := l.config.Compare(g.remote, h.configuration); err != nil {
		return refuse("%v", err)
	}
	return nil
}

// hello is what we say of ourselves on a stream.
func (l *Link) hello(kind streamKind, pair uint64) hello {
	h := hello{stream: kind, node: l.config.Node, boot: l.config.Boot, pair: pair, cluster: l.config.Cluster}
	if kind != dataStream {
		h.configuration = l.config.Configuration
	}
	return h
}

// asDialer greets the side that was dialled, which must be the expected peer.
// On a control stream that side has the last word, so that it knows the pair
// before the data stream comes.
func (g *greeting) asDialer(expected ha.NodeID, kind streamKind, pair uint64) (hello, error) {
	if err := g.certificate(); err != nil {
		return hello{}, err
	}
	if g.remote != expected {
		return hello{}, refuse("node %d answers at the address of node %d", g.remote, expected)
	}
	ours := g.link.hello(kind, pair)
	if _, err := g.stream.tls.Write(ours.encode()); err != nil {
		return hello{}, err
	}
	theirs, err := readHello(g.stream.tls)
	if err != nil {
		return hello{}, err
	}
	if theirs.stream != kind || theirs.pair != pair {
		return hello{}, refuse("the hello answers another one")
	}
	if err := g.judge(theirs); err != nil {
		return hello{}, err
	}
	if _, err := g.stream.tls.Write(encodeGreeting(greetAccept, nil)); err != nil || kind != controlStream {
		return theirs, err
	}
	return theirs, readAccept(g.stream.tls)
}

// asAcceptor greets a side that dialled. It reads the hello before it judges
// the certificate, so that a refusal finds a peer that listens. The last word
// on a control stream is left to the caller.
func (g *greeting) asAcceptor() (hello, error) {
	theirs, err := readHello(g.stream.tls)
	if err := g.certificate(); err != nil {
		return hello{}, err
	}
	if err != nil {
		return hello{}, err
	}
	if g.remote < g.link.config.Node && theirs.stream != probeStream {
		return hello{}, refuse("node %d must not dial node %d: the higher id dials", g.remote, g.link.config.Node)
	}
	if err := g.judge(theirs); err != nil {
		return hello{}, err
	}
	ours := g.link.hello(theirs.stream, theirs.pair)
	if _, err := g.stream.tls.Write(ours.encode()); err != nil {
		return hello{}, err
	}
	return theirs, readAccept(g.stream.tls)
}
