package lun

import (
	"errors"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/scsi"
)

// Bits of byte 1 of read and write commands (SBC-4 §5.12). FUA_NV is taken as
// FUA: there is no non-volatile cache.
const (
	fuaBit   = 3
	fuaNVBit = 1
)

// setRange notes the logical blocks that a command is about. It reports false
// when they are not all there: LOGICAL BLOCK ADDRESS OUT OF RANGE, with the
// first LBA that is not.
func (b *brain) setRange(t *Task, lba, count uint64) bool {
	if lba > b.blocks || count > b.blocks-lba {
		t.check(scsi.BeyondEnd(max(lba, b.blocks)))
		return false
	}
	t.state.lba, t.state.end = lba, lba+count
	return true
}

// setTransfer is setRange for the LBA and transfer length of the CDB, at most
// the maximum transfer length. t.Transfer is set.
func (b *brain) setTransfer(t *Task) bool {
	cdb := t.cdb()
	count := uint64(cdb.TransferLength())
	if !b.setRange(t, cdb.LBA(), count) {
		return false
	}
	bs := b.unit.config.BlockSize
	if count > uint64(b.unit.config.MaxTransfer/bs) {
		t.check(scsi.InvalidCDBField(transferLengthField(cdb)))
		return false
	}
	t.Transfer = int(count) * bs
	return true
}

// transferLengthField is where the TRANSFER LENGTH field starts.
func transferLengthField(cdb scsi.CDB) int {
	switch cdb.Length() {
	case 6:
		return 4
	case 10:
		return 7
	case 12:
		return 6
	}
	return 10
}

// prepareRead: READ (6), (10), (12), (16) (SBC-4 §5.11 to §5.14).
func prepareRead(b *brain, t *Task) bool {
	if !b.setTransfer(t) {
		return false
	}
	bs := b.unit.config.BlockSize
	n := min(t.Transfer, (t.ExpectedIn+bs-1)/bs*bs)
	if n == 0 {
		return false
	}
	t.state.end = t.state.lba + uint64(n/bs)
	if t.Mover != nil {
		return true
	}
	t.DataIn = b.unit.config.Pool.Get(n)
	if t.DataIn == nil {
		t.end(scsi.StatusTaskSetFull)
		return false
	}
	return true
}

func read(b *brain, t *Task) {
	if err := b.device.ReadAt(t.DataIn.Bytes(), int64(t.state.lba)*int64(b.unit.config.BlockSize)); err != nil {
		b.readFailed(t, t.state.lba, err)
	}
}

// prepareModify is what all commands that write have in common: it refuses
// them on a write protected logical unit, and makes their range exclusive.
func (b *brain) prepareModify(t *Task) bool {
	if b.writeProtected() {
		asc := scsi.WriteProtected
		if !b.unit.config.ReadOnly {
			asc = scsi.SoftwareWriteProtected
		}
		t.check(scsi.Sense{Key: scsi.DataProtect, ASC: asc})
		return false
	}
	t.state.exclusive = true
	return true
}

// prepareWrite: WRITE (6), (10), (12), (16) (SBC-4 §5.40 to §5.43).
func prepareWrite(b *brain, t *Task) bool {
	if !b.prepareModify(t) || !b.setTransfer(t) || !b.shorten(t) {
		return false
	}
	t.state.sync = !b.state.mode.WriteCache || t.state.cmd != scsi.CmdWrite6 && (t.cdb().Bit(1, fuaBit) || t.cdb().Bit(1, fuaNVBit))
	return t.state.need > 0
}

// shorten sets how much data-out a write takes: what the CDB calls for, or,
// when the initiator means to send less, the whole logical blocks of it. The
// other blocks are left as they are, which the residual count tells. Part of a
// logical block is not written (FCP-4 §9.5.8 has the same choice).
func (b *brain) shorten(t *Task) bool {
	bs := b.unit.config.BlockSize
	t.state.need = min(t.Transfer, t.ExpectedOut)
	if t.state.need%bs != 0 {
		t.check(scsi.Illegal(scsi.InvalidFieldInCommandIU))
		return false
	}
	t.state.end = t.state.lba + uint64(t.state.need/bs)
	return true
}

func write(b *brain, t *Task) {
	if b.writeAt(t, t.DataOut[:t.state.need], t.state.lba) && t.state.sync {
		b.sync(t)
	}
}

// orWrite is ORWRITE(16) (SBC-4 §5.10): the logical blocks are read, ORed with
// the data-out and written as one, for the range is held.
func orWrite(b *brain, t *Task) {
	out := t.DataOut[:t.state.need]
	buf := b.unit.config.Pool.Get(len(out))
	if buf == nil {
		t.end(scsi.StatusTaskSetFull)
		return
	}
	defer buf.Release()
	have := buf.Bytes()[:len(out)]
	if err := b.device.ReadAt(have, int64(t.state.lba)*int64(b.unit.config.BlockSize)); err != nil {
		b.readFailed(t, t.state.lba, err)
		return
	}
	for i, o := range out {
		have[i] |= o
	}
	if b.writeAt(t, have, t.state.lba) && t.state.sync {
		b.sync(t)
	}
}

// writeAt writes whole logical blocks if the right to serve holds. It reports
// false when the task has failed.
func (b *brain) writeAt(t *Task, p []byte, lba uint64) bool {
	if !b.mayTouch(t) {
		return false
	}
	if err := b.device.WriteAt(p, int64(lba)*int64(b.unit.config.BlockSize)); err != nil {
		b.writeFailed(t, lba, err)
		return false
	}
	return true
}

// mayTouch is asked right before the medium is changed: it reports false when
// the right to serve is gone or the task was aborted.
func (b *brain) mayTouch(t *Task) bool {
	if t.state.isAborted() {
		return false
	}
	if !b.right.Valid() {
		t.notServed()
		return false
	}
	return true
}

// interrupted is asked by commands that take long: it reports true when the
// task was aborted, or when the brain is about to move; then the next one runs
// the command from its beginning.
func (b *brain) interrupted(t *Task) bool {
	if b.leaving.Load() {
		t.notServed()
		return true
	}
	return t.state.isAborted()
}

// sync makes durable what was written before.
func (b *brain) sync(t *Task) bool {
	err := b.device.Sync()
	switch {
	case err == nil:
		return true
	case b.device.Attributes().Cached && !errors.Is(err, block.ErrClosed):
		// What others wrote may be lost with it: to sync elsewhere mends nothing.
		t.state.unsynced = true
		b.tell(t, t.state.lba, err, writeFault(t.state.lba))
	default:
		b.writeFailed(t, t.state.lba, err)
	}
	return false
}

// prepareSynchronize: SYNCHRONIZE CACHE (10) and (16) (SBC-4 §5.31, §5.32).
// All that was written is made durable, before the status even when IMMED is
// one. The blocks are checked but not held.
func prepareSynchronize(b *brain, t *Task) bool {
	return b.setRange(t, t.cdb().LBA(), uint64(t.cdb().TransferLength()))
}

func synchronize(b *brain, t *Task) { b.sync(t) }

// readFailed ends a task whose read failed at lba.
func (b *brain) readFailed(t *Task, lba uint64, err error) {
	b.failed(t, lba, err, scsi.Sense{Key: scsi.MediumError, ASC: scsi.UnrecoveredReadError, Information: lba, HasInformation: true})
}

// writeFailed ends a task whose write, deallocation or sync failed.
func (b *brain) writeFailed(t *Task, lba uint64, err error) {
	b.failed(t, lba, err, writeFault(lba))
}

func writeFault(lba uint64) scsi.Sense {
	return scsi.Sense{Key: scsi.MediumError, ASC: scsi.PeripheralDeviceWriteFault, Information: lba, HasInformation: true}
}

func (b *brain) failed(t *Task, lba uint64, err error, otherwise scsi.Sense) {
	if !b.right.Valid() || errors.Is(err, block.ErrClosed) {
		// The device was taken away: the brain is elsewhere now.
		t.notServed()
		return
	}
	b.tell(t, lba, err, otherwise)
}

// tell ends a task with what has failed.
func (b *brain) tell(t *Task, lba uint64, err error, otherwise scsi.Sense) {
	switch {
	case errors.Is(err, block.ErrNoSpace):
		t.check(scsi.Sense{Key: scsi.DataProtect, ASC: scsi.SpaceAllocationFailedWriteProtect})
	case errors.Is(err, block.ErrOutOfRange):
		t.check(scsi.BeyondEnd(lba))
	default:
		t.check(otherwise)
	}
	b.unit.config.Log.Error("device error", "lun", b.unit.config.Name, "command", scsi.Commands[t.state.cmd].Name,
		"lba", lba, "nexus", t.Nexus.InitiatorPort, "port", t.Nexus.TargetPort, "error", err)
}
