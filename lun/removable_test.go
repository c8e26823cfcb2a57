package lun_test

import (
	"context"
	"testing"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

var (
	eject   = []byte{0x1B, 0, 0, 0, 2, 0}
	load    = []byte{0x1B, 0, 0, 0, 3, 0}
	stop    = []byte{0x1B, 0, 0, 0, 0, 0}
	prevent = []byte{0x1E, 0, 0, 0, 1, 0}
	allow   = []byte{0x1E, 0, 0, 0, 0, 0}
)

func removed(t *testing.T, f *fixture, n lun.Nexus) {
	t.Helper()
	f.bad(t, n, testUnitReady(), nil, scsi.NotReady, scsi.MediumNotPresent)
}

func TestAMediumIsEjectedAndLoaded(t *testing.T) {
	f := ready(t, fullConfig())
	if q, err := scsi.DecodeStandardInquiry(f.good(t, alice, inquiry(false, 0, 96), nil)); err != nil || !q.Removable {
		t.Errorf("%+v, %v", q, err)
	}
	f.good(t, alice, stop, nil)
	f.good(t, alice, testUnitReady(), nil)
	f.good(t, alice, []byte{0x1B, 1, 0, 0, 0x52, 0}, nil) // a power condition
	f.good(t, alice, testUnitReady(), nil)
	f.good(t, alice, eject, nil)
	removed(t, f, bob)
	for id := scsi.NoCommand + 1; id < scsi.NumCommands; id++ {
		if c := &scsi.Commands[id]; (c.Effect == scsi.EffectReads || c.Effect == scsi.EffectWrites || c.Effect == scsi.EffectFlushes) && id != scsi.CmdStartStopUnit {
			f.bad(t, alice, plain(c), nil, scsi.NotReady, scsi.MediumNotPresent)
		}
	}
	f.bad(t, alice, cdb10(0x25, 0, 0, 0), nil, scsi.NotReady, scsi.MediumNotPresent)
	f.bad(t, alice, stop, nil, scsi.NotReady, scsi.MediumNotPresent)
	f.good(t, alice, inquiry(false, 0, 96), nil)
	f.good(t, alice, []byte{0x1A, 8, 0x3F, 0, 255, 0}, nil)
	if s, err := scsi.DecodeSense(f.good(t, alice, []byte{0x03, 0, 0, 0, 252, 0}, nil)); err != nil || s.ASC != scsi.MediumNotPresent {
		t.Errorf("REQUEST SENSE: %v, %v", s, err)
	}
	f.good(t, alice, load, nil)
	f.good(t, alice, testUnitReady(), nil)
	f.bad(t, bob, testUnitReady(), nil, scsi.UnitAttention, scsi.NotReadyToReadyChange)
}

func TestAnEjectedMediumIsSoAtTheNextController(t *testing.T) {
	f := ready(t, fullConfig())
	f.good(t, bob, prevent, nil)
	f.bad(t, alice, eject, nil, scsi.IllegalRequest, scsi.MediumRemovalPrevented)
	s := f.unit.Deactivate()
	if err := f.unit.Activate(f.device, f.right, s); err != nil {
		t.Fatal(err)
	}
	f.clear(t, alice, bob)
	f.bad(t, alice, eject, nil, scsi.IllegalRequest, scsi.MediumRemovalPrevented)
	f.good(t, bob, allow, nil)
	f.good(t, alice, eject, nil)
	s = f.unit.Deactivate()
	if err := f.unit.Activate(f.device, f.right, s); err != nil {
		t.Fatal(err)
	}
	f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.AsymmetricAccessStateChanged)
	removed(t, f, alice)
	if d := f.unit.PowerOn(s).Durable; d.Ejected || len(d.Prevent) > 0 {
		t.Errorf("after a loss of power %+v", d)
	}
}

func TestWhoPreventsRemovalNoLongerDoesWhenLost(t *testing.T) {
	for name, end := range map[string]func(f *fixture){
		"loss of the nexus": func(f *fixture) { f.unit.NexusLost(bob) },
		"a reset": func(f *fixture) {
			f.unit.Manage(context.Background(), lun.Management{Function: scsi.LogicalUnitReset, Nexus: bob})
		},
		"an I_T nexus reset": func(f *fixture) {
			f.unit.Manage(context.Background(), lun.Management{Function: scsi.ITNexusReset, Nexus: bob})
		},
	} {
		f := ready(t, fullConfig())
		f.good(t, bob, prevent, nil)
		f.good(t, bob, prevent, nil)
		f.bad(t, alice, eject, nil, scsi.IllegalRequest, scsi.MediumRemovalPrevented)
		f.good(t, alice, testUnitReady(), nil)
		end(f)
		f.clear(t, alice)
		if task, _ := f.do(t, alice, eject, nil); task.Status != scsi.StatusGood {
			t.Errorf("after %s: %v", name, task.Sense)
		}
	}
}

func TestADiskIsNotEjected(t *testing.T) {
	f := ready(t, testConfig())
	if s := f.bad(t, alice, eject, nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB); s.Field != 4 || s.Bit != 1 {
		t.Errorf("the pointer is at byte %d bit %d", s.Field, s.Bit)
	}
	f.bad(t, alice, prevent, nil, scsi.IllegalRequest, scsi.InvalidCommandOperationCode)
}
