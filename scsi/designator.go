package scsi

import (
	"encoding/binary"
	"fmt"
)

// CodeSet says what the bytes of a designator are (SPC-5 table 469).
type CodeSet uint8

// Code sets.
const (
	CodeSetBinary CodeSet = 1
	CodeSetASCII  CodeSet = 2
	CodeSetUTF8   CodeSet = 3
)

// Association says what a designator designates (SPC-5 table 470).
type Association uint8

// Associations.
const (
	AssociationLogicalUnit  Association = 0
	AssociationTargetPort   Association = 1
	AssociationTargetDevice Association = 2
)

// DesignatorType is the kind of a designator (SPC-5 table 471).
type DesignatorType uint8

// Designator types.
const (
	DesignatorT10Vendor          DesignatorType = 0x1
	DesignatorEUI64              DesignatorType = 0x2
	DesignatorNAA                DesignatorType = 0x3
	DesignatorRelativeTargetPort DesignatorType = 0x4
	DesignatorTargetPortGroup    DesignatorType = 0x5
	DesignatorSCSIName           DesignatorType = 0x8
	DesignatorUUID               DesignatorType = 0xA
)

// Protocol identifiers (SPC-5 table 450).
const protocolISCSI = 0x5

const (
	designatorHeaderLength = 4
	maxDesignator          = 255
)

// Designator is a designation descriptor (SPC-5 §7.7.6.1).
type Designator struct {
	Association Association
	CodeSet     CodeSet
	Type        DesignatorType
	// ISCSI: the PROTOCOL IDENTIFIER field is valid and says iSCSI.
	ISCSI bool
	// Value is the DESIGNATOR field, at most 255 bytes.
	Value []byte
}

// Append appends the descriptor. A Value longer than 255 bytes is cut.
func (d Designator) Append(b []byte) []byte {
	v := d.Value
	if len(v) > maxDesignator {
		v = v[:maxDesignator]
	}
	b0, b1 := uint8(d.CodeSet), uint8(d.Association)<<4|uint8(d.Type)
	if d.ISCSI {
		b0 |= protocolISCSI << 4
		b1 |= 0x80
	}
	b = append(b, b0, b1, 0, uint8(len(v)))
	return append(b, v...)
}

// DecodeDesignators reads the body of a device identification page. A
// descriptor cut short ends the list with an error; those before it are
// returned too.
func DecodeDesignators(b []byte) ([]Designator, error) {
	var ds []Designator
	for len(b) > 0 {
		if len(b) < designatorHeaderLength || len(b) < designatorHeaderLength+int(b[3]) {
			return ds, fmt.Errorf("designation descriptor %d: cut short", len(ds))
		}
		n := designatorHeaderLength + int(b[3])
		ds = append(ds, Designator{
			CodeSet:     CodeSet(b[0] & 0xF),
			Association: Association(b[1] >> 4 & 3),
			Type:        DesignatorType(b[1] & 0xF),
			ISCSI:       b[1]&0x80 != 0 && b[0]>>4 == protocolISCSI,
			Value:       b[designatorHeaderLength:n:n],
		})
		b = b[n:]
	}
	return ds, nil
}

// T10VendorDesignator designates a logical unit by the T10 vendor
// identification, padded, and a string of the vendor's (SPC-5 §7.7.6.4).
func T10VendorDesignator(vendor, id string) Designator {
	v := make([]byte, VendorLength, VendorLength+len(id))
	putPadded(v, vendor)
	return Designator{Association: AssociationLogicalUnit, CodeSet: CodeSetASCII, Type: DesignatorT10Vendor, Value: append(v, id...)}
}

// NAADesignator designates a logical unit by its NAA name (SPC-5 §7.7.6.6).
func NAADesignator(naa NAA) Designator {
	return Designator{Association: AssociationLogicalUnit, CodeSet: CodeSetBinary, Type: DesignatorNAA, Value: []byte(naa)}
}

// EUI64Designator designates a logical unit by an EUI-64 based name of 8, 12 or
// 16 bytes (SPC-5 §7.7.6.5).
func EUI64Designator(eui []byte) Designator {
	return Designator{Association: AssociationLogicalUnit, CodeSet: CodeSetBinary, Type: DesignatorEUI64, Value: eui}
}

// UUIDDesignator designates a logical unit by the 16 bytes of a UUID of RFC 9562
// (SPC-5 §7.7.6.13).
func UUIDDesignator(uuid []byte) Designator {
	return Designator{Association: AssociationLogicalUnit, CodeSet: CodeSetBinary, Type: DesignatorUUID, Value: append([]byte{0x10, 0}, uuid...)}
}

// LogicalUnitNameDesignator designates a logical unit by a SCSI name string
// (SPC-5 §7.7.6.11).
func LogicalUnitNameDesignator(name string) Designator {
	d := SCSINameDesignator(AssociationLogicalUnit, name)
	d.ISCSI = false
	return d
}

// RelativeTargetPortDesignator designates a target port by its relative target
// port identifier (SPC-5 §7.7.6.7).
func RelativeTargetPortDesignator(port uint16) Designator {
	return Designator{Association: AssociationTargetPort, CodeSet: CodeSetBinary, Type: DesignatorRelativeTargetPort,
		Value: binary.BigEndian.AppendUint32(nil, uint32(port))}
}

// TargetPortGroupDesignator designates the target port group of a target port
// (SPC-5 §7.7.6.8).
func TargetPortGroupDesignator(group uint16) Designator {
	return Designator{Association: AssociationTargetPort, CodeSet: CodeSetBinary, Type: DesignatorTargetPortGroup,
		Value: binary.BigEndian.AppendUint32(nil, uint32(group))}
}

// SCSINameDesignator designates a target port or device of iSCSI by its SCSI
// name string, terminated and padded to a multiple of four bytes
// (SPC-5 §7.7.6.11, RFC 7143 §4.2.7).
func SCSINameDesignator(a Association, name string) Designator {
	v := make([]byte, (len(name)+4)&^3)
	copy(v, name)
	return Designator{Association: a, CodeSet: CodeSetUTF8, Type: DesignatorSCSIName, ISCSI: true, Value: v}
}

// PortDescriptor is one target port in the SCSI ports page
// (SPC-5 §7.7.16).
type PortDescriptor struct {
	RelativePort uint16
	Name         string
}

// AppendSCSIPorts appends the SCSI ports page.
func AppendSCSIPorts(b []byte, ports []PortDescriptor) []byte {
	var body []byte
	for _, p := range ports {
		name := SCSINameDesignator(AssociationTargetPort, p.Name).Append(nil)
		body = append(body, 0, 0)
		body = binary.BigEndian.AppendUint16(body, p.RelativePort)
		body = append(body, 0, 0, 0, 0, 0, 0) // no initiator port
		body = binary.BigEndian.AppendUint16(body, uint16(len(name)))
		body = append(body, name...)
	}
	return AppendVPD(b, VPDSCSIPorts, body)
}
