package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// maxViolations is how many findings are kept in words; all are counted.
const maxViolations = 20

// failurePause keeps a worker from spinning on a disk that fails at once.
const failurePause = 10 * time.Millisecond

// hotShare of the operations, in percent, go to the first hotSlots slots, so
// that slots are read soon after they were written.
const (
	hotShare = 50
	hotSlots = 64
)

// Workload drives one disk. Fill, Run and Verify are called one after the
// other, in that order; the other methods at any time from any goroutine.
type Workload struct {
	cfg  Config
	disk Disk
	regs []register
	pace pace

	acked, reads, lost, stale, corrupt, hard, failed atomic.Uint64

	mu         sync.Mutex
	violations []string
}

// New prepares a workload on disk.
func New(disk Disk, cfg Config) (*Workload, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Workload{cfg: cfg, disk: disk, regs: make([]register, cfg.Slots)}, nil
}

// Fill writes every slot once. It stops at the first failure.
func (w *Workload) Fill(ctx context.Context) error {
	return w.eachSlot(ctx, func(ctx context.Context, slot, worker int, buf []byte) error {
		return w.write(ctx, slot, worker, buf)
	})
}

// Run keeps the disk busy until stop is closed, then waits for the operations
// under way. The end of ctx cuts those short too. Failures of the disk are
// counted, not returned; the error is that of ctx.
func (w *Workload) Run(ctx context.Context, stop <-chan struct{}) error {
	w.pace.begin(time.Now())
	var wg sync.WaitGroup
	for worker := range w.cfg.Workers {
		wg.Go(func() { w.work(ctx, stop, worker) })
	}
	wg.Wait()
	w.pace.end(time.Now())
	return ctx.Err()
}

// work is the life of one worker.
func (w *Workload) work(ctx context.Context, stop <-chan struct{}, worker int) {
	rng := rand.New(rand.NewPCG(w.cfg.Seed, uint64(worker)))
	buf := make([]byte, w.cfg.SlotSize)
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		default:
		}
		slot := rng.IntN(len(w.regs))
		if rng.IntN(100) < hotShare {
			slot = rng.IntN(min(hotSlots, len(w.regs)))
		}
		began := time.Now()
		var err error
		if rng.IntN(100) < w.cfg.ReadPercent {
			err = w.read(ctx, w.disk, slot, buf)
		} else {
			err = w.write(ctx, slot, worker, buf)
		}
		if err == errSlotBusy || ctx.Err() != nil {
			continue
		}
		w.pace.completed(began, time.Now(), err == nil)
		if err != nil {
			sleep(ctx, failurePause)
		} else if w.cfg.Rest > 0 {
			sleep(ctx, w.cfg.Rest)
		}
	}
}

// errSlotBusy: another worker is writing the slot.
var errSlotBusy = fmt.Errorf("slot is being written")

// write puts the next write of the slot down.
func (w *Workload) write(ctx context.Context, slot, worker int, buf []byte) error {
	r := &w.regs[slot]
	seq, ok := r.beginWrite()
	if !ok {
		return errSlotBusy
	}
	stamp{run: w.cfg.Run, slot: uint64(slot), seq: seq, writer: uint32(worker)}.put(buf)
	err := w.disk.WriteAt(ctx, buf, w.offset(slot))
	r.endWrite(seq, err == nil)
	if err != nil {
		return w.fail(ctx, fmt.Errorf("write %d of slot %d: %w", seq, slot, err))
	}
	w.acked.Add(1)
	return nil
}

// read reads a slot from disk and judges what it holds.
func (w *Workload) read(ctx context.Context, disk Disk, slot int, buf []byte) error {
	r := &w.regs[slot]
	floor := r.beginRead()
	if err := disk.ReadAt(ctx, buf, w.offset(slot)); err != nil {
		return w.fail(ctx, fmt.Errorf("read of slot %d: %w", slot, err))
	}
	seq, what := w.content(slot, buf)
	if what != "" && floor > 0 {
		w.corrupt.Add(1)
		w.violation("corrupt read: slot %d holds %s, expected write %d or later", slot, what, floor)
		return nil
	}
	switch v, issued := r.endRead(floor, seq); v {
	case stale:
		w.stale.Add(1)
		w.violation("stale read: slot %d returned write %d after write %d was acknowledged or read", slot, seq, floor)
	case unknown:
		w.corrupt.Add(1)
		w.violation("corrupt read: slot %d returned write %d, of which only %d were issued", slot, seq, issued)
	default:
		w.reads.Add(1)
	}
	return nil
}

// content gives the sequence number of what buf, read from slot, holds, or
// says in words what it holds instead of a write of this run to this slot.
func (w *Workload) content(slot int, buf []byte) (seq uint64, what string) {
	s, ok := parseStamp(buf)
	switch {
	case !ok && allZero(buf):
		return 0, "zeroes"
	case !ok:
		return 0, "bytes of no write"
	case s.run != w.cfg.Run:
		return 0, fmt.Sprintf("write %d of another run", s.seq)
	case s.slot != uint64(slot):
		return 0, fmt.Sprintf("write %d of slot %d", s.seq, s.slot)
	}
	return s.seq, ""
}

// Verify reads every slot from disk, which may be another way to the disk the
// workload wrote to, and judges it as the final state: a slot that lacks its
// last acknowledged write counts as lost. No write may be under way. The
// error tells that a slot could not be read; the rest is in the Result.
func (w *Workload) Verify(ctx context.Context, disk Disk) error {
	return w.eachSlot(ctx, func(ctx context.Context, slot, _ int, buf []byte) error {
		if err := disk.ReadAt(ctx, buf, w.offset(slot)); err != nil {
			return w.fail(ctx, fmt.Errorf("verify slot %d: %w", slot, err))
		}
		r := &w.regs[slot]
		acked, floor := r.last(), r.beginRead()
		seq, what := w.content(slot, buf)
		v, issued := r.endRead(floor, seq)
		switch {
		case what != "" && acked > 0:
			w.lost.Add(1)
			w.violation("lost write: slot %d holds %s, its last acknowledged write is %d", slot, what, acked)
		case seq < acked:
			w.lost.Add(1)
			w.violation("lost write: slot %d holds write %d, its last acknowledged write is %d", slot, seq, acked)
		case v == stale:
			w.stale.Add(1)
			w.violation("stale read: slot %d holds write %d after write %d was read", slot, seq, floor)
		case v == unknown:
			w.corrupt.Add(1)
			w.violation("corrupt read: slot %d holds write %d, of which only %d were issued", slot, seq, issued)
		default:
			w.reads.Add(1)
		}
		return nil
	})
}

// eachSlot calls do for every slot, from all workers, and returns the first
// error, after which no more slots are begun.
func (w *Workload) eachSlot(ctx context.Context, do func(ctx context.Context, slot, worker int, buf []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for worker := range w.cfg.Workers {
		wg.Go(func() {
			buf := make([]byte, w.cfg.SlotSize)
			for ctx.Err() == nil {
				slot := int(next.Add(1)) - 1
				if slot >= len(w.regs) {
					return
				}
				if err := do(ctx, slot, worker, buf); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// fail counts a failed operation, unless ctx ended it.
func (w *Workload) fail(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	w.failed.Add(1)
	if w.cfg.Hard != nil && w.cfg.Hard(err) {
		w.hard.Add(1)
	}
	w.violation("failed: %v", err)
	return err
}

func (w *Workload) violation(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.violations) < maxViolations {
		w.violations = append(w.violations, fmt.Sprintf(format, args...))
	}
}

func (w *Workload) offset(slot int) int64 {
	return w.cfg.Offset + int64(slot)*int64(w.cfg.SlotSize)
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
