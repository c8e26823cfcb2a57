package sim

import (
	"slices"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// disk is the shared block device behind every logical unit. What it was given
// it does, whatever becomes of the process that gave it.
type disk struct {
	w      *World
	blocks [maxUnits][maxBlocks]uint32
	// stuck is until when what a controller issues gets no further.
	stuck [ha.MaxNodes + 1]time.Duration
	// shut is the epoch before which a controller must have opened a unit to
	// be refused.
	shut    [maxUnits][ha.MaxNodes + 1]uint64
	pending []*diskWrite
}

// diskWrite is a write the disk was given.
type diskWrite struct {
	c     *controller
	unit  int
	block int
	value uint32
	brain uint64
	epoch uint64 // its unit was opened in
	gone  bool   // it will not land
	// ticket, when not nil, is what let another controller than the brain's write.
	ticket *ticket
	done   func(ok bool)
}

func (d *disk) init(w *World) { d.w = w }

// service is how long an operation of a controller takes that is issued now.
func (d *disk) service(c *controller) time.Duration {
	t := d.w.between(100*us, 600*us)
	if d.w.chance(d.w.plan.stuckWrites) {
		t += d.w.between(50*ms, 3*time.Second)
	}
	return max(0, d.stuck[c.id]-d.w.now) + t
}

// read carries out the read of a job.
func (d *disk) read(b *brain, j *job) {
	d.readFor(b.u.c, j.cmd, func(value uint32) {
		j.result.value = value
		b.transferred(j, true)
	})
}

// readFor reads for a process and tells it what there was, if it still lives.
func (d *disk) readFor(c *controller, cmd *command, done func(uint32)) {
	life := c.life
	d.w.after(d.service(c), func() {
		value := d.blocks[cmd.unit][cmd.block]
		if c.life == life {
			c.soon(func() { done(value) })
		}
	})
}

// write carries out the write of a job, whose right to serve was just checked.
func (d *disk) write(b *brain, j *job) {
	d.writeFor(&diskWrite{
		c: b.u.c, unit: b.u.index, block: j.cmd.block, value: j.cmd.value, brain: b.number, epoch: b.epoch,
	}, func(ok bool) { b.transferred(j, ok) })
}

// writeFor writes for a process that has just looked whether it may. Where no
// fence works the check and the landing are one; elsewhere the process may stand
// still before it issues the write, and the disk may take long.
func (d *disk) writeFor(dw *diskWrite, done func(ok bool)) {
	w, c := d.w, dw.c
	life := c.life
	dw.done = func(ok bool) {
		if c.life == life {
			c.soon(func() { done(ok) })
		}
	}
	if w.plan.fence == fenceVain || w.plan.fence == fenceNone && w.plan.mode == modeTickets {
		d.land(dw)
		return
	}
	gap := w.between(0, 20*us)
	if w.chance(w.plan.sluggish) {
		gap = w.between(0, 20*ms)
	}
	c.after(gap, func() {
		d.pending = append(d.pending, dw)
		w.after(d.service(c), func() { d.end(dw) })
	})
}

// end is the write reaching the medium, unless it was called back.
func (d *disk) end(dw *diskWrite) {
	if dw.gone {
		return
	}
	d.pending = slices.DeleteFunc(d.pending, func(o *diskWrite) bool { return o == dw })
	if dw.epoch < d.shut[dw.unit][dw.c.id] {
		d.w.counts.WritesRefused++
		dw.done(false)
		return
	}
	d.land(dw)
}

func (d *disk) land(dw *diskWrite) {
	if d.w.telling() {
		d.w.tell(0, "disk: value %d of controller %d lands in block %d of lun%d", dw.value, dw.c.id, dw.block, dw.unit)
	}
	d.w.oracle.landed(dw)
	d.blocks[dw.unit][dw.block] = dw.value
	dw.done(true)
}

// pendingOf reports whether writes of a controller are under way.
func (d *disk) pendingOf(c *controller) bool {
	return slices.ContainsFunc(d.pending, func(dw *diskWrite) bool { return dw.c == c })
}

// powerLost decides what becomes of the writes of a machine that is off: each
// has just landed, or never will.
func (d *disk) powerLost(c *controller) {
	d.cancel(func(dw *diskWrite) bool { return dw.c == c })
}

// shutOut refuses a controller what it has open of a unit, and ends what it has
// under way there.
func (d *disk) shutOut(c *controller, unit int, epoch uint64) {
	d.shut[unit][c.id] = max(d.shut[unit][c.id], epoch)
	d.cancel(func(dw *diskWrite) bool { return dw.c == c && dw.unit == unit && dw.epoch < epoch })
}

func (d *disk) cancel(match func(*diskWrite) bool) {
	var ending []*diskWrite
	d.pending = slices.DeleteFunc(d.pending, func(dw *diskWrite) bool {
		if match(dw) {
			ending = append(ending, dw)
			return true
		}
		return false
	})
	for _, dw := range ending {
		dw.gone = true
		if d.w.chance(0.5) {
			d.land(dw)
			continue
		}
		d.w.counts.WritesDropped++
		dw.done(false)
	}
}
