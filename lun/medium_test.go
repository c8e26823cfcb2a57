package lun_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/tandem-san/tandem/scsi"
)

func blocks(c byte, n int) []byte { return bytes.Repeat([]byte{c}, n*testBlock) }

func TestBlocksBeyondTheEndAreRefused(t *testing.T) {
	f := ready(t, testConfig())
	one, two := make([]byte, testBlock), make([]byte, 2*testBlock)
	for _, tc := range []struct {
		cdb   []byte
		out   []byte
		first uint64
	}{
		{read10(testBlocks, 1), nil, testBlocks},
		{read10(testBlocks-1, 2), nil, testBlocks},
		{read10(testBlocks+1, 0), nil, testBlocks + 1},
		{read16(1<<63, 1), nil, 1 << 63},
		{read16(1<<64-1, 1), nil, 1<<64 - 1},
		{write10(testBlocks-1, 2), two, testBlocks},
		{write16(1<<64-1, 1<<32-1), one, 1<<64 - 1},
		{cdb10(0x2F, 0, testBlocks, 1), nil, testBlocks},
		{cdb10(0x2E, 2, testBlocks, 1), one, testBlocks},
		{cdb10(0x35, 0, testBlocks, 1), nil, testBlocks},
		{cdb10(0x34, 0, testBlocks, 1), nil, testBlocks},
		{cdb10(0x41, 0, testBlocks, 1), one, testBlocks},
		{compareAndWrite(testBlocks, 1), two, testBlocks},
		{cdb16(0x9E, 0x12, testBlocks, 24), nil, testBlocks},
	} {
		s := f.bad(t, alice, tc.cdb, tc.out, scsi.IllegalRequest, scsi.LBAOutOfRange)
		if !s.HasInformation || s.Information != tc.first {
			t.Errorf("%s: INFORMATION is %d, want %d", name(tc.cdb), s.Information, tc.first)
		}
	}
	f.good(t, alice, read10(testBlocks, 0), nil)
	f.good(t, alice, write10(testBlocks, 0), nil)
}

func TestEveryFormOfReadAndWriteWorks(t *testing.T) {
	f := ready(t, testConfig())
	for i, form := range []struct {
		read, write func(lba uint32, count uint16) []byte
	}{
		{func(l uint32, n uint16) []byte { return []byte{0x08, byte(l >> 16), byte(l >> 8), byte(l), byte(n), 0} },
			func(l uint32, n uint16) []byte { return []byte{0x0A, byte(l >> 16), byte(l >> 8), byte(l), byte(n), 0} }},
		{read10, write10},
		{func(l uint32, n uint16) []byte { return cdb12(0xA8, 0x18, l, uint32(n)) },
			func(l uint32, n uint16) []byte { return cdb12(0xAA, 0x18, l, uint32(n)) }},
		{func(l uint32, n uint16) []byte { return read16(uint64(l), uint32(n)) },
			func(l uint32, n uint16) []byte { return write16(uint64(l), uint32(n)) }},
		{read10, func(l uint32, n uint16) []byte { return cdb10(0x2E, 0, l, n) }},
		{read10, func(l uint32, n uint16) []byte { return cdb12(0xAE, 2, l, uint32(n)) }},
		{read10, func(l uint32, n uint16) []byte { return cdb16(0x8E, 2, uint64(l), uint32(n)) }},
	} {
		data := blocks(byte(i+1), 3)
		f.good(t, alice, form.write(uint32(100*i), 3), data)
		if got := f.good(t, alice, form.read(uint32(100*i), 3), nil); !bytes.Equal(got, data) {
			t.Errorf("form %d answered other data", i)
		}
	}
	f.good(t, alice, []byte{0x0A, 0, 0, 0, 0, 0}, blocks(9, 256))
	if got := f.good(t, alice, []byte{0x08, 0, 0, 0, 0, 0}, nil); !bytes.Equal(got, blocks(9, 256)) {
		t.Error("READ (6) of zero blocks is not one of 256")
	}
}

func TestATransferLongerThanTheLimitIsRefused(t *testing.T) {
	c := testConfig()
	c.MaxTransfer = 16 * testBlock
	f := ready(t, c)
	f.good(t, alice, read10(0, 16), nil)
	s := f.bad(t, alice, read10(0, 17), nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	if s.Field != 7 {
		t.Errorf("the field pointer is at byte %d", s.Field)
	}
	f.bad(t, alice, write10(0, 17), make([]byte, 17*testBlock), scsi.IllegalRequest, scsi.InvalidFieldInCDB)
}

func TestShortTransfersAreHandled(t *testing.T) {
	f := ready(t, testConfig())
	f.good(t, alice, write10(0, 4), blocks('a', 4))

	// Less data-in expected than read: whole blocks as far as they are wanted.
	for _, tc := range []struct{ expected, got int }{{0, 0}, {200, testBlock}, {testBlock, testBlock}, {testBlock + 1, 2 * testBlock}, {10000, 2 * testBlock}} {
		task := command(alice, read10(0, 2), nil, tc.expected)
		f.submit(task)
		f.wait(t, task)
		n := 0
		if task.DataIn != nil {
			n = len(task.DataIn.Bytes())
		}
		task.Release()
		if task.Status != scsi.StatusGood || n != tc.got || task.Transfer != 2*testBlock {
			t.Errorf("%d bytes expected: %v, %d bytes, transfer %d", tc.expected, task.Status, n, task.Transfer)
		}
	}
	// Less data-out than the CDB calls for: the whole blocks of it are written.
	for _, tc := range []struct {
		expected int
		status   scsi.Status
	}{{0, scsi.StatusGood}, {200, scsi.StatusCheckCondition}, {testBlock, scsi.StatusGood}, {testBlock + 1, scsi.StatusCheckCondition}} {
		for _, cdb := range [][]byte{write10(1, 2), cdb10(0x2E, 2, 1, 2)} {
			f.good(t, alice, write10(0, 4), blocks('a', 4))
			task := command(alice, cdb, blocks('b', 2)[:tc.expected], 0)
			f.submit(task)
			f.wait(t, task)
			if task.Status != tc.status || task.Transfer != 2*testBlock || tc.status != scsi.StatusGood && task.Sense.ASC != scsi.InvalidFieldInCommandIU {
				t.Errorf("%s, %d bytes of data-out: %v, %v, transfer %d", name(cdb), tc.expected, task.Status, task.Sense, task.Transfer)
			}
			want := blocks('a', 4)
			if tc.status == scsi.StatusGood {
				copy(want[testBlock:], blocks('b', tc.expected/testBlock))
			}
			if got := f.good(t, alice, read10(0, 4), nil); !bytes.Equal(got, want) {
				t.Errorf("%s, %d bytes of data-out: other blocks were written than sent", name(cdb), tc.expected)
			}
		}
	}
	f.good(t, alice, write10(0, 4), blocks('a', 4))
	// More: the rest is ignored.
	task := command(alice, write10(0, 1), blocks('c', 2), 0)
	f.submit(task)
	f.wait(t, task)
	if task.Status != scsi.StatusGood || task.Transfer != testBlock {
		t.Errorf("too much data-out: %v, transfer %d", task.Status, task.Transfer)
	}
	want := append(blocks('c', 1), blocks('a', 3)...)
	if got := f.good(t, alice, read10(0, 4), nil); !bytes.Equal(got, want) {
		t.Error("more or less was written than the commands said")
	}
}

func TestVerifyCompares(t *testing.T) {
	f := ready(t, testConfig())
	data := append(blocks('a', 3), blocks('b', 1)...)
	f.good(t, alice, write10(10, 4), data)
	for _, form := range []func(flags byte, lba uint32, n uint16) []byte{
		func(flags byte, l uint32, n uint16) []byte { return cdb10(0x2F, flags, l, n) },
		func(flags byte, l uint32, n uint16) []byte { return cdb12(0xAF, flags, l, uint32(n)) },
		func(flags byte, l uint32, n uint16) []byte { return cdb16(0x8F, flags, uint64(l), uint32(n)) },
	} {
		f.good(t, alice, form(0, 10, 4), nil)
		f.good(t, alice, form(0, 0, testBlocks), nil)
		f.good(t, alice, form(2, 10, 4), data)
		f.good(t, alice, form(6, 10, 3), blocks('a', 1))
		f.good(t, alice, form(2, 10, 0), nil)
		wrong := bytes.Clone(data)
		wrong[2*testBlock+7] ^= 1
		if s := f.bad(t, alice, form(2, 10, 4), wrong, scsi.Miscompare, scsi.MiscompareDuringVerify); s.Information != 12 {
			t.Errorf("INFORMATION is %d, want 12", s.Information)
		}
		if s := f.bad(t, alice, form(6, 10, 4), blocks('a', 1), scsi.Miscompare, scsi.MiscompareDuringVerify); s.Information != 13 {
			t.Errorf("INFORMATION is %d, want 13", s.Information)
		}
		f.bad(t, alice, form(4, 10, 1), nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
		f.bad(t, alice, form(0x20, 10, 1), nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	}
}

func compareAndWrite(lba uint64, count byte) []byte {
	c := cdb16(0x89, 0, lba, 0)
	c[13] = count
	return c
}

func TestCompareAndWriteWritesOnlyWhatIsEqual(t *testing.T) {
	f := ready(t, testConfig())
	f.good(t, alice, compareAndWrite(5, 2), append(blocks(0, 2), blocks('x', 2)...))
	if got := f.good(t, alice, read10(5, 2), nil); !bytes.Equal(got, blocks('x', 2)) {
		t.Fatal("COMPARE AND WRITE of equal data did not write")
	}
	wrong := blocks('x', 2)
	wrong[700] = 'y'
	s := f.bad(t, alice, compareAndWrite(5, 2), append(wrong, blocks('z', 2)...), scsi.Miscompare, scsi.MiscompareDuringVerify)
	if s.Information != 700 {
		t.Errorf("INFORMATION is %d, want the offset 700", s.Information)
	}
	if got := f.good(t, alice, read10(5, 2), nil); !bytes.Equal(got, blocks('x', 2)) {
		t.Error("COMPARE AND WRITE of other data wrote")
	}
	f.bad(t, alice, compareAndWrite(5, 2), blocks('x', 2), scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	f.bad(t, alice, compareAndWrite(5, 0), blocks('x', 512), scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	f.good(t, alice, compareAndWrite(5, 0), nil)
}

func TestWriteSameFillsOrDeallocates(t *testing.T) {
	f := ready(t, testConfig())
	for _, form := range []func(flags byte, lba uint32, n uint16) []byte{
		func(flags byte, l uint32, n uint16) []byte { return cdb10(0x41, flags, l, n) },
		func(flags byte, l uint32, n uint16) []byte { return cdb16(0x93, flags, uint64(l), uint32(n)) },
	} {
		pattern := bytes.Repeat([]byte("pattern!"), testBlock/8)
		f.good(t, alice, form(0, 3, 700), pattern)
		if got := f.good(t, alice, read10(3, 700), nil); !bytes.Equal(got, bytes.Repeat(pattern, 700)) {
			t.Error("WRITE SAME did not fill")
		}
		f.good(t, alice, form(8, 3, 700), make([]byte, testBlock))
		if got := f.good(t, alice, read10(3, 700), nil); !bytes.Equal(got, blocks(0, 700)) {
			t.Error("WRITE SAME with UNMAP of zeroes does not read as zeroes")
		}
		f.good(t, alice, form(8, 3, 2), pattern)
		if got := f.good(t, alice, read10(3, 2), nil); !bytes.Equal(got, bytes.Repeat(pattern, 2)) {
			t.Error("WRITE SAME with UNMAP of other data did not write it")
		}
		f.good(t, alice, form(0, 3, 2), make([]byte, testBlock))
		f.bad(t, alice, form(0, 3, 0), make([]byte, testBlock), scsi.IllegalRequest, scsi.InvalidFieldInCDB)
		f.bad(t, alice, form(0x10, 3, 1), make([]byte, testBlock), scsi.IllegalRequest, scsi.InvalidFieldInCDB)
		f.bad(t, alice, form(0, 3, 1), make([]byte, 2*testBlock), scsi.IllegalRequest, scsi.InvalidFieldInCommandIU)
		f.bad(t, alice, form(0, 3, 1), make([]byte, testBlock/2), scsi.IllegalRequest, scsi.InvalidFieldInCommandIU)
	}
	f.good(t, alice, write10(0, 4), blocks('a', 4))
	f.good(t, alice, cdb16(0x93, 1, 1, 2), nil)
	if got := f.good(t, alice, read10(0, 4), nil); !bytes.Equal(got, append(append(blocks('a', 1), blocks(0, 2)...), blocks('a', 1)...)) {
		t.Error("WRITE SAME (16) with NDOB did not zero its two blocks")
	}
}

func unmap(length int) []byte { return cdb10(0x42, 0, 0, uint16(length)) }

func TestUnmappedBlocksReadAsZeroes(t *testing.T) {
	f := ready(t, testConfig())
	f.good(t, alice, write10(0, 512), blocks('a', 512))
	list := scsi.AppendUnmap(nil, []scsi.Extent{{LBA: 1, Count: 255}, {LBA: 300, Count: 1}, {LBA: testBlocks, Count: 0}})
	f.good(t, alice, unmap(len(list)), list)
	want := blocks('a', 512)
	clear(want[testBlock : 256*testBlock])
	clear(want[300*testBlock : 301*testBlock])
	if got := f.good(t, alice, read10(0, 512), nil); !bytes.Equal(got, want) {
		t.Error("UNMAP zeroed other blocks than it named")
	}
	f.good(t, alice, unmap(0), nil)
	f.good(t, alice, unmap(8), scsi.AppendUnmap(nil, nil))

	for _, tc := range []struct {
		extents []scsi.Extent
		asc     scsi.ASC
	}{
		{[]scsi.Extent{{LBA: 400, Count: 1}, {LBA: testBlocks - 1, Count: 2}}, scsi.LBAOutOfRange},
		{make([]scsi.Extent, 257), scsi.InvalidFieldInParameterList},
	} {
		list := scsi.AppendUnmap(nil, tc.extents)
		f.bad(t, alice, unmap(len(list)), list, scsi.IllegalRequest, tc.asc)
	}
	f.bad(t, alice, unmap(4), make([]byte, 4), scsi.IllegalRequest, scsi.ParameterListLengthError)
	if got := f.good(t, alice, read10(400, 1), nil); !bytes.Equal(got, blocks('a', 1)) {
		t.Error("an UNMAP that was refused unmapped")
	}
}

func TestLBAStatusTellsMappedFromDeallocated(t *testing.T) {
	f := ready(t, testConfig())
	f.good(t, alice, write10(0, testBlocks/2), blocks('a', testBlocks/2))
	list := scsi.AppendUnmap(nil, []scsi.Extent{{LBA: 0, Count: 512}})
	f.good(t, alice, unmap(len(list)), list)
	got := f.good(t, alice, cdb16(0x9E, 0x12, 100, 1024), nil)
	type descriptor struct {
		lba          uint64
		count        uint32
		provisioning byte
	}
	var ds []descriptor
	for b := got[8:]; len(b) >= 16; b = b[16:] {
		ds = append(ds, descriptor{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:]), b[12]})
	}
	want := []descriptor{{100, 412, 1}, {512, testBlocks/2 - 512, 0}, {testBlocks / 2, testBlocks / 2, 1}}
	if len(ds) != len(want) || ds[0] != want[0] || ds[1] != want[1] || ds[2] != want[2] {
		t.Errorf("LBA status %v, want %v", ds, want)
	}
}

func TestWithoutUnmapNothingIsProvisioned(t *testing.T) {
	c := testConfig()
	c.NoUnmap = true
	f := ready(t, c)
	list := scsi.AppendUnmap(nil, []scsi.Extent{{LBA: 0, Count: 1}})
	f.bad(t, alice, unmap(len(list)), list, scsi.IllegalRequest, scsi.InvalidCommandOperationCode)
	f.bad(t, alice, cdb10(0x41, 8, 0, 1), make([]byte, testBlock), scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	f.good(t, alice, cdb10(0x41, 0, 0, 1), make([]byte, testBlock))
	if got, err := scsi.DecodeCapacity16(f.good(t, alice, cdb16(0x9E, 0x10, 0, 32), nil)); err != nil || got.Provisioned || got.ReadsZero {
		t.Errorf("capacity %+v, %v", got, err)
	}
	if got, err := scsi.DecodeBlockLimits(f.good(t, alice, inquiry(true, 0xB0, 255), nil)); err != nil || got.MaxUnmap != 0 || got.MaxUnmapDescriptors != 0 {
		t.Errorf("block limits %+v, %v", got, err)
	}
}

func TestAReadOnlyLogicalUnitRefusesEveryWrite(t *testing.T) {
	c := fullConfig()
	c.ReadOnly = true
	f := ready(t, c)
	list := scsi.AppendUnmap(nil, []scsi.Extent{{LBA: 0, Count: 1}})
	out := map[scsi.CommandID][]byte{scsi.CmdUnmap: list}
	for id := scsi.NoCommand + 1; id < scsi.NumCommands; id++ {
		if c := &scsi.Commands[id]; c.Effect == scsi.EffectWrites {
			f.bad(t, alice, plain(c), out[id], scsi.DataProtect, scsi.WriteProtected)
		}
	}
	if got := f.good(t, alice, []byte{0x1A, 0x08, 0x08, 0, 255, 0}, nil); got[2]&0x80 == 0 {
		t.Error("the WP bit is zero")
	}
	f.good(t, alice, read10(0, 1), nil)
}
