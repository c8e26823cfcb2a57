package scsi

import "encoding/binary"

// Log page codes (SPC-5 §7.3).
const (
	LogSupportedPages          = 0x00
	LogInformationalExceptions = 0x2F
	allLogSubpages             = 0xFF
)

// logPages are the log pages, in ascending order, with their parameters; the
// first is the list itself.
var logPages = [...]struct {
	code       byte
	parameters []byte
}{
	{code: LogSupportedPages},
	// One parameter: no exception, temperature not known (SPC-5 §7.3.13).
	{code: LogInformationalExceptions, parameters: []byte{0, 0, 0x03, 4, 0, 0, 0xFF, 0}},
}

// AppendLogPage appends the log page that a LOG SENSE command asks for. It
// reports false when there is no such page (SPC-5 §6.9).
func AppendLogPage(b []byte, page, subpage byte) ([]byte, bool) {
	if page == LogSupportedPages && (subpage == 0 || subpage == allLogSubpages) {
		return appendSupportedLogPages(b, subpage), true
	}
	for _, p := range logPages[1:] {
		if p.code == page && subpage == 0 {
			b = append(b, page, 0)
			b = binary.BigEndian.AppendUint16(b, uint16(len(p.parameters)))
			return append(b, p.parameters...), true
		}
	}
	return b, false
}

// appendSupportedLogPages appends the list of pages, or of pages and subpages
// (SPC-5 §7.3.21, §7.3.22).
func appendSupportedLogPages(b []byte, subpage byte) []byte {
	if subpage == allLogSubpages {
		b = append(b, 0x40|LogSupportedPages, allLogSubpages)
		b = binary.BigEndian.AppendUint16(b, uint16(2*(len(logPages)+1)))
		b = append(b, LogSupportedPages, 0, LogSupportedPages, allLogSubpages)
		for _, p := range logPages[1:] {
			b = append(b, p.code, 0)
		}
		return b
	}
	b = append(b, LogSupportedPages, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(logPages)))
	for _, p := range logPages {
		b = append(b, p.code)
	}
	return b
}
