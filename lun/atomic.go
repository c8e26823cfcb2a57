package lun

import (
	"bytes"
	"fmt"
	"time"

	"github.com/tandem-san/tandem/scsi"
)

// maxAtomic is how many logical blocks one WRITE ATOMIC writes at most.
const maxAtomic = 256

// AtomicWrite is a WRITE ATOMIC(16) that has begun. It is stored, with the
// state, before the medium is touched, and taken out of it when all of the data
// is durable there. Whoever finds it writes it again before those logical
// blocks are used: so neither the loss of power nor of a controller leaves part
// of it.
type AtomicWrite struct {
	LBA  uint64 `json:"lba"`
	Data []byte `json:"data"` // whole logical blocks, at most 256
}

func (w *AtomicWrite) check() error {
	if w != nil && (len(w.Data) == 0 || len(w.Data) > maxAtomic*MaxBlockSize) {
		return fmt.Errorf("%w: an atomic write of %d bytes, accepted is 1 to %d", ErrState, len(w.Data), maxAtomic*MaxBlockSize)
	}
	return nil
}

// maxAtomic is how many logical blocks WRITE ATOMIC writes at most; 0 when it
// cannot be: without stable storage for the state.
func (c *Config) maxAtomic() uint32 {
	if !c.Stable {
		return 0
	}
	return uint32(min(maxAtomic, c.MaxTransfer/c.BlockSize))
}

// prepareWriteAtomic: WRITE ATOMIC(16) (SBC-4 §5.47). Any alignment and any
// length up to the limit is accepted; there are no atomic boundaries.
func prepareWriteAtomic(b *brain, t *Task) bool {
	count := t.cdb().TransferLength()
	if !b.prepareModify(t) || !b.setRange(t, t.cdb().LBA(), uint64(count)) {
		return false
	}
	if count > b.unit.config.maxAtomic() {
		t.check(scsi.InvalidCDBField(12))
		return false
	}
	t.state.need = int(count) * b.unit.config.BlockSize
	t.Transfer = t.state.need
	return count > 0
}

// writeAtomic runs on the worker that changes state, so that there is one at a
// time.
func writeAtomic(b *brain, t *Task) {
	// The state outlives the task.
	w := &AtomicWrite{LBA: t.state.lba, Data: bytes.Clone(t.DataOut[:t.state.need])}
	b.changeState(t, func(_ *brain, p *persistent) (effects, error) {
		p.durable.Atomic = w
		return effects{}, nil
	})
	if t.Status != scsi.StatusGood || t.NotServed {
		return
	}
	if b.writeAt(t, w.Data, w.LBA) {
		b.sync(t)
	}
	if !b.atomicDone() {
		t.notServed()
	}
}

// atomicDone takes the atomic write out of the state. It must not be left
// there while its logical blocks are free, for it would undo a later write, so
// that only the end of the brain ends the tries: then it reports false.
func (b *brain) atomicDone() bool {
	for {
		err := b.unit.change(func(_ *brain, p *persistent) (effects, error) {
			p.durable.Atomic = nil
			return effects{}, nil
		})
		if err == nil {
			return true
		}
		if b.ending.Load() {
			return false
		}
		time.Sleep(eraseRest)
	}
}

// redoAtomic goes on with the atomic write that the brain was given: its
// logical blocks are held until it is done. The caller holds the lock, and no
// task has been taken yet.
func (b *brain) redoAtomic() {
	w := b.state.durable.Atomic
	if w == nil {
		return
	}
	bs := uint64(b.unit.config.BlockSize)
	t := &Task{}
	t.state.lba, t.state.end, t.state.exclusive = w.LBA, w.LBA+uint64(len(w.Data))/bs, true
	b.ranges.acquire(t)
	b.running.Go(func() {
		for told := false; ; time.Sleep(eraseRest) {
			err := b.rewrite(w)
			if err == nil && b.atomicDone() {
				break
			}
			if b.ending.Load() {
				return
			}
			if err != nil && !told {
				told = true
				b.unit.config.Log.Error("atomic write not repeated", "lun", b.unit.config.Name, "lba", w.LBA, "error", err)
			}
		}
		b.unit.mu.Lock()
		b.ranges.release(t)
		b.grantRanges()
		b.run()
	})
}

// rewrite writes all of the data to the medium.
func (b *brain) rewrite(w *AtomicWrite) error {
	if b.ending.Load() || !b.right.Valid() {
		return ErrNotActive
	}
	if err := b.device.WriteAt(w.Data, int64(w.LBA)*int64(b.unit.config.BlockSize)); err != nil {
		return err
	}
	return b.device.Sync()
}
