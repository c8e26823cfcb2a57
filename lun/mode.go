package lun

import "github.com/tandem-san/tandem/scsi"

// modeSense answers MODE SENSE (6) and (10) (SPC-5 §6.13, §6.14).
func modeSense(b *brain, t *Task) bool {
	cdb := t.cdb()
	pc := scsi.PageControl(cdb.Byte(2) >> 6)
	stable := b.unit.config.Stable
	if pc == scsi.SavedValues && !stable {
		t.check(scsi.Illegal(scsi.SavingParametersNotSupported))
		return false
	}
	v := b.state.mode
	switch pc {
	case scsi.DefaultValues:
		v = b.unit.config.defaultMode()
	case scsi.SavedValues:
		v = b.unit.config.initialMode(b.state.saved)
	}
	pages, ok := scsi.AppendModePages(nil, cdb.Byte(2)&0x3F, cdb.Byte(3), pc, v, b.unit.config.ownPages()...)
	if !ok {
		t.check(scsi.InvalidCDBField(2))
		return false
	}
	if stable {
		scsi.MarkSavable(pages, b.unit.config.ownPages()...)
	}
	h := scsi.ModeHeader{
		WriteProtected:  b.writeProtected(),
		BlockDescriptor: !cdb.Bit(1, 3),
		Long:            cdb.Bit(1, 4),
		Blocks:          b.blocks,
		BlockLength:     uint32(b.unit.config.BlockSize),
	}
	var data []byte
	if t.state.cmd == scsi.CmdModeSense6 {
		data = h.AppendMode6(nil, pages)
	} else {
		data = h.AppendMode10(nil, pages)
	}
	b.unit.reply(t, data, cdb.AllocationLength())
	return false
}

func (b *brain) writeProtected() bool {
	return b.unit.config.ReadOnly || b.state.mode.SoftwareWriteProtect
}

// prepareModeSelect asks for the parameter list of MODE SELECT (SPC-5 §6.11).
func prepareModeSelect(b *brain, t *Task) bool {
	cdb := t.cdb()
	if cdb.Bit(1, 0) && !b.unit.config.Stable { // SP: nothing is saved
		t.check(scsi.InvalidCDBBit(1, 0))
		return false
	}
	if !cdb.Bit(1, 4) { // PF: only pages as the standard has them
		t.check(scsi.InvalidCDBBit(1, 4))
		return false
	}
	n := int(cdb.AllocationLength())
	t.state.need, t.Transfer = n, n
	return n > 0
}

// modeSelect changes mode parameters, saves them all when asked to, and tells
// all other nexuses with MODE PARAMETERS CHANGED.
func modeSelect(b *brain, t *Task) {
	list := t.DataOut[:t.state.need]
	split := scsi.SplitMode10
	if t.state.cmd == scsi.CmdModeSelect6 {
		split = scsi.SplitMode6
	}
	h, err := split(list)
	if err == nil {
		if bs := h.BlockLength(); bs != 0 && bs != uint32(b.unit.config.BlockSize) {
			err = scsi.InvalidParameterField(h.Offset - 3)
		}
	}
	if err != nil {
		t.fail(err)
		return
	}
	flush := false
	b.changeState(t, func(_ *brain, p *persistent) (effects, error) {
		next, err := scsi.SelectModePages(list, h.Offset, p.mode, b.unit.config.ownPages()...)
		if err != nil {
			return effects{}, err
		}
		save := t.cdb().Bit(1, 0) && (p.saved == nil || *p.saved != next)
		if save {
			p.saved = &next
		}
		if next == p.mode && !save {
			return effects{}, errUnchanged
		}
		if next == p.mode {
			return effects{}, nil
		}
		flush = p.mode.WriteCache && !next.WriteCache
		p.mode = next
		return effects{all: scsi.ModeParametersChanged, by: t.Nexus}, nil
	})
	if flush && t.Status == scsi.StatusGood && !t.NotServed {
		b.sync(t)
	}
}
