package scsi

import "fmt"

// SenseKey is the broad cause of a CHECK CONDITION (SPC-5 §4.4.8).
type SenseKey uint8

// Sense keys (SPC-5 table 49).
const (
	NoSense        SenseKey = 0x0
	RecoveredError SenseKey = 0x1
	NotReady       SenseKey = 0x2
	MediumError    SenseKey = 0x3
	HardwareError  SenseKey = 0x4
	IllegalRequest SenseKey = 0x5
	UnitAttention  SenseKey = 0x6
	DataProtect    SenseKey = 0x7
	BlankCheck     SenseKey = 0x8
	CopyAborted    SenseKey = 0xA
	AbortedCommand SenseKey = 0xB
	VolumeOverflow SenseKey = 0xD
	Miscompare     SenseKey = 0xE
	Completed      SenseKey = 0xF
)

// ASC is an additional sense code with its qualifier: the code in the high
// byte, the qualifier in the low one (SPC-5 §4.4.9).
type ASC uint16

// Sense is why a command did not end with GOOD: a sense key and an additional
// sense code, and where one applies the information field or a pointer to the
// offending field. It is an error, so that code deep in a command can return
// it. The zero value is NO SENSE.
type Sense struct {
	Key SenseKey
	ASC ASC

	// Information is the INFORMATION field, meaningful when HasInformation:
	// for most block commands the LBA of the first failure (SBC-4 §4.18).
	Information    uint64
	HasInformation bool

	// Field points at the byte of the CDB (or of the parameter list when
	// FieldInData) that was wrong, when HasField (SPC-5 §4.4.2.4.2).
	Field       uint16
	FieldInData bool
	HasField    bool
	// Bit is the offending bit within the byte, when HasBit.
	Bit    uint8
	HasBit bool

	// Progress is the progress indication in 65536ths, when HasProgress
	// (SPC-5 §4.4.2.4.4).
	Progress    uint16
	HasProgress bool

	// DescriptorFormat asks for descriptor format when the sense data is
	// encoded: the D_SENSE bit of the control mode page (SPC-5 §7.5.10).
	DescriptorFormat bool
}

// Error tells the sense key and code in the names and the notation of the
// standard.
func (s Sense) Error() string {
	return fmt.Sprintf("%v, %02Xh/%02Xh %v", s.Key, uint8(s.ASC>>8), uint8(s.ASC), s.ASC)
}

// Illegal is ILLEGAL REQUEST with the code a.
func Illegal(a ASC) Sense { return Sense{Key: IllegalRequest, ASC: a} }

// InvalidCDBField is ILLEGAL REQUEST, INVALID FIELD IN CDB, pointing at a byte
// of the CDB.
func InvalidCDBField(field int) Sense {
	return Sense{Key: IllegalRequest, ASC: InvalidFieldInCDB, Field: uint16(field), HasField: true}
}

// InvalidCDBBit is ILLEGAL REQUEST, INVALID FIELD IN CDB, pointing at the most
// significant bit of the field that was wrong.
func InvalidCDBBit(field int, bit uint8) Sense {
	s := InvalidCDBField(field)
	s.Bit, s.HasBit = bit, true
	return s
}

// InvalidParameterField is ILLEGAL REQUEST, INVALID FIELD IN PARAMETER LIST,
// pointing at a byte of the parameter list.
func InvalidParameterField(field int) Sense {
	return Sense{Key: IllegalRequest, ASC: InvalidFieldInParameterList, Field: uint16(field), HasField: true, FieldInData: true}
}

// BeyondEnd is ILLEGAL REQUEST, LOGICAL BLOCK ADDRESS OUT OF RANGE with the
// first such LBA in the INFORMATION field (SBC-4 §4.18.1).
func BeyondEnd(lba uint64) Sense {
	return Sense{Key: IllegalRequest, ASC: LBAOutOfRange, Information: lba, HasInformation: true}
}
