package scsi

import "encoding/binary"

// GroupState asks for the access state of a target port group: a descriptor of
// the SET TARGET PORT GROUPS parameter list (SPC-5 §6.47).
type GroupState struct {
	Group uint16
	State AccessState
}

// Lengths of a SET TARGET PORT GROUPS parameter list, in bytes.
const (
	setGroupsHeaderLength     = 4
	setGroupsDescriptorLength = 4
)

// SetPortGroupsLength checks the length of a SET TARGET PORT GROUPS parameter
// list of at most limit descriptors. What is wrong is answered as Sense.
func SetPortGroupsLength(n uint32, limit int) error {
	most := uint32(setGroupsHeaderLength + setGroupsDescriptorLength*limit)
	if n != 0 && (n < setGroupsHeaderLength || n > most || n%setGroupsDescriptorLength != 0) {
		return InvalidCDBField(6)
	}
	return nil
}

// DecodeSetPortGroups reads a SET TARGET PORT GROUPS parameter list of at most
// limit descriptors. An empty list asks for nothing. What is wrong is answered
// as Sense.
func DecodeSetPortGroups(b []byte, limit int) ([]GroupState, error) {
	if err := SetPortGroupsLength(uint32(min(len(b), 1<<31)), limit); err != nil || len(b) == 0 {
		return nil, err
	}
	var groups []GroupState
	for i := setGroupsHeaderLength; i < len(b); i += setGroupsDescriptorLength {
		groups = append(groups, GroupState{Group: binary.BigEndian.Uint16(b[i+2:]), State: AccessState(b[i] & 0xF)})
	}
	return groups, nil
}

// AppendSetPortGroups appends a SET TARGET PORT GROUPS parameter list.
func AppendSetPortGroups(b []byte, groups []GroupState) []byte {
	b = append(b, 0, 0, 0, 0)
	for _, g := range groups {
		b = append(b, uint8(g.State)&0xF, 0)
		b = binary.BigEndian.AppendUint16(b, g.Group)
	}
	return b
}

// InvalidGroupState is ILLEGAL REQUEST, INVALID FIELD IN PARAMETER LIST that
// points at the access state of descriptor i of a SET TARGET PORT GROUPS
// parameter list.
func InvalidGroupState(i int) Sense {
	return InvalidParameterField(setGroupsHeaderLength + setGroupsDescriptorLength*i)
}

// InvalidGroup is the same for the target port group of descriptor i.
func InvalidGroup(i int) Sense {
	return InvalidParameterField(setGroupsHeaderLength + setGroupsDescriptorLength*i + 2)
}
