package sim

import (
	"fmt"
	"math"
	"strings"

	"github.com/anishathalye/porcupine"
)

// register is the sequential specification of a block, or of a registration: a
// read returns what was written last. An operation is the value with writing.
var register = porcupine.Model{
	Init: func() any { return uint32(0) },
	Step: func(state, input, output any) (bool, any) {
		if v, writes := input.(uint32); writes {
			return true, v
		}
		return output.(uint32) == state.(uint32), state
	},
}

// place is where a register is.
type place struct {
	unit, block int
	key         bool // a registration, not a block of the disk
}

func (op *operation) place() place {
	return place{op.unit, op.block, op.kind == kindKeys || op.kind == kindRegister}
}

// rule is the promise that a history of it keeps.
func (p place) rule() string {
	if p.key {
		return "S5"
	}
	return "S3"
}

func (p place) String() string {
	if p.key {
		return fmt.Sprintf("lun%d registration %d", p.unit, p.block)
	}
	return fmt.Sprintf("lun%d block %d", p.unit, p.block)
}

// judge checks S3, and S5 as clients see it: the history of every register is
// linearizable. A command that was sent several times is one operation. One
// that never ended may have taken effect at any time, or not.
func (o *oracle) judge() {
	histories := map[place][]porcupine.Operation{}
	var order []place
	add := func(p place, op porcupine.Operation) {
		if histories[p] == nil {
			order = append(order, p)
		}
		histories[p] = append(histories[p], op)
	}
	for _, op := range o.history {
		if op.kind == kindMove {
			continue
		}
		p := op.place()
		h := porcupine.Operation{ClientId: op.client, Call: op.call, Return: op.end}
		if op.kind == kindWrite || op.kind == kindRegister {
			h.Input, h.Output = op.value, nil
			if op.end == 0 {
				h.Return = math.MaxInt64
			}
		} else {
			if op.end == 0 {
				continue
			}
			h.Input, h.Output = nil, op.value
		}
		add(p, h)
	}
	for _, p := range order {
		if porcupine.CheckOperations(register, histories[p]) {
			continue
		}
		o.w.violated(p.rule(), "the history of %v is not linearizable:%s", p, tellHistory(histories[p]))
		return
	}
}

// tellHistory lists operations, one a line.
func tellHistory(h []porcupine.Operation) string {
	var b strings.Builder
	for _, op := range h {
		what := fmt.Sprintf("reads %v", op.Output)
		if op.Input != nil {
			what = fmt.Sprintf("writes %v", op.Input)
		}
		end := fmt.Sprint(op.Return)
		if op.Return == math.MaxInt64 {
			end = "never"
		}
		fmt.Fprintf(&b, "\n  %6d to %6s  client %d %s", op.Call, end, op.ClientId, what)
	}
	return b.String()
}
