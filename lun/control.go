package lun

import (
	"math"

	"github.com/tandem-san/tandem/scsi"
)

// testUnitReady: a logical unit that is active is ready (SPC-5 §6.51).
func testUnitReady(*brain, *Task) bool { return false }

// requestSense answers a pending unit attention as data and clears it
// (SPC-5 §6.39).
func requestSense(b *brain, t *Task) bool {
	n := t.state.nexus
	var s scsi.Sense
	if n.attentionCount > 0 {
		s = unitAttention(n.takeAttention())
	} else if e := b.state.durable.Erasure; e != nil {
		s = b.erasureSense(e)
	} else if b.state.durable.Ejected {
		s = mediumNotPresent
	} else {
		s, _ = n.access.Refusal(&scsi.Commands[scsi.CmdTestUnitReady])
	}
	b.unit.replySense(t, s)
	return false
}

// requestSenseByPort answers the condition of the port.
func (u *LogicalUnit) requestSenseByPort(a *Access, t *Task) {
	s, _ := a.stateOf(t.Nexus.TargetPort).Refusal(&scsi.Commands[scsi.CmdTestUnitReady])
	u.replySense(t, s)
}

func (u *LogicalUnit) replySense(t *Task, s scsi.Sense) {
	s.DescriptorFormat = t.cdb().Bit(1, 0)
	u.reply(t, scsi.AppendSense(nil, s), t.cdb().AllocationLength())
}

// reportLUNs answers for this logical unit alone, as LUN 0; a target with
// several answers by itself (SPC-5 §6.33).
func (u *LogicalUnit) reportLUNs(_ *Access, t *Task) {
	u.reply(t, scsi.AppendLUNs(nil, []uint16{0}), t.cdb().AllocationLength())
}

func (u *LogicalUnit) reportTargetPortGroups(a *Access, t *Task) {
	extended := t.cdb().Byte(1)>>5 == 1
	u.reply(t, scsi.AppendPortGroups(nil, a.portGroups(), extended, 0), t.cdb().AllocationLength())
}

func (u *LogicalUnit) reportSupportedOperationCodes(_ *Access, t *Task) {
	data, err := scsi.AppendSupportedOperationCodes(nil, t.CDB, u.has)
	if err != nil {
		t.fail(err)
		return
	}
	u.reply(t, data, t.cdb().AllocationLength())
}

func (u *LogicalUnit) reportSupportedTaskManagement(_ *Access, t *Task) {
	u.reply(t, scsi.AppendSupportedTaskManagement(nil, t.cdb().Bit(2, 7)), t.cdb().AllocationLength())
}

func (b *brain) capacity() scsi.Capacity {
	c := &b.unit.config
	return scsi.Capacity{
		LastLBA:          b.blocks - 1,
		BlockLength:      uint32(c.BlockSize),
		PhysicalExponent: c.physicalExponent(),
		LowestAlignedLBA: uint16(alignedLBA(c.PhysicalBlockSize, c.PhysicalBlockOffset, c.BlockSize)),
		Provisioned:      !c.NoUnmap,
		ReadsZero:        !c.NoUnmap,
	}
}

func readCapacity10(b *brain, t *Task) bool {
	b.unit.reply(t, b.capacity().Append10(nil), math.MaxUint32)
	return false
}

func readCapacity16(b *brain, t *Task) bool {
	b.unit.reply(t, b.capacity().Append16(nil), t.cdb().AllocationLength())
	return false
}
