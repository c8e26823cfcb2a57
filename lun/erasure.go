package lun

import (
	"errors"
	"fmt"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/scsi"
)

// Erasure is an operation that goes over the whole medium: FORMAT UNIT or
// SANITIZE (SBC-4 §4.11, §4.31). It is part of the state, so that neither a
// reset nor the loss of the controller ends it: the next brain goes on with it.
type Erasure struct {
	Kind ErasureKind `json:"kind"`
	// Pattern, Invert and Count are those of an overwrite.
	Pattern []byte `json:"pattern,omitempty"`
	Invert  bool   `json:"invert,omitempty"`
	Count   uint8  `json:"count,omitempty"`
	// Unrestricted (AUSE): EXIT FAILURE MODE ends a failure.
	Unrestricted bool `json:"unrestricted,omitempty"`
	// Done is how many logical blocks were certainly written, over all passes,
	// when this was last stored.
	Done uint64 `json:"done,omitempty"`
	// Failed: it has ended, and the medium is not to be used.
	Failed bool `json:"failed,omitempty"`
}

// ErasureKind is what an Erasure does.
type ErasureKind string

// Kinds of erasure.
const (
	EraseFormat    ErasureKind = "format"    // FORMAT UNIT
	EraseOverwrite ErasureKind = "overwrite" // SANITIZE, OVERWRITE
	EraseBlocks    ErasureKind = "blocks"    // SANITIZE, BLOCK ERASE
)

const (
	// eraseZeroBytes is how much is zeroed at a time.
	eraseZeroBytes = 16 << 20
	// eraseStore is the time after which an erasure stores how far it is.
	eraseStore = 10 * time.Second
	// eraseRest is how often an erasure without the right to serve looks again.
	eraseRest = 20 * time.Millisecond
)

func (e *Erasure) check() error {
	switch {
	case e == nil:
	case e.Kind != EraseFormat && e.Kind != EraseOverwrite && e.Kind != EraseBlocks:
		return fmt.Errorf("%w: an erasure of kind %q", ErrState, e.Kind)
	case e.Kind == EraseOverwrite && (e.Count == 0 || len(e.Pattern) == 0 || len(e.Pattern) > MaxBlockSize):
		return fmt.Errorf("%w: %d overwrites with a pattern of %d bytes", ErrState, e.Count, len(e.Pattern))
	}
	return nil
}

// passes is how often the medium is gone over.
func (e *Erasure) passes() uint64 { return uint64(max(e.Count, 1)) }

// permits reports whether a command may run while the erasure is under way or
// has failed (SBC-4 §4.11.2).
func (e *Erasure) permits(id scsi.CommandID) bool {
	switch id {
	case scsi.CmdRequestSense, scsi.CmdLogSense, scsi.CmdSetTargetPortGroups:
		return true
	case scsi.CmdSanitizeOverwrite, scsi.CmdSanitizeBlockErase, scsi.CmdSanitizeExitFailureMode:
		return e.Failed
	case scsi.CmdFormatUnit:
		return e.Failed && e.Kind == EraseFormat
	}
	return scsi.Commands[id].ByPort
}

// sense is how other commands end.
func (b *brain) erasureSense(e *Erasure) scsi.Sense {
	s := scsi.Sense{Key: scsi.NotReady, ASC: scsi.LogicalUnitNotReadySanitizeInProgress}
	switch {
	case e.Failed && e.Kind == EraseFormat:
		return scsi.Sense{Key: scsi.MediumError, ASC: scsi.MediumFormatCorrupted}
	case e.Failed:
		return scsi.Sense{Key: scsi.MediumError, ASC: scsi.SanitizeCommandFailed}
	case e.Kind == EraseFormat:
		s.ASC = scsi.LogicalUnitNotReadyFormatInProgress
	}
	total := float64(b.blocks * e.passes())
	s.Progress, s.HasProgress = uint16(min(float64(b.erased.Load())/total, 1)*65535), true
	return s
}

// erasing reports whether the task may not run because of an erasure; then it
// has ended.
func (b *brain) erasing(t *Task) bool {
	e := b.state.durable.Erasure
	if e == nil || e.permits(t.state.cmd) {
		return false
	}
	t.check(b.erasureSense(e))
	return true
}

// prepareErasure is what FORMAT UNIT and SANITIZE have in common: the whole
// medium is held when they begin.
func prepareErasure(b *brain, t *Task) bool {
	if !b.prepareModify(t) {
		return false
	}
	t.state.lba, t.state.end = 0, b.blocks
	e := b.state.durable.Erasure
	if e != nil && e.Kind != EraseFormat && !e.Unrestricted && scsi.SanitizeUnrestricted(t.CDB) {
		t.check(scsi.InvalidCDBBit(1, 5)) // SBC-4 §4.11.4
		return false
	}
	return true
}

// prepareOverwrite: SANITIZE, OVERWRITE (SBC-4 §5.30.2).
func prepareOverwrite(b *brain, t *Task) bool {
	if !prepareErasure(b, t) {
		return false
	}
	n := t.cdb().AllocationLength()
	if err := scsi.OverwriteLength(n, b.unit.config.BlockSize); err != nil {
		t.fail(err)
		return false
	}
	t.state.need, t.Transfer = int(n), int(n)
	return true
}

func sanitizeOverwrite(b *brain, t *Task) {
	o, err := scsi.DecodeOverwrite(t.DataOut[:t.state.need], b.unit.config.BlockSize)
	if err != nil {
		t.fail(err)
		return
	}
	b.beginErasure(t, Erasure{Kind: EraseOverwrite, Pattern: o.Pattern, Invert: o.Invert, Count: o.Count,
		Unrestricted: scsi.SanitizeUnrestricted(t.CDB)}, scsi.SanitizeImmediate(t.CDB))
}

// sanitizeBlockErase: SANITIZE, BLOCK ERASE (SBC-4 §5.30.3).
func sanitizeBlockErase(b *brain, t *Task) {
	b.beginErasure(t, Erasure{Kind: EraseBlocks, Unrestricted: scsi.SanitizeUnrestricted(t.CDB)}, scsi.SanitizeImmediate(t.CDB))
}

// prepareExitFailure: SANITIZE, EXIT FAILURE MODE (SBC-4 §5.30.5). A failure in
// the restricted completion mode stays.
func prepareExitFailure(b *brain, t *Task) bool {
	e := b.state.durable.Erasure
	if e == nil {
		return false
	}
	if e.Kind == EraseFormat || !e.Unrestricted {
		t.check(scsi.InvalidCDBBit(1, 4))
		return false
	}
	return true
}

func exitFailure(b *brain, t *Task) {
	b.changeState(t, func(_ *brain, p *persistent) (effects, error) {
		if e := p.durable.Erasure; e == nil || !e.Failed {
			return effects{}, errUnchanged
		}
		p.durable.Erasure = nil
		return effects{}, nil
	})
}

// prepareFormat: FORMAT UNIT (SBC-4 §5.4).
func prepareFormat(b *brain, t *Task) bool {
	n, err := scsi.FormatLength(t.CDB)
	if err != nil {
		t.fail(err)
		return false
	}
	t.state.need, t.Transfer = n, n
	if !b.prepareModify(t) {
		return false
	}
	t.state.lba, t.state.end = 0, b.blocks
	return true
}

func formatUnit(b *brain, t *Task) {
	var f scsi.Format
	if t.state.need > 0 {
		var err error
		if f, err = scsi.DecodeFormat(t.DataOut[:t.state.need]); err != nil {
			t.fail(err)
			return
		}
	}
	b.beginErasure(t, Erasure{Kind: EraseFormat}, f.Immediate)
}

// beginErasure stores the erasure and starts it. The task holds the whole
// medium, so that nothing else touches it; what waits for it is refused from
// now on. Without IMMED the task waits for the end of the erasure, parked.
func (b *brain) beginErasure(t *Task, e Erasure, immediate bool) {
	b.changeState(t, func(b *brain, p *persistent) (effects, error) {
		if was := p.durable.Erasure; was != nil && !was.Failed {
			return effects{}, b.erasureSense(was)
		}
		p.durable.Erasure = &e
		return effects{}, nil
	})
	if t.Status != scsi.StatusGood || t.NotServed {
		return
	}
	b.unit.config.Log.Info("erasure begins", "lun", b.unit.config.Name, "kind", e.Kind, "nexus", t.Nexus.InitiatorPort)
	b.unit.mu.Lock()
	defer b.unit.mu.Unlock()
	b.erased.Store(0)
	t.state.park = !immediate
	b.startErasing()
}

// park makes a task wait for the end of the erasure. It reports false when
// that is over already, or the task was aborted; its result is set then. The
// range of the task is free.
func (b *brain) park(t *Task) bool {
	e := b.state.durable.Erasure
	switch {
	case t.state.isAborted():
		return false
	case e == nil:
		return false
	case e.Failed:
		t.check(b.erasureSense(e))
		return false
	case b.draining:
		t.notServed()
		return false
	}
	t.state.phase = phaseParked
	return true
}

// startErasing sees to it that an erasure under way goes on. The caller holds
// the lock.
func (b *brain) startErasing() {
	e := b.state.durable.Erasure
	if e == nil || e.Failed || b.erases || b.draining {
		return
	}
	b.erases = true
	b.erased.Store(e.Done)
	b.running.Go(b.erase)
}

// erase goes on with the erasure until it has ended, or the brain is about to
// move.
func (b *brain) erase() {
	for {
		b.unit.mu.Lock()
		e := b.state.durable.Erasure
		if e == nil || e.Failed || b.draining {
			b.erases = false
			b.unit.mu.Unlock()
			return
		}
		blocks := b.blocks
		b.unit.mu.Unlock()
		if !b.right.Valid() {
			time.Sleep(eraseRest)
			continue
		}
		b.erasePart(*e, blocks)
	}
}

// erasePart goes on for eraseStore at most, and stores how far it came.
func (b *brain) erasePart(e Erasure, blocks uint64) {
	began, first := time.Now(), e.Done
	bs := uint64(b.unit.config.BlockSize)
	for e.Done < blocks*e.passes() && time.Since(began) < eraseStore {
		if b.leaving.Load() || !b.right.Valid() {
			return
		}
		n, err := b.eraseChunk(&e, blocks)
		if err != nil {
			b.erasureFailed(e, err)
			return
		}
		e.Done += n
		b.erased.Store(e.Done)
		if e.Kind == EraseOverwrite {
			written := float64((e.Done - first) * bs)
			due := time.Duration(written / float64(b.unit.config.EraseRate) * float64(time.Second))
			time.Sleep(due - time.Since(began))
		}
	}
	if err := b.device.Sync(); err != nil {
		b.erasureFailed(e, err)
		return
	}
	next := &e
	if e.Done >= blocks*e.passes() {
		next = nil
	}
	b.storeErasure(next)
}

// eraseChunk does the next piece, and answers its logical blocks.
func (b *brain) eraseChunk(e *Erasure, blocks uint64) (uint64, error) {
	bs := uint64(b.unit.config.BlockSize)
	lba, pass := e.Done%blocks, e.Done/blocks
	if e.Kind != EraseOverwrite {
		n := min(blocks-lba, eraseZeroBytes/bs)
		return n, b.device.Zero(int64(lba*bs), int64(n*bs), !b.unit.config.NoUnmap)
	}
	n := min(blocks-lba, chunkBytes/bs)
	buf := b.unit.config.Pool.Get(int(n * bs))
	if buf == nil { // the pool is spent: it is tried again
		time.Sleep(eraseRest)
		return 0, nil
	}
	defer buf.Release()
	p := buf.Bytes()[:n*bs]
	invert := byte(0)
	if e.Invert && pass%2 == 1 {
		invert = 0xFF
	}
	for i := range p[:bs] {
		p[i] = e.Pattern[i%len(e.Pattern)] ^ invert
	}
	for at := bs; at < n*bs; at += bs {
		copy(p[at:], p[:bs])
	}
	return n, b.device.WriteAt(p, int64(lba*bs))
}

// erasureFailed stores that the erasure has failed, unless it was the device
// that was taken away.
func (b *brain) erasureFailed(e Erasure, err error) {
	if errors.Is(err, block.ErrClosed) || !b.right.Valid() {
		time.Sleep(eraseRest)
		return
	}
	b.unit.config.Log.Error("erasure failed", "lun", b.unit.config.Name, "kind", e.Kind, "done", e.Done, "error", err)
	e.Failed = true
	b.storeErasure(&e)
}

// storeErasure commits how far the erasure is, nil when it has ended well, and
// ends the tasks that wait for its end. What could not be stored is stored
// later, or done again by the next brain.
func (b *brain) storeErasure(next *Erasure) {
	err := b.unit.change(func(_ *brain, p *persistent) (effects, error) {
		p.durable.Erasure = next
		return effects{}, nil
	})
	if err != nil {
		b.unit.config.Log.Warn("erasure not stored", "lun", b.unit.config.Name, "error", err)
		time.Sleep(eraseRest)
		return
	}
	if next != nil && !next.Failed {
		return
	}
	b.unit.mu.Lock()
	b.waking = true
	for t := b.tasks.oldest; t != nil; {
		older := t
		t = t.state.newer
		if older.state.phase != phaseParked {
			continue
		}
		if next != nil {
			older.check(b.erasureSense(next))
		}
		b.complete(older)
	}
	b.waking = false
	b.wake()
	b.run()
	if next == nil {
		b.unit.config.Log.Info("erasure done", "lun", b.unit.config.Name)
	}
}
