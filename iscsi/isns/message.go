package isns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Function is a function ID (RFC 4171 §5.1.1).
type Function uint16

// Functions used here. The answer to one has the top bit set.
const (
	DevAttrReg Function = 0x0001
	DevAttrQry Function = 0x0002
	DevDereg   Function = 0x0004
	answer     Function = 0x8000
)

// String gives the name of the RFC.
func (f Function) String() string {
	switch f &^ answer {
	case DevAttrReg:
		return "DevAttrReg"
	case DevAttrQry:
		return "DevAttrQry"
	case DevDereg:
		return "DevDereg"
	}
	return fmt.Sprintf("function %04xh", uint16(f))
}

// Flags of a message (§5.1.4).
const (
	flagClient   = 0x8000
	flagServer   = 0x4000
	flagReplace  = 0x1000
	flagLastPDU  = 0x0800
	flagFirstPDU = 0x0400
)

// Tag is an attribute tag (§6.1).
type Tag uint32

// Attribute tags used here (§6.1).
const (
	TagDelimiter          Tag = 0
	TagEntityID           Tag = 1
	TagEntityProtocol     Tag = 2
	TagRegistrationPeriod Tag = 6
	TagPortalAddress      Tag = 16
	TagPortalPort         Tag = 17
	TagISCSIName          Tag = 32
	TagNodeType           Tag = 33
	TagAlias              Tag = 34
	TagPGPortalAddress    Tag = 49
	TagPGPortalPort       Tag = 50
	TagPGTag              Tag = 51
)

// Values of attributes.
const (
	protocolISCSI  = 2 // of TagEntityProtocol (§6.2.2)
	nodeTypeTarget = 1 // of TagNodeType (§6.4.2)
)

// Attribute is a tag and its value (§5.1.7).
type Attribute struct {
	Tag   Tag
	Value []byte
}

// text is an attribute of NUL-terminated UTF-8 (§5.1.7).
func text(t Tag, s string) Attribute { return Attribute{t, append([]byte(s), 0)} }

// number is an attribute of four bytes.
func number(t Tag, v uint32) Attribute { return Attribute{t, binary.BigEndian.AppendUint32(nil, v)} }

// address is an attribute of an IP address: 16 bytes, IPv4 mapped (§6.3.1).
func address(t Tag, a netip.Addr) Attribute {
	b := a.As16()
	return Attribute{t, b[:]}
}

// portal is a pair of attributes, the second of which says TCP by having no
// bit above the port (§6.3.2).
func portal(address_, port Tag, a netip.AddrPort) []Attribute {
	return []Attribute{address(address_, a.Addr()), number(port, uint32(a.Port()))}
}

// Message is an iSNSP message of one PDU (§5.1).
type Message struct {
	Function    Function
	Flags       uint16
	Transaction uint16
	// Status begins the payload of an answer (§5.4); requests have none.
	Status     Status
	Attributes []Attribute
}

// Lengths in bytes.
const (
	headerLength = 12
	// MaxPayload is the longest payload of a PDU (§5.1.3).
	MaxPayload = 65532
	// MaxAttributes bounds the attributes of a message that is read.
	MaxAttributes = 8192
	version       = 1
)

// ErrMessage tells of bytes that are no iSNSP message.
var ErrMessage = errors.New("malformed iSNS message")

// payloadLength is the length in bytes of the attributes.
func payloadLength(attributes []Attribute) (n int) {
	for _, a := range attributes {
		n += 8 + len(a.Value) + pad(len(a.Value))
	}
	return n
}

// Append appends the message to b. It panics when the payload is longer than
// MaxPayload.
func (m *Message) Append(b []byte) []byte {
	n := payloadLength(m.Attributes)
	if m.Function&answer != 0 {
		n += 4
	}
	if n > MaxPayload {
		panic(fmt.Sprintf("isns: payload of %d bytes", n))
	}
	for _, v := range []uint16{version, uint16(m.Function), uint16(n), m.Flags | flagFirstPDU | flagLastPDU, m.Transaction, 0} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	if m.Function&answer != 0 {
		b = binary.BigEndian.AppendUint32(b, uint32(m.Status))
	}
	for _, a := range m.Attributes {
		b = binary.BigEndian.AppendUint32(b, uint32(a.Tag))
		b = binary.BigEndian.AppendUint32(b, uint32(len(a.Value)+pad(len(a.Value))))
		b = append(b, a.Value...)
		b = append(b, make([]byte, pad(len(a.Value)))...)
	}
	return b
}

// pad is how many zeros follow n bytes (§5.1.7).
func pad(n int) int { return -n & 3 }

// ReadMessage reads one message of one PDU. Errors of what was read are
// ErrMessage.
func ReadMessage(r io.Reader) (*Message, error) {
	var h [headerLength]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(h[4:]))
	m := &Message{
		Function:    Function(binary.BigEndian.Uint16(h[2:])),
		Flags:       binary.BigEndian.Uint16(h[6:]),
		Transaction: binary.BigEndian.Uint16(h[8:]),
	}
	const whole = flagFirstPDU | flagLastPDU
	switch {
	case binary.BigEndian.Uint16(h[:]) != version:
		return nil, fmt.Errorf("%w: version %d, want %d", ErrMessage, binary.BigEndian.Uint16(h[:]), version)
	case n > MaxPayload || n%4 != 0:
		return nil, fmt.Errorf("%w: payload of %d bytes", ErrMessage, n)
	case m.Flags&whole != whole || binary.BigEndian.Uint16(h[10:]) != 0:
		return nil, fmt.Errorf("%w: one of several PDUs", ErrMessage)
	}
	m.Flags &^= whole
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return m, m.parse(payload)
}

// parse takes the payload apart.
func (m *Message) parse(b []byte) error {
	if m.Function&answer != 0 {
		if len(b) < 4 {
			return fmt.Errorf("%w: an answer without a status", ErrMessage)
		}
		m.Status = Status(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	for len(b) > 0 {
		if len(b) < 8 || len(m.Attributes) == MaxAttributes {
			return fmt.Errorf("%w: %d bytes after attribute %d", ErrMessage, len(b), len(m.Attributes))
		}
		t, n := Tag(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint32(b[4:])
		if b = b[8:]; uint64(n) > uint64(len(b)) || n%4 != 0 {
			return fmt.Errorf("%w: attribute %d of %d bytes, %d are left", ErrMessage, t, n, len(b))
		}
		m.Attributes = append(m.Attributes, Attribute{t, b[:n:n]})
		b = b[n:]
	}
	return nil
}

// find is the value of the first attribute of a tag.
func (m *Message) find(t Tag) ([]byte, bool) {
	for _, a := range m.Attributes {
		if a.Tag == t {
			return a.Value, true
		}
	}
	return nil, false
}

// Status is the error code of an answer (§5.4).
type Status uint32

// Error codes (§5.4).
const (
	Successful  Status = 0
	NoSuchEntry Status = 9
)

var statusNames = []string{"successful", "unknown error", "message format error", "invalid registration", "reserved",
	"invalid query", "source unknown", "source absent", "source unauthorized", "no such entry", "version not supported",
	"internal error", "busy", "option not understood", "invalid update", "message not supported", "SCN event rejected",
	"SCN registration rejected", "attribute not implemented", "FC domain ID not available", "FC domain ID not allocated",
	"ESI not available", "invalid deregistration", "registration feature not supported"}

// String gives the name of the RFC.
func (s Status) String() string {
	if int64(s) < int64(len(statusNames)) {
		return statusNames[s]
	}
	return fmt.Sprintf("error code %d", uint32(s))
}
