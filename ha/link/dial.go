package link

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// timing is how long things may take and how often they are done.
type timing struct {
	connect time.Duration // to make a TCP connection
	greet   time.Duration // TLS and the greeting together
	// The wait between attempts to dial doubles from firstBackoff to
	// lastBackoff. It starts from the beginning after a pair that was up for
	// steady.
	firstBackoff, lastBackoff, steady time.Duration
	// probe is how often a peer that should dial and does not is asked why.
	probe time.Duration
}

var defaultTiming = timing{
	connect:      time.Second,
	greet:        3 * time.Second,
	firstBackoff: 20 * time.Millisecond,
	lastBackoff:  500 * time.Millisecond,
	steady:       time.Second,
	probe:        2 * time.Second,
}

// keepAlive finds a connection dead whose other end is gone, when nothing is
// under way on it, within about three seconds; deadAfter when something is.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}

const deadAfter = 3 * time.Second

// keepDialling keeps a link to a peer with a lower id until ctx ends.
func (l *Link) keepDialling(ctx context.Context, p *peer) {
	backoff := l.timing.firstBackoff
	for ctx.Err() == nil {
		began := time.Now()
		n, err := l.connect(ctx, p)
		if err == nil {
			l.serve(n)
			if time.Since(began) > l.timing.steady {
				backoff = l.timing.firstBackoff
			}
		} else if ctx.Err() == nil {
			l.report(p.key(), p.address, err)
		}
		sleep(ctx, backoff)
		backoff = min(2*backoff, l.timing.lastBackoff)
	}
}

// connect makes the pair of streams.
func (l *Link) connect(ctx context.Context, p *peer) (*pair, error) {
	id := random()
	control, theirs, err := l.dial(ctx, p, controlStream, id)
	if err != nil {
		return nil, err
	}
	n := l.newPair(p, id, theirs.boot, control)
	data, again, err := l.dial(ctx, p, dataStream, id)
	if err == nil && again.boot != theirs.boot {
		err = refuse("the peer started anew between two streams")
		data.close()
	}
	if err != nil {
		n.fail(err)
		return nil, err
	}
	n.attach(data)
	p.adopt(n)
	return n, nil
}

func (l *Link) dial(ctx context.Context, p *peer, kind streamKind, pair uint64) (*stream, hello, error) {
	d := net.Dialer{Timeout: l.timing.connect, KeepAliveConfig: keepAlive}
	c, err := d.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, hello{}, err
	}
	var theirs hello
	g, err := l.greet(ctx, c, tls.Client, l.client, func(g *greeting) (err error) {
		theirs, err = g.asDialer(p.id, kind, pair)
		return err
	})
	if err != nil {
		return nil, hello{}, err
	}
	return g.stream, theirs, nil
}

// keepProbing asks a peer with a higher id that does not dial whether it would
// be welcome, which tells both operators what is wrong.
func (l *Link) keepProbing(ctx context.Context, p *peer) {
	for sleep(ctx, l.timing.probe) {
		if p.up.Load() != nil {
			continue
		}
		s, _, err := l.dial(ctx, p, probeStream, random())
		if err == nil {
			s.close()
		} else if ctx.Err() == nil {
			l.report(p.key(), p.address, err)
		}
	}
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
