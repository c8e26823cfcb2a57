package iscsi

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxCDBLength is the longest CDB in bytes (SPC-5 §4.2.3.1).
const MaxCDBLength = 260

// Types of additional header segments (§11.2.2.1).
const (
	ahsExtendedCDB           = 1
	ahsBidirectionalReadData = 2

	ahsPrologue = 4 // AHSLength, AHSType and one byte specific to the type
)

// ErrAHS tells of additional header segments that contradict themselves.
var ErrAHS = errors.New("malformed additional header segment")

// AdditionalHeader is what the AHS of a SCSI Command can say (§11.2.2).
type AdditionalHeader struct {
	// ExtendedCDB is the CDB from its byte 16 on; nil when the CDB is short.
	ExtendedCDB []byte
	// ReadDataLength is the expected bidirectional read data transfer length
	// in bytes, when HasReadDataLength.
	ReadDataLength    uint32
	HasReadDataLength bool
}

// ParseAHS reads the additional header segments in b, of which ExtendedCDB
// keeps a part. Segments of other types, and a second of the same, are ErrAHS.
func ParseAHS(b []byte) (AdditionalHeader, error) {
	var a AdditionalHeader
	for len(b) > 0 {
		if len(b) < ahsPrologue {
			return a, fmt.Errorf("%w: %d bytes left over", ErrAHS, len(b))
		}
		// AHSLength counts what follows AHSType, without padding.
		length := int(binary.BigEndian.Uint16(b))
		size := (3 + length + 3) &^ 3
		if length < 1 || size > len(b) {
			return a, fmt.Errorf("%w: AHSLength %d in %d bytes", ErrAHS, length, len(b))
		}
		switch kind := b[2]; {
		case kind == ahsExtendedCDB && a.ExtendedCDB == nil && 1 < length && length-1 <= MaxCDBLength-CDBLength:
			a.ExtendedCDB = b[ahsPrologue : ahsPrologue+length-1]
		case kind == ahsBidirectionalReadData && !a.HasReadDataLength && length == 5:
			a.ReadDataLength = binary.BigEndian.Uint32(b[ahsPrologue:])
			a.HasReadDataLength = true
		default:
			return a, fmt.Errorf("%w: AHSType %d, AHSLength %d", ErrAHS, kind, length)
		}
		b = b[size:]
	}
	return a, nil
}

// AppendTo appends the segments to b, each padded to four bytes.
func (a AdditionalHeader) AppendTo(b []byte) []byte {
	if n := len(a.ExtendedCDB); n > 0 {
		b = binary.BigEndian.AppendUint16(b, uint16(n+1))
		b = append(b, ahsExtendedCDB, 0)
		b = append(b, a.ExtendedCDB...)
		b = append(b, padding[:padLength(n)]...)
	}
	if a.HasReadDataLength {
		b = append(b, 0, 5, ahsBidirectionalReadData, 0)
		b = binary.BigEndian.AppendUint32(b, a.ReadDataLength)
	}
	return b
}
