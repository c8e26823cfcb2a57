package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/scsi"
)

// overlap is the history of writers and readers whose ranges overlap: a block is
// a register, and a write of many blocks writes each of them.
type overlap struct {
	blocks int
	origin time.Time

	mu      sync.Mutex
	history map[uint64][]porcupine.Operation // by block
	writes  int
	reads   int
	torn    int
}

const (
	// overlapStart is the first block of them all, well beyond what a workload
	// uses.
	overlapStart = 64 << 10
	// overlapSpan is how many blocks an operation writes or reads.
	overlapSpan = 8
)

func newOverlap(blocks int) *overlap {
	return &overlap{blocks: blocks, origin: time.Now(), history: map[uint64][]porcupine.Operation{}}
}

// now is a time of the history.
func (o *overlap) now() int64 { return int64(time.Since(o.origin)) }

// fill writes every block once, each with the value 0.
func (o *overlap) fill(t *testing.T, s *initiator.Session) {
	t.Helper()
	good(t, s, blocksCDB(0x8A, overlapStart, uint32(o.blocks)), make([]byte, o.blocks*512), nil)
}

// blocksCDB is a READ or WRITE (16).
func blocksCDB(op byte, lba uint64, blocks uint32) []byte {
	cdb := make([]byte, 16)
	cdb[0] = op
	binary.BigEndian.PutUint64(cdb[2:], lba)
	binary.BigEndian.PutUint32(cdb[10:], blocks)
	return cdb
}

// work reads and writes through a session until stop, or until the session ends.
// client is different for each.
func (o *overlap) work(t *testing.T, s *initiator.Session, client int, stop <-chan struct{}) {
	r := rand.New(rand.NewPCG(uint64(client), rand.Uint64()))
	data := make([]byte, overlapSpan*512)
	for n := uint64(1); ; n++ {
		select {
		case <-stop:
			return
		case <-s.Done():
			return
		default:
		}
		at := r.Uint64N(uint64(o.blocks - overlapSpan + 1))
		value := uint64(client)<<32 | n
		write := r.IntN(2) == 0
		task := initiator.Task{Attribute: scsi.AttributeSimple, DataIn: data}
		op := byte(0x88)
		if write {
			op, task.DataIn, task.DataOut = 0x8A, nil, bytes.Repeat(binary.BigEndian.AppendUint64(nil, value), len(data)/8)
		}
		copy(task.CDB[:], blocksCDB(op, overlapStart+at, overlapSpan))
		call := o.now()
		err := s.Do(t.Context(), &task)
		switch end := o.now(); {
		case err == nil && write:
			o.wrote(client, at, value, call, end)
		case err == nil:
			o.read(client, at, data, call, end)
		case write && task.Sense.Key != scsi.UnitAttention: // it may have happened
			o.wrote(client, at, value, call, math.MaxInt64)
			untilServed(s, stop)
		}
	}
}

// untilServed asks until commands are carried out again. A history of many
// writes that may or may not have happened says little, and takes long to judge.
func untilServed(s *initiator.Session, stop <-chan struct{}) {
	for {
		task := initiator.Task{Attribute: scsi.AttributeSimple} // TEST UNIT READY
		if s.Do(context.Background(), &task) == nil {
			return
		}
		select {
		case <-stop:
			return
		case <-s.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// wrote notes a write. One without an answer ends never, and may have happened
// or not.
func (o *overlap) wrote(client int, at, value uint64, call, end int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writes++
	for b := at; b < at+overlapSpan; b++ {
		o.history[b] = append(o.history[b], porcupine.Operation{ClientId: client, Input: value, Output: uint64(0), Call: call, Return: end})
	}
}

func (o *overlap) read(client int, at uint64, data []byte, call, end int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reads++
	for i := range uint64(overlapSpan) {
		block := data[i*512 : (i+1)*512]
		if !bytes.Equal(block, bytes.Repeat(block[:8], 64)) {
			o.torn++
		}
		o.history[at+i] = append(o.history[at+i], porcupine.Operation{
			ClientId: client, Input: nil, Output: binary.BigEndian.Uint64(block), Call: call, Return: end,
		})
	}
}

// oneBlock is the sequential specification: a read returns what was written last.
var oneBlock = porcupine.Model{
	Init: func() any { return uint64(0) },
	Step: func(state, input, output any) (bool, any) {
		if value, writes := input.(uint64); writes {
			return true, value
		}
		return output == state, state
	},
}

// judge demands that the history of every block is that of one disk.
func (o *overlap) judge(t *testing.T) {
	t.Helper()
	t.Logf("%d writes, %d reads of %d blocks each", o.writes, o.reads, overlapSpan)
	if o.writes < 100 || o.reads < 100 {
		t.Error("too little happened")
	}
	if o.torn > 0 {
		t.Errorf("%d blocks were part of one write and part of another", o.torn)
	}
	for block, ops := range o.history {
		if result := porcupine.CheckOperationsTimeout(oneBlock, ops, 20*time.Second); result != porcupine.Ok {
			t.Errorf("the history of block %d, of %d operations, is not linearizable: %v", block, len(ops), result)
		}
	}
}

// busy has workers overlap through both controllers while something happens.
func (o *overlap) busy(t *testing.T, p *pair, workers int, happens func()) {
	t.Helper()
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i := range workers {
		for j, c := range []*controller{p.a, p.b} {
			h := host{name: "overlap", isid: byte(2*i + j + 1)}
			s := h.session(t, c.portal, p.target)
			ready(t, s)
			all.Go(func() { o.work(t, s, 2*i+j+1, stop) })
		}
	}
	time.Sleep(300 * time.Millisecond)
	happens()
	time.Sleep(300 * time.Millisecond)
	close(stop)
	all.Wait()
}

// ready takes the unit attentions of a session.
func ready(t *testing.T, s *initiator.Session) {
	t.Helper()
	good(t, s, make([]byte, 6), nil, nil)
}

// aborted has commands under way aborted by cancelling them, and demands that
// each is answered or aborted and that the session goes on.
func aborted(t *testing.T, s *initiator.Session) {
	t.Helper()
	for n := range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%8)*100*time.Microsecond)
		task := initiator.Task{Attribute: scsi.AttributeSimple, DataOut: make([]byte, 64<<10)}
		copy(task.CDB[:], blocksCDB(0x8A, uint64(n), 128))
		_ = s.Do(ctx, &task) // either way
		cancel()
	}
	good(t, s, blocksCDB(0x8A, 0, 8), make([]byte, 4096), nil)
}
