package link

import (
	"encoding/binary"
	"fmt"
)

// Limits of one frame, in bytes.
const (
	// MaxHead is the most a frame's Head may be.
	MaxHead = 8 << 10
	// MaxBody is the most a frame's Body may be.
	MaxBody = 16 << 20
	// MaxControl is the most the payload of a control message may be: enough
	// for the claims of a full cluster.
	MaxControl = 4 << 20
)

// Frame is what the data stream carries. Kind, Flags, Request and Epoch mean
// what the two handlers agree on.
type Frame struct {
	Kind    uint8
	Flags   uint8
	Request uint64
	Epoch   uint64
	// Head is for what describes the frame. SendData copies it; a received
	// one is valid only during the callback.
	Head []byte
	// Body is for bulk data and is not copied. One that is sent must not
	// change until Owner is released; a received one lies where Handler.Place
	// said.
	Body []byte
	// Owner, when not nil, is released once the link needs Body no more,
	// sent or not; the frame then takes no room in the queue any more. It is
	// called from goroutines of the link and must not wait.
	Owner Releaser
	// Lost, on a received frame: it had a Body but Place had no place for it.
	Lost bool
}

// Releaser owns the memory of a Body; a *block.Buffer is one.
type Releaser interface{ Release() }

// headerSize is the length of the header of a frame:
//
//	0  body length   uint32
//	4  head length   uint16
//	6  kind          uint8
//	7  flags         uint8
//	8  request       uint64
//	16 epoch         uint64
//
// Head and then Body follow. Numbers are big endian.
const headerSize = 24

// header is a decoded frame header.
type header struct {
	kind, flags    uint8
	request, epoch uint64
	head, body     int
}

// appendHeader appends the header of f and its Head to b.
func appendHeader(b []byte, f *Frame) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.Body)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.Head)))
	b = append(b, f.Kind, f.Flags)
	b = binary.BigEndian.AppendUint64(b, f.Request)
	b = binary.BigEndian.AppendUint64(b, f.Epoch)
	return append(b, f.Head...)
}

// decodeHeader reads the header of a frame of a stream whose bodies are at
// most maxBody bytes.
func decodeHeader(b *[headerSize]byte, maxBody int) (header, error) {
	h := header{
		body:    int(binary.BigEndian.Uint32(b[0:])),
		head:    int(binary.BigEndian.Uint16(b[4:])),
		kind:    b[6],
		flags:   b[7],
		request: binary.BigEndian.Uint64(b[8:]),
		epoch:   binary.BigEndian.Uint64(b[16:]),
	}
	if h.head > MaxHead || h.body > maxBody {
		return header{}, fmt.Errorf("frame with a head of %d and a body of %d bytes: at most %d and %d", h.head, h.body, MaxHead, maxBody)
	}
	return h, nil
}

// check refuses a frame that the peer would refuse.
func (f *Frame) check(maxBody int) error {
	if len(f.Head) > MaxHead || len(f.Body) > maxBody {
		return fmt.Errorf("frame with a head of %d and a body of %d bytes: at most %d and %d", len(f.Head), len(f.Body), MaxHead, maxBody)
	}
	return nil
}

// size is what the frame takes of a queue.
func (f *Frame) size() int { return headerSize + len(f.Head) + len(f.Body) }
