package lun

import (
	"bytes"
	"time"

	"github.com/tandem-san/tandem/scsi"
)

// identifying is the identifying information there is.
func (b *brain) identifying(d *Durable) Identifying {
	if d.Identifying != nil {
		return *d.Identifying
	}
	i := Identifying{Peripheral: b.unit.config.IdentInfo}
	if text := b.unit.config.TextIdentInfo; text != "" {
		i.Text = append([]byte(text), 0)
	}
	return i
}

// reportIdentifying: REPORT IDENTIFYING INFORMATION (SPC-5 §6.32).
func reportIdentifying(b *brain, t *Task) bool {
	i := b.identifying(&b.state.durable)
	var data []byte
	switch scsi.InformationTypeOf(t.CDB) {
	case scsi.PeripheralInformation:
		data = scsi.AppendIdentifyingInformation(nil, i.Peripheral)
	case scsi.TextInformation:
		data = scsi.AppendIdentifyingInformation(nil, i.Text)
	case scsi.SupportedInformation:
		data = scsi.AppendSupportedInformation(nil)
	default:
		t.check(scsi.InvalidCDBBit(10, 7))
		return false
	}
	b.unit.reply(t, data, t.cdb().AllocationLength())
	return false
}

// prepareSetIdentifying: SET IDENTIFYING INFORMATION (SPC-5 §6.46).
func prepareSetIdentifying(_ *brain, t *Task) bool {
	limit := uint32(0)
	switch scsi.InformationTypeOf(t.CDB) {
	case scsi.PeripheralInformation:
		limit = scsi.MaxPeripheralInformation
	case scsi.TextInformation:
		limit = scsi.MaxTextInformation
	default:
		t.check(scsi.InvalidCDBBit(10, 7))
		return false
	}
	n := t.cdb().AllocationLength()
	if n > limit {
		t.check(scsi.InvalidCDBField(6))
		return false
	}
	t.state.need, t.Transfer = int(n), int(n)
	return true
}

// setIdentifying keeps the information and tells all other nexuses with DEVICE
// IDENTIFIER CHANGED.
func setIdentifying(b *brain, t *Task) {
	kind, info := scsi.InformationTypeOf(t.CDB), bytes.Clone(t.DataOut[:t.state.need])
	if err := scsi.CheckIdentifyingInformation(kind, info); err != nil {
		t.fail(err)
		return
	}
	b.changeState(t, func(b *brain, p *persistent) (effects, error) {
		i := b.identifying(&p.durable)
		if kind == scsi.TextInformation {
			i.Text = info
		} else {
			i.Peripheral = info
		}
		p.durable.Identifying = &i
		return effects{all: scsi.DeviceIdentifierChanged, by: t.Nexus}, nil
	})
}

// reportTimestamp: REPORT TIMESTAMP (SPC-5 §6.38): this machine's clock, or
// what was set, which goes on with it.
func reportTimestamp(b *brain, t *Task) bool {
	stamp := scsi.Timestamp{Origin: scsi.TimestampOutside, Milliseconds: uint64(time.Now().UnixMilli())}
	if c := b.state.durable.Clock; c != nil {
		stamp.Origin = scsi.TimestampSet
		stamp.Milliseconds += uint64(*c)
	}
	b.unit.reply(t, stamp.Append(nil), t.cdb().AllocationLength())
	return false
}

// prepareSetTimestamp: SET TIMESTAMP (SPC-5 §6.48).
func prepareSetTimestamp(_ *brain, t *Task) bool {
	n := int(t.cdb().AllocationLength())
	if n == 0 {
		return false
	}
	if n != scsi.SetTimestampLength {
		t.check(scsi.Illegal(scsi.ParameterListLengthError))
		return false
	}
	t.state.need, t.Transfer = n, n
	return true
}

func setTimestamp(b *brain, t *Task) {
	ms, err := scsi.DecodeSetTimestamp(t.DataOut[:t.state.need])
	if err != nil {
		t.fail(err)
		return
	}
	ahead := int64(ms) - time.Now().UnixMilli()
	b.changeState(t, func(_ *brain, p *persistent) (effects, error) {
		p.durable.Clock = &ahead
		return effects{all: scsi.TimestampChanged, by: t.Nexus}, nil
	})
}
