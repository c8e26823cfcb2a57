package link

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"testing"

	"pgregory.net/rapid"

	"github.com/tandem-san/tandem/ha"
)

func TestAHelloReadsAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := hello{
			stream:        streamKind(rapid.IntRange(1, 3).Draw(t, "stream")),
			node:          ha.NodeID(rapid.IntRange(1, 8).Draw(t, "node")),
			boot:          rapid.Uint64().Draw(t, "boot"),
			pair:          rapid.Uint64().Draw(t, "pair"),
			cluster:       rapid.StringN(0, 60, maxCluster).Draw(t, "cluster"),
			configuration: rapid.SliceOf(rapid.Byte()).Draw(t, "configuration"),
		}
		got, err := readHello(bytes.NewReader(want.encode()))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.configuration, want.configuration) {
			t.Fatalf("configuration %x, want %x", got.configuration, want.configuration)
		}
		got.configuration, want.configuration = nil, nil
		if got.cluster != want.cluster || got.boot != want.boot || got.pair != want.pair || got.node != want.node || got.stream != want.stream {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestAGreetingThatIsCutShortIsAnError(t *testing.T) {
	h := hello{stream: controlStream, node: 1, cluster: "beast", configuration: []byte("x")}
	b := h.encode()
	for n := range b {
		if _, err := readHello(bytes.NewReader(b[:n])); err == nil {
			t.Errorf("%d of %d bytes were taken", n, len(b))
		}
	}
}

func FuzzGreeting(f *testing.F) {
	h := hello{stream: dataStream, node: 2, boot: 3, pair: 4, cluster: "beast", configuration: []byte("{}")}
	f.Add(h.encode())
	f.Add(encodeRefusal("no"))
	f.Add(encodeGreeting(greetAccept, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, p, err := readGreeting(bytes.NewReader(b))
		if err != nil || kind != greetHello {
			return
		}
		h, err := decodeHello(p)
		if err != nil {
			return
		}
		if again := h.encode(); !bytes.Equal(again[prefixSize:], p) {
			t.Errorf("%x reads and writes as %x", p, again[prefixSize:])
		}
	})
}

// placer takes bodies up to what a test machine can bear.
type placer struct {
	recorder
	bytes, frames int
}

func (p *placer) Place(_ ha.NodeID, f Frame, n int) []byte {
	if n > MaxBody || len(f.Head) > MaxHead {
		panic("limits")
	}
	if f.Flags&1 != 0 {
		return nil
	}
	return make([]byte, n)
}

func (p *placer) Data(_ ha.NodeID, f Frame) {
	p.frames++
	p.bytes += headerSize + len(f.Head) + len(f.Body)
	if f.Lost && f.Body != nil {
		panic("lost and found")
	}
}

func (p *placer) Control(_ ha.NodeID, payload []byte) {
	p.frames++
	p.bytes += len(payload)
}

func FuzzFrames(f *testing.F) {
	var b []byte
	for _, x := range []Frame{{Kind: 1, Head: []byte("head"), Body: []byte("body")}, {Kind: 2}, {Kind: 3, Flags: 1, Body: make([]byte, 300)}} {
		b = append(appendHeader(b, &x), x.Body...)
	}
	f.Add(b, false)
	f.Add(b, true)
	f.Add(bytes.Repeat([]byte{0xff}, headerSize), false)
	f.Fuzz(func(t *testing.T, b []byte, control bool) {
		p := &placer{}
		read := readData
		if control {
			read = readControl
		}
		if err := read(bytes.NewReader(b), 2, p); err == nil {
			t.Error("the end of the stream is no error")
		}
		if p.bytes > len(b) {
			t.Errorf("%d bytes delivered of %d", p.bytes, len(b))
		}
	})
}

func TestAClosedQueueTakesNothingAndDropReleasesWhatWasLeft(t *testing.T) {
	q := newQueue(1000)
	var owners []*owner
	for range 3 {
		o := &owner{}
		owners = append(owners, o)
		if err := q.put(&Frame{Body: make([]byte, 10), Owner: o}); err != nil {
			t.Fatal(err)
		}
	}
	q.close()
	if err := q.put(&Frame{}); !errors.Is(err, ErrDown) {
		t.Errorf("put = %v", err)
	}
	if q.take(&batch{}) {
		t.Error("a closed queue gives frames")
	}
	q.drop()
	for i, o := range owners {
		if o.released.Load() != 1 {
			t.Errorf("owner %d was released %d times", i, o.released.Load())
		}
	}
}

// The pair fails only after its writer has ended; what was queued in between
// would be nobody's.
func TestAQueueWhoseWriterHasFailedTakesNothing(t *testing.T) {
	near, far := net.Pipe()
	far.Close()
	near.Close()
	s := &socket{Conn: near}
	s.grow()
	q, taken, refused := newQueue(1000), &owner{}, &owner{}
	if err := q.put(&Frame{Body: make([]byte, 10), Owner: taken}); err != nil {
		t.Fatal(err)
	}
	if err := (&stream{tls: tls.Client(s, &tls.Config{ServerName: "nobody"}), socket: s}).writeLoop(q); err == nil {
		t.Fatal("it has written to a connection that is closed")
	}
	if err := q.put(&Frame{Body: make([]byte, 10), Owner: refused}); !errors.Is(err, ErrDown) {
		t.Errorf("put = %v", err)
	}
	if n := taken.released.Load(); n != 1 {
		t.Errorf("the owner of what was queued before was released %d times", n)
	}
}
