package lun

import "github.com/tandem-san/tandem/scsi"

// multimedia reports whether the logical unit is a reader of CDs and DVDs: what
// is on its medium is read, and never written.
func (c *Config) multimedia() bool { return c.DeviceType == scsi.DeviceTypeMultimedia }

// multimediaHas reports whether such a logical unit has a command of the command
// table.
func multimediaHas(id scsi.CommandID) bool {
	c := &scsi.Commands[id]
	switch id {
	case scsi.CmdRead6, scsi.CmdVerify16, scsi.CmdPreFetch16, scsi.CmdReadCapacity16, scsi.CmdGetLBAStatus, scsi.CmdSynchronizeCache16,
		scsi.CmdFormatUnit, scsi.CmdSanitizeOverwrite, scsi.CmdSanitizeBlockErase, scsi.CmdSanitizeExitFailureMode,
		scsi.CmdReadDefectData10, scsi.CmdReadDefectData12:
		return false
	}
	return c.Effect != scsi.EffectWrites && !isThirdParty(id)
}

// readTOC: READ TOC/PMA/ATIP (MMC-6 §6.25).
func readTOC(b *brain, t *Task) bool {
	data, err := scsi.AppendTOC(nil, t.CDB, uint32(min(b.blocks, 1<<32-1)))
	return b.replyMultimedia(t, data, err)
}

// getConfiguration: GET CONFIGURATION (MMC-6 §6.5).
func getConfiguration(b *brain, t *Task) bool {
	blocks := b.blocks
	if b.state.durable.Ejected {
		blocks = 0
	}
	data, err := scsi.AppendConfiguration(nil, t.CDB, blocks)
	return b.replyMultimedia(t, data, err)
}

// getEventStatus: GET EVENT STATUS NOTIFICATION (MMC-6 §6.6). That a medium was
// loaded is told with a unit attention.
func getEventStatus(b *brain, t *Task) bool {
	data, err := scsi.AppendEventStatus(nil, t.CDB, !b.state.durable.Ejected)
	return b.replyMultimedia(t, data, err)
}

// mechanismStatus: MECHANISM STATUS (MMC-6 §6.10).
func mechanismStatus(b *brain, t *Task) bool {
	return b.replyMultimedia(t, scsi.AppendMechanismStatus(nil, !b.state.durable.Ejected), nil)
}

func (b *brain) replyMultimedia(t *Task, data []byte, err error) bool {
	if err != nil {
		t.fail(err)
	} else {
		b.unit.reply(t, data, t.cdb().AllocationLength())
	}
	return false
}
