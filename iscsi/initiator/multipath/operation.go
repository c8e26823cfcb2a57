package multipath

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-san/tandem/iscsi/initiator"
)

type opKind uint8

const (
	opRead opKind = iota
	opWrite
	opSync
)

// operation is one command to be carried out over whichever path can.
type operation struct {
	kind   opKind
	only   *path // nil: any
	data   []byte
	lba    uint64
	blocks uint32
}

// maxImmediate is how many attempts are made without a rest between them.
const maxImmediate = 8

// run carries op out, again and again while it fails for reasons that pass.
func (d *Disk) run(ctx context.Context, op operation) error {
	deadline := time.Now().Add(d.cfg.QueueTimeout)
	var rest backoff
	var last error
	for attempt := 1; ; attempt++ {
		v := busy
		p, unit, changed := d.acquire(op.only)
		if p != nil {
			began := time.Now()
			err := op.send(ctx, unit)
			p.outstanding.Add(-1)
			switch v = d.settle(p, unit, &op, err, time.Since(began)); v {
			case done:
				return nil
			case failed:
				return fmt.Errorf("path %s: %w", p.cfg.Portal, err)
			case busy:
				changed = nil // no change of the paths ends the reason to rest
			}
			last = err
		}
		switch {
		case d.ctx.Err() != nil:
			return ErrClosed
		case time.Now().After(deadline):
			return fmt.Errorf("%w: %w", ErrQueueTimeout, errors.Join(last, d.pathErrors()))
		}
		if v != busy && attempt < maxImmediate && d.canTake(op.only) {
			continue
		}
		if err := rest.wait(ctx, changed); err != nil {
			return err
		}
	}
}

// send runs the command on one path.
func (op *operation) send(ctx context.Context, unit *initiator.LogicalUnit) error {
	switch op.kind {
	case opRead:
		return unit.Read(ctx, op.lba, op.blocks, op.data)
	case opWrite:
		return unit.Write(ctx, op.lba, op.blocks, op.data)
	}
	return unit.SyncCache(ctx)
}

// settle draws the consequences of how a command ended on p.
func (d *Disk) settle(p *path, unit *initiator.LogicalUnit, op *operation, err error, took time.Duration) verdict {
	j := judge(err)
	switch j.verdict {
	case done:
		p.count(op, took)
		return done
	case failed:
		p.failures.Add(1)
		if IsHard(err) {
			p.hardErrors.Add(1)
		}
		return failed
	case moved:
		p.setState(j.state)
	case lost:
		p.setDown(unit, err)
	}
	p.retries.Add(1)
	if j.resized {
		d.mu.Lock()
		d.resized = true
		d.mu.Unlock()
	}
	if j.refresh || j.resized {
		p.pokeNow()
	}
	return j.verdict
}

// canTake tells whether there is a path for a command.
func (d *Disk) canTake(only *path) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.chooseLocked(only) != nil
}
