package scsi

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// InformationType is the INFORMATION TYPE field of REPORT and SET IDENTIFYING
// INFORMATION (SPC-5 table 263).
type InformationType uint8

// Types of identifying information.
const (
	PeripheralInformation InformationType = 0x00
	TextInformation       InformationType = 0x02
	SupportedInformation  InformationType = 0x7F // REPORT only
)

// Limits of identifying information, in bytes; text with its terminator.
const (
	MaxPeripheralInformation = 512
	MaxTextInformation       = 256
)

// InformationTypeOf reads the CDB of REPORT or SET IDENTIFYING INFORMATION.
func InformationTypeOf(cdb CDB) InformationType { return InformationType(cdb.Byte(10) >> 1) }

// AppendIdentifyingInformation appends REPORT IDENTIFYING INFORMATION parameter
// data (SPC-5 §6.32).
func AppendIdentifyingInformation(b, info []byte) []byte {
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(info)))
	return append(b, info...)
}

// AppendSupportedInformation appends the list of types with the most bytes of
// each.
func AppendSupportedInformation(b []byte) []byte {
	d := []byte{byte(PeripheralInformation) << 1, 0}
	d = binary.BigEndian.AppendUint16(d, MaxPeripheralInformation)
	d = append(d, byte(TextInformation)<<1, 0)
	d = binary.BigEndian.AppendUint16(d, MaxTextInformation)
	return AppendIdentifyingInformation(b, d)
}

// DecodeIdentifyingInformation reads REPORT IDENTIFYING INFORMATION parameter
// data, no more than is there.
func DecodeIdentifyingInformation(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, fmt.Errorf("identifying information: %d bytes, want at least 4", len(b))
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	return b[4:min(len(b), 4+n)], nil
}

// CheckIdentifyingInformation looks at what SET IDENTIFYING INFORMATION is to
// set: text is UTF-8 and ends with one null character. What is wrong is
// answered as Sense (SPC-5 §6.46).
func CheckIdentifyingInformation(t InformationType, info []byte) error {
	if t != TextInformation || len(info) == 0 {
		return nil
	}
	end := bytes.IndexByte(info, 0)
	if end != len(info)-1 {
		return InvalidParameterField(max(end, 0))
	}
	if !utf8.Valid(info) {
		return InvalidParameterField(0)
	}
	return nil
}
