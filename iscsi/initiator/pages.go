package initiator

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/tandem-san/tandem/iscsi"
)

// Sizes and places in parameter data, in bytes.
const (
	inquiryLength  = 36
	vpdHeader      = 4
	capacityLength = 32
	capacityLeast  = 12
	lengthHeader   = 4
	lunListHeader  = 8

	vpdDeviceIdentification = 0x83
)

// Inquiry is what the standard INQUIRY data tells (SPC-5 §6.7.2).
type Inquiry struct {
	DeviceType byte // peripheral device type, with the qualifier above it
	// TPGS tells how asymmetric access is managed: 0 not at all, 1 by the
	// target, 2 by SET TARGET PORT GROUPS, 3 by both.
	TPGS     byte
	Vendor   string
	Product  string
	Revision string
}

func parseInquiry(p []byte) Inquiry {
	text := func(b []byte) string { return strings.TrimRight(string(b), " \x00") }
	return Inquiry{p[0], p[5] >> 4 & 3, text(p[8:16]), text(p[16:32]), text(p[32:36])}
}

// trimVPD checks the page code and cuts the page to its stated length.
func trimVPD(page byte, p []byte) ([]byte, error) {
	if p[1] != page {
		return nil, fmt.Errorf("the target gave page %02xh", p[1])
	}
	n := vpdHeader + int(binary.BigEndian.Uint16(p[2:]))
	if n > len(p) {
		return nil, fmt.Errorf("%w: page of %d bytes, %d arrived", ErrShortTransfer, n, len(p))
	}
	return p[:n], nil
}

// Association says what a Designator names (SPC-5 §7.7.6.1).
type Association byte

// Associations.
const (
	OfLogicalUnit  Association = 0
	OfTargetPort   Association = 1
	OfTargetDevice Association = 2
)

// Designator types used here (SPC-5 §7.7.6.1).
const (
	DesignatorT10                = 1
	DesignatorEUI64              = 2
	DesignatorNAA                = 3
	DesignatorRelativeTargetPort = 4
	DesignatorTargetPortGroup    = 5
	DesignatorSCSIName           = 8
)

// Designator is a designation descriptor of the Device Identification VPD
// page (SPC-5 §7.7.6).
type Designator struct {
	Association Association
	Type        byte
	Value       []byte
}

// Number is the value of a relative target port or target port group
// designator; ok is false for other types.
func (d Designator) Number() (n uint16, ok bool) {
	if d.Type != DesignatorRelativeTargetPort && d.Type != DesignatorTargetPortGroup || len(d.Value) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint16(d.Value[2:]), true
}

func parseDesignators(p []byte) ([]Designator, error) {
	const header = 4
	var list []Designator
	for len(p) > 0 {
		if len(p) < header || len(p) < header+int(p[3]) {
			return nil, fmt.Errorf("designation descriptor longer than the %d bytes left of its page", len(p))
		}
		n := header + int(p[3])
		list = append(list, Designator{Association(p[1] >> 4 & 3), p[1] & 0x0f, p[header:n:n]})
		p = p[n:]
	}
	return list, nil
}

// Capacity is the size of a logical unit (SBC-4 §5.20).
type Capacity struct {
	Blocks      uint64 // logical blocks
	BlockLength uint32 // bytes, a power of two from 512 to 64 KiB
}

// Bytes is the size in bytes.
func (c Capacity) Bytes() int64 { return int64(c.Blocks) * int64(c.BlockLength) }

func parseCapacity(p []byte) (Capacity, error) {
	const maxBytes = 1 << 62
	last, length := binary.BigEndian.Uint64(p), binary.BigEndian.Uint32(p[8:])
	if length < 512 || length > 64<<10 || length&(length-1) != 0 {
		return Capacity{}, fmt.Errorf("read capacity: block length %d: want a power of two from 512 to 65536", length)
	}
	if last >= maxBytes/uint64(length) {
		return Capacity{}, fmt.Errorf("read capacity: last block %d of %d bytes is beyond what can be addressed", last, length)
	}
	return Capacity{last + 1, length}, nil
}

// AccessState is an asymmetric access state (SPC-5 §5.17.2, table 366).
type AccessState byte

// Asymmetric access states.
const (
	ActiveOptimized    AccessState = 0x0
	ActiveNonOptimized AccessState = 0x1
	Standby            AccessState = 0x2
	Unavailable        AccessState = 0x3
	Offline            AccessState = 0xe
	Transitioning      AccessState = 0xf
)

// String gives the words of the standard in short.
func (s AccessState) String() string {
	switch s {
	case ActiveOptimized:
		return "optimized"
	case ActiveNonOptimized:
		return "non-optimized"
	case Standby:
		return "standby"
	case Unavailable:
		return "unavailable"
	case Offline:
		return "offline"
	case Transitioning:
		return "transitioning"
	}
	return fmt.Sprintf("access state %xh", byte(s))
}

// TargetPortGroup is what REPORT TARGET PORT GROUPS says of one group
// (SPC-5 §6.37).
type TargetPortGroup struct {
	Group     uint16
	State     AccessState
	Preferred bool
	Ports     []uint16 // relative target port identifiers
}

func parseTargetPortGroups(p []byte) ([]TargetPortGroup, error) {
	const descriptor, portDescriptor = 8, 4
	n := int64(lengthHeader) + int64(binary.BigEndian.Uint32(p))
	if n > int64(len(p)) {
		return nil, fmt.Errorf("%w: target port groups of %d bytes, %d arrived", ErrShortTransfer, n, len(p))
	}
	p = p[lengthHeader:n]
	var groups []TargetPortGroup
	for len(p) > 0 {
		if len(p) < descriptor || len(p) < descriptor+int(p[7])*portDescriptor {
			return nil, fmt.Errorf("target port group descriptor longer than the %d bytes left of its list", len(p))
		}
		g := TargetPortGroup{
			Group:     binary.BigEndian.Uint16(p[2:]),
			State:     AccessState(p[0] & 0x0f),
			Preferred: p[0]&0x80 != 0,
		}
		ports := p[descriptor : descriptor+int(p[7])*portDescriptor]
		p = p[descriptor+len(ports):]
		for ; len(ports) > 0; ports = ports[portDescriptor:] {
			g.Ports = append(g.Ports, binary.BigEndian.Uint16(ports[2:]))
		}
		groups = append(groups, g)
	}
	return groups, nil
}

func parseLUNList(p []byte) ([]iscsi.LUN, error) {
	const entry = 8
	n := int64(binary.BigEndian.Uint32(p))
	if n%entry != 0 || n > int64(len(p)-lunListHeader) {
		return nil, fmt.Errorf("%w: LUN list of %d bytes, %d arrived", ErrShortTransfer, n, len(p)-lunListHeader)
	}
	list := make([]iscsi.LUN, 0, n/entry)
	for p = p[lunListHeader : lunListHeader+n]; len(p) > 0; p = p[entry:] {
		list = append(list, iscsi.LUN(binary.BigEndian.Uint64(p)))
	}
	return list, nil
}
