package target

import (
	"fmt"
	"net"

	"github.com/tandem-san/tandem/iscsi"
)

// pdu is a PDU on its way out.
type pdu struct {
	iscsi.Outgoing
	next *pdu
	// task is recycled when the PDU is sent: it is the task's last one, and
	// part of it.
	task *task
	// status: the PDU takes a StatSN.
	status bool
	// slot: the PDU ends a command that held a slot of the command window.
	slot bool
	// copied is how much of the data segment is memory of the PDU's own.
	copied int
	// closes, when set, is why the connection is closed after this PDU.
	closes error
	// own is memory for short data segments.
	own [iscsi.BHSLength]byte
}

// pduQueue is PDUs in the order in which they are to be sent.
type pduQueue struct {
	head, tail *pdu
	length     int
	copied     int // bytes of data that belong to the PDUs
}

func (q *pduQueue) push(p *pdu) {
	if q.tail == nil {
		q.head = p
	} else {
		q.tail.next = p
	}
	q.tail = p
	q.length++
	q.copied += p.copied
}

// The reader stops taking PDUs while maxQueued wait to be sent, or maxCopied
// bytes of data that belong to no task: both only grow so far because a client
// does not read what it asked for.
const (
	maxQueued = 1024
	maxCopied = 1 << 20
)

// batchLength is how many PDUs are worth a system call of their own while the
// reader is still busy with a batch.
const batchLength = 32

// full tells whether the reader must wait.
func (q *pduQueue) full() bool { return q.length >= maxQueued || q.copied >= maxCopied }

// newPDU takes an empty PDU; mu is held.
func (c *connection) newPDU() *pdu {
	p := c.idlePDUs
	if p == nil {
		return new(pdu)
	}
	c.idlePDUs = p.next
	p.next = nil
	return p
}

// send queues a PDU; mu is held.
func (c *connection) send(p *pdu) {
	if c.dead {
		c.discard(p)
		return
	}
	c.queue.push(p)
	if !c.batching || c.queue.length >= batchLength {
		c.toWriter.Signal()
	}
}

// recyclePDU takes back a PDU that was sent, or never will be; mu is held.
func (c *connection) recyclePDU(p *pdu) {
	if t := p.task; t != nil {
		p.reset()
		c.recycleTask(t)
		return
	}
	p.reset()
	p.next = c.idlePDUs
	c.idlePDUs = p
}

// discard takes back a PDU that will never be sent: what slot it held is free
// for the other connections of the session. mu is held.
func (c *connection) discard(p *pdu) {
	if p.slot {
		c.session.maxCmdSN.Add(1)
	}
	c.recyclePDU(p)
}

// reset empties the PDU.
func (p *pdu) reset() {
	p.AHS, p.Data = nil, nil
	p.next, p.task = nil, nil
	p.status, p.slot = false, false
	p.copied = 0
	p.closes = nil
}

// write is the writer goroutine: it sends what is queued until it is told to
// stop or the network fails.
func (c *connection) write() {
	w := writer{statSN: c.statSN}
	for {
		batch := c.takeQueue()
		if batch == nil {
			break
		}
		err := w.send(c, batch)
		c.sent(batch)
		if err != nil {
			c.close(err)
			break
		}
	}
	c.mu.Lock()
	c.dead = true
	for p := c.queue.head; p != nil; {
		next := p.next
		c.discard(p)
		p = next
	}
	c.queue = pduQueue{}
	c.toReader.Broadcast()
	c.mu.Unlock()
}

// takeQueue waits for PDUs and takes all there are; nil means that the writer
// should end.
func (c *connection) takeQueue() *pdu {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.queue.head == nil && !c.stopping {
		c.toWriter.Wait()
	}
	batch := c.queue.head
	if c.queue.full() {
		c.toReader.Broadcast()
	}
	c.queue = pduQueue{}
	return batch
}

// sent recycles the PDUs of a batch.
func (c *connection) sent(batch *pdu) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := batch; p != nil; {
		next := p.next
		c.recyclePDU(p)
		p = next
	}
}

// writer is what the writer goroutine keeps between batches.
type writer struct {
	statSN uint32 // of the next PDU that takes one
	slices [][]byte
	out    net.Buffers
}

// send stamps the PDUs of a batch and sends them with as few system calls as
// the kernel allows.
func (w *writer) send(c *connection, batch *pdu) error {
	ses := c.session
	w.slices = w.slices[:0]
	var closes error
	for p := batch; p != nil; p = p.next {
		if p.slot {
			ses.maxCmdSN.Add(1)
		}
		p.Header().SetSequence(w.statSN, ses.expCmdSN.Load(), ses.maxCmdSN.Load())
		if p.status {
			w.statSN++
		}
		w.slices = p.AppendTo(w.slices, c.params.Digests)
		if closes == nil {
			closes = p.closes
		}
	}
	w.out = w.slices
	_, err := w.out.WriteTo(c.net)
	clear(w.slices)
	if closes != nil {
		return closes
	}
	if err != nil {
		return fmt.Errorf("cannot send: %w", err)
	}
	return nil
}
