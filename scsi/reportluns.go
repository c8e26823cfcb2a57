package scsi

import (
	"encoding/binary"
	"fmt"
)

// MaxLUN is the largest logical unit number of the flat space addressing
// method (SAM-6 §4.7.7.3).
const MaxLUN = 0x3FFF

// EncodeLUN gives the eight byte form of a LUN no larger than MaxLUN:
// peripheral device addressing below 256, flat space addressing above
// (SAM-6 §4.7).
func EncodeLUN(lun uint16) uint64 {
	if lun < 256 {
		return uint64(lun) << 48
	}
	return uint64(0x4000|lun&MaxLUN) << 48
}

// DecodeLUN reads the eight byte form of a single level LUN in the peripheral
// device or flat space addressing method. ok is false for any other.
func DecodeLUN(v uint64) (lun uint16, ok bool) {
	if v<<16 != 0 {
		return 0, false
	}
	first := uint16(v >> 48)
	switch first >> 14 {
	case 0: // bus identifier zero only
		return first, first < 256
	case 1:
		return first & MaxLUN, true
	}
	return 0, false
}

// AppendLUNs appends REPORT LUNS parameter data (SPC-5 §6.33.2).
func AppendLUNs(b []byte, luns []uint16) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(8*len(luns)))
	b = append(b, 0, 0, 0, 0)
	for _, l := range luns {
		b = binary.BigEndian.AppendUint64(b, EncodeLUN(l))
	}
	return b
}

// DecodeLUNs reads REPORT LUNS parameter data, as far as it is there. LUNs of
// other addressing methods are left out.
func DecodeLUNs(b []byte) ([]uint16, error) {
	if len(b) < 8 {
		return nil, fmt.Errorf("REPORT LUNS data: %d bytes, want at least 8", len(b))
	}
	n := binary.BigEndian.Uint32(b) / 8
	var luns []uint16
	for b = b[8:]; n > 0 && len(b) >= 8; n, b = n-1, b[8:] {
		if l, ok := DecodeLUN(binary.BigEndian.Uint64(b)); ok {
			luns = append(luns, l)
		}
	}
	return luns, nil
}
