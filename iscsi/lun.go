package iscsi

import (
	"fmt"

	"github.com/tandem-san/tandem/scsi"
)

// LUN is the eight-byte logical unit number of SAM-6 §4.7, first byte highest.
type LUN uint64

// ReportLUNsWellKnown is the REPORT LUNS well-known logical unit
// (SAM-6 §4.7.7.5.1, SPC-5 §8.2).
const ReportLUNsWellKnown LUN = 0xc101 << 48

// NewLUN encodes number n, up to scsi.MaxLUN.
func NewLUN(n uint16) LUN { return LUN(scsi.EncodeLUN(n)) }

// Number decodes a single-level logical unit number of the peripheral device
// or flat space method; ok is false for any other.
func (l LUN) Number() (n uint16, ok bool) { return scsi.DecodeLUN(uint64(l)) }

// String gives the number when there is one, the eight bytes otherwise.
func (l LUN) String() string {
	if n, ok := l.Number(); ok {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%016xh", uint64(l))
}
