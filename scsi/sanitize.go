package scsi

import (
	"encoding/binary"
	"slices"
)

const (
	sanitizeHeaderLength = 4
	maxOverwrites        = 31

	// Bits of byte 1 of SANITIZE.
	sanitizeImmediate    = 7
	sanitizeUnrestricted = 5
)

// Overwrite is the parameter list of SANITIZE, OVERWRITE (SBC-4 §5.30.2.2).
type Overwrite struct {
	// Invert: each pass writes the inverse of the one before.
	Invert bool
	// Count is the number of passes, 1 to 31.
	Count uint8
	// Pattern, 1 byte to a logical block, is repeated over each logical block.
	Pattern []byte
}

// SanitizeImmediate reads IMMED: the status comes before the work is done.
func SanitizeImmediate(cdb CDB) bool { return cdb.Bit(1, sanitizeImmediate) }

// SanitizeUnrestricted reads AUSE: a failure may be left with EXIT FAILURE MODE.
func SanitizeUnrestricted(cdb CDB) bool { return cdb.Bit(1, sanitizeUnrestricted) }

// OverwriteLength checks the parameter list length of SANITIZE, OVERWRITE.
func OverwriteLength(n uint32, blockLength int) error {
	if n <= sanitizeHeaderLength || n > uint32(sanitizeHeaderLength+blockLength) {
		return InvalidCDBField(7)
	}
	return nil
}

// DecodeOverwrite reads the parameter list; what is wrong is answered as
// Sense.
func DecodeOverwrite(b []byte, blockLength int) (Overwrite, error) {
	if err := OverwriteLength(uint32(min(len(b), 1<<31)), blockLength); err != nil {
		return Overwrite{}, err
	}
	o := Overwrite{Invert: b[0]&0x80 != 0, Count: b[0] & maxOverwrites}
	n := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case b[0]&0x60 != 0: // TEST
		s := InvalidParameterField(0)
		s.Bit, s.HasBit = 6, true
		return Overwrite{}, s
	case o.Count == 0:
		s := InvalidParameterField(0)
		s.Bit, s.HasBit = 4, true
		return Overwrite{}, s
	case n == 0 || n != len(b)-sanitizeHeaderLength:
		return Overwrite{}, InvalidParameterField(2)
	}
	o.Pattern = slices.Clone(b[sanitizeHeaderLength:])
	return o, nil
}

// Append appends the parameter list.
func (o Overwrite) Append(b []byte) []byte {
	flags := o.Count & maxOverwrites
	if o.Invert {
		flags |= 0x80
	}
	b = append(b, flags, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(o.Pattern)))
	return append(b, o.Pattern...)
}

// Format is what FORMAT UNIT asks for beyond the default (SBC-4 §5.4).
type Format struct {
	Immediate bool // IMMED
}

// FormatLength is the length of the parameter list header that a FORMAT UNIT
// command calls for, 0 when it has none. A defect list format without a list,
// and protection information, are refused.
func FormatLength(cdb CDB) (int, error) {
	const fmtpinfo, longlist, fmtdata = 7, 5, 4
	switch {
	case cdb.Byte(1)>>6 != 0:
		return 0, InvalidCDBBit(1, fmtpinfo)
	case cdb.Bit(1, fmtdata) && cdb.Bit(1, longlist):
		return 8, nil
	case cdb.Bit(1, fmtdata):
		return 4, nil
	case cdb.Byte(1) != 0:
		return 0, InvalidCDBBit(1, highestBit(cdb.Byte(1)))
	}
	return 0, nil
}

// DecodeFormat reads a parameter list header, short or long by its length.
// There are no defects to keep track of and no patterns but zeroes: lists of
// both are refused. What is wrong is answered as Sense.
func DecodeFormat(b []byte) (Format, error) {
	if len(b) != 4 && len(b) != 8 {
		return Format{}, Illegal(ParameterListLengthError)
	}
	const fov, immed = 0x80, 0x02
	// Without FOV the bits from DPRY to IP are reserved, with it DCRT may ask for
	// no certification, of which there is none anyway.
	allowed := byte(immed)
	if b[1]&fov != 0 {
		allowed |= fov | 0x70 // DPRY, DCRT, STPF
	}
	for i, m := range [2]byte{0, allowed} {
		if wrong := b[i] &^ m; wrong != 0 {
			s := InvalidParameterField(i)
			s.Bit, s.HasBit = highestBit(wrong), true
			return Format{}, s
		}
	}
	for i := 2; i < len(b); i++ {
		if b[i] != 0 {
			return Format{}, InvalidParameterField(i)
		}
	}
	return Format{Immediate: b[1]&immed != 0}, nil
}
