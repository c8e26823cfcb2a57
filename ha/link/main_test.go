package link

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testWait = 10 * time.Second

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(testWait); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", testWait, what)
		}
	}
}

func authority(t testing.TB, cluster string) *identity.Authority {
	t.Helper()
	a, err := identity.NewAuthority(cluster)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// credentials are those of a member whom one authority signed and who trusts
// another (most often the same).
func credentials(t testing.TB, signed *identity.Authority, who identity.Identity, trusts *identity.Authority) *identity.Credentials {
	t.Helper()
	cert, key, err := signed.Issue(who)
	if err != nil {
		t.Fatal(err)
	}
	c, err := identity.New(cert, key, trusts.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recorder is a Handler that keeps what it is told.
type recorder struct {
	events chan string
	frames chan Frame // with copies of Head
	noRoom atomic.Bool
}

func newRecorder() *recorder {
	return &recorder{events: make(chan string, 1000), frames: make(chan Frame, 1000)}
}

func (r *recorder) PeerUp(peer ha.NodeID, boot uint64) {
	r.events <- fmt.Sprintf("up %d %#x", peer, boot)
}

func (r *recorder) PeerDown(peer ha.NodeID, err error) {
	if err == nil {
		panic("down without a reason")
	}
	r.events <- fmt.Sprintf("down %d", peer)
}

func (r *recorder) Control(peer ha.NodeID, payload []byte) {
	r.events <- fmt.Sprintf("control %d %s", peer, payload)
}

func (r *recorder) Place(_ ha.NodeID, f Frame, n int) []byte {
	if r.noRoom.Load() {
		return nil
	}
	return make([]byte, n)
}

func (r *recorder) Data(_ ha.NodeID, f Frame) {
	f.Head = bytes.Clone(f.Head)
	r.frames <- f
}

// expect waits for the next event.
func (r *recorder) expect(t testing.TB, want string) {
	t.Helper()
	select {
	case got := <-r.events:
		if got != want {
			t.Fatalf("event %q, want %q", got, want)
		}
	case <-time.After(testWait):
		t.Fatalf("no event, want %q", want)
	}
}

func (r *recorder) frame(t testing.TB) Frame {
	t.Helper()
	select {
	case f := <-r.frames:
		return f
	case <-time.After(testWait):
		t.Fatal("no frame")
		panic("unreachable")
	}
}

// logbook keeps log lines.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// count tells how many lines have every one of the words.
func (l *logbook) count(words ...string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
next:
	for line := range strings.Lines(l.b.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		n++
	}
	return n
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// node is a controller under test.
type node struct {
	*Link
	*recorder
	log  *logbook
	stop func()
}

// cluster makes nodes of one cluster on loopback.
type cluster struct {
	testing.TB
	ca        *identity.Authority
	addresses map[ha.NodeID]string
}

func newCluster(t testing.TB, nodes ...ha.NodeID) *cluster {
	c := &cluster{TB: t, ca: authority(t, "beast"), addresses: make(map[ha.NodeID]string)}
	for _, n := range nodes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c.addresses[n] = l.Addr().String()
		l.Close()
	}
	return c
}

// config is that of a node which knows all others.
func (c *cluster) config(id ha.NodeID) Config {
	peers := maps.Clone(c.addresses)
	delete(peers, id)
	return Config{
		Cluster: "beast", Node: id, Boot: uint64(id), Listen: c.addresses[id], Peers: peers,
		Credentials: credentials(c, c.ca, identity.OfNode("beast", uint8(id)), c.ca),
	}
}

// prepare makes a node that does nothing yet.
func (c *cluster) prepare(config Config) *node {
	c.Helper()
	n := &node{recorder: newRecorder(), log: &logbook{}}
	config.Log = slog.New(slog.NewTextHandler(n.log, nil))
	var err error
	if n.Link, err = New(config, n.recorder); err != nil {
		c.Fatal(err)
	}
	n.timing.firstBackoff, n.timing.lastBackoff, n.timing.probe = 2*time.Millisecond, 20*time.Millisecond, 10*time.Millisecond
	n.stop = n.Close
	c.Cleanup(func() { n.stop() })
	return n
}

// start makes a node and runs it until its stop is called.
func (c *cluster) start(config Config) *node {
	c.Helper()
	return c.startPrepared(c.prepare(config))
}

func (c *cluster) startPrepared(n *node) *node {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := n.Run(ctx); err != nil {
			c.Error(err)
		}
	}()
	n.stop = func() { cancel(); <-ended }
	return n
}

// pairOf starts nodes 1 and 2 and waits until they are up.
func pairOf(t testing.TB) (one, two *node) {
	t.Helper()
	c := newCluster(t, 1, 2)
	one, two = c.start(c.config(1)), c.start(c.config(2))
	one.expect(t, "up 2 0x2")
	two.expect(t, "up 1 0x1")
	return one, two
}

// logged waits until a node has logged a line with all of the words.
func (n *node) logged(t testing.TB, words ...string) {
	t.Helper()
	end := time.Now().Add(testWait)
	for n.log.count(words...) == 0 {
		if time.Now().After(end) {
			t.Fatalf("not logged: %q\n%s", words, n.log)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// rawPeer is a controller that has greeted another and then does only what
// the test does.
type rawPeer struct {
	*recorder
	control, data *stream
}

// raw greets node 1 as another node.
func (c *cluster) raw(id ha.NodeID) *rawPeer {
	c.Helper()
	config := c.config(id)
	config.Listen = ""
	n := c.prepare(config)
	p := &rawPeer{recorder: n.recorder}
	pair := random()
	var err error
	if p.control, _, err = n.dial(context.Background(), n.peers[1], controlStream, pair); err != nil {
		c.Fatal(err)
	}
	if p.data, _, err = n.dial(context.Background(), n.peers[1], dataStream, pair); err != nil {
		c.Fatal(err)
	}
	return p
}

func (p *rawPeer) close() {
	p.control.close()
	p.data.close()
}
