package forward

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// request is a command, or a task management function, that was sent to the
// primary and is not complete. The mutex of the peer protects it.
type request struct {
	peer   *peer
	id     uint64
	unit   string
	epoch  uint64
	task   *lun.Task                    // nil for a task management function
	answer chan<- scsi.FunctionResponse // of a task management function

	// sent and wanted are how much data-out was sent and is to be.
	sent, wanted int
	// sending counts the frames whose body is the task's data-out and that
	// the link still has.
	sending int
	// answered: the task is complete but for sending.
	answered bool
	dataIn   *block.Buffer // for the data-in that arrives

	// Of a command whose data is moved here.

	local  *Local
	life   uint64    // of the peer when it was sent
	asked  time.Time // when what a ticket answers was sent
	ticket ticket
	moving bool // the primary's permission is being used
	// detached: the primary is not told how that ended.
	detached bool
}

// managed is the answer to a task management function.
type managed struct {
	to       chan<- scsi.FunctionResponse
	response scsi.FunctionResponse
}

// newRequest answers a request that is outstanding from now on, or nil when
// there are as many as may be. The caller holds mu.
func (p *peer) newRequest(u *Proxy, most int) *request {
	if len(p.requests) >= most {
		return nil
	}
	var r *request
	if last := len(p.spare) - 1; last >= 0 {
		r, p.spare = p.spare[last], p.spare[:last]
	} else {
		r = &request{peer: p}
	}
	p.lastRequest++
	*r = request{peer: p, id: p.lastRequest, unit: u.unit, epoch: u.epoch}
	p.requests[r.id] = r
	return r
}

// forget ends a request; what arrives for it is ignored. The caller holds mu.
func (p *peer) forget(r *request) {
	delete(p.requests, r.id)
	if r.sending == 0 {
		p.recycle(r)
	}
}

func (p *peer) recycle(r *request) {
	*r = request{peer: p}
	p.spare = append(p.spare, r)
}

// submit sends a task, or sets its result and answers false. The caller holds
// mu.
func (p *peer) submit(u *Proxy, t *lun.Task) bool {
	if !p.up {
		t.NotServed = true
		return false
	}
	var r *request
	if len(p.backlog) == 0 {
		r = p.newRequest(u, p.forward.config.MaxTasks)
	}
	if r == nil {
		t.Status = scsi.StatusTaskSetFull
		return false
	}
	r.task = t
	p.head = p.head[:0]
	f := link.Frame{Kind: kindSubmit, Request: r.id, Epoch: u.epoch}
	if u.local != nil && lun.Movable(t.CDB) {
		f.Kind = kindAdmit
		r.local, r.life, r.asked, r.sent = u.local, p.life, time.Now(), min(len(t.DataOut), t.ExpectedOut)
		p.head = appendCount(p.head, r.sent)
	}
	p.head = appendCommand(p.head, u.unit, t)
	f.Head = p.head
	if t.Scanning {
		f.Flags |= flagScanning
	}
	if t.HandoverAsked {
		f.Flags |= flagAsked
	}
	if t.CopyManager {
		f.Flags |= flagCopies
	}
	if len(t.DataOut) > 0 && r.local == nil {
		r.sent = min(len(t.DataOut), t.ExpectedOut, MaxTransfer)
		f.Body, f.Owner = t.DataOut[:r.sent], r
		r.sending++
	}
	if !p.send(f) {
		r.sending = 0
		p.forget(r)
		t.NotServed = true
		return false
	}
	return true
}

// sendDataOut sends the data-out the task holds, up to what is wanted. The
// caller holds the peer's mu.
func (r *request) sendDataOut() {
	p := r.peer
	if r.local != nil {
		r.sendGathered()
		return
	}
	for r.sent < r.wanted {
		n := min(r.wanted-r.sent, chunk)
		p.head = appendCount(p.head[:0], r.sent)
		r.sending++
		f := link.Frame{Kind: kindDataOut, Request: r.id, Epoch: r.epoch, Head: p.head, Body: r.task.DataOut[r.sent : r.sent+n], Owner: r}
		if !p.send(f) {
			r.sending-- // and the request is about to fail
			return
		}
		r.sent += n
	}
}

// Release is called when the link needs a piece of the data-out no more
// (link.Releaser).
func (r *request) Release() {
	p := r.peer
	p.mu.Lock()
	r.sending--
	p.flush()
	if r.sending > 0 {
		p.mu.Unlock()
		return
	}
	if r.answered {
		p.completeLate(r)
		return
	}
	if p.requests[r.id] != r {
		p.recycle(r)
	}
	p.mu.Unlock()
}

// completeLate completes a task that was answered before the link was done
// with its data-out. It is called with mu held and releases it.
func (p *peer) completeLate(r *request) {
	t := r.task
	p.recycle(r)
	p.mu.Unlock()
	t.Transport.CommandComplete(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lateDone()
}

// lateDone hands over the answers to task management functions that waited for
// tasks to complete. The caller holds mu.
func (p *peer) lateDone() {
	if p.late--; p.late > 0 {
		return
	}
	for _, a := range p.answers {
		a.to <- a.response
	}
	p.answers = nil
}

// receiveCame has the port gather the data-out that the primary asks for.
func (p *peer) receiveCame(f link.Frame) error {
	n, err := decodeCount(f.Head)
	if err != nil {
		return err
	}
	p.mu.Lock()
	r := p.requests[f.Request]
	if r == nil || r.task == nil {
		p.mu.Unlock()
		return nil
	}
	t := r.task
	if n <= r.sent || n > t.ExpectedOut || r.wanted > r.sent {
		p.mu.Unlock()
		return fmt.Errorf("%w: %d bytes of data-out asked for, %d of %d sent", errFrame, n, r.sent, t.ExpectedOut)
	}
	r.wanted = n
	if len(t.DataOut) >= n {
		r.sendDataOut()
		p.mu.Unlock()
		return nil
	}
	p.gathering[t] = r
	p.mu.Unlock()
	t.Transport.ReceiveDataOut(t, n)
	return nil
}

// placeDataIn lends memory for the data-in of a task.
func (p *peer) placeDataIn(f link.Frame, n int) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.requests[f.Request]
	if r == nil || r.task == nil {
		return nil, nil
	}
	if r.moving { // the buffer would be nobody's when that has ended
		return nil, fmt.Errorf("%w: data-in of request %d, whose data is moved here", errFrame, r.id)
	}
	if n > r.task.ExpectedIn || r.dataIn != nil {
		return nil, fmt.Errorf("%w: %d bytes of data-in, expected are %d", errFrame, n, r.task.ExpectedIn)
	}
	if r.dataIn = p.forward.config.Pool.Get(n); r.dataIn == nil {
		return nil, nil
	}
	return r.dataIn.Bytes(), nil
}

// completeCame ends a task with what the primary says.
func (p *peer) completeCame(f link.Frame) error {
	res, err := decodeResult(f.Head, f.Flags)
	if err != nil {
		return err
	}
	p.mu.Lock()
	r := p.requests[f.Request]
	if r == nil || r.task == nil {
		if r != nil && r.answer == nil { // withdrawn while its data-in arrived
			r.dataIn.Release()
			p.forget(r)
		}
		p.mu.Unlock()
		return nil
	}
	t := r.task
	delete(p.requests, r.id)
	delete(p.gathering, t)
	if r.moving { // how that ends decides
		r.detached = true
		p.mu.Unlock()
		return nil
	}
	t.Status, t.Sense, t.Transfer, t.DataIn = res.status, res.sense, res.transfer, r.dataIn
	t.Aborted, t.NotServed = f.Flags&flagAborted != 0, f.Flags&flagNotServed != 0
	if t.Aborted || t.NotServed {
		t.Release()
	}
	if f.Flags&flagUncertain != 0 {
		t.Uncertain = true
	}
	if f.Flags&flagHandover != 0 {
		t.HandoverAsked = true
	}
	if f.Lost { // no memory for the data-in
		t.Status, t.Sense, t.Transfer = scsi.StatusBusy, scsi.Sense{}, 0
	}
	if r.sending > 0 {
		r.answered = true
		p.late++
		p.mu.Unlock()
		return nil
	}
	if r.local != nil && t.NotServed {
		u := &Proxy{peer: p, unit: r.unit, epoch: r.epoch}
		p.recycle(r)
		p.mu.Unlock()
		u.Submit(t) // what cannot be moved here is shipped
		return nil
	}
	p.recycle(r)
	p.mu.Unlock()
	t.Transport.CommandComplete(t)
	return nil
}

// managedCame hands the answer to a task management function over, after the
// tasks that ended before it.
func (p *peer) managedCame(f link.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.requests[f.Request]
	if r == nil || r.answer == nil {
		return
	}
	a := managed{to: r.answer, response: scsi.FunctionResponse(f.Flags)}
	p.forget(r)
	if p.late > 0 {
		p.answers = append(p.answers, a)
		return
	}
	a.to <- a.response
}

// failRequests ends everything outstanding after the link was lost, oldest
// first. The link has released all bodies.
func (p *peer) failRequests() {
	p.mu.Lock()
	var tasks []*lun.Task
	for _, r := range p.oldestFirst() {
		r.dataIn.Release() // it did not arrive whole
		r.dataIn = nil
		tasks = append(tasks, p.fail(r)...)
	}
	p.mu.Unlock()
	notServed(tasks)
}

// oldestFirst is what is outstanding. The caller holds mu.
func (p *peer) oldestFirst() []*request {
	return slices.SortedFunc(maps.Values(p.requests), func(a, b *request) int { return cmp.Compare(a.id, b.id) })
}

// fail ends a request that has no answer, and answers its task, if it has one.
// A request whose data-in is arriving is kept until it has. The caller holds
// mu.
func (p *peer) fail(r *request) []*lun.Task {
	t := r.task
	if r.moving {
		delete(p.requests, r.id)
		r.detached = true
		return nil
	}
	if r.answer != nil {
		r.answer <- scsi.FunctionRejected
	}
	r.task, r.answer = nil, nil
	if r.dataIn == nil {
		p.forget(r)
	}
	if t == nil {
		return nil
	}
	delete(p.gathering, t)
	return []*lun.Task{t}
}

// notServed completes tasks that were sent and have no answer.
func notServed(tasks []*lun.Task) {
	for _, t := range tasks {
		t.NotServed, t.Uncertain = true, true
		t.Transport.CommandComplete(t)
	}
}

// withdraw ends what is outstanding of a unit up to an epoch. It reports
// whether something is left because the link still has data-out of it.
func (p *peer) withdraw(unit string, epoch uint64) (left bool) {
	p.mu.Lock()
	var tasks []*lun.Task
	for _, r := range p.oldestFirst() {
		switch {
		case r.unit != unit || r.epoch > epoch:
		case r.sending > 0:
			left = true
		default:
			tasks = append(tasks, p.fail(r)...)
		}
	}
	p.mu.Unlock()
	notServed(tasks)
	return left
}
