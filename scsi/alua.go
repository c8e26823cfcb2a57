package scsi

import (
	"encoding/binary"
	"fmt"
)

// AccessState is an asymmetric access state of a target port group
// (SPC-5 table 299).
type AccessState uint8

// Asymmetric access states.
const (
	ActiveOptimized    AccessState = 0x0
	ActiveNonOptimized AccessState = 0x1
	Standby            AccessState = 0x2
	Unavailable        AccessState = 0x3
	Offline            AccessState = 0xE
	Transitioning      AccessState = 0xF
)

var accessStateNames = map[AccessState]string{
	ActiveOptimized:    "active/optimized",
	ActiveNonOptimized: "active/non-optimized",
	Standby:            "standby",
	Unavailable:        "unavailable",
	Offline:            "offline",
	Transitioning:      "transitioning",
}

// String gives the standard's name.
func (s AccessState) String() string {
	if n, ok := accessStateNames[s]; ok {
		return n
	}
	return fmt.Sprintf("access state %Xh", uint8(s))
}

// Active reports whether the state is one of the two active ones.
func (s AccessState) Active() bool { return s == ActiveOptimized || s == ActiveNonOptimized }

// Refusal says whether a port in state s takes the command, and if not, the
// sense to refuse with (SPC-5 §5.18.2).
func (s AccessState) Refusal(c *Command) (sense Sense, refused bool) {
	switch s {
	case Standby:
		return Sense{Key: NotReady, ASC: LogicalUnitNotAccessibleTargetPortInStandbyState}, c.Access&OnStandby == 0
	case Unavailable, Offline:
		return Sense{Key: NotReady, ASC: LogicalUnitNotAccessibleTargetPortInUnavailableState}, c.Access&OnUnavailable == 0
	case Transitioning:
		return Sense{Key: NotReady, ASC: LogicalUnitNotAccessibleAsymmetricAccessStateTransition}, c.Access&OnTransitioning == 0
	}
	return Sense{}, false
}

// AccessStatus says why a target port group is in its state: the STATUS CODE
// field (SPC-5 table 300).
type AccessStatus uint8

// Status codes.
const (
	StatusUnknown         AccessStatus = 0
	AlteredByCommand      AccessStatus = 1 // SET TARGET PORT GROUPS
	AlteredByImplicitALUA AccessStatus = 2
)

// supportedStates is the byte of support flags in a target port group
// descriptor: transitioning, unavailable, standby, active/non-optimized and
// active/optimized (SPC-5 §6.36.2).
const supportedStates = 0x80 | 0x08 | 0x04 | 0x02 | 0x01

// PortGroup is a target port group as REPORT TARGET PORT GROUPS tells of it.
type PortGroup struct {
	ID        uint16
	State     AccessState
	Preferred bool
	Status    AccessStatus
	// Ports are relative target port identifiers, at most 255.
	Ports []uint16
}

const (
	groupDescriptorLength  = 8
	portDescriptorLength   = 4
	extendedHeaderFormat   = 0x10
	maxPortsInGroup        = 255
	groupHeaderLength      = 4
	groupExtendedHeaderLen = 8
)

// AppendPortGroups appends REPORT TARGET PORT GROUPS parameter data
// (SPC-5 §6.36). extended asks for the extended header, in which
// transitionTime is the implicit transition time in seconds.
func AppendPortGroups(b []byte, groups []PortGroup, extended bool, transitionTime uint8) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	if extended {
		b = append(b, extendedHeaderFormat, transitionTime, 0, 0)
	}
	for _, g := range groups {
		ports := g.Ports
		if len(ports) > maxPortsInGroup {
			ports = ports[:maxPortsInGroup]
		}
		b0 := uint8(g.State) & 0xF
		if g.Preferred {
			b0 |= 0x80
		}
		b = append(b, b0, supportedStates)
		b = binary.BigEndian.AppendUint16(b, g.ID)
		b = append(b, 0, uint8(g.Status), 0, uint8(len(ports)))
		for _, p := range ports {
			b = binary.BigEndian.AppendUint32(b, uint32(p))
		}
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-groupHeaderLength))
	return b
}

// DecodePortGroups reads REPORT TARGET PORT GROUPS parameter data of either
// format. A descriptor cut short ends the list with an error; those before it
// are returned too.
func DecodePortGroups(b []byte) ([]PortGroup, error) {
	if len(b) < groupHeaderLength {
		return nil, fmt.Errorf("REPORT TARGET PORT GROUPS data: %d bytes, want at least %d", len(b), groupHeaderLength)
	}
	n := uint64(binary.BigEndian.Uint32(b))
	b = b[groupHeaderLength:]
	if n < uint64(len(b)) {
		b = b[:n]
	}
	// An extended header has format 001b where a plain descriptor has the
	// preferred bit, reserved bits that are zero, and the state.
	if len(b) >= 4 && b[0]&0x70 == extendedHeaderFormat {
		b = b[4:]
	}
	var groups []PortGroup
	for len(b) > 0 {
		if len(b) < groupDescriptorLength || len(b) < groupDescriptorLength+portDescriptorLength*int(b[7]) {
			return groups, fmt.Errorf("target port group descriptor %d: cut short", len(groups))
		}
		g := PortGroup{
			State:     AccessState(b[0] & 0xF),
			Preferred: b[0]&0x80 != 0,
			ID:        binary.BigEndian.Uint16(b[2:]),
			Status:    AccessStatus(b[5]),
		}
		count := int(b[7])
		b = b[groupDescriptorLength:]
		for range count {
			g.Ports = append(g.Ports, binary.BigEndian.Uint16(b[2:]))
			b = b[portDescriptorLength:]
		}
		groups = append(groups, g)
	}
	return groups, nil
}
