package scsi

import "encoding/binary"

// DiagnosticSupportedPages is the code of the supported diagnostic pages
// diagnostic page (SPC-5 §7.2.3), the only one there is.
const DiagnosticSupportedPages = 0x00

const diagnosticHeaderLength = 4

// SelfTest is the SELF-TEST CODE of SEND DIAGNOSTIC (SPC-5 table 268).
type SelfTest uint8

// The self-tests that are carried out before the status.
const (
	SelfTestNone               SelfTest = 0
	SelfTestForegroundShort    SelfTest = 5
	SelfTestForegroundExtended SelfTest = 6
)

// AppendSupportedDiagnosticPages appends the supported diagnostic pages page.
func AppendSupportedDiagnosticPages(b []byte) []byte {
	return append(b, DiagnosticSupportedPages, 0, 0, 1, DiagnosticSupportedPages)
}

// CheckDiagnosticPage looks at the parameter list of SEND DIAGNOSTIC: it may
// be empty, or the request for the supported diagnostic pages. What is wrong is
// answered as Sense (SPC-5 §6.44).
func CheckDiagnosticPage(b []byte) error {
	switch {
	case len(b) == 0:
		return nil
	case len(b) < diagnosticHeaderLength:
		return Illegal(ParameterListLengthError)
	case b[0] != DiagnosticSupportedPages:
		return InvalidParameterField(0)
	case binary.BigEndian.Uint16(b[2:]) != 0:
		return InvalidParameterField(2)
	}
	return nil
}
