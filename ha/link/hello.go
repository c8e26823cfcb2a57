package link

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/tandem-san/tandem/ha"
)

// Version is the version of the protocol between controllers. Controllers of
// different versions refuse each other.
const Version = 2

// magic opens every greeting, so that something else that speaks TLS with a
// certificate of the cluster is told apart.
var magic = [8]byte{'T', 'A', 'N', 'D', 'E', 'M', 'H', 'A'}

// Limits of a greeting, in bytes.
const (
	maxCluster       = 255
	maxReason        = 1024
	maxConfiguration = 4 << 20
	prefixSize       = 16
	helloFixed       = 20
	maxHello         = helloFixed + maxCluster + maxConfiguration
)

// streamKind says what a connection is for.
type streamKind uint8

const (
	controlStream streamKind = 1
	dataStream    streamKind = 2
	// probeStream is closed after the greeting: the controller with the lower
	// id, which does not dial, learns with it why it is not dialled.
	probeStream streamKind = 3
)

// hello is how a controller introduces itself on a stream.
type hello struct {
	stream  streamKind
	node    ha.NodeID
	boot    uint64 // names this life of the process
	pair    uint64 // names the control and data stream that belong together
	cluster string
	// configuration is what the caller's Compare looks at; not on data
	// streams.
	configuration []byte
}

// greetingKind says what a greeting is. A refusal has the same form in every
// version, so that versions can refuse each other in words.
type greetingKind uint8

const (
	greetHello  greetingKind = 1
	greetRefuse greetingKind = 2
	greetAccept greetingKind = 3
)

// refusal is the reason with which a peer refused, or is to be refused.
type refusal struct {
	reason string
	byPeer bool
}

func (r *refusal) Error() string {
	if r.byPeer {
		return "refused by the peer: " + r.reason
	}
	return r.reason
}

func refuse(format string, args ...any) error {
	return &refusal{reason: fmt.Sprintf(format, args...)}
}

// encode gives the hello as a greeting.
func (h *hello) encode() []byte {
	p := []byte{byte(h.stream), byte(h.node)}
	p = binary.BigEndian.AppendUint64(p, h.boot)
	p = binary.BigEndian.AppendUint64(p, h.pair)
	p = binary.BigEndian.AppendUint16(p, uint16(len(h.cluster)))
	p = append(p, h.cluster...)
	return encodeGreeting(greetHello, append(p, h.configuration...))
}

// encodeGreeting gives the bytes of a greeting:
//
//	0  magic     8 bytes
//	8  version   uint16
//	10 kind      uint8
//	11 zero      uint8
//	12 length    uint32, of what follows
func encodeGreeting(kind greetingKind, payload []byte) []byte {
	b := append(make([]byte, 0, prefixSize+len(payload)), magic[:]...)
	b = binary.BigEndian.AppendUint16(b, Version)
	b = append(b, byte(kind), 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

func encodeRefusal(reason string) []byte {
	return encodeGreeting(greetRefuse, []byte(reason[:min(len(reason), maxReason)]))
}

// readGreeting reads one greeting. That the peer refused, or that it must be
// refused, is a *refusal. Memory grows only with what arrives.
func readGreeting(r io.Reader) (greetingKind, []byte, error) {
	var prefix [prefixSize]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return 0, nil, err
	}
	if !bytes.Equal(prefix[:8], magic[:]) {
		return 0, nil, refuse("not a controller: it does not speak this protocol")
	}
	version, kind := binary.BigEndian.Uint16(prefix[8:]), greetingKind(prefix[10])
	if version != Version && kind != greetRefuse {
		return 0, nil, refuse("protocol version %d here, %d there: both controllers must run the same release", Version, version)
	}
	most := map[greetingKind]int{greetHello: maxHello, greetRefuse: maxReason}[kind]
	length := int64(binary.BigEndian.Uint32(prefix[12:]))
	if length > int64(most) {
		return 0, nil, refuse("greeting of kind %d with %d bytes: at most %d", kind, length, most)
	}
	payload, err := io.ReadAll(io.LimitReader(r, length))
	if err != nil {
		return 0, nil, err
	}
	if int64(len(payload)) < length {
		return 0, nil, io.ErrUnexpectedEOF
	}
	if kind == greetRefuse {
		return kind, nil, &refusal{reason: string(payload), byPeer: true}
	}
	return kind, payload, nil
}

// readHello reads a greeting that must be a hello.
func readHello(r io.Reader) (hello, error) {
	kind, p, err := readGreeting(r)
	if err != nil {
		return hello{}, err
	}
	if kind != greetHello {
		return hello{}, refuse("greeting of kind %d where a hello is due", kind)
	}
	return decodeHello(p)
}

func decodeHello(p []byte) (hello, error) {
	if len(p) < helloFixed {
		return hello{}, refuse("malformed hello")
	}
	h := hello{
		stream: streamKind(p[0]),
		node:   ha.NodeID(p[1]),
		boot:   binary.BigEndian.Uint64(p[2:]),
		pair:   binary.BigEndian.Uint64(p[10:]),
	}
	n := int(binary.BigEndian.Uint16(p[18:]))
	p = p[helloFixed:]
	switch {
	case h.stream < controlStream || h.stream > probeStream,
		h.node < 1 || h.node > ha.MaxNodes,
		n > maxCluster || n > len(p),
		len(p)-n > maxConfiguration:
		return hello{}, refuse("malformed hello")
	}
	h.cluster, h.configuration = string(p[:n]), p[n:]
	return h, nil
}

// readAccept reads the greeting that ends the exchange.
func readAccept(r io.Reader) error {
	kind, _, err := readGreeting(r)
	if err == nil && kind != greetAccept {
		err = refuse("greeting of kind %d where an accept is due", kind)
	}
	return err
}
