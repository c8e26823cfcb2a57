package target_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// in does a command with data-in on a LUN.
func (c *client) in(l iscsi.LUN, cdb ...byte) ([]byte, scsi.Sense) {
	c.t.Helper()
	p := c.command(cdb)
	p.LUN, p.Read, p.ExpectedDataTransferLength = l, true, 4096
	c.send(p, nil)
	h, data := c.receive()
	if h.Opcode() == iscsi.OpDataIn {
		return data, scsi.Sense{}
	}
	s, err := scsi.DecodeSense(data[2:])
	if err != nil {
		c.t.Fatal(err)
	}
	return nil, s
}

func TestALUNThatIsNotThereSaysSo(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	c.ready()
	for _, l := range []iscsi.LUN{iscsi.NewLUN(1), iscsi.NewLUN(300), 0x4001 << 48, 0x8000 << 48, 1} {
		data, _ := c.in(l, 0x12, 0, 0, 0, 96)
		if q, err := scsi.DecodeStandardInquiry(data); err != nil || q.Qualifier != 3 || q.DeviceType != 0x1f {
			t.Errorf("LUN %v: INQUIRY answers %+v, %v", l, q, err)
		}
		if data, _ := c.in(l, 0x12, 1, 0, 0, 96); len(data) < 5 || data[0] != 0x7f || data[1] != 0 || data[4] != 0 {
			t.Errorf("LUN %v: page 00h is % x", l, data)
		}
		if _, sense := c.in(l, 0x12, 1, 0x83, 0, 96); sense.ASC != scsi.InvalidFieldInCDB {
			t.Errorf("LUN %v: page 83h: %v", l, sense)
		}
		data, _ = c.in(l, 3, 0, 0, 0, 18)
		if s, err := scsi.DecodeSense(data); err != nil || s.Key != scsi.IllegalRequest || s.ASC != scsi.LogicalUnitNotSupported {
			t.Errorf("LUN %v: REQUEST SENSE answers %v, %v", l, s, err)
		}
		if _, sense := c.in(l, read16(0, 1)...); sense.Key != scsi.IllegalRequest || sense.ASC != scsi.LogicalUnitNotSupported {
			t.Errorf("LUN %v: READ answers %v", l, sense)
		}
		w := c.command(write16(0, 1))
		w.LUN, w.Write, w.ExpectedDataTransferLength = l, true, 512
		c.send(w, make([]byte, 512))
		if r, sense := c.response(); r.Status != scsi.StatusCheckCondition || sense.ASC != scsi.LogicalUnitNotSupported {
			t.Errorf("LUN %v: WRITE answers %v", l, sense)
		}
	}
}

func TestTheSameUnitIsReachedInBothForms(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	c.ready()
	if data, sense := c.in(0x4000<<48, 0x12, 0, 0, 0, 96); len(data) == 0 || data[0] != 0 {
		t.Errorf("flat space: % x, %v", data, sense)
	}
}

func TestReportLUNsIsTheTargets(t *testing.T) {
	f := newFixture(t, func(c *target.Config, _ *target.Options) {
		u := c.Targets[0].LUNs[0]
		c.Targets[0].LUNs = map[uint16]lun.Unit{3: u, 700: u}
	})
	c := f.connect()
	c.logIn()
	report := func(l iscsi.LUN, what, allocation byte) ([]byte, scsi.Sense) {
		return c.in(l, 0xa0, 0, what, 0, 0, 0, 0, 0, 0, allocation)
	}
	for _, l := range []iscsi.LUN{0, iscsi.NewLUN(3), iscsi.NewLUN(9), iscsi.ReportLUNsWellKnown} {
		data, sense := report(l, 0, 255)
		luns, err := scsi.DecodeLUNs(data)
		if err != nil || !slices.Equal(luns, []uint16{3, 700}) {
			t.Errorf("through %v: %v, %v, %v", l, luns, err, sense)
		}
	}
	if data, _ := report(0, 2, 16); len(data) != 16 || binary.BigEndian.Uint32(data) != 16 {
		t.Errorf("cut: % x", data)
	}
	if data, _ := report(0, 1, 255); len(data) != 8 || binary.BigEndian.Uint32(data) != 0 {
		t.Errorf("only well known: % x", data)
	}
	if _, sense := report(0, 9, 255); sense.ASC != scsi.InvalidFieldInCDB {
		t.Error(sense)
	}
	if _, sense := report(0x8000<<48, 0, 255); sense.ASC != scsi.LogicalUnitNotSupported {
		t.Error(sense)
	}
}
