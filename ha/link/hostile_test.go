package link

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/identity"
)

// wiretap passes on what controller 2 says to controller 1 and what that
// answers. It keeps the former and can spoil it.
type wiretap struct {
	listener net.Listener
	to       string
	wg       sync.WaitGroup

	mu    sync.Mutex
	taps  []*tap // in the order in which they came: the control stream, the data stream
	conns []net.Conn
}

// tap is one connection.
type tap struct {
	mu    sync.Mutex
	said  []byte
	spoil func([]byte) []byte // of what is said next, once
}

func newWiretap(t *testing.T, to string) *wiretap {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wiretap{listener: l, to: to}
	w.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.join(c)
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.mu.Lock()
		for _, c := range w.conns {
			c.Close()
		}
		w.mu.Unlock()
		w.wg.Wait()
	})
	return w
}

func (w *wiretap) join(c net.Conn) {
	s, err := net.Dial("tcp", w.to)
	if err != nil {
		c.Close()
		return
	}
	x := &tap{}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taps, w.conns = append(w.taps, x), append(w.conns, c, s)
	w.wg.Go(func() { io.Copy(c, s); c.Close(); s.Close() })
	w.wg.Go(func() {
		defer c.Close()
		defer s.Close()
		b := make([]byte, 64<<10)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			if _, err := s.Write(x.hear(b[:n])); err != nil {
				return
			}
		}
	})
}

// hear keeps what is said and gives what is passed on.
func (x *tap) hear(b []byte) []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.said = append(x.said, b...)
	if x.spoil != nil {
		b = x.spoil(b)
		x.spoil = nil
	}
	return b
}

// tap is the newest connection but so many.
func (w *wiretap) tap(back int) *tap {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.taps[len(w.taps)-1-back]
}

// tapped starts a pair whose connections go through a wiretap.
func tapped(t *testing.T) (w *wiretap, one, two *node) {
	c := newCluster(t, 1, 2)
	w = newWiretap(t, c.addresses[1])
	one = c.start(c.config(1))
	config := c.config(2)
	config.Peers[1] = w.listener.Addr().String()
	two = c.start(config)
	one.expect(t, "up 2 0x2")
	two.expect(t, "up 1 0x1")
	return w, one, two
}

func flip(b []byte) []byte {
	b = append([]byte(nil), b...)
	b[len(b)-1] ^= 1
	return b
}

func repeat(b []byte) []byte { return append(append([]byte(nil), b...), b...) }

func TestAForgedOrReplayedFrameIsNeverDelivered(t *testing.T) {
	for _, x := range []struct {
		name  string
		back  int // of the stream
		spoil func([]byte) []byte
		send  func(two *node) error
		comes bool // the genuine frame does, once
	}{
		{"a forged message on the control stream", 1, flip, func(two *node) error { return two.SendControl(1, []byte("x")) }, false},
		{"a replayed message on the control stream", 1, repeat, func(two *node) error { return two.SendControl(1, []byte("x")) }, true},
		{"a forged frame on the data stream", 0, flip, func(two *node) error { return two.SendData(1, Frame{Request: 7, Head: []byte("x")}) }, false},
		{"a replayed frame on the data stream", 0, repeat, func(two *node) error { return two.SendData(1, Frame{Request: 7, Head: []byte("x")}) }, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			w, one, two := tapped(t)
			stream := w.tap(x.back)
			stream.mu.Lock()
			stream.spoil = x.spoil
			stream.mu.Unlock()
			if err := x.send(two); err != nil {
				t.Fatal(err)
			}
			if x.comes && x.back == 1 {
				one.expect(t, "control 2 x")
			}
			one.expect(t, "down 2")
			one.logged(t, "HA link status changed from 2 to 1", "bad record MAC")
			want := 0
			if x.comes && x.back == 0 {
				want = 1
			}
			if len(one.frames) != want {
				t.Errorf("%d frames were delivered, want %d", len(one.frames), want)
			}
			// And the link is there again.
			one.expect(t, "up 2 0x2")
		})
	}
}

// What a controller has once said, said again by somebody who heard it, with the
// TLS handshake and all.
func TestARecordedConnectionIsWorthNothing(t *testing.T) {
	w, one, two := tapped(t)
	if err := errors.Join(two.SendControl(1, []byte("x")), two.SendData(1, Frame{Request: 7})); err != nil {
		t.Fatal(err)
	}
	one.expect(t, "control 2 x")
	one.frame(t)
	for back := range 2 {
		stream := w.tap(back)
		stream.mu.Lock()
		said := append([]byte(nil), stream.said...)
		stream.mu.Unlock()
		conn, err := net.Dial("tcp", w.to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(said); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(testWait))
		if _, err := io.ReadAll(conn); errors.Is(err, context.DeadlineExceeded) {
			t.Error("the connection was left open")
		}
		conn.Close()
	}
	one.logged(t, "HA peer refused", "127.0.0.1", "tls")
	stillUp(t, one, two)
	if len(one.frames) != 0 {
		t.Error("a recorded frame was delivered")
	}
}

func TestAnExpiredCertificateIsRefused(t *testing.T) {
	c := newCluster(t, 1, 2)
	one, two := c.start(c.config(1)), c.start(c.config(2))
	one.expect(t, "up 2 0x2")
	two.expect(t, "up 1 0x1")
	config := credentials(t, c.ca, identity.OfNode("beast", 2), c.ca).Client()
	config.Certificates, config.GetClientCertificate = []tls.Certificate{expired(t, c.ca)}, nil
	conn, err := tls.Dial("tcp", c.addresses[1], config)
	if err == nil { // a client of TLS 1.3 learns it from the first read
		_ = conn.SetReadDeadline(time.Now().Add(testWait))
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	if err == nil {
		t.Error("an expired certificate, no error")
	}
	one.logged(t, "HA peer refused", "expired")
	stillUp(t, one, two)
}

// expired is a certificate of controller 2 that was good until an hour ago.
func expired(t *testing.T, ca *identity.Authority) tls.Certificate {
	t.Helper()
	pair := func() (*x509.Certificate, any) {
		k, err := ca.Key()
		if err != nil {
			t.Fatal(err)
		}
		p, err := tls.X509KeyPair(ca.Certificate(), k)
		if err != nil {
			t.Fatal(err)
		}
		return p.Leaf, p.PrivateKey
	}
	parent, signer := pair()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs: []*url.URL{{Scheme: "tandem", Host: "beast", Path: "/node/2"}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Somebody says one byte after the other, and never comes to an end.
func TestWhoSpeaksSlowlyIsCutOffAndDisturbsNobody(t *testing.T) {
	c := newCluster(t, 1, 2)
	n := c.prepare(c.config(1))
	n.timing.greet = 500 * time.Millisecond
	one, two := c.startPrepared(n), c.start(c.config(2))
	one.expect(t, "up 2 0x2")
	two.expect(t, "up 1 0x1")
	mine := credentials(t, c.ca, identity.OfNode("beast", 2), c.ca).Client()
	for name, dial := range map[string]func() (net.Conn, []byte, error){
		"before TLS": func() (net.Conn, []byte, error) {
			conn, err := net.Dial("tcp", c.addresses[1])
			return conn, append([]byte{0x16, 3, 1, 0x40, 0}, make([]byte, 0x4000)...), err // a record of 16 KiB
		},
		"in its hello, with a good certificate": func() (net.Conn, []byte, error) {
			conn, err := tls.Dial("tcp", c.addresses[1], mine)
			h := hello{stream: controlStream, node: 2, cluster: "beast", configuration: make([]byte, 1<<20)}
			return conn, h.encode(), err
		},
	} {
		conn, text, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for i := 0; err == nil && time.Since(began) < testWait; i++ {
			_, err = conn.Write(text[i : i+1])
			time.Sleep(10 * time.Millisecond)
		}
		conn.Close()
		if err == nil {
			t.Errorf("%s: not cut off within %v", name, testWait)
		}
	}
	one.logged(t, "HA peer refused", "does not say hello in time")
	stillUp(t, one, two)
}
