package lun_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// stableConfig is that of a logical unit whose state survives loss of power;
// last is the State committed last.
func stableConfig(last *lun.State) lun.Config {
	c := testConfig()
	c.Stable = true
	c.Commit = func(s lun.State) error { *last = s; return nil }
	return c
}

const (
	registerAPTPL = 1 // in byte 20 of the parameter list
	modeSense6    = 0x1A
	savePages     = 0x11 // PF and SP of MODE SELECT
)

// control is the control mode page with TAS set or not, as a MODE SELECT (6)
// parameter list.
func control(tas bool) []byte {
	page := []byte{0, 0, 0, 0, 0x0A, 0x0A, 0x02, 0x10, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0}
	if tas {
		page[9] = 0x40
	}
	return page
}

func TestALossOfPowerLeavesWhatAPTPLSays(t *testing.T) {
	for _, aptpl := range []bool{false, true} {
		var last lun.State
		f := ready(t, stableConfig(&last))
		list := scsi.ReserveOut{ServiceActionKey: 0xA, PowerLoss: aptpl}.Append(nil)
		f.good(t, alice, reserveOut(6, 0), list)
		f.good(t, alice, reserveOut(1, byte(scsi.WriteExclusive)), scsi.ReserveOut{Key: 0xA}.Append(nil))
		capabilities := f.good(t, alice, reserveIn(2), nil)
		if active := capabilities[3]&1 == 1; capabilities[2]&1 != 1 || active != aptpl {
			t.Errorf("APTPL %v: REPORT CAPABILITIES says %x", aptpl, capabilities)
		}
		after := f.unit.PowerOn(last)
		if after.Generation != 0 || len(after.Nexuses) != 0 {
			t.Errorf("APTPL %v: generation %d and %d nexuses outlive the power", aptpl, after.Generation, len(after.Nexuses))
		}
		if kept := after.Reservation != nil && len(after.Registrations) == 1; kept != aptpl {
			t.Errorf("APTPL %v: after a loss of power %+v", aptpl, after)
		}
		if again := f.unit.PowerOn(after); !reflect.DeepEqual(again, after) {
			t.Errorf("APTPL %v: a second loss of power leaves %+v of %+v", aptpl, again, after)
		}
	}
}

func TestAReservationMadeWithReserveEndsWithThePower(t *testing.T) {
	var last lun.State
	f := ready(t, stableConfig(&last))
	f.good(t, alice, []byte{0x16, 0, 0, 0, 0, 0}, nil)
	if last.Reserve == nil || f.unit.PowerOn(last).Reserve != nil {
		t.Errorf("before %+v, after %+v", last.Reserve, f.unit.PowerOn(last).Reserve)
	}
}

func TestAPTPLIsRefusedWithoutStableStorage(t *testing.T) {
	c := testConfig()
	c.Commit = func(lun.State) error { return nil }
	f := ready(t, c)
	list := scsi.ReserveOut{ServiceActionKey: 0xA, PowerLoss: true}.Append(nil)
	f.bad(t, alice, reserveOut(0, 0), list, scsi.IllegalRequest, scsi.InvalidFieldInParameterList)
	f.bad(t, alice, []byte{0x15, savePages, 0, 0, byte(len(control(true))), 0}, control(true), scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	f.bad(t, alice, []byte{modeSense6, 8, 0xCA, 0, 255, 0}, nil, scsi.IllegalRequest, scsi.SavingParametersNotSupported)
}

// tas reads the TAS bit of the control mode page under a page control.
func tas(t *testing.T, f *fixture, pc scsi.PageControl) bool {
	t.Helper()
	b := f.good(t, alice, []byte{modeSense6, 8, byte(pc)<<6 | scsi.ModeControl, 0, 255, 0}, nil)
	if b[4] != 0x80|scsi.ModeControl {
		t.Fatalf("page control %d: page code %02Xh, want PS to be one", pc, b[4])
	}
	return b[9]&0x40 != 0
}

func TestSavedModePagesOutliveResetsAndThePower(t *testing.T) {
	var last lun.State
	f := ready(t, stableConfig(&last))
	sel := func(flags byte, on bool) {
		f.good(t, alice, []byte{0x15, flags, 0, 0, byte(len(control(on))), 0}, control(on))
	}
	expect := func(what string, current, saved bool) {
		t.Helper()
		if c, s := tas(t, f, scsi.CurrentValues), tas(t, f, scsi.SavedValues); c != current || s != saved {
			t.Errorf("%s: TAS is %v and %v saved, want %v and %v", what, c, s, current, saved)
		}
	}
	expect("at first", false, false)
	sel(0x10, true)
	expect("selected", true, false)
	sel(savePages, true)
	expect("saved without a change of the current value", true, true)
	sel(0x10, false)
	expect("selected, not saved", false, true)
	if tas(t, f, scsi.DefaultValues) {
		t.Error("what was saved became the default")
	}
	if after := f.unit.PowerOn(last); !after.Mode.TaskAbortedStatusSent {
		t.Errorf("after a loss of power: %v", after.Mode)
	}
	f.unit.Manage(t.Context(), lun.Management{Function: scsi.LogicalUnitReset, Nexus: alice})
	f.do(t, alice, testUnitReady(), nil) // takes the unit attention
	expect("after a reset", true, true)
	var again lun.State
	if b := last.Encode(); !bytes.Contains(b, []byte(`"saved"`)) {
		t.Errorf("not in the state: %s", b)
	}
	again, err := lun.DecodeState(last.Encode())
	if err != nil || !reflect.DeepEqual(again, last) {
		t.Errorf("decoded %+v, %v", again, err)
	}
}

func TestModePagesCanOnlyBeSavedWhereTheyCanBeChanged(t *testing.T) {
	var last lun.State
	f := ready(t, stableConfig(&last))
	pages := f.good(t, alice, []byte{modeSense6, 8, 0x3F, 0xFF, 255, 0}, nil)[4:]
	want := map[byte]bool{scsi.ModeCaching: true, scsi.ModeControl: true}
	for at := 0; at < len(pages); {
		first, n := pages[at], 2+int(pages[at+1])
		if first&0x40 != 0 {
			n = 4 + int(pages[at+3])
		}
		if ps := first&0x80 != 0; ps != (want[first&0x7F]) {
			t.Errorf("page %02Xh: PS is %v", first&0x7F, ps)
		}
		at += n
	}
}
