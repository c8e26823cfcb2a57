package scsi

import "encoding/binary"

// Defect list formats (SBC-4 table 210).
const (
	defectShortBlock     = 0
	defectExtendedIndex  = 1
	defectExtendedSector = 2
	defectLongBlock      = 3
	defectIndex          = 4
	defectSector         = 5
)

// defectRequest is what a READ DEFECT DATA command asks for: the byte with
// REQ_PLIST, REQ_GLIST and the format.
func defectRequest(cdb CDB) (flags byte, field int) {
	if cdb.Length() == 12 {
		return cdb.Byte(1), 1
	}
	return cdb.Byte(2), 2
}

// AppendDefectData appends READ DEFECT DATA (10) or (12) parameter data of a
// medium without defects: an empty list in the format asked for (SBC-4 §5.17,
// §5.18). A format that the standard does not define is refused.
func AppendDefectData(b []byte, cdb CDB) ([]byte, error) {
	flags, field := defectRequest(cdb)
	switch flags & 7 {
	case defectShortBlock, defectExtendedIndex, defectExtendedSector, defectLongBlock, defectIndex, defectSector:
	default:
		return nil, InvalidCDBBit(field, 2)
	}
	b = append(b, 0, flags&0x1F) // PLISTV and GLISTV as they were asked for
	if cdb.Length() != 12 {
		return append(b, 0, 0), nil
	}
	if cdb.Uint32(2) != 0 { // there is no descriptor to begin with
		return nil, InvalidCDBField(2)
	}
	b = binary.BigEndian.AppendUint16(b, 0) // generation code
	return append(b, 0, 0, 0, 0), nil
}
