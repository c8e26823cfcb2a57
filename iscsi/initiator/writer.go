package initiator

import (
	"fmt"
	"net"

	"github.com/tandem-san/tandem/iscsi"
)

// A write gathers PDUs until one of these is reached.
const (
	maxGatherPDUs  = 128
	maxGatherBytes = 1 << 20
)

// writer is what the writing goroutine keeps from one write to the next.
type writer struct {
	pdus    []iscsi.Outgoing
	slices  [][]byte
	vector  net.Buffers
	batch   []*Task // tasks whose DataOut the write at hand refers to
	control []controlPDU
	bytes   int
	ended   []*Task
	// deferred are tasks that ended while the write at hand referred to their
	// DataOut. Guarded by the session's lock.
	deferred taskList
}

// write is the life of the writing goroutine: it sends what there is to send
// until the session ends.
func (s *Session) write() error {
	w := &s.out
	for {
		select {
		case <-s.ending:
			return nil
		default:
		}
		if !s.gather() {
			select {
			case <-s.wake:
			case <-s.ending:
				return nil
			}
			continue
		}
		w.slices = w.slices[:0]
		for i := range w.pdus {
			w.slices = w.pdus[i].AppendTo(w.slices, s.params.Digests)
		}
		w.vector = w.slices
		if _, err := w.vector.WriteTo(s.conn); err != nil {
			return fmt.Errorf("send to target: %w", err)
		}
		s.release()
	}
}

// gather collects the PDUs of the next write and tells whether there are any:
// answers and functions first, then data the target waits for, then commands
// as far as the window allows (RFC 7143 §4.2.2.1).
func (s *Session) gather() bool {
	w := &s.out
	w.pdus, w.batch, w.bytes = w.pdus[:0], w.batch[:0], 0
	s.mu.Lock()
	defer s.mu.Unlock()
	w.control = append(w.control[:0], s.control...)
	s.control = s.control[:0]
	for i := range w.control {
		o := w.next()
		*o.Header() = w.control[i].header
		o.Data = w.control[i].data
		o.Header().SetExpStatSN(s.expStatSN)
	}
	for t := s.bursts.first(); t != nil && !w.full(); t = s.bursts.first() {
		s.bursts.remove(t)
		w.refer(t)
		s.gatherBurst(t)
	}
	for t := s.queued.first; t != nil && !w.full() && !iscsi.Before(s.maxCmdSN, s.cmdSN); t = s.queued.first {
		s.queued.remove(t)
		s.sent.push(t)
		t.state = taskSent
		s.gatherCommand(t)
	}
	return len(w.pdus) > 0
}

// next adds a PDU to the write.
func (w *writer) next() *iscsi.Outgoing {
	if len(w.pdus) < cap(w.pdus) {
		w.pdus = w.pdus[:len(w.pdus)+1]
	} else {
		w.pdus = append(w.pdus, iscsi.Outgoing{})
	}
	return &w.pdus[len(w.pdus)-1]
}

func (w *writer) full() bool { return len(w.pdus) >= maxGatherPDUs || w.bytes >= maxGatherBytes }

// refer notes that the write refers to the task's data. The session's lock is
// held.
func (w *writer) refer(t *Task) {
	t.writing++
	w.batch = append(w.batch, t)
}

// gatherCommand adds the SCSI Command PDU of t, with immediate data and
// unsolicited Data-Out as far as was negotiated (RFC 7143 §11.3.4).
func (s *Session) gatherCommand(t *Task) {
	w, p := &s.out, &s.params
	t.cmdSN = s.cmdSN
	s.cmdSN++
	c := iscsi.SCSICommand{
		Final:            true,
		Read:             len(t.DataIn) > 0,
		Write:            len(t.DataOut) > 0,
		Attribute:        t.Attribute,
		LUN:              t.LUN,
		InitiatorTaskTag: t.tag,
		CmdSN:            t.cmdSN,
		ExpStatSN:        s.expStatSN,
		CDB:              t.CDB,

		ExpectedDataTransferLength: uint32(len(t.DataIn) + len(t.DataOut)),
	}
	first := min(len(t.DataOut), p.FirstBurstLength)
	immediate := 0
	if p.ImmediateData {
		immediate = min(first, p.MaxSendDataSegmentLength)
	}
	c.Final = p.InitialR2T || immediate == first
	o := w.next()
	c.Encode(o.Header())
	o.Data = t.DataOut[:immediate]
	w.bytes += iscsi.BHSLength + immediate
	if len(t.DataOut) > 0 {
		w.refer(t)
	}
	if !c.Final {
		t.burst = burst{tag: iscsi.NoTag, offset: immediate, length: first - immediate}
		s.gatherBurst(t)
	}
}

// gatherBurst adds the Data-Out PDUs of the task's burst.
func (s *Session) gatherBurst(t *Task) {
	w, b := &s.out, &t.burst
	for sn := uint32(0); b.length > 0; sn++ {
		n := min(b.length, s.params.MaxSendDataSegmentLength)
		o := w.next()
		iscsi.DataOut{
			Final:             n == b.length,
			LUN:               t.LUN,
			InitiatorTaskTag:  t.tag,
			TargetTransferTag: b.tag,
			ExpStatSN:         s.expStatSN,
			DataSN:            sn,
			BufferOffset:      uint32(b.offset),
		}.Encode(o.Header())
		o.Data = t.DataOut[b.offset : b.offset+n]
		w.bytes += iscsi.BHSLength + n
		b.offset += n
		b.length -= n
	}
}

// release lets go of the data of the write that was made, and ends the tasks
// whose answer came meanwhile.
func (s *Session) release() {
	w := &s.out
	if len(w.batch) == 0 {
		return
	}
	w.ended = w.ended[:0]
	s.mu.Lock()
	for _, t := range w.batch {
		if t.writing--; t.writing == 0 && t.ended {
			w.deferred.remove(t)
			w.ended = append(w.ended, t)
		}
	}
	s.mu.Unlock()
	for i, t := range w.ended {
		w.ended[i] = nil
		t.finish()
	}
	clear(w.batch)
}

// complete takes a task that has ended out of the session and tells whether
// it may be finished now; otherwise the writer does so. The lock is held.
func (s *Session) complete(t *Task) (now bool) {
	s.forget(t)
	if t.writing == 0 {
		return true
	}
	t.ended = true
	s.out.deferred.push(t)
	return false
}

// burstQueue is the tasks with a burst to be sent, in order of arrival.
type burstQueue struct{ head, tail *Task }

func (q *burstQueue) first() *Task { return q.head }

func (q *burstQueue) push(t *Task) {
	t.burst.pending, t.nextBurst = true, nil
	if q.tail == nil {
		q.head = t
	} else {
		q.tail.nextBurst = t
	}
	q.tail = t
}

// remove takes t out, if it is in.
func (q *burstQueue) remove(t *Task) {
	if !t.burst.pending {
		return
	}
	t.burst.pending = false
	var before *Task
	for c := q.head; c != t; c = c.nextBurst {
		before = c
	}
	if before == nil {
		q.head = t.nextBurst
	} else {
		before.nextBurst = t.nextBurst
	}
	if q.tail == t {
		q.tail = before
	}
	t.nextBurst = nil
}
