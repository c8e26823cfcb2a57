package lun

import (
	"slices"

	"github.com/tandem-san/tandem/scsi"
)

// needsMedium reports whether a command ends with MEDIUM NOT PRESENT when the
// medium of a removable logical unit is ejected (SBC-4 §4.3).
func needsMedium(id scsi.CommandID) bool {
	switch id {
	case scsi.CmdStartStopUnit:
		return false
	case scsi.CmdTestUnitReady, scsi.CmdReadTOC, scsi.CmdReadCapacity10, scsi.CmdReadCapacity16, scsi.CmdPreFetch10, scsi.CmdPreFetch16,
		scsi.CmdFormatUnit, scsi.CmdSanitizeOverwrite, scsi.CmdSanitizeBlockErase, scsi.CmdReadDefectData10, scsi.CmdReadDefectData12:
		return true
	}
	switch scsi.Commands[id].Effect {
	case scsi.EffectReads, scsi.EffectWrites, scsi.EffectFlushes:
		return true
	}
	return false
}

var mediumNotPresent = scsi.Sense{Key: scsi.NotReady, ASC: scsi.MediumNotPresent}

// Bits of byte 4 of START STOP UNIT.
const (
	startBit = 0
	loejBit  = 1
)

// prepareStartStop: START STOP UNIT (SBC-4 §5.29). Other initiators use the
// logical unit too, so that stopping it makes all that was written durable and
// leaves it ready; so do power conditions, with which START and LOEJ are
// ignored. LOEJ ejects and loads a medium that is removable.
func prepareStartStop(b *brain, t *Task) bool {
	cdb := t.cdb()
	if cdb.Byte(4)>>4 != 0 {
		return false
	}
	d := &b.state.durable
	start, loej := cdb.Bit(4, startBit), cdb.Bit(4, loejBit)
	switch {
	case loej && !b.unit.config.Removable:
		t.check(scsi.InvalidCDBBit(4, loejBit))
		return false
	case loej && b.removalPrevented(d):
		t.check(scsi.Illegal(scsi.MediumRemovalPrevented))
		return false
	case loej:
		return d.Ejected == start
	case d.Ejected:
		t.check(mediumNotPresent)
		return false
	}
	if !start {
		b.stops++
	}
	return !start
}

func startStop(b *brain, t *Task) {
	start := t.cdb().Bit(4, startBit)
	if !start && !b.sync(t) || !t.cdb().Bit(4, loejBit) {
		return
	}
	b.changeState(t, func(b *brain, p *persistent) (effects, error) {
		if b.removalPrevented(&p.durable) {
			return effects{}, scsi.Illegal(scsi.MediumRemovalPrevented)
		}
		p.durable.Ejected = !start
		if !start {
			b.unloads++
			return effects{}, nil
		}
		return effects{all: scsi.NotReadyToReadyChange, by: t.Nexus}, nil
	})
}

// preventAllow: PREVENT ALLOW MEDIUM REMOVAL (SPC-5 §6.14): an I_T nexus
// prevents it, until it allows it again, is lost, or the logical unit is reset.
func preventAllow(b *brain, t *Task) {
	b.changeState(t, func(_ *brain, p *persistent) (effects, error) {
		d := &p.durable
		others := d.allowing(t.Nexus)
		if t.cdb().Bit(4, 0) {
			if len(others) >= maxNexuses {
				return effects{}, scsi.Illegal(scsi.InsufficientResources)
			}
			others = append(others, t.Nexus)
		}
		if len(others) == len(d.Prevent) {
			return effects{}, errUnchanged
		}
		d.Prevent = others
		return effects{}, nil
	})
}

// removalPrevented reports whether a nexus prevents medium removal.
func (b *brain) removalPrevented(d *Durable) bool {
	return slices.ContainsFunc(d.Prevent, func(n Nexus) bool { return !b.losses.has(n) })
}

// allowing is who prevents medium removal when n does no longer.
func (d *Durable) allowing(n Nexus) []Nexus {
	return slices.DeleteFunc(slices.Clone(d.Prevent), func(m Nexus) bool { return m == n })
}
