package copymanager

import (
	"context"
	"sync"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

const (
	// chunk is how many bytes are read and written at a time.
	chunk = 1 << 20
	// retries and rest are how often, and after what time, a command is sent
	// again that was answered with BUSY or TASK SET FULL.
	retries = 200
	rest    = 10 * time.Millisecond
	// abortTime bounds the wait for an answer to ABORT TASK.
	abortTime = 5 * time.Second
)

// operation is a third-party copy under way, or over.
type operation struct {
	manager *Manager
	unit    *Unit
	nexus   lun.Nexus
	task    *lun.Task // nil once it has ended: with IMMED
	list    uint32
	listed  bool // it has a list identifier
	done    chan struct{}
	ctx     context.Context
	stop    context.CancelFunc

	mu     sync.Mutex
	status scsi.CopyStatus
	copied uint64 // bytes
}

// newOperation makes the operation of a task.
func (u *Unit) newOperation(t *lun.Task, list uint32, listed bool) *operation {
	o := &operation{manager: u.manager, unit: u, nexus: t.Nexus, task: t, list: list, listed: listed, done: make(chan struct{})}
	o.ctx, o.stop = context.WithCancel(context.Background())
	o.status = scsi.CopyStatus{Action: uint8(scsi.CDB(t.CDB).ServiceAction()), State: scsi.CopyForeground, Units: scsi.TransferKiB}
	return o
}

// start runs the operation on a goroutine of its own: run ends with an error,
// which is sense data or errAborted. With immediate the task ends at once.
func (o *operation) start(immediate bool, run func() error) {
	t := o.task
	if immediate {
		o.task = nil
		o.status.State = scsi.CopyBackground
	}
	status, sense := o.manager.begin(o)
	if status != scsi.StatusGood {
		o.stop()
		t.Status, t.Sense = status, sense
		t.Transport.CommandComplete(t)
		return
	}
	go func() { o.finish(run()) }()
	if immediate {
		t.Transport.CommandComplete(t)
	}
}

// finish notes how the operation ended, and ends its task.
func (o *operation) finish(err error) {
	o.stop()
	o.mu.Lock()
	t := o.task
	switch sense, failed := err.(scsi.Sense); {
	case err == nil:
		o.status.State = scsi.CopyCompleted
	case failed:
		o.status.State, o.status.Sense = scsi.CopyFailed, sense
		if t != nil {
			t.Status, t.Sense = scsi.StatusCheckCondition, sense
		}
	default:
		o.status.State = scsi.CopyTerminated
		if t != nil {
			t.Aborted = true
		}
	}
	o.mu.Unlock()
	o.manager.settle(o)
	if t != nil {
		t.Transport.CommandComplete(t)
	}
	close(o.done)
	o.manager.running.Done()
}

// result is how the operation stands.
func (o *operation) result() scsi.CopyStatus {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.status
}

// progress counts the bytes and segments that were copied.
func (o *operation) progress(n uint64, segments uint16) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.copied += n
	o.status.Segments += segments
	if o.status.Units == scsi.TransferBlocks {
		o.status.Transferred = o.copied / uint64(o.unit.blockSize)
	} else {
		o.status.Transferred = o.copied >> 10
	}
}

// errAborted is how an operation ends that was told to.
var errAborted = context.Canceled

// command is a command of the copy manager on its way.
type command struct{ done chan struct{} }

// ReceiveDataOut implements lun.Transport. All data-out is there from the
// start.
func (c *command) ReceiveDataOut(*lun.Task, int) { panic("copymanager: data-out is asked for") }

// CommandComplete implements lun.Transport.
func (c *command) CommandComplete(*lun.Task) { close(c.done) }

// send sends a command of the nexus to a logical unit, and waits for its end.
// The answer is for the caller to release.
func (o *operation) send(u *Unit, cdb, out []byte, in int) (*lun.Task, error) {
	for try := 0; ; try++ {
		if o.ctx.Err() != nil {
			return nil, errAborted
		}
		c := &command{done: make(chan struct{})}
		t := &lun.Task{
			Nexus: o.nexus, Tag: o.manager.tags.Add(1), CDB: cdb, Attribute: scsi.AttributeSimple, CopyManager: true,
			DataOut: out, ExpectedOut: len(out), ExpectedIn: in, Transport: c,
		}
		u.Unit.Submit(t)
		o.await(u, t, c)
		switch {
		case t.Aborted || t.Status == scsi.StatusTaskAborted:
			t.Release()
			if o.ctx.Err() != nil {
				return nil, errAborted
			}
			return nil, failure(scsi.ThirdPartyDeviceFailure)
		case t.NotServed: // the logical unit is gone
			return nil, failure(scsi.CopyTargetDeviceNotReachable)
		case t.Status == scsi.StatusGood:
			return t, nil
		}
		t.Release()
		switch {
		case (t.Status == scsi.StatusBusy || t.Status == scsi.StatusTaskSetFull) && try < retries:
			select {
			case <-time.After(rest):
			case <-o.ctx.Done():
			}
		case t.Status == scsi.StatusCheckCondition && t.Sense.Key == scsi.NotReady:
			return nil, t.Sense // the initiator tries again, or takes another path
		default:
			return nil, failure(scsi.ThirdPartyDeviceFailure)
		}
	}
}

// await waits for the end of a command. It is aborted with the operation, and
// its end waited for even then.
func (o *operation) await(u *Unit, t *lun.Task, c *command) {
	select {
	case <-c.done:
		return
	case <-o.ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), abortTime)
	defer cancel()
	u.Unit.Manage(ctx, lun.Management{Function: scsi.AbortTask, Nexus: t.Nexus, Tag: t.Tag})
	<-c.done
}

func failure(asc scsi.ASC) scsi.Sense { return scsi.Sense{Key: scsi.CopyAborted, ASC: asc} }

// blocks asks for the capacity of a logical unit, in its logical blocks.
func (o *operation) blocks(u *Unit) (uint64, error) {
	cdb := make([]byte, 16)
	cdb[0], cdb[1], cdb[13] = 0x9E, 0x10, 32
	t, err := o.send(u, cdb, nil, 32)
	if err != nil {
		return 0, err
	}
	defer t.Release()
	c, err := scsi.DecodeCapacity16(contents(t.DataIn))
	if err != nil || c.BlockLength != u.blockSize {
		return 0, failure(scsi.ThirdPartyDeviceFailure)
	}
	return c.LastLBA + 1, nil
}

// span is so many bytes of a logical unit from an offset.
type span struct {
	unit     *Unit
	at, size uint64
}

// copy copies bytes from one place to another, in whole logical blocks of both.
func (o *operation) copy(from span, to span) error {
	for from.size > 0 {
		n := min(from.size, chunk)
		t, err := o.send(from.unit, transfer(0x88, from.at, n, from.unit), nil, int(n))
		if err != nil {
			return err
		}
		if uint64(len(contents(t.DataIn))) < n {
			t.Release()
			return failure(scsi.ThirdPartyDeviceFailure)
		}
		w, err := o.send(to.unit, transfer(0x8A, to.at, n, to.unit), contents(t.DataIn)[:n], 0)
		t.Release()
		if err != nil {
			return err
		}
		w.Release()
		from.at, to.at, from.size = from.at+n, to.at+n, from.size-n
		o.progress(n, 0)
	}
	return nil
}

func contents(b *block.Buffer) []byte {
	if b == nil {
		return nil
	}
	return b.Bytes()
}

// transfer is a READ(16) or WRITE(16) of bytes.
func transfer(op byte, at, n uint64, u *Unit) []byte {
	bs := uint64(u.blockSize)
	return cdb16(op, 0, at/bs, uint32(n/bs))
}

func cdb16(op, flags byte, lba uint64, blocks uint32) []byte {
	c := make([]byte, 16)
	c[0], c[1] = op, flags
	for i := range 8 {
		c[2+i] = byte(lba >> (56 - 8*i))
	}
	for i := range 4 {
		c[10+i] = byte(blocks >> (24 - 8*i))
	}
	return c
}
