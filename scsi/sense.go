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
}

// Error tells the sense key and code in the notation of the standard.
func (s Sense) Error() string {
	return fmt.Sprintf("sense key %Xh, %02Xh/%02Xh", uint8(s.Key), uint8(s.ASC>>8), uint8(s.ASC))
}
