package ha

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits of a message, in bytes.
const (
	// MaxName is the longest name of a logical unit: an iSCSI name and a
	// number.
	MaxName = 255
	// maxReason is the longest reason of a refusal; what is longer is cut off.
	maxReason = 1024
)

// Encode gives the bytes for the wire. Numbers are big-endian, lengths and
// epochs are uvarints (encoding/binary).
//
//	kind    1 byte
//	flags   1 byte; bit 0: Drained
//	boot    8 bytes
//	seq     8 bytes
//	reason  length and text
//	claims  number of them; of each:
//	          LUN         length and text
//	          epoch       0: there is nothing more of the grant
//	          primary     1 byte
//	          candidates  1 byte; bit n-1 is controller n
//	          unfenced    1 byte, in the same way
func (m Message) Encode() []byte {
	b := make([]byte, 0, 32+len(m.Claims)*24)
	flags := byte(0)
	if m.Drained {
		flags = flagDrained
	}
	b = append(b, byte(m.Kind), flags)
	b = binary.BigEndian.AppendUint64(b, m.Boot)
	b = binary.BigEndian.AppendUint64(b, m.Seq)
	b = appendText(b, m.Reason[:min(len(m.Reason), maxReason)])
	b = binary.AppendUvarint(b, uint64(len(m.Claims)))
	for _, c := range m.Claims {
		b = appendText(b, c.LUN)
		b = binary.AppendUvarint(b, c.Grant.Epoch)
		if c.Grant.Epoch != 0 {
			b = append(b, byte(c.Grant.Primary), Nodes(c.Grant.Candidates...).wire(), c.Grant.Unfenced.wire())
		}
	}
	return b
}

const flagDrained = 1

// wire is the set as a byte of a message.
func (s NodeSet) wire() byte { return byte(s >> 1) }

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// DecodeMessage reads what Encode wrote and refuses what it cannot have
// written. The claims of a message share their lists of candidates, which must
// not be changed.
func DecodeMessage(b []byte) (Message, error) {
	d := decoder{rest: b}
	m := Message{Kind: MessageKind(d.byte())}
	flags := d.byte()
	m.Boot, m.Seq = d.uint64(), d.uint64()
	m.Reason = d.text("reason", maxReason)
	n := d.number("number of claims", MaxUnits)
	if d.err == nil && (m.Kind < MessageHeartbeat || m.Kind > maxMessageKind) {
		d.err = fmt.Errorf("kind %d is not 1 to %d", m.Kind, maxMessageKind)
	}
	if d.err == nil && flags&^flagDrained != 0 {
		d.err = fmt.Errorf("flags %#x are not known", flags)
	}
	m.Drained = flags&flagDrained != 0
	if d.err == nil && n > 0 {
		m.Claims = make([]Claim, 0, min(n, uint64(len(d.rest)/minClaim)))
	}
	for ; n > 0 && d.err == nil; n-- {
		m.Claims = append(m.Claims, d.claim())
	}
	if d.err == nil && len(d.rest) > 0 {
		d.err = fmt.Errorf("%d bytes too many", len(d.rest))
	}
	if d.err != nil {
		return Message{}, fmt.Errorf("decoding a controller's message: %w", d.err)
	}
	return m, nil
}

// minClaim is the least a claim takes, in bytes.
const minClaim = 2

// decoder reads the parts of a message. After the first error, which it keeps,
// everything is zero.
type decoder struct {
	rest []byte
	err  error
	// The candidates of the last claim, for the next one.
	set  NodeSet
	list []NodeID
}

var errShort = errors.New("it is too short")

// take is the next n bytes.
func (d *decoder) take(n uint64) []byte {
	if d.err == nil && uint64(len(d.rest)) < n {
		d.err = errShort
	}
	if d.err != nil {
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// number is the next uvarint, at most max.
func (d *decoder) number(what string, most uint64) uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.rest)
	switch {
	case n <= 0:
		d.err = errShort
		return 0
	case v > most:
		d.err = fmt.Errorf("%s %d: at most %d", what, v, most)
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) text(what string, most uint64) string {
	return string(d.take(d.number("length of "+what, most)))
}

func (d *decoder) claim() Claim {
	c := Claim{LUN: d.text("name", MaxName)}
	if c.Grant.Epoch = d.number("epoch", 1<<64-1); c.Grant.Epoch != 0 {
		c.Grant.Primary = NodeID(d.byte())
		c.Grant.Candidates = d.candidates()
		c.Grant.Unfenced = d.nodes()
	}
	if d.err == nil {
		if err := c.Grant.Validate(); err != nil {
			d.err = fmt.Errorf("logical unit %q: %w", c.LUN, err)
		}
	}
	return c
}

func (d *decoder) nodes() NodeSet { return NodeSet(d.byte()) << 1 }

// candidates lists a set of controllers. Most claims of a message have the same.
func (d *decoder) candidates() []NodeID {
	if set := d.nodes(); set != d.set {
		d.set, d.list = set, set.List()
	}
	return d.list
}
