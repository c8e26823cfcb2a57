package nemesis

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// blockSize is the size of a register in bytes.
const blockSize = 4096

// operation is one read or write of one block, as a client saw it: from the
// call until the answer, however often it was sent.
type operation struct {
	client int
	block  int
	write  bool
	value  uint64 // written or read; 0 is what was there at first
	call   time.Duration
	end    time.Duration // never: it was not answered, or with an error
}

const never time.Duration = math.MaxInt64

// put fills a block with a value, so that no part of it is that of another.
func put(p []byte, run uint64, block int, value uint64) {
	binary.BigEndian.PutUint64(p, value)
	binary.BigEndian.PutUint64(p[8:], run)
	binary.BigEndian.PutUint64(p[16:], uint64(block))
	x := value*0x9e3779b97f4a7c15 ^ run ^ uint64(block)
	for q := p[32:]; len(q) >= 8; q = q[8:] {
		x = x*6364136223846793005 + 1442695040888963407 // Knuth, MMIX
		binary.BigEndian.PutUint64(q, x)
	}
	binary.BigEndian.PutUint64(p[24:], uint64(crc32.ChecksumIEEE(p[32:])))
}

// get is the value in a block, or what is wrong with it.
func get(p []byte, run uint64, block int) (uint64, error) {
	zero := true
	for _, b := range p {
		zero = zero && b == 0
	}
	if zero {
		return 0, nil
	}
	value := binary.BigEndian.Uint64(p)
	want := make([]byte, len(p))
	put(want, run, block, value)
	if !slices.Equal(p, want) {
		return 0, fmt.Errorf("block %d holds what nobody has written to it: it begins with value %d of block %d of run %d",
			block, value, binary.BigEndian.Uint64(p[16:]), binary.BigEndian.Uint64(p[8:]))
	}
	return value, nil
}

// register is the sequential specification of a block.
var register = porcupine.Model{
	Init: func() any { return uint64(0) },
	Step: func(state, input, output any) (bool, any) {
		if v, writes := input.(uint64); writes {
			return true, v
		}
		return output.(uint64) == state.(uint64), state
	},
}

// judgeTime bounds how long the history of one block is thought about.
const judgeTime = 30 * time.Second

// judge says which blocks were no registers. A write that was not answered with
// GOOD may have taken effect at any time after it was called, or never.
func judge(history []operation) (violations []string) {
	blocks := map[int][]porcupine.Operation{}
	for _, op := range history {
		p := porcupine.Operation{ClientId: op.client, Call: int64(op.call), Return: int64(op.end)}
		switch {
		case op.write:
			p.Input = op.value
		case op.end == never:
			continue
		default:
			p.Output = op.value
		}
		blocks[op.block] = append(blocks[op.block], p)
	}
	var order []int
	for b := range blocks {
		order = append(order, b)
	}
	slices.Sort(order)
	for _, b := range order {
		switch porcupine.CheckOperationsTimeout(register, blocks[b], judgeTime) {
		case porcupine.Illegal:
			violations = append(violations, fmt.Sprintf("block %d was no register: no order of its operations explains what was read%s", b, suspect(blocks[b])))
		case porcupine.Unknown:
			violations = append(violations, fmt.Sprintf("block %d: %v were not enough to judge %d operations", b, judgeTime, len(blocks[b])))
		}
	}
	return violations
}

// suspect finds the shortest beginning of a history that is illegal and tells
// how it ends.
func suspect(all []porcupine.Operation) string {
	slices.SortFunc(all, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	var answered int
	for answered < len(all) && all[answered].Return != math.MaxInt64 {
		answered++
	}
	// What was not answered when it went wrong may have taken effect.
	until := func(n int) []porcupine.Operation {
		some := slices.Clone(all[:n])
		for _, op := range all[n:] {
			if op.Input != nil && n > 0 && op.Call < all[n-1].Return {
				op.Return = math.MaxInt64
				some = append(some, op)
			}
		}
		return some
	}
	low, high := 0, answered
	for low < high {
		middle := (low + high) / 2
		if porcupine.CheckOperationsTimeout(register, until(middle), judgeTime) == porcupine.Illegal {
			high = middle
		} else {
			low = middle + 1
		}
	}
	const shown = 25
	some := until(high)
	slices.SortFunc(some, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	return tell(some[max(0, len(some)-shown):])
}

// tell lists operations, one a line.
func tell(all []porcupine.Operation) string {
	var b strings.Builder
	for _, op := range all {
		what := fmt.Sprintf("reads %v", op.Output)
		if op.Input != nil {
			what = fmt.Sprintf("writes %v", op.Input)
		}
		end := "no answer"
		if op.Return != math.MaxInt64 {
			end = fmt.Sprintf("%.6f", time.Duration(op.Return).Seconds())
		}
		fmt.Fprintf(&b, "\n    %.6f to %s  client %d %s", time.Duration(op.Call).Seconds(), end, op.ClientId, what)
	}
	return b.String()
}

// tellAll lists what all clients did, in the order in which they began it.
func tellAll(history []operation, began time.Time) string {
	slices.SortFunc(history, func(a, b operation) int { return cmp.Compare(a.call, b.call) })
	var b strings.Builder
	for _, op := range history {
		what, end := "reads ", "no answer"
		if op.write {
			what = "writes"
		}
		if op.end != never {
			end = fmt.Sprintf("%.6f", op.end.Seconds())
		}
		fmt.Fprintf(&b, "%s  %.6f to %s  client %d block %d %s %d\n",
			began.Add(op.call).UTC().Format("15:04:05.000000"), op.call.Seconds(), end, op.client, op.block, what, op.value)
	}
	return b.String()
}

func TestTheJudgeKnowsARegister(t *testing.T) {
	const ms = time.Millisecond
	write := func(client int, value uint64, call, end time.Duration) operation {
		return operation{client: client, write: true, value: value, call: call, end: end}
	}
	read := func(client int, value uint64, call, end time.Duration) operation {
		return operation{client: client, value: value, call: call, end: end}
	}
	for _, c := range []struct {
		name    string
		history []operation
		legal   bool
	}{
		{"a read of what was written", []operation{write(1, 1, 0, 1*ms), read(2, 1, 2*ms, 3*ms)}, true},
		{"a lost write", []operation{write(1, 1, 0, 1*ms), read(2, 0, 2*ms, 3*ms)}, false},
		{"a read beside a write may see it or not", []operation{write(1, 1, 0, 5*ms), read(2, 0, 1*ms, 2*ms), read(3, 1, 3*ms, 4*ms)}, true},
		{"a read that goes back in time", []operation{write(1, 1, 0, 5*ms), read(2, 1, 1*ms, 2*ms), read(3, 0, 3*ms, 4*ms)}, false},
		{"a write without an answer shows late", []operation{write(1, 1, 0, never), write(2, 2, 1*ms, 2*ms), read(2, 2, 3*ms, 4*ms), read(2, 1, 5*ms, 6*ms)}, true},
		{"a write without an answer never shows", []operation{write(1, 1, 0, never), read(2, 0, 5*ms, 6*ms)}, true},
		{"an acknowledged write comes back after a later one", []operation{write(1, 1, 0, 1*ms), write(2, 2, 2*ms, 3*ms), read(2, 2, 4*ms, 5*ms), read(2, 1, 6*ms, 7*ms)}, false},
		{"a read that was not answered says nothing", []operation{read(1, 7, 0, never)}, true},
	} {
		if got := judge(c.history); (len(got) == 0) != c.legal {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestABlockThatIsNotWholeIsNotTakenForAnother(t *testing.T) {
	p := make([]byte, blockSize)
	if v, err := get(p, 9, 3); v != 0 || err != nil {
		t.Errorf("a new block is %d, %v", v, err)
	}
	put(p, 9, 3, 77)
	if v, err := get(p, 9, 3); v != 77 || err != nil {
		t.Errorf("what was put is got as %d, %v", v, err)
	}
	if _, err := get(p, 9, 4); err == nil {
		t.Error("the value of another block is taken for this one's")
	}
	if _, err := get(p, 8, 3); err == nil {
		t.Error("the value of another run is taken for this one's")
	}
	torn := make([]byte, blockSize)
	put(torn, 9, 3, 78)
	copy(torn[512:], p[512:])
	if _, err := get(torn, 9, 3); err == nil {
		t.Error("half of one value and half of another is taken for one")
	}
}
