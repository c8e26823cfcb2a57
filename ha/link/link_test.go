package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
)

// owner counts how often it is released.
type owner struct{ released atomic.Int32 }

func (o *owner) Release() { o.released.Add(1) }

func TestTheLinkComesUpGoesDownAndComesUpAgain(t *testing.T) {
	c := newCluster(t, 1, 2)
	one, two := c.start(c.config(1)), c.start(c.config(2))
	one.expect(t, "up 2 0x2")
	two.expect(t, "up 1 0x1")
	if one.State(2) != Established || two.State(1) != Established || one.State(3) != NotConfigured {
		t.Errorf("states %d, %d, %d", one.State(2), two.State(1), one.State(3))
	}
	two.stop()
	one.expect(t, "down 2")
	two.expect(t, "down 1")
	if one.State(2) != Configured {
		t.Errorf("state %d after the peer left", one.State(2))
	}
	if err := one.SendControl(2, nil); !errors.Is(err, ErrDown) {
		t.Errorf("SendControl = %v, want ErrDown", err)
	}
	again := c.config(2)
	again.Boot = 0x22
	two = c.start(again)
	one.expect(t, "up 2 0x22")
	two.expect(t, "up 1 0x1")
	one.logged(t, "HA link status changed from 0 to 1")
	one.logged(t, "HA link status changed from 2 to 1", "reason=")
	if n := one.log.count("HA link status changed from 1 to 2"); n != 2 {
		t.Errorf("status 2 logged %d times, want 2", n)
	}
}

func TestThePeerWithTheLowerIdMayRestartToo(t *testing.T) {
	c := newCluster(t, 1, 2)
	one, two := c.start(c.config(1)), c.start(c.config(2))
	two.expect(t, "up 1 0x1")
	one.stop()
	two.expect(t, "down 1")
	again := c.config(1)
	again.Boot = 0x11
	one = c.start(again)
	two.expect(t, "up 1 0x11")
	one.expect(t, "up 2 0x2")
	if p := two.Peers(); len(p) != 1 || p[0].State != Established || p[0].Boot != 0x11 || p[0].Problem != "" {
		t.Errorf("peers %+v", p)
	}
}

func TestEightControllersFormAFullMesh(t *testing.T) {
	var ids []ha.NodeID
	for id := ha.NodeID(1); id <= ha.MaxNodes; id++ {
		ids = append(ids, id)
	}
	c := newCluster(t, ids...)
	var nodes []*node
	for _, id := range ids {
		nodes = append(nodes, c.start(c.config(id)))
	}
	for _, n := range nodes {
		for range ids[1:] {
			if e := <-n.events; !strings.HasPrefix(e, "up ") {
				t.Errorf("node %d: %s", n.config.Node, e)
			}
		}
	}
}

func TestControlMessagesArriveInOrderAndWhole(t *testing.T) {
	one, two := pairOf(t)
	large := strings.Repeat("x", MaxControl)
	for _, payload := range []string{"a", "", "b", large, "c"} {
		if err := one.SendControl(2, []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	for _, payload := range []string{"a", "", "b", large, "c"} {
		two.expect(t, "control 1 "+payload)
	}
	if err := two.SendControl(1, []byte("back")); err != nil {
		t.Fatal(err)
	}
	one.expect(t, "control 2 back")
	if err := one.SendControl(2, make([]byte, MaxControl+1)); err == nil {
		t.Error("a control message that is too large was taken")
	}
	if err := one.SendControl(7, nil); !errors.Is(err, ErrDown) {
		t.Errorf("SendControl to nobody = %v", err)
	}
}

func TestFramesArriveInOrderAndTheirOwnersAreReleasedOnce(t *testing.T) {
	one, two := pairOf(t)
	var sent []Frame
	var owners []*owner
	for i, n := range []int{0, 1, 100, 4096, recordSize - 1, recordSize, recordSize + 1, 70000, 1 << 20, 0, MaxBody, 5} {
		o := &owner{}
		f := Frame{
			Kind: uint8(i), Flags: 0x80, Request: 1<<63 + uint64(i), Epoch: uint64(n),
			Head: []byte(fmt.Sprintf("head %d", i)), Body: bytes.Repeat([]byte{byte(i + 1)}, n), Owner: o,
		}
		if i == 3 {
			f.Head = make([]byte, MaxHead)
		}
		sent, owners = append(sent, f), append(owners, o)
		if err := one.SendData(2, f); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range sent {
		got := two.frame(t)
		if got.Kind != want.Kind || got.Flags != want.Flags || got.Request != want.Request || got.Epoch != want.Epoch ||
			!bytes.Equal(got.Head, want.Head) || !bytes.Equal(got.Body, want.Body) || got.Lost {
			t.Errorf("frame %d differs: kind %d, request %#x, head %d, body %d bytes", i, got.Kind, got.Request, len(got.Head), len(got.Body))
		}
	}
	for i, o := range owners {
		eventually(t, "owner released", func() bool { return o.released.Load() > 0 })
		if n := o.released.Load(); n != 1 {
			t.Errorf("owner %d was released %d times", i, n)
		}
	}
	eventually(t, "queue is empty", func() bool {
		q := one.up(2).dataQueue
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.bytes == 0
	})
}

func TestABodyWithoutAPlaceIsLostAndTheNextFrameIsNot(t *testing.T) {
	one, two := pairOf(t)
	two.noRoom.Store(true)
	for range 2 {
		if err := one.SendData(2, Frame{Kind: 9, Body: make([]byte, 100000)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.SendData(2, Frame{Kind: 10}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if f := two.frame(t); f.Kind != 9 || !f.Lost || f.Body != nil {
			t.Errorf("frame %+v", f)
		}
	}
	if f := two.frame(t); f.Kind != 10 || f.Lost {
		t.Errorf("frame %+v", f)
	}
}

func TestAFrameThePeerWouldRefuseIsNotSent(t *testing.T) {
	one, _ := pairOf(t)
	for _, f := range []Frame{{Body: make([]byte, MaxBody+1)}, {Head: make([]byte, MaxHead+1)}} {
		o := &owner{}
		f.Owner = o
		if err := one.SendData(2, f); err == nil || o.released.Load() != 0 {
			t.Errorf("SendData = %v, owner released %d times", err, o.released.Load())
		}
	}
}

func TestResetBringsFreshStreams(t *testing.T) {
	one, two := pairOf(t)
	one.Reset(2)
	one.expect(t, "down 2")
	two.expect(t, "down 1")
	one.expect(t, "up 2 0x2")
	two.expect(t, "up 1 0x1")
	one.Reset(5)
}

func TestAQueueThatIsFullRefusesAndEveryOwnerIsReleasedWhenThePeerGoes(t *testing.T) {
	c := newCluster(t, 1, 2)
	config := c.config(1)
	config.DataQueue = 4 << 20
	one := c.start(config)
	deaf := c.raw(2)
	one.expect(t, "up 2 0x2")
	var owners []*owner
	for {
		o := &owner{}
		err := one.SendData(2, Frame{Body: make([]byte, 64<<10), Owner: o})
		if errors.Is(err, ErrQueueFull) {
			if o.released.Load() != 0 {
				t.Error("the owner of a refused frame was released")
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		owners = append(owners, o)
	}
	if err := one.SendControl(2, []byte("beat")); err != nil {
		t.Errorf("control message behind a full data queue: %v", err)
	}
	got := make(chan struct{})
	go func() {
		defer close(got)
		_ = readControl(deaf.control.reader(), 1, deaf)
	}()
	deaf.expect(t, "control 1 beat")
	one.Reset(2)
	one.expect(t, "down 2")
	for i, o := range owners {
		if n := o.released.Load(); n != 1 {
			t.Fatalf("owner %d of %d was released %d times when the peer was told down", i, len(owners), n)
		}
	}
	deaf.close()
	<-got
}

func TestAPeerThatIsSilentForEverCostsNothingButItsStream(t *testing.T) {
	c := newCluster(t, 1, 2)
	one := c.prepare(c.config(1))
	one.timing.connect, one.timing.greet = 10*time.Millisecond, 100*time.Millisecond
	n := c.startPrepared(one)
	half := c.prepare(c.config(2))
	s, _, err := half.dial(context.Background(), half.peers[1], controlStream, 77)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	n.logged(t, "HA link status changed from 0 to 1")
	eventually(t, "the half pair is given up", func() bool {
		p := n.peers[2]
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.current != nil && p.current.reason() != nil
	})
	if n.State(2) != Configured {
		t.Error("half a pair counts as a link")
	}
	two := c.start(func() Config { x := c.config(2); x.Listen = ""; return x }())
	n.expect(t, "up 2 0x2")
	two.expect(t, "up 1 0x1")
}

func TestNewStreamsOfThePeerReplaceTheOldOnes(t *testing.T) {
	c := newCluster(t, 1, 2)
	one := c.start(c.config(1))
	first := c.raw(2)
	one.expect(t, "up 2 0x2")
	second := c.raw(2)
	one.expect(t, "down 2")
	one.expect(t, "up 2 0x2")
	if err := one.SendControl(2, []byte("hi")); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = readControl(second.control.reader(), 1, second) }()
	second.expect(t, "control 1 hi")
	first.close()
	second.close()
	<-done
}

func TestOversizedAndGarbageFramesEndTheStreamsOnly(t *testing.T) {
	c := newCluster(t, 1, 2)
	one := c.start(c.config(1))
	for i, bad := range [][]byte{
		appendHeader(nil, &Frame{Body: make([]byte, MaxBody+1)}),
		appendHeader(nil, &Frame{Head: make([]byte, MaxHead+1)})[:headerSize],
		bytes.Repeat([]byte{0xff}, 100),
	} {
		peer := c.raw(2)
		one.expect(t, "up 2 0x2")
		s := peer.data
		if i == 2 {
			s = peer.control
		}
		if _, err := s.tls.Write(bad); err != nil {
			t.Fatal(err)
		}
		if err := s.socket.flush(); err != nil {
			t.Fatal(err)
		}
		one.expect(t, "down 2")
		peer.close()
	}
	one.logged(t, "at most")
	if len(one.frames) != 0 {
		t.Error("a frame was delivered")
	}
}

func TestAWrongConfigurationIsRefusedByName(t *testing.T) {
	c := newCluster(t, 1, 2)
	for _, x := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no node", func(c *Config) { c.Node = 0 }, "node id 0"},
		{"node too high", func(c *Config) { c.Node = 9 }, "node id 9"},
		{"no cluster", func(c *Config) { c.Cluster = "" }, "cluster name"},
		{"other cluster than the certificate", func(c *Config) { c.Cluster = "beauty" }, "tandem://beauty/node/2"},
		{"other node than the certificate", func(c *Config) { c.Node = 3 }, "certificate is of tandem://beast/node/2"},
		{"no credentials", func(c *Config) { c.Credentials = nil }, "credentials"},
		{"its own peer", func(c *Config) { c.Peers[2] = "x:1" }, "peer id 2: is our own"},
		{"peer id too high", func(c *Config) { c.Peers[9] = "x:1" }, "peer id 9"},
		{"no address to dial", func(c *Config) { c.Peers[1] = "" }, "peer 1: needs an address"},
		{"no address to listen on", func(c *Config) { c.Peers[3] = "x:1"; c.Listen = "" }, "peer 3: a listen address"},
		{"an address that cannot be listened on", func(c *Config) { c.Listen = "256.0.0.1:1" }, "listen for controllers"},
		{"a huge configuration", func(c *Config) { c.Configuration = make([]byte, maxConfiguration+1) }, "configuration of"},
	} {
		t.Run(x.name, func(t *testing.T) {
			config := c.config(2)
			x.change(&config)
			if _, err := New(config, newRecorder()); err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("New = %v, want mention of %q", err, x.want)
			}
		})
	}
}

func TestBootsDifferWhenNotGiven(t *testing.T) {
	c := newCluster(t, 1, 2)
	config := c.config(2)
	config.Boot, config.Listen = 0, ""
	a, b := c.prepare(config), c.prepare(config)
	if a.Boot() == 0 || a.Boot() == b.Boot() {
		t.Errorf("boots %#x and %#x", a.Boot(), b.Boot())
	}
	if a.Addr() != nil {
		t.Error("an address without a listener")
	}
}

func BenchmarkData(b *testing.B) {
	for _, n := range []int{0, 4 << 10, 256 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newCluster(b, 1, 2)
			sink := &sink{pool: block.NewPool(64 << 20), got: make(chan int, 1<<16)}
			config := c.config(1)
			config.Log = slog.New(slog.DiscardHandler)
			receiver, err := New(config, sink)
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error)
			go func() { ended <- receiver.Run(ctx) }()
			defer func() { cancel(); <-ended }()
			two := c.start(c.config(2))
			defer two.stop()
			two.expect(b, "up 1 0x1")
			body := make([]byte, n)
			head := make([]byte, 64)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			got := 0
			for i := range b.N {
				for i-got > 32 {
					got += <-sink.got
				}
				if err := two.SendData(1, Frame{Kind: 1, Head: head, Body: body}); err != nil {
					b.Fatal(err)
				}
			}
			for got < b.N {
				got += <-sink.got
			}
		})
	}
}

// sink reads bodies into pooled buffers and lets go of them.
type sink struct {
	recorder
	pool *block.Pool
	last *block.Buffer
	got  chan int
}

func (s *sink) PeerUp(ha.NodeID, uint64)  {}
func (s *sink) PeerDown(ha.NodeID, error) {}

func (s *sink) Place(_ ha.NodeID, _ Frame, n int) []byte {
	s.last = s.pool.Get(n)
	return s.last.Bytes()
}

func (s *sink) Data(ha.NodeID, Frame) {
	s.last.Release()
	s.last = nil
	s.got <- 1
}
