package scsi

import (
	"encoding/binary"
	"fmt"
)

// Log page codes (SPC-5 §7.3, SBC-4 §6.4).
const (
	LogSupportedPages          = 0x00
	LogProvisioning            = 0x0C
	LogTemperature             = 0x0D
	LogStartStop               = 0x0E
	LogStatistics              = 0x19
	LogInformationalExceptions = 0x2F
	allLogSubpages             = 0xFF
)

const (
	logPageHeaderLength      = 4
	logParameterHeaderLength = 4
	// binaryFormatList is the FORMAT AND LINKING field of a parameter that is a
	// list of numbers (SPC-5 table 316).
	binaryFormatList = 0x03
)

// LogParameter is a parameter of a log page (SPC-5 §7.3.2.2). All are binary
// format lists. Value is at most 255 bytes.
type LogParameter struct {
	Code  uint16
	Value []byte
}

// AppendLogPage appends a log page: the header and the parameters.
func AppendLogPage(b []byte, page byte, parameters []LogParameter) []byte {
	at := len(b)
	b = append(b, page, 0, 0, 0)
	for _, p := range parameters {
		b = binary.BigEndian.AppendUint16(b, p.Code)
		b = append(b, binaryFormatList, uint8(len(p.Value)))
		b = append(b, p.Value...)
	}
	binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at-logPageHeaderLength))
	return b
}

// DecodeLogPage reads a log page. A parameter cut short ends the list with an
// error; those before it are returned too.
func DecodeLogPage(b []byte) (page byte, parameters []LogParameter, err error) {
	if len(b) < logPageHeaderLength {
		return 0, nil, fmt.Errorf("log page: %d bytes, want at least %d", len(b), logPageHeaderLength)
	}
	page = b[0] & 0x3F
	n := int(binary.BigEndian.Uint16(b[2:]))
	b = b[logPageHeaderLength:]
	b = b[:min(n, len(b))]
	for len(b) > 0 {
		if len(b) < logParameterHeaderLength || len(b) < logParameterHeaderLength+int(b[3]) {
			return page, parameters, fmt.Errorf("log page %02Xh: parameter %d is cut short", page, len(parameters))
		}
		n := logParameterHeaderLength + int(b[3])
		parameters = append(parameters, LogParameter{Code: binary.BigEndian.Uint16(b), Value: b[logParameterHeaderLength:n:n]})
		b = b[n:]
	}
	return page, parameters, nil
}

// AppendSupportedLogPages appends the list of pages, which includes itself, or
// with subpages that of pages and subpages (SPC-5 §7.3.21, §7.3.22). pages are
// the others, in ascending order.
func AppendSupportedLogPages(b []byte, subpages bool, pages []byte) []byte {
	if subpages {
		b = append(b, 0x40|LogSupportedPages, allLogSubpages)
		b = binary.BigEndian.AppendUint16(b, uint16(2*(len(pages)+2)))
		b = append(b, LogSupportedPages, 0, LogSupportedPages, allLogSubpages)
		for _, p := range pages {
			b = append(b, p, 0)
		}
		return b
	}
	b = append(b, LogSupportedPages, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(pages)+1))
	return append(append(b, LogSupportedPages), pages...)
}

// LogPageOf reads which page a LOG SENSE command asks for. ok is false for a
// subpage, of which there is but the list of pages and subpages.
func LogPageOf(cdb CDB) (page byte, subpages, ok bool) {
	page, subpages = cdb.Byte(2)&0x3F, cdb.Byte(3) == allLogSubpages
	return page, subpages, cdb.Byte(3) == 0 || subpages && page == LogSupportedPages
}

// UnknownTemperature is a temperature that is not known (SPC-5 §7.3.24).
const UnknownTemperature = 0xFF

// Temperature is the temperature log page: degrees Celsius, UnknownTemperature
// where there is none.
type Temperature struct{ Current, Reference uint8 }

// Parameters are those of the temperature log page.
func (t Temperature) Parameters() []LogParameter {
	return []LogParameter{{0, []byte{0, t.Current}}, {1, []byte{0, t.Reference}}}
}

// InformationalExceptions are the parameters of the informational exceptions
// log page of a logical unit without one (SPC-5 §7.3.13).
func (t Temperature) InformationalExceptions() []LogParameter {
	return []LogParameter{{0, []byte{0, 0, t.Current, 0}}}
}

// StartStopCycles are the parameters of the start-stop cycle counter log page:
// how often the logical unit was stopped, and how often its medium was
// unloaded (SPC-5 §7.3.23).
func StartStopCycles(stops, unloads uint32) []LogParameter {
	return []LogParameter{{4, binary.BigEndian.AppendUint32(nil, stops)}, {6, binary.BigEndian.AppendUint32(nil, unloads)}}
}

// Statistics are those of the general statistics and performance log page
// (SPC-5 §7.3.9). Times are in milliseconds; those of commands are added up
// over all of them.
type Statistics struct {
	Reads, Writes             uint64 // commands
	BlocksWritten, BlocksRead uint64
	ReadTime, WriteTime       uint64
	IdleTime                  uint64
}

// The time interval of the statistics is 1 times 10^-3 seconds.
const (
	intervalExponent = 3
	intervalInteger  = 1
)

// Parameters are those of the page.
func (s Statistics) Parameters() []LogParameter {
	var v []byte
	for _, n := range []uint64{s.Reads, s.Writes, s.BlocksWritten, s.BlocksRead, s.ReadTime, s.WriteTime, 0, 0} {
		v = binary.BigEndian.AppendUint64(v, n)
	}
	return []LogParameter{
		{1, v},
		{2, binary.BigEndian.AppendUint64(nil, s.IdleTime)},
		{3, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, intervalExponent), intervalInteger)},
	}
}

// Resource is a parameter of the logical block provisioning log page
// (SBC-4 §6.4.5): so many threshold sets of LBA mapping resources.
type Resource struct {
	Code uint16
	Sets uint32
	// Shared: they are also for other logical units.
	Shared bool
}

// Resources of the logical block provisioning log page.
const (
	AvailableResource = 0x0001
	UsedResource      = 0x0002
)

// Parameter is the parameter of the page.
func (r Resource) Parameter() LogParameter {
	scope := byte(1) // this logical unit
	if r.Shared {
		scope = 2
	}
	return LogParameter{r.Code, append(binary.BigEndian.AppendUint32(nil, r.Sets), scope, 0, 0, 0)}
}
