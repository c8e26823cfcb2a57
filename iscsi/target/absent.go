package target

import (
	"encoding/binary"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/scsi"
)

// Operation codes the target answers itself (SPC-5 §6.6, §6.33, §6.39).
const (
	opRequestSense = 0x03
	opInquiry      = 0x12
	opReportLUNs   = 0xa0
)

// noLogicalUnit is what every other command gets.
var noLogicalUnit = scsi.Illegal(scsi.LogicalUnitNotSupported)

// answerAbsent answers what belongs to the target and not to a unit: REPORT
// LUNS, through any LUN, and commands to a LUN that has no unit (SAM-6 §4.7.4,
// SPC-5 §6.6.1). single tells whether the LUN is of a form that could have
// one.
func (s *session) answerAbsent(t *task, single bool) {
	switch t.CDB[0] {
	case opReportLUNs:
		if single || t.lun == iscsi.ReportLUNsWellKnown {
			s.reportLUNs(t)
			return
		}
	case opInquiry:
		t.inquireAbsent()
		return
	case opRequestSense:
		t.senseAbsent()
		return
	}
	t.answer(scsi.StatusCheckCondition, noLogicalUnit)
}

// dataIn ends the task with GOOD and data, cut to the allocation length.
func (t *task) dataIn(data []byte, allocation int) {
	n := min(len(data), allocation)
	if n > 0 {
		b := t.c.server.pool.Get(n)
		if b == nil {
			t.answer(scsi.StatusTaskSetFull, scsi.Sense{})
			return
		}
		copy(b.Bytes(), data)
		t.DataIn = b
	}
	t.Transfer = n
	t.answer(scsi.StatusGood, scsi.Sense{})
}

// badField ends the task with INVALID FIELD IN CDB, pointing at a byte.
func (t *task) badField(field uint16) {
	sense := scsi.Illegal(scsi.InvalidFieldInCDB)
	sense.Field, sense.HasField = field, true
	t.answer(scsi.StatusCheckCondition, sense)
}

// reportLUNs answers with the LUNs of the target (SPC-5 §6.33).
func (s *session) reportLUNs(t *task) {
	const (
		exceptWellKnown = 0
		onlyWellKnown   = 1
		all             = 2
	)
	allocation := int(binary.BigEndian.Uint32(t.CDB[6:]))
	var luns []uint16
	switch t.CDB[2] {
	case exceptWellKnown, all:
		luns = s.target.luns.numbers()
	case onlyWellKnown:
	default:
		t.badField(2)
		return
	}
	s.lunsChanged.Store(false)
	t.dataIn(scsi.AppendLUNs(nil, luns), allocation)
}

// inquireAbsent says that there is no unit and cannot be one: peripheral
// qualifier 3, device type 1Fh.
func (t *task) inquireAbsent() {
	const absent = 3<<5 | 0x1f
	allocation := int(binary.BigEndian.Uint16(t.CDB[3:]))
	evpd, page := t.CDB[1]&1 != 0, t.CDB[2]
	switch {
	case evpd && page == 0:
		t.dataIn([]byte{absent, 0, 0, 1, 0}, allocation)
	case evpd || page != 0:
		t.badField(2)
	default:
		q := scsi.StandardInquiry{Qualifier: absent >> 5, DeviceType: absent & 0x1f}
		t.dataIn(q.Append(nil), allocation)
	}
}

// senseAbsent returns the sense data as data (SPC-5 §6.39).
func (t *task) senseAbsent() {
	sense := noLogicalUnit
	sense.DescriptorFormat = t.CDB[1]&1 != 0
	t.dataIn(scsi.AppendSense(nil, sense), int(t.CDB[4]))
}
