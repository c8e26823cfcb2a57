package scsi

import (
	"encoding/binary"
	"fmt"
)

// TimestampOrigin says what a timestamp was initialized by (SPC-5 table 78).
type TimestampOrigin uint8

// Origins of a timestamp.
const (
	TimestampZero    TimestampOrigin = 0 // zero at power on
	TimestampSet     TimestampOrigin = 2 // SET TIMESTAMP
	TimestampOutside TimestampOrigin = 3 // a method outside of the standard
)

// SetTimestampLength is the length of the SET TIMESTAMP parameter list.
const SetTimestampLength = 12

const (
	timestampLength = 10 // TIMESTAMP PARAMETER DATA LENGTH
	timestampMask   = 1<<48 - 1
)

// Timestamp is REPORT TIMESTAMP parameter data (SPC-5 §6.38): milliseconds
// since midnight, 1 January 1970 UT, in 48 bits, and where they come from.
type Timestamp struct {
	Origin       TimestampOrigin
	Milliseconds uint64
}

// Append appends the parameter data.
func (t Timestamp) Append(b []byte) []byte {
	b = append(b, 0, timestampLength, uint8(t.Origin)&7, 0)
	b = append(b, timestampBytes(t.Milliseconds)...)
	return append(b, 0, 0)
}

// DecodeTimestamp reads the parameter data.
func DecodeTimestamp(b []byte) (Timestamp, error) {
	if len(b) < 2+timestampLength {
		return Timestamp{}, fmt.Errorf("timestamp: %d bytes, want %d", len(b), 2+timestampLength)
	}
	return Timestamp{Origin: TimestampOrigin(b[2] & 7), Milliseconds: binary.BigEndian.Uint64(b[2:]) & timestampMask}, nil
}

// AppendSetTimestamp appends a SET TIMESTAMP parameter list (SPC-5 §6.48).
func AppendSetTimestamp(b []byte, milliseconds uint64) []byte {
	b = append(b, 0, 0, 0, 0)
	b = append(b, timestampBytes(milliseconds)...)
	return append(b, 0, 0)
}

// DecodeSetTimestamp reads a SET TIMESTAMP parameter list; what is wrong is
// answered as Sense.
func DecodeSetTimestamp(b []byte) (milliseconds uint64, err error) {
	if len(b) != SetTimestampLength {
		return 0, Illegal(ParameterListLengthError)
	}
	return binary.BigEndian.Uint64(b[2:]) & timestampMask, nil
}

// timestampBytes are the 48 bits.
func timestampBytes(milliseconds uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, milliseconds)[2:]
}
