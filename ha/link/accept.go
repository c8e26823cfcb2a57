package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Limits of connections that have not been greeted.
const (
	maxGreeters        = 64
	maxGreetersPerHost = 16
)

// errSlow: a connection that was not greeted in the time there is.
var errSlow = errors.New("it does not say hello in time")

// greeters counts the connections that are being greeted, by remote host.
type greeters struct {
	mu    sync.Mutex
	total int
	hosts map[string]int
}

// enter reports whether one more connection from the host may be greeted.
func (g *greeters) enter(host string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= maxGreeters || g.hosts[host] >= maxGreetersPerHost {
		return false
	}
	if g.hosts == nil {
		g.hosts = make(map[string]int)
	}
	g.total++
	g.hosts[host]++
	return true
}

func (g *greeters) leave(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.hosts[host]--; g.hosts[host] == 0 {
		delete(g.hosts, host)
	}
}

func listen(address string) (net.Listener, error) {
	c := net.ListenConfig{KeepAliveConfig: keepAlive}
	return c.Listen(context.Background(), "tcp", address)
}

// acceptLoop takes connections until ctx ends, and returns when the last of
// them has ended.
func (l *Link) acceptLoop(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.listener.Accept()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			if err == nil {
				c.Close()
			}
			return
		}
		if err != nil { // out of file descriptors, most likely
			l.report("listener", l.config.Listen, err)
			sleep(ctx, l.timing.lastBackoff)
			continue
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		if !l.greeters.enter(host) {
			c.Close()
			l.report(host, host, errors.New("too many connections that do not say hello"))
			continue
		}
		wg.Go(func() { l.accepted(ctx, c, host) })
	}
}

// accepted greets a connection; that of a control stream goes on to serve the
// pair.
func (l *Link) accepted(ctx context.Context, c net.Conn, host string) {
	var theirs hello
	var n *pair
	g, err := l.greet(ctx, c, tls.Server, l.server, func(g *greeting) (err error) {
		if theirs, err = g.asAcceptor(); err != nil || theirs.stream != controlStream {
			return err
		}
		n = l.newPair(l.peers[g.remote], theirs.pair, theirs.boot, g.stream)
		n.peer.adopt(n)
		_, err = g.stream.tls.Write(encodeGreeting(greetAccept, nil))
		return err
	})
	l.greeters.leave(host)
	p := l.peers[g.remote]
	if err == nil && theirs.stream == dataStream {
		err = p.offer(theirs, g.stream)
	}
	switch {
	case err == nil && n != nil:
		l.await(ctx, n)
	case err == nil && theirs.stream == dataStream: // the pair has it
	default:
		g.stream.close()
		if n != nil {
			n.fail(err)
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errSlow
	}
	switch {
	case err == nil || ctx.Err() != nil:
	case p != nil:
		l.report(p.key(), host, err)
	default:
		l.report(host, host, err)
	}
}

// await waits for the data stream of a pair and then serves it.
func (l *Link) await(ctx context.Context, n *pair) {
	timeout := time.NewTimer(l.timing.connect + l.timing.greet)
	defer timeout.Stop()
	select {
	case <-n.arrived:
		l.serve(n)
	case <-timeout.C:
		n.fail(errors.New("the peer opened no data stream"))
		l.report(n.peer.key(), n.peer.address, n.reason())
	case <-n.failed:
	case <-ctx.Done():
		n.fail(errShutdown)
	}
}
