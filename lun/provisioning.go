package lun

import (
	"math"

	"github.com/tandem-san/tandem/scsi"
)

// Bits of byte 1 of WRITE SAME (SBC-4 §5.48).
const (
	unmapBit = 3
	ndobBit  = 0 // WRITE SAME (16) only
)

// prepareWriteSame: WRITE SAME (10) and (16) (SBC-4 §5.48, §5.49). Zero blocks
// are refused (WSNZ), and so are more than the block limits page says.
func prepareWriteSame(b *brain, t *Task) bool {
	if !b.prepareModify(t) {
		return false
	}
	cdb := t.cdb()
	if cdb.Bit(1, unmapBit) && b.unit.config.NoUnmap {
		t.check(scsi.InvalidCDBBit(1, unmapBit))
		return false
	}
	count := uint64(cdb.TransferLength())
	if !b.setRange(t, cdb.LBA(), count) {
		return false
	}
	if count == 0 || count > b.unit.config.MaxWriteSame {
		t.check(scsi.InvalidCDBField(transferLengthField(cdb)))
		return false
	}
	if !noDataOut(t) {
		t.state.need, t.Transfer = b.unit.config.BlockSize, b.unit.config.BlockSize
		if t.ExpectedOut != t.state.need {
			t.check(scsi.Illegal(scsi.InvalidFieldInCommandIU))
			return false
		}
	}
	t.state.sync = !b.state.mode.WriteCache
	return true
}

func noDataOut(t *Task) bool {
	return t.state.cmd == scsi.CmdWriteSame16 && t.cdb().Bit(1, ndobBit)
}

func writeSame(b *brain, t *Task) {
	ok := false
	if noDataOut(t) || isZero(t.DataOut[:t.state.need]) {
		ok = b.zero(t, t.state.lba, t.state.end-t.state.lba, t.cdb().Bit(1, unmapBit))
	} else {
		// Blocks that would not read as the data are written, UNMAP or not
		// (SBC-4 §4.7.3.4).
		ok = b.fill(t, t.DataOut[:t.state.need])
	}
	if ok && t.state.sync {
		b.sync(t)
	}
}

func isZero(p []byte) bool {
	for _, c := range p {
		if c != 0 {
			return false
		}
	}
	return true
}

// zero makes logical blocks read as zeroes.
func (b *brain) zero(t *Task, lba, count uint64, deallocate bool) bool {
	if !b.mayTouch(t) {
		return false
	}
	bs := int64(b.unit.config.BlockSize)
	if err := b.device.Zero(int64(lba)*bs, int64(count)*bs, deallocate); err != nil {
		b.writeFailed(t, lba, err)
		return false
	}
	return true
}

// fill writes one logical block over the range of t.
func (b *brain) fill(t *Task, pattern []byte) bool {
	bs := uint64(len(pattern))
	total := t.state.end - t.state.lba
	per := min(total, chunkBytes/bs)
	buf := b.unit.config.Pool.Get(int(per * bs))
	if buf == nil {
		t.end(scsi.StatusTaskSetFull)
		return false
	}
	defer buf.Release()
	for p := buf.Bytes(); len(p) > 0; p = p[bs:] {
		copy(p, pattern)
	}
	for done := uint64(0); done < total; done += per {
		n := min(per, total-done)
		if b.interrupted(t) || !b.writeAt(t, buf.Bytes()[:n*bs], t.state.lba+done) {
			return false
		}
	}
	return true
}

// prepareUnmap: UNMAP (SBC-4 §5.36).
func prepareUnmap(b *brain, t *Task) bool {
	if !b.prepareModify(t) {
		return false
	}
	n := int(t.cdb().AllocationLength())
	t.state.need, t.Transfer = n, n
	return n > 0
}

// receivedUnmap looks at the parameter list: all extents must be on the medium,
// and what they span is held.
func receivedUnmap(b *brain, t *Task) bool {
	extents, err := scsi.DecodeUnmap(t.DataOut[:t.state.need], b.unit.config.MaxUnmapDescriptors)
	if err != nil {
		t.fail(err)
		return false
	}
	lba, end, total := uint64(0), uint64(0), uint64(0)
	for _, e := range extents {
		if !b.setRange(t, e.LBA, uint64(e.Count)) {
			return false
		}
		if e.Count == 0 {
			continue
		}
		if total == 0 {
			lba, end = t.state.lba, t.state.end
		}
		lba, end = min(lba, t.state.lba), max(end, t.state.end)
		total += uint64(e.Count)
	}
	if total > uint64(b.unit.config.MaxUnmap) {
		t.check(scsi.InvalidParameterField(0))
		return false
	}
	t.state.lba, t.state.end = lba, end
	t.state.sync = !b.state.mode.WriteCache
	return total > 0
}

func unmap(b *brain, t *Task) {
	extents, err := scsi.DecodeUnmap(t.DataOut[:t.state.need], b.unit.config.MaxUnmapDescriptors)
	if err != nil {
		panic("lun: an UNMAP list that was good is not: " + err.Error())
	}
	for _, e := range extents {
		if e.Count > 0 && !b.zero(t, e.LBA, uint64(e.Count), true) {
			return
		}
	}
	if t.state.sync {
		b.sync(t)
	}
}

// maxLBAStatus is how many descriptors GET LBA STATUS answers at most.
const maxLBAStatus = 64

// prepareLBAStatus: GET LBA STATUS (SBC-4 §5.6).
func prepareLBAStatus(b *brain, t *Task) bool {
	lba := t.cdb().LBA()
	if lba >= b.blocks {
		t.check(scsi.BeyondEnd(lba))
		return false
	}
	t.state.lba, t.state.end = lba, b.blocks
	return true
}

func lbaStatus(b *brain, t *Task) {
	var list []scsi.LBAStatus
	bs := uint64(b.unit.config.BlockSize)
	for lba, end := t.state.lba, t.state.end; lba < end && !b.interrupted(t); {
		allocated, length, err := b.device.Allocated(int64(lba * bs))
		if err != nil {
			b.readFailed(t, lba, err)
			return
		}
		// A logical block is mapped when part of it is.
		deallocated := !allocated && uint64(length) >= bs
		count := min(max(uint64(length)/bs, 1), end-lba, math.MaxUint32)
		lba += count
		if n := len(list) - 1; n >= 0 && list[n].Deallocated == deallocated && uint64(list[n].Count)+count <= math.MaxUint32 {
			list[n].Count += uint32(count)
			continue
		}
		if len(list) == maxLBAStatus {
			break
		}
		list = append(list, scsi.LBAStatus{Extent: scsi.Extent{LBA: lba - count, Count: uint32(count)}, Deallocated: deallocated})
	}
	b.unit.reply(t, scsi.AppendLBAStatus(nil, list), t.cdb().AllocationLength())
}
