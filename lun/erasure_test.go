package lun_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// sanitize is a SANITIZE CDB; flags are IMMED (80h) and AUSE (20h).
func sanitize(action, flags byte, length int) []byte {
	return []byte{0x48, action | flags, 0, 0, 0, 0, 0, byte(length >> 8), byte(length), 0}
}

const (
	sanitizeOverwrite  = 0x01
	sanitizeBlockErase = 0x02
	sanitizeExit       = 0x1F
	sanitizeImmed      = 0x80
	sanitizeAUSE       = 0x20
)

// slowConfig is that of a logical unit whose overwrites take at least a second.
func slowConfig(last *lun.State) lun.Config {
	c := stableConfig(last)
	c.EraseRate = testBlocks * testBlock
	return c
}

func whole(f *fixture, t *testing.T) []byte { return f.good(t, alice, read10(0, testBlocks), nil) }

func pattern(p ...byte) []byte { return scsi.Overwrite{Count: 1, Pattern: p}.Append(nil) }

func TestAnOverwriteCoversEveryLogicalBlock(t *testing.T) {
	f := ready(t, testConfig())
	f.good(t, alice, sanitize(sanitizeOverwrite, 0, 7), pattern(1, 2, 3))
	one := append(bytes.Repeat([]byte{1, 2, 3}, testBlock/3), 1, 2)
	if !bytes.Equal(whole(f, t), bytes.Repeat(one, testBlocks)) {
		t.Error("the pattern does not begin anew with each logical block")
	}
	twice := scsi.Overwrite{Count: 2, Invert: true, Pattern: []byte{0x0F}}.Append(nil)
	f.good(t, alice, sanitize(sanitizeOverwrite, 0, len(twice)), twice)
	if !bytes.Equal(whole(f, t), bytes.Repeat([]byte{0xF0}, testBlocks*testBlock)) {
		t.Error("the second pass is not the inverse of the first")
	}
}

func TestBlockEraseAndFormatLeaveNothingAllocated(t *testing.T) {
	for name, cdb := range map[string][]byte{"SANITIZE, BLOCK ERASE": sanitize(sanitizeBlockErase, 0, 0), "FORMAT UNIT": {0x04, 0, 0, 0, 0, 0}} {
		f := ready(t, testConfig())
		f.good(t, alice, write10(100, 200), bytes.Repeat([]byte{9}, 200*testBlock))
		f.good(t, alice, cdb, nil)
		if !bytes.Equal(whole(f, t), make([]byte, testBlocks*testBlock)) {
			t.Errorf("%s: the medium does not read as zeroes", name)
		}
		if s := f.good(t, alice, cdb16(0x9E, 0x12, 0, 64), nil); len(s) != 24 || s[20] != 1 {
			t.Errorf("%s: LBA status % X", name, s)
		}
	}
}

func TestFormatTakesListsWithoutDefects(t *testing.T) {
	f := ready(t, testConfig())
	f.good(t, alice, []byte{0x04, 0x10, 0, 0, 0, 0}, []byte{0, 0x82, 0, 0})
	f.clear(t, alice)
	f.good(t, alice, []byte{0x04, 0x30, 0, 0, 0, 0}, make([]byte, 8))
	s := f.bad(t, alice, []byte{0x04, 0x10, 0, 0, 0, 0}, []byte{0, 0x08, 0, 0}, scsi.IllegalRequest, scsi.InvalidFieldInParameterList)
	if s.Field != 1 || s.Bit != 3 {
		t.Errorf("the pointer is at byte %d bit %d", s.Field, s.Bit)
	}
	f.bad(t, alice, []byte{0x04, 0x80, 0, 0, 0, 0}, nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	f.bad(t, alice, []byte{0x04, 0x01, 0, 0, 0, 0}, nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
}

func TestNothingIsTouchedDuringASanitize(t *testing.T) {
	var last lun.State
	f := ready(t, slowConfig(&last))
	waiting := command(bob, sanitize(sanitizeOverwrite, 0, 5), pattern(0xAA), 0)
	f.submit(waiting)
	eventually(t, "the sanitize has begun", func() bool {
		task, _ := f.do(t, alice, testUnitReady(), nil)
		return task.Status != scsi.StatusGood
	})
	for _, cdb := range [][]byte{testUnitReady(), read10(0, 1), cdb16(0x9E, 0x10, 0, 32), sanitize(sanitizeBlockErase, 0, 0), {0x1B, 0, 0, 0, 1, 0}} {
		if s := f.bad(t, alice, cdb, nil, scsi.NotReady, scsi.LogicalUnitNotReadySanitizeInProgress); !s.HasProgress {
			t.Errorf("%s: no progress indication", name(cdb))
		}
	}
	f.good(t, alice, inquiry(false, 0, 96), nil)
	s, err := scsi.DecodeSense(f.good(t, alice, []byte{0x03, 0, 0, 0, 252, 0}, nil))
	if err != nil || s.ASC != scsi.LogicalUnitNotReadySanitizeInProgress || !s.HasProgress {
		t.Errorf("REQUEST SENSE: %v, %v", s, err)
	}
	for _, function := range []scsi.TaskManagementFunction{scsi.AbortTask, scsi.LogicalUnitReset} {
		f.unit.Manage(context.Background(), lun.Management{Function: function, Nexus: bob, Tag: waiting.Tag})
	}
	if f.wait(t, waiting); !waiting.Aborted {
		t.Errorf("the aborted SANITIZE ended with %v", waiting.Status)
	}
	if f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.BusDeviceResetFunctionOccurred); last.Durable.Erasure == nil {
		t.Error("a reset ended the sanitize")
	}
}

func TestASanitizeGoesOnAtTheNextController(t *testing.T) {
	var last lun.State
	f := ready(t, slowConfig(&last))
	f.good(t, alice, write10(0, 1), bytes.Repeat([]byte{1}, testBlock))
	f.good(t, alice, sanitize(sanitizeOverwrite, sanitizeImmed, 5), pattern(0xAA))
	f.bad(t, alice, read10(0, 1), nil, scsi.NotReady, scsi.LogicalUnitNotReadySanitizeInProgress)
	moved, err := lun.DecodeState(f.unit.Deactivate().Encode())
	if err != nil {
		t.Fatal(err)
	}
	u := newUnit(t, testConfig())
	if err := u.Activate(f.device, f.right, u.PowerOn(moved)); err != nil {
		t.Fatal(err)
	}
	defer u.Deactivate()
	p := newPort(u)
	p.clear(t, alice)
	if !bytes.Equal(p.good(t, alice, read10(0, testBlocks), nil), bytes.Repeat([]byte{0xAA}, testBlocks*testBlock)) {
		t.Error("the medium is not overwritten")
	}
	if u.State().Durable.Erasure != nil {
		t.Error("the erasure is still there")
	}
}

func TestAHandoverThatIsGivenUpLetsTheSanitizeGoOn(t *testing.T) {
	var last lun.State
	f := ready(t, slowConfig(&last))
	waiting := command(bob, sanitize(sanitizeOverwrite, 0, 5), pattern(0xAA), 0)
	f.submit(waiting)
	eventually(t, "the sanitize has begun", func() bool { return f.unit.State().Durable.Erasure != nil })
	if err := f.unit.Vacate(context.Background()); err != nil {
		t.Fatal(err)
	}
	if f.wait(t, waiting); !waiting.NotServed {
		t.Errorf("the SANITIZE ended with %v", waiting.Status)
	}
	f.unit.Resume()
	f.clear(t, alice)
	if !bytes.Equal(whole(f, t), bytes.Repeat([]byte{0xAA}, testBlocks*testBlock)) {
		t.Error("the medium is not overwritten")
	}
}

func TestAFailedSanitizeIsLeftByAnotherOrByExit(t *testing.T) {
	for _, unrestricted := range []bool{false, true} {
		d := &faulty{Device: ramdisk(t, testBlocks*testBlock)}
		f := setup(t, testConfig(), d)
		f.clear(t, alice)
		flags := byte(0)
		if unrestricted {
			flags = sanitizeAUSE
		}
		d.set(nil, errDisk, nil)
		f.bad(t, alice, sanitize(sanitizeOverwrite, flags, 5), pattern(1), scsi.MediumError, scsi.SanitizeCommandFailed)
		f.bad(t, alice, read10(0, 1), nil, scsi.MediumError, scsi.SanitizeCommandFailed)
		d.set(nil, nil, nil)
		if unrestricted {
			f.good(t, alice, sanitize(sanitizeExit, 0, 0), nil)
		} else {
			f.bad(t, alice, sanitize(sanitizeExit, 0, 0), nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
			f.bad(t, alice, sanitize(sanitizeBlockErase, sanitizeAUSE, 0), nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
			f.good(t, alice, sanitize(sanitizeBlockErase, 0, 0), nil)
		}
		f.good(t, alice, read10(0, 1), nil)
	}
}

func TestAFailedFormatIsLeftByAnother(t *testing.T) {
	d := &faulty{Device: ramdisk(t, testBlocks*testBlock)}
	f := setup(t, testConfig(), d)
	f.clear(t, alice)
	d.set(nil, errDisk, nil)
	format := []byte{0x04, 0, 0, 0, 0, 0}
	f.bad(t, alice, format, nil, scsi.MediumError, scsi.MediumFormatCorrupted)
	d.set(nil, nil, nil)
	f.bad(t, alice, sanitize(sanitizeExit, 0, 0), nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	f.bad(t, alice, read10(0, 1), nil, scsi.MediumError, scsi.MediumFormatCorrupted)
	f.good(t, alice, format, nil)
	f.good(t, alice, read10(0, 1), nil)
}

func TestWhatWaitedForTheMediumIsRefusedOnceItIsSanitized(t *testing.T) {
	var last lun.State
	c := slowConfig(&last)
	g := newGate(ramdisk(t, testBlocks*testBlock))
	f := setup(t, c, g)
	f.clear(t, alice, bob)
	first := command(alice, write10(0, 1), make([]byte, testBlock), 0)
	f.submit(first)
	<-g.entered
	erase := command(alice, sanitize(sanitizeOverwrite, sanitizeImmed, 5), pattern(0xAA), 0)
	f.submit(erase)
	second := command(bob, write10(0, 1), make([]byte, testBlock), 0)
	f.submit(second)
	g.openAll()
	f.wait(t, first)
	f.wait(t, erase)
	f.wait(t, second)
	if first.Status != scsi.StatusGood || erase.Status != scsi.StatusGood || second.Sense.ASC != scsi.LogicalUnitNotReadySanitizeInProgress {
		t.Errorf("the write before ended with %v, SANITIZE with %v, the write after with %v, %v", first.Status, erase.Status, second.Status, second.Sense)
	}
	f.clear(t, alice)
	if !bytes.Equal(whole(f, t), bytes.Repeat([]byte{0xAA}, testBlocks*testBlock)) {
		t.Error("the medium is not overwritten")
	}
}

func TestSanitizeParametersAreChecked(t *testing.T) {
	f := ready(t, testConfig())
	for _, n := range []int{0, 4, testBlock + 5} {
		f.bad(t, alice, sanitize(sanitizeOverwrite, 0, n), make([]byte, n), scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	}
	f.bad(t, alice, sanitize(0x03, 0, 0), nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB) // CRYPTOGRAPHIC ERASE
	f.bad(t, alice, sanitize(sanitizeBlockErase, 0, 8), make([]byte, 8), scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	f.good(t, alice, sanitize(sanitizeExit, 0, 0), nil)
	c := testConfig()
	c.NoUnmap = true
	f = ready(t, c)
	f.bad(t, alice, sanitize(sanitizeBlockErase, 0, 0), nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	c.ReadOnly = true
	f = ready(t, c)
	f.bad(t, alice, sanitize(sanitizeOverwrite, 0, 5), pattern(1), scsi.DataProtect, scsi.WriteProtected)
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for too long until %s", what)
		}
	}
}
