package lun

import (
	"bytes"

	"github.com/tandem-san/tandem/scsi"
)

// BYTCHK values (SBC-4 table 128).
const (
	bytchkNone  = 0 // the medium is read
	bytchkEach  = 1 // every logical block is compared
	bytchkBlock = 3 // every logical block is compared with one
)

// chunkBytes is how much is read or written at a time by commands that go over
// more of the medium than they transfer.
const chunkBytes = 1 << 20

func bytchk(t *Task) byte { return t.cdb().Byte(1) >> 1 & 3 }

// prepareVerify: VERIFY (10), (12), (16) (SBC-4 §5.37 to §5.39).
func prepareVerify(b *brain, t *Task) bool {
	count := uint64(t.cdb().TransferLength())
	if !b.setRange(t, t.cdb().LBA(), count) {
		return false
	}
	switch bytchk(t) {
	case bytchkNone:
	case bytchkEach:
		if !b.setTransfer(t) {
			return false
		}
		t.state.need = t.Transfer
	case bytchkBlock:
		t.state.need, t.Transfer = b.unit.config.BlockSize, b.unit.config.BlockSize
	default:
		t.check(scsi.InvalidCDBBit(1, 2))
		return false
	}
	return count > 0
}

func verify(b *brain, t *Task) { b.verify(t, bytchk(t)) }

// verify reads the range of t, and compares it with the data-out. The
// INFORMATION field of a miscompare is the LBA.
func (b *brain) verify(t *Task, check byte) {
	bs := b.unit.config.BlockSize
	length := int64(t.state.end-t.state.lba) * int64(bs)
	buf := b.unit.config.Pool.Get(int(min(length, chunkBytes)))
	if buf == nil {
		t.end(scsi.StatusTaskSetFull)
		return
	}
	defer buf.Release()
	start := int64(t.state.lba) * int64(bs)
	for done := int64(0); done < length && !b.interrupted(t); {
		p := buf.Bytes()
		p = p[:min(int64(len(p)), length-done)]
		if err := b.device.ReadAt(p, start+done); err != nil {
			b.readFailed(t, t.state.lba+uint64(done)/uint64(bs), err)
			return
		}
		for i := 0; check != bytchkNone && i < len(p); i += bs {
			want := t.DataOut[:bs]
			if check == bytchkEach {
				want = t.DataOut[int(done)+i:][:bs]
			}
			if !bytes.Equal(p[i:i+bs], want) {
				t.check(scsi.Sense{Key: scsi.Miscompare, ASC: scsi.MiscompareDuringVerify,
					Information: t.state.lba + uint64(int(done)+i)/uint64(bs), HasInformation: true})
				return
			}
		}
		done += int64(len(p))
	}
}

// prepareWriteAndVerify: WRITE AND VERIFY (10), (12), (16)
// (SBC-4 §5.44 to §5.46).
func prepareWriteAndVerify(b *brain, t *Task) bool {
	if !b.prepareModify(t) {
		return false
	}
	if c := bytchk(t); c != bytchkNone && c != bytchkEach {
		t.check(scsi.InvalidCDBBit(1, 2))
		return false
	}
	return b.setTransfer(t) && b.shorten(t) && t.state.need > 0
}

func writeAndVerify(b *brain, t *Task) {
	if b.writeAt(t, t.DataOut[:t.state.need], t.state.lba) && b.sync(t) {
		b.verify(t, bytchk(t))
	}
}

// prepareCompareAndWrite: COMPARE AND WRITE (SBC-4 §5.3). The data-out is the
// blocks to compare with, then as many to write.
func prepareCompareAndWrite(b *brain, t *Task) bool {
	if !b.prepareModify(t) {
		return false
	}
	count := int(t.cdb().Byte(13))
	if !b.setRange(t, t.cdb().LBA(), uint64(count)) {
		return false
	}
	n := 2 * count * b.unit.config.BlockSize
	t.state.need, t.Transfer = n, n
	if t.ExpectedOut != n {
		t.check(scsi.InvalidCDBField(13))
		return false
	}
	t.state.sync = !b.state.mode.WriteCache || t.cdb().Bit(1, fuaBit) || t.cdb().Bit(1, fuaNVBit)
	return count > 0
}

// compareAndWrite compares and writes as one: the range is held exclusively.
// The INFORMATION field of a miscompare is the offset of the first byte that
// differs.
func compareAndWrite(b *brain, t *Task) {
	compare, store := t.DataOut[:t.state.need/2], t.DataOut[t.state.need/2:t.state.need]
	buf := b.unit.config.Pool.Get(len(compare))
	if buf == nil {
		t.end(scsi.StatusTaskSetFull)
		return
	}
	defer buf.Release()
	if err := b.device.ReadAt(buf.Bytes(), int64(t.state.lba)*int64(b.unit.config.BlockSize)); err != nil {
		b.readFailed(t, t.state.lba, err)
		return
	}
	for i, have := range buf.Bytes() {
		if have != compare[i] {
			t.check(scsi.Sense{Key: scsi.Miscompare, ASC: scsi.MiscompareDuringVerify, Information: uint64(i), HasInformation: true})
			return
		}
	}
	if b.writeAt(t, store, t.state.lba) && t.state.sync {
		b.sync(t)
	}
}

// preFetch: PRE-FETCH (10) and (16) (SBC-4 §5.8, §5.9). There is no cache of
// our own to fill: GOOD says that not all of it is in one.
func preFetch(b *brain, t *Task) bool {
	b.setRange(t, t.cdb().LBA(), uint64(t.cdb().TransferLength()))
	return false
}
