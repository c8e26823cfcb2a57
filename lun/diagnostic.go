package lun

import "github.com/tandem-san/tandem/scsi"

// readDefectData: READ DEFECT DATA (10) and (12) (SBC-4 §5.17, §5.18): what the
// medium is made of keeps its defects to itself.
func readDefectData(b *brain, t *Task) bool {
	data, err := scsi.AppendDefectData(nil, t.CDB)
	if err != nil {
		t.fail(err)
		return false
	}
	b.unit.reply(t, data, t.cdb().AllocationLength())
	return false
}

// receiveDiagnosticResults: RECEIVE DIAGNOSTIC RESULTS (SPC-5 §6.19). The
// supported pages are all there is, also to a SEND DIAGNOSTIC before.
func receiveDiagnosticResults(b *brain, t *Task) bool {
	cdb := t.cdb()
	if cdb.Bit(1, 0) && cdb.Byte(2) != scsi.DiagnosticSupportedPages {
		t.check(scsi.InvalidCDBField(2))
		return false
	}
	b.unit.reply(t, scsi.AppendSupportedDiagnosticPages(nil), cdb.AllocationLength())
	return false
}

// prepareSendDiagnostic: SEND DIAGNOSTIC (SPC-5 §6.44): the default self-test,
// those in the foreground, or a page that asks for the supported pages.
func prepareSendDiagnostic(b *brain, t *Task) bool {
	cdb := t.cdb()
	test := scsi.SelfTest(cdb.Byte(1) >> 5)
	n := int(cdb.AllocationLength())
	switch {
	case test != scsi.SelfTestNone && test != scsi.SelfTestForegroundShort && test != scsi.SelfTestForegroundExtended:
		t.check(scsi.InvalidCDBBit(1, 7))
	case test != scsi.SelfTestNone && cdb.Bit(1, 2):
		t.check(scsi.InvalidCDBBit(1, 2))
	case n != 0 && (test != scsi.SelfTestNone || cdb.Bit(1, 2)), n > maxParameterList:
		t.check(scsi.InvalidCDBField(3))
	case n == 0 && test == scsi.SelfTestNone && !cdb.Bit(1, 2):
		return false
	}
	if t.Status != scsi.StatusGood {
		return false
	}
	t.state.need, t.Transfer = n, n
	if n == 0 {
		t.state.lba, t.state.end = 0, b.blocks
	}
	return true
}

// sendDiagnostic looks at the page, or tests: the first and the last logical
// block are read, and what was written is made durable.
func sendDiagnostic(b *brain, t *Task) {
	if t.state.need > 0 {
		if err := scsi.CheckDiagnosticPage(t.DataOut[:t.state.need]); err != nil {
			t.fail(err)
		}
		return
	}
	bs := b.unit.config.BlockSize
	buf := b.unit.config.Pool.Get(bs)
	if buf == nil {
		t.end(scsi.StatusTaskSetFull)
		return
	}
	defer buf.Release()
	for _, lba := range []uint64{t.state.lba, t.state.end - 1} {
		if err := b.device.ReadAt(buf.Bytes()[:bs], int64(lba)*int64(bs)); err != nil {
			b.failed(t, lba, err, scsi.Sense{Key: scsi.HardwareError, ASC: scsi.LogicalUnitFailedSelfTest})
			return
		}
	}
	b.sync(t)
}
