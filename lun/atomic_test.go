package lun_test

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

func writeAtomic(lba uint64, blocks byte) []byte {
	return []byte{0x9C, 0, 0, 0, 0, 0, 0, 0, byte(lba >> 8), byte(lba), 0, 0, 0, blocks, 0, 0}
}

func TestAWriteAtomicIsStoredBeforeTheMediumIsTouched(t *testing.T) {
	var stored []*lun.AtomicWrite
	c := testConfig()
	c.Stable = true
	d := &faulty{Device: ramdisk(t, testBlocks*testBlock)}
	var before []bool
	d.beforeWrite = func() { before = append(before, len(stored) == 1 && stored[0] != nil) }
	c.Commit = func(s lun.State) error { stored = append(stored, s.Durable.Atomic); return nil }
	f := setup(t, c, d)
	f.clear(t, alice)
	data := bytes.Repeat([]byte{7}, 8*testBlock)
	f.good(t, alice, writeAtomic(40, 8), data)
	if len(stored) != 2 || stored[0] == nil || stored[0].LBA != 40 || !bytes.Equal(stored[0].Data, data) || stored[1] != nil {
		t.Errorf("stored %+v", stored)
	}
	if _, syncs := d.counts(); syncs != 1 || len(before) != 1 || !before[0] {
		t.Errorf("%d syncs, written after it was stored: %v", syncs, before)
	}
	if got := f.good(t, alice, read10(40, 8), nil); !bytes.Equal(got, data) {
		t.Error("the medium has something else")
	}
}

func TestAWriteAtomicIsDoneAgainByTheNextController(t *testing.T) {
	var last lun.State
	f := ready(t, stableConfig(&last))
	s := f.unit.Deactivate()
	s.Durable.Atomic = &lun.AtomicWrite{LBA: 9, Data: bytes.Repeat([]byte{5}, 2*testBlock)}
	s, err := lun.DecodeState(f.unit.PowerOn(s).Encode())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.unit.Activate(f.device, f.right, s); err != nil {
		t.Fatal(err)
	}
	f.clear(t, alice)
	if got := f.good(t, alice, read10(9, 2), nil); !bytes.Equal(got, bytes.Repeat([]byte{5}, 2*testBlock)) {
		t.Error("the write was not done before its blocks were read")
	}
	if f.unit.State().Durable.Atomic != nil || last.Durable.Atomic != nil {
		t.Error("it is still stored")
	}
}

// What is stored would undo a later write, so that its blocks are not free
// before it is taken out.
func TestBlocksAreHeldUntilTheAtomicWriteIsForgotten(t *testing.T) {
	var broken atomic.Bool
	c := testConfig()
	c.Stable = true
	c.Commit = func(s lun.State) error {
		if broken.Load() && s.Durable.Atomic == nil {
			return errors.New("no room")
		}
		return nil
	}
	f := ready(t, c)
	broken.Store(true)
	first := command(alice, writeAtomic(0, 1), bytes.Repeat([]byte{1}, testBlock), 0)
	f.submit(first)
	eventually(t, "it is stored", func() bool { return f.unit.State().Durable.Atomic != nil })
	second := command(bob, write10(0, 1), bytes.Repeat([]byte{2}, testBlock), 0)
	f.submit(second)
	f.good(t, bob, write10(1, 1), make([]byte, testBlock))
	if f.isFinished(first) || f.isFinished(second) {
		t.Fatal("one has ended while the atomic write is stored")
	}
	broken.Store(false)
	f.wait(t, first)
	f.wait(t, second)
	if got := f.good(t, alice, read10(0, 1), nil); first.Status != scsi.StatusGood || got[0] != 2 {
		t.Errorf("the first ended with %v, the medium has %d", first.Status, got[0])
	}
}

func TestABrainThatEndsLeavesTheAtomicWriteToTheNext(t *testing.T) {
	c := testConfig()
	c.Stable = true
	c.Commit = func(s lun.State) error {
		if s.Durable.Atomic == nil {
			return errors.New("no room")
		}
		return nil
	}
	f := ready(t, c)
	task := command(alice, writeAtomic(0, 1), bytes.Repeat([]byte{1}, testBlock), 0)
	f.submit(task)
	eventually(t, "it is stored", func() bool { return f.unit.State().Durable.Atomic != nil })
	s := f.unit.Deactivate()
	if f.wait(t, task); !task.NotServed || s.Durable.Atomic == nil {
		t.Errorf("it ended with %v, not served %t; stored %v", task.Status, task.NotServed, s.Durable.Atomic)
	}
}

func TestTheLimitOfAtomicWritesIsTold(t *testing.T) {
	f := ready(t, fullConfig())
	limits, err := scsi.DecodeBlockLimits(f.good(t, alice, inquiry(true, 0xB0, 255), nil))
	if err != nil || limits.MaxAtomic != 256 {
		t.Errorf("block limits %+v, %v", limits, err)
	}
	over := writeAtomic(0, 1)
	over[12] = 1
	if s := f.bad(t, alice, over, make([]byte, 257*testBlock), scsi.IllegalRequest, scsi.InvalidFieldInCDB); s.Field != 12 {
		t.Errorf("the pointer is at byte %d", s.Field)
	}
	f.bad(t, alice, writeAtomic(testBlocks-1, 2), make([]byte, 2*testBlock), scsi.IllegalRequest, scsi.LBAOutOfRange)
	f.bad(t, alice, writeAtomic(0, 2), make([]byte, testBlock), scsi.IllegalRequest, scsi.InvalidFieldInCommandIU)
	f.good(t, alice, writeAtomic(0, 0), nil)

	f = ready(t, testConfig())
	limits, err = scsi.DecodeBlockLimits(f.good(t, alice, inquiry(true, 0xB0, 255), nil))
	if err != nil || limits.MaxAtomic != 0 {
		t.Errorf("without stable storage: block limits %+v, %v", limits, err)
	}
	f.bad(t, alice, writeAtomic(0, 1), make([]byte, testBlock), scsi.IllegalRequest, scsi.InvalidCommandOperationCode)
}

func TestAStateThatIsForcedWritesNothing(t *testing.T) {
	f := ready(t, fullConfig())
	data := bytes.Repeat([]byte{6}, testBlock)
	f.good(t, alice, write10(0, 1), data)
	s := f.unit.Deactivate()
	s.Durable.Atomic, s.Durable.Erasure = &lun.AtomicWrite{Data: make([]byte, testBlock)}, &lun.Erasure{Kind: lun.EraseFormat}
	if err := f.unit.Activate(f.device, f.right, s.Forced()); err != nil {
		t.Fatal(err)
	}
	f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.AsymmetricAccessStateChanged)
	f.bad(t, alice, testUnitReady(), nil, scsi.MediumError, scsi.SanitizeCommandFailed)
	f.good(t, alice, sanitize(sanitizeExit, 0, 0), nil)
	if got := f.good(t, alice, read10(0, 1), nil); !bytes.Equal(got, data) {
		t.Error("the medium was written to")
	}
}
