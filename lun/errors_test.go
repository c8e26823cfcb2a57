package lun_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/scsi"
)

func broken(t *testing.T) (*fixture, *faulty) {
	t.Helper()
	d := &faulty{Device: ramdisk(t, testBlocks*testBlock)}
	f := setup(t, testConfig(), d)
	f.clear(t, alice, bob)
	return f, d
}

func TestAFullDiskIsSpaceAllocationFailed(t *testing.T) {
	f, d := broken(t)
	d.set(nil, fmt.Errorf("write: %w", block.ErrNoSpace), nil)
	for _, cdb := range [][]byte{write10(0, 1), cdb10(0x2E, 0, 0, 1), cdb10(0x41, 0, 0, 1)} {
		f.bad(t, alice, cdb, blocks('a', 1), scsi.DataProtect, scsi.SpaceAllocationFailedWriteProtect)
	}
	d.set(nil, nil, nil)
	f.good(t, alice, write10(0, 1), blocks('a', 1))
}

func TestDeviceErrorsAreMediumErrorsWithTheLBA(t *testing.T) {
	f, d := broken(t)
	d.set(errDisk, errDisk, errDisk)
	for _, tc := range []struct {
		cdb []byte
		out []byte
		asc scsi.ASC
		lba uint64
	}{
		{read10(7, 1), nil, scsi.UnrecoveredReadError, 7},
		{cdb10(0x2F, 0, 7, 1), nil, scsi.UnrecoveredReadError, 7},
		{compareAndWrite(7, 1), blocks(0, 2), scsi.UnrecoveredReadError, 7},
		{write10(7, 1), blocks('a', 1), scsi.PeripheralDeviceWriteFault, 7},
		{cdb10(0x41, 0, 7, 1), blocks('a', 1), scsi.PeripheralDeviceWriteFault, 7},
		{cdb10(0x41, 8, 7, 1), blocks(0, 1), scsi.PeripheralDeviceWriteFault, 7},
		{cdb10(0x35, 0, 7, 1), nil, scsi.PeripheralDeviceWriteFault, 7},
	} {
		s := f.bad(t, alice, tc.cdb, tc.out, scsi.MediumError, tc.asc)
		if !s.HasInformation || s.Information != tc.lba {
			t.Errorf("%s: INFORMATION is %d, want %d", name(tc.cdb), s.Information, tc.lba)
		}
	}
	f.good(t, alice, testUnitReady(), nil)
}

func TestFUAAndAWriteCacheThatIsOffSyncEveryWrite(t *testing.T) {
	f, d := broken(t)
	syncsOf := func(cdb, out []byte) int {
		_, before := d.counts()
		f.good(t, alice, cdb, out)
		_, after := d.counts()
		return after - before
	}
	fua := func(flags byte) []byte { return cdb10(0x2A, flags, 0, 1) }
	for _, tc := range []struct {
		name  string
		cdb   []byte
		out   []byte
		cache int // syncs with the write cache on
		none  int // and off
	}{
		{"WRITE", fua(0), blocks('a', 1), 0, 1},
		{"WRITE with DPO", fua(0x10), blocks('a', 1), 0, 1},
		{"WRITE with FUA", fua(0x08), blocks('a', 1), 1, 1},
		{"WRITE with FUA_NV", fua(0x02), blocks('a', 1), 1, 1},
		{"WRITE (6)", []byte{0x0A, 0, 0x01, 8, 1, 0}, blocks('a', 1), 0, 1},
		{"WRITE AND VERIFY", cdb10(0x2E, 0, 0, 1), blocks('a', 1), 1, 1},
		{"WRITE SAME", cdb10(0x41, 8, 0, 1), blocks(0, 1), 0, 1},
		{"COMPARE AND WRITE", compareAndWrite(3, 1), blocks(0, 2), 0, 1},
		{"SYNCHRONIZE CACHE", cdb10(0x35, 0, 0, 0), nil, 1, 1},
		{"READ with FUA", cdb10(0x28, 8, 0, 1), nil, 0, 0},
	} {
		for _, cache := range []bool{true, false} {
			page := append([]byte{0, 0, 0, 0, 0x08, 0x12, 0}, make([]byte, 17)...)
			want := tc.none
			if cache {
				page[6], want = 0x04, tc.cache
			}
			f.good(t, alice, []byte{0x15, 0x10, 0, 0, byte(len(page)), 0}, page)
			if got := syncsOf(tc.cdb, tc.out); got != want {
				t.Errorf("%s, write cache %t: %d syncs, want %d", tc.name, cache, got, want)
			}
		}
	}
}

func TestTheBufferBudgetEndsInTaskSetFull(t *testing.T) {
	c := testConfig()
	c.Pool = block.NewPool(64 << 10)
	f := ready(t, c)
	held := command(alice, read10(0, 128), nil, 64<<10)
	f.submit(held)
	f.wait(t, held)
	f.status(t, alice, read10(0, 128), nil, scsi.StatusTaskSetFull)
	held.Release()
	f.good(t, alice, read10(0, 128), nil)
}

func TestWithoutTheRightNothingIsServed(t *testing.T) {
	f, d := broken(t)
	f.right.gone.Store(true)
	for _, cdb := range [][]byte{testUnitReady(), read10(0, 1), inquiry(false, 0, 96)} {
		if task, _ := f.do(t, alice, cdb, nil); !task.NotServed {
			t.Errorf("%s was served", name(cdb))
		}
	}
	if task, _ := f.do(t, alice, write10(0, 1), blocks('a', 1)); !task.NotServed {
		t.Error("WRITE (10) was served")
	}
	if writes, _ := d.counts(); writes != 0 {
		t.Error("the device was written to")
	}
}

func TestAWriteThatLostTheRightOnItsWayIsNotAcknowledged(t *testing.T) {
	f, d := broken(t)
	d.beforeWrite = func() { f.right.gone.Store(true) }
	if task, _ := f.do(t, alice, write10(0, 1), blocks('a', 1)); !task.NotServed || task.DataIn != nil {
		t.Errorf("it ended with %v, not served %t", task.Status, task.NotServed)
	}
	d.beforeWrite = nil
	f.right.gone.Store(false)

	// While it waited for its data-out: nothing is written.
	f.hold = true
	task := command(alice, write10(9, 1), nil, 0)
	task.ExpectedOut = testBlock
	f.submit(task)
	f.right.gone.Store(true)
	before, _ := d.counts()
	task.DataOut = blocks('b', 1)
	f.unit.DataOutReceived(task)
	f.wait(t, task)
	if after, _ := d.counts(); !task.NotServed || after != before {
		t.Errorf("not served is %t, %d writes", task.NotServed, after-before)
	}
	f.right.gone.Store(false)
	if got := f.good(t, alice, read10(9, 1), nil); !bytes.Equal(got, blocks(0, 1)) {
		t.Error("data was written without the right")
	}
}

func TestAUnitAttentionThatCouldNotBeToldStays(t *testing.T) {
	f := setup(t, testConfig(), nil)
	f.good(t, alice, inquiry(false, 0, 96), nil)
	flips := &flipping{}
	flips.after.Store(1)
	u := newUnit(t, testConfig())
	if err := u.Activate(ramdisk(t, testBlocks*testBlock), flips, stateOf(f)); err != nil {
		t.Fatal(err)
	}
	defer u.Deactivate()
	p := newPort(u)
	if task, _ := p.do(t, alice, testUnitReady(), nil); !task.NotServed {
		t.Fatalf("it ended with %v, %v", task.Status, task.Sense)
	}
	flips.after.Store(1 << 30)
	p.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.PowerOnOccurred)
}
