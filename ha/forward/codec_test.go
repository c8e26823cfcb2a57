package forward

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

func TestACommandReadsAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.StringN(0, 60, MaxName).Draw(t, "unit")
		task := &lun.Task{
			Nexus: lun.Nexus{
				InitiatorPort: rapid.StringN(0, 200, maxPortName).Draw(t, "port"),
				TargetPort:    rapid.Uint16().Draw(t, "target port"),
			},
			Tag:         rapid.Uint64().Draw(t, "tag"),
			CDB:         rapid.SliceOfN(rapid.Byte(), 1, maxCDB).Draw(t, "cdb"),
			Attribute:   scsi.TaskAttribute(rapid.IntRange(0, 4).Draw(t, "attribute")),
			ExpectedOut: rapid.IntRange(0, 1<<40).Draw(t, "out"),
			ExpectedIn:  rapid.IntRange(0, 1<<40).Draw(t, "in"),
		}
		c, err := decodeCommand(appendCommand(nil, unit, task))
		if err != nil {
			t.Fatal(err)
		}
		if string(c.unit) != unit || string(c.port) != task.Nexus.InitiatorPort || c.target != task.Nexus.TargetPort || c.tag != task.Tag ||
			!bytes.Equal(c.cdb, task.CDB) || c.attribute != task.Attribute || c.expectedOut != task.ExpectedOut || c.expectedIn != task.ExpectedIn {
			t.Fatalf("%+v read as %+v", task, c)
		}
		want := lun.Management{Function: scsi.TaskManagementFunction(rapid.Byte().Draw(t, "function")), Nexus: task.Nexus, Tag: task.Tag}
		m, err := decodeManagement(appendManagement(nil, unit, want))
		if err != nil {
			t.Fatal(err)
		}
		if string(m.unit) != unit || string(m.port) != want.Nexus.InitiatorPort || m.target != want.Nexus.TargetPort || m.tag != want.Tag || m.function != want.Function {
			t.Fatalf("%+v read as %+v", want, m)
		}
	})
}

func TestHeadsFitTheFrame(t *testing.T) {
	task := &lun.Task{Nexus: lun.Nexus{InitiatorPort: string(make([]byte, maxPortName))}, CDB: make([]byte, maxCDB)}
	if n := len(appendCommand(nil, string(make([]byte, MaxName)), task)); n > link.MaxHead {
		t.Errorf("the head of a command is up to %d bytes, a frame has room for %d", n, link.MaxHead)
	}
}

func FuzzHeads(f *testing.F) {
	task := &lun.Task{Nexus: alice, CDB: read10(1, 2), ExpectedIn: 1024}
	f.Add(appendCommand(nil, "disk", task), uint8(0))
	f.Add(appendManagement(nil, "disk", lun.Management{Nexus: bob, Function: scsi.AbortTask}), uint8(0))
	check, flags := appendResult(nil, &lun.Task{Status: scsi.StatusCheckCondition, Sense: scsi.InvalidCDBField(3), Transfer: 7})
	f.Add(check, flags)
	f.Add(appendCount(nil, 4096), uint8(0))
	tick, kinds := appendTicket(nil, ticket{move: lun.Move{LBA: 3, Blocks: 8, Write: true}, transfer: 4096, lease: time.Second})
	f.Add(tick, kinds)
	f.Fuzz(func(t *testing.T, b []byte, flags uint8) {
		if c, err := decodeCommand(b); err == nil {
			task := &lun.Task{
				Nexus: lun.Nexus{InitiatorPort: string(c.port), TargetPort: c.target}, Tag: c.tag, CDB: c.cdb,
				Attribute: c.attribute, ExpectedOut: c.expectedOut, ExpectedIn: c.expectedIn,
			}
			if again := appendCommand(nil, string(c.unit), task); !bytes.Equal(again, b) {
				t.Errorf("%x is written as %x", b, again)
			}
		}
		if m, err := decodeManagement(b); err == nil {
			n := lun.Nexus{InitiatorPort: string(m.port), TargetPort: m.target}
			if again := appendManagement(nil, string(m.unit), lun.Management{Function: m.function, Nexus: n, Tag: m.tag}); !bytes.Equal(again, b) {
				t.Errorf("%x is written as %x", b, again)
			}
		}
		if r, err := decodeResult(b, flags); err == nil && r.transfer < 0 {
			t.Error("a transfer below zero")
		}
		if k, err := decodeTicket(b, flags); err == nil {
			if again, f := appendTicket(nil, k); !bytes.Equal(again, b) || f != flags || k.lease <= 0 || k.move.Blocks == 0 {
				t.Errorf("%x, %x is written as %x, %x", b, flags, again, f)
			}
		}
		if n, err := decodeCount(b); err == nil && (n < 0 || n > MaxTransfer) {
			t.Errorf("a count of %d", n)
		}
	})
}

// wire is a link that keeps what is sent, and lets go of bodies at once when
// the test says so.
type wire struct {
	mu     sync.Mutex
	sent   []link.Frame
	resets int
}

func (w *wire) SendData(_ ha.NodeID, f link.Frame) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.Head = bytes.Clone(f.Head)
	w.sent = append(w.sent, f)
	return nil
}

func (w *wire) Reset(ha.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resets++
}

// releaseAll lets go of every body, as the link does before PeerDown.
func (w *wire) releaseAll() {
	w.mu.Lock()
	sent := w.sent
	w.sent = nil
	w.mu.Unlock()
	for _, f := range sent {
		if f.Owner != nil {
			f.Owner.Release()
		}
	}
}

func (w *wire) last(t *testing.T, kind uint8) link.Frame {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.sent) - 1; i >= 0; i-- {
		if w.sent[i].Kind == kind {
			return w.sent[i]
		}
	}
	t.Fatalf("no frame of kind %d was sent", kind)
	panic("unreachable")
}

// alone is a Forward of node 1 whose peer 2 is the test.
func alone(t testing.TB) (*controller, *wire, *slowUnit) {
	w, u := &wire{}, &slowUnit{}
	c := &controller{id: 1, pool: block.NewPool(64 << 20), units: map[string]lun.Unit{"disk": u}}
	c.epoch.Store(7)
	c.Forward = New(w, Config{Node: 1, Pool: c.pool, Serving: c.serving, MaxTasks: 100, Log: slog.New(slog.DiscardHandler)})
	c.Forward.PeerUp(2)
	return c, w, u
}

// deliver hands a frame over as the link does.
func deliver(c *controller, f link.Frame, body []byte) {
	if len(body) > 0 {
		if f.Body = c.Place(2, f, len(body)); f.Body == nil {
			f.Lost = true
		} else {
			f.Body = f.Body[:len(body)]
			copy(f.Body, body)
		}
	}
	c.Data(2, f)
}

// end takes the link away and checks that nothing is left.
func end(t testing.TB, c *controller, w *wire) {
	t.Helper()
	w.releaseAll()
	c.Forward.PeerDown(2)
	w.releaseAll()
	c.Close()
	c.nothingLeft(t)
}

// settle waits until what came is done.
func (c *controller) settle(t testing.TB) {
	t.Helper()
	eventually(t, "nothing is under way", func() bool {
		p := c.peers[2]
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, u := range p.units {
			if u.busy {
				return false
			}
		}
		return true
	})
}

func submitFrame(request uint64, task *lun.Task) link.Frame {
	return link.Frame{Kind: kindSubmit, Request: request, Epoch: 7, Head: appendCommand(nil, "disk", task)}
}

func admitFrame(request uint64, have int, task *lun.Task) link.Frame {
	return link.Frame{Kind: kindAdmit, Request: request, Epoch: 7, Head: appendCommand(appendCount(nil, have), "disk", task)}
}

func ticketFrame(request uint64, m lun.Move) link.Frame {
	head, flags := appendTicket(nil, ticket{move: m, lease: time.Second})
	return link.Frame{Kind: kindTicket, Flags: flags, Request: request, Epoch: 7, Head: head}
}

func TestAPeerThatBreaksTheProtocolLosesItsLink(t *testing.T) {
	write := newTask(alice, write10(0, 8), nil, 0)
	write.ExpectedOut = 4096
	for _, x := range []struct {
		name string
		do   func(c *controller)
	}{
		{"a kind that does not exist", func(c *controller) { deliver(c, link.Frame{Kind: 15}, nil) }},
		{"a body where none belongs", func(c *controller) { deliver(c, link.Frame{Kind: kindManage}, []byte{1}) }},
		{"a malformed command", func(c *controller) { deliver(c, link.Frame{Kind: kindSubmit, Head: []byte{200}}, nil) }},
		{"a malformed command with a body", func(c *controller) { deliver(c, link.Frame{Kind: kindSubmit, Head: []byte{200}}, []byte{1}) }},
		{"a malformed function", func(c *controller) { deliver(c, link.Frame{Kind: kindManage, Head: []byte{1}}, nil) }},
		{"more data-out than the command expects", func(c *controller) { deliver(c, submitFrame(1, write), make([]byte, 4097)) }},
		{"a request used twice", func(c *controller) {
			deliver(c, submitFrame(1, write), nil)
			deliver(c, submitFrame(1, write), make([]byte, 10))
		}},
		{"data-out that was not asked for", func(c *controller) {
			deliver(c, submitFrame(1, write), nil)
			deliver(c, link.Frame{Kind: kindDataOut, Request: 1, Head: appendCount(nil, 0)}, []byte{1})
		}},
		{"data-out with a gap", func(c *controller) {
			deliver(c, submitFrame(1, write), nil)
			u := c.units["disk"].(*slowUnit)
			u.tasks[0].Transport.ReceiveDataOut(u.tasks[0], 4096)
			deliver(c, link.Frame{Kind: kindDataOut, Request: 1, Head: appendCount(nil, 512)}, make([]byte, 512))
		}},
		{"more data-out than was asked for", func(c *controller) {
			deliver(c, submitFrame(1, write), nil)
			u := c.units["disk"].(*slowUnit)
			u.tasks[0].Transport.ReceiveDataOut(u.tasks[0], 512)
			deliver(c, link.Frame{Kind: kindDataOut, Request: 1, Head: appendCount(nil, 0)}, make([]byte, 513))
		}},
		{"data-out asked for beyond what the command has", func(c *controller) {
			newPort(t, c.Proxy("far", 2, 7)).submit(&lun.Task{CDB: write10(0, 8), ExpectedOut: 4096})
			deliver(c, link.Frame{Kind: kindReceive, Request: 1, Head: appendCount(nil, 4097)}, nil)
		}},
		{"data-out asked for twice", func(c *controller) {
			newPort(t, c.Proxy("far", 2, 7)).submit(&lun.Task{CDB: write10(0, 8), DataOut: make([]byte, 4096), ExpectedOut: 4096})
			deliver(c, link.Frame{Kind: kindReceive, Request: 1, Head: appendCount(nil, 4096)}, nil)
		}},
		{"more data-in than the command expects", func(c *controller) {
			newPort(t, c.Proxy("far", 2, 7)).submit(&lun.Task{CDB: read10(0, 8), ExpectedIn: 10})
			deliver(c, link.Frame{Kind: kindComplete, Request: 1, Head: make([]byte, 9)}, make([]byte, 11))
		}},
		{"a command for admission that is no read or write", func(c *controller) {
			deliver(c, admitFrame(1, 0, newTask(alice, make([]byte, 6), nil, 0)), nil)
		}},
		{"a command for admission with more data-out than it expects", func(c *controller) { deliver(c, admitFrame(1, 4097, write), nil) }},
		{"a malformed command for admission", func(c *controller) { deliver(c, link.Frame{Kind: kindAdmit, Head: []byte{1}}, nil) }},
		{"data-out gathered that was not asked for", func(c *controller) {
			deliver(c, submitFrame(1, write), nil)
			deliver(c, link.Frame{Kind: kindGathered, Request: 1, Head: appendCount(nil, 512)}, nil)
		}},
		{"a ticket that was not asked for", func(c *controller) {
			newPort(t, c.Proxy("far", 2, 7)).submit(&lun.Task{CDB: read10(0, 8), ExpectedIn: 4096})
			deliver(c, ticketFrame(1, lun.Move{Blocks: 8}), nil)
		}},
		{"a ticket for more than there is", func(c *controller) {
			newPort(t, c.Moving("far", 2, 7, NewLocal(nil, 512))).submit(&lun.Task{CDB: write10(0, 8), DataOut: make([]byte, 512), ExpectedOut: 512})
			deliver(c, ticketFrame(1, lun.Move{Blocks: 2, Write: true}), nil)
		}},
		{"a ticket for the other direction", func(c *controller) {
			newPort(t, c.Moving("far", 2, 7, NewLocal(nil, 512))).submit(&lun.Task{CDB: write10(0, 8), DataOut: make([]byte, 512), ExpectedOut: 512})
			deliver(c, ticketFrame(1, lun.Move{Blocks: 1}), nil)
		}},
		{"a malformed ticket", func(c *controller) { deliver(c, link.Frame{Kind: kindTicket, Head: make([]byte, 32)}, nil) }},
		{"a malformed result", func(c *controller) { deliver(c, link.Frame{Kind: kindComplete, Request: 1, Head: []byte{2}}, nil) }},
	} {
		t.Run(x.name, func(t *testing.T) {
			c, w, _ := alone(t)
			x.do(c)
			if w.resets == 0 {
				t.Error("the link was not reset")
			}
			end(t, c, w)
		})
	}
}

func TestFramesForWhatHasEndedAreIgnored(t *testing.T) {
	c, w, _ := alone(t)
	deliver(c, link.Frame{Kind: kindDataOut, Request: 9, Head: appendCount(nil, 0)}, []byte{1})
	deliver(c, link.Frame{Kind: kindReceive, Request: 9, Head: appendCount(nil, 5)}, nil)
	deliver(c, link.Frame{Kind: kindComplete, Request: 9, Head: make([]byte, 9)}, []byte{1})
	deliver(c, link.Frame{Kind: kindManaged, Request: 9}, nil)
	deliver(c, link.Frame{Kind: kindNexusLost, Head: appendManagement(nil, "disk", lun.Management{Nexus: alice})}, nil)
	if w.resets != 0 || len(w.sent) != 0 {
		t.Errorf("%d resets, %d frames", w.resets, len(w.sent))
	}
	end(t, c, w)
}

func TestAnAbortWhileDataOutArrivesKeepsTheMemoryUntilItHas(t *testing.T) {
	c, w, u := alone(t)
	write := newTask(alice, write10(0, 8), nil, 0)
	write.ExpectedOut = 4096
	deliver(c, submitFrame(1, write), nil)
	task := u.tasks[0]
	task.Transport.ReceiveDataOut(task, 4096)
	f := link.Frame{Kind: kindDataOut, Request: 1, Head: appendCount(nil, 0)}
	f.Body = c.Place(2, f, 4096)
	task.Aborted = true
	u.complete(task)
	if s := c.pool.Stats(); s.Lent != 4096 {
		t.Errorf("%d bytes lent while the link writes into 4096", s.Lent)
	}
	c.Data(2, f)
	if s := c.pool.Stats(); s.Lent != 0 {
		t.Errorf("%d bytes lent", s.Lent)
	}
	if f := w.last(t, kindComplete); f.Flags&flagAborted == 0 || f.Request != 1 {
		t.Errorf("result %+v", f)
	}
	end(t, c, w)
}

func TestAResultWaitsUntilTheLinkIsDoneWithTheDataOut(t *testing.T) {
	c, w, _ := alone(t)
	p := newPort(t, c.Proxy("far", 2, 7))
	task := newTask(alice, write10(0, 8), make([]byte, 4096), 0)
	p.submit(task)
	answered := make(chan scsi.FunctionResponse, 1)
	go func() { answered <- p.unit.Manage(context.Background(), lun.Management{Function: scsi.AbortTask}) }()
	eventually(t, "the function is sent", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.sent) == 2 })
	deliver(c, link.Frame{Kind: kindComplete, Flags: flagAborted, Request: 1, Head: make([]byte, 9)}, nil)
	deliver(c, link.Frame{Kind: kindManaged, Flags: uint8(scsi.FunctionComplete), Request: 2}, nil)
	if p.finished(task) || len(answered) != 0 {
		t.Error("ended while the link may read the data-out")
	}
	w.releaseAll()
	if !p.finished(task) || !task.Aborted {
		t.Error("did not end")
	}
	if r := <-answered; r != scsi.FunctionComplete {
		t.Errorf("Manage = %v", r)
	}
	end(t, c, w)
}

func TestWithdrawResetsALinkThatIsStuckWithDataOut(t *testing.T) {
	c, w, _ := alone(t)
	u := c.Proxy("far", 2, 7)
	p := newPort(t, u)
	task := newTask(alice, write10(0, 8), make([]byte, 4096), 0)
	p.submit(task)
	u.Withdraw()
	if p.finished(task) || w.resets != 1 {
		t.Errorf("finished %t, %d resets", p.finished(task), w.resets)
	}
	w.releaseAll()
	c.Forward.PeerDown(2)
	if !p.finished(task) || !task.NotServed {
		t.Error("the lost link did not end the task")
	}
	c.Forward.PeerUp(2)
	end(t, c, w)
}

func TestWithdrawKeepsMemoryThatDataInArrivesIn(t *testing.T) {
	for _, lost := range []bool{false, true} {
		c, w, _ := alone(t)
		u := c.Proxy("far", 2, 7)
		p := newPort(t, u)
		task := newTask(alice, read10(0, 8), nil, 4096)
		p.submit(task)
		f := link.Frame{Kind: kindComplete, Request: 1, Head: make([]byte, 9)}
		f.Body = c.Place(2, f, 4096)
		u.Withdraw()
		if !p.finished(task) || task.DataIn != nil {
			t.Error("not withdrawn")
		}
		if s := c.pool.Stats(); s.Lent != 4096 {
			t.Errorf("%d bytes lent while the link writes into 4096", s.Lent)
		}
		if !lost {
			c.Data(2, f)
		}
		end(t, c, w)
	}
}

func TestAResultOfALostLinkIsNotSentOnTheNext(t *testing.T) {
	c, w, u := alone(t)
	held := &stubborn{slowUnit: u}
	c.serve("disk", held)
	deliver(c, submitFrame(1, newTask(alice, write10(0, 8), nil, 0)), nil)
	task := u.tasks[0]
	c.Forward.PeerDown(2)
	c.Forward.PeerUp(2)
	deliver(c, submitFrame(1, newTask(alice, write10(0, 8), nil, 0)), nil)
	eventually(t, "the second command arrives", func() bool { return u.count() == 2 })
	u.complete(task)
	if len(w.sent) != 0 {
		t.Error("the result went over the new link")
	}
	u.complete(u.tasks[1])
	if f := w.last(t, kindComplete); f.Request != 1 {
		t.Errorf("result %+v", f)
	}
	end(t, c, w)
}

// stubborn goes on with tasks of a lost nexus.
type stubborn struct{ *slowUnit }

func (u *stubborn) NexusLost(n lun.Nexus) {}

func TestTooManyLogicalUnitsAndNexusesAreRefused(t *testing.T) {
	c, w, u := alone(t)
	p := c.peers[2]
	p.mu.Lock()
	for i := range ha.MaxUnits {
		if _, err := p.unitNamed([]byte{byte(i), byte(i >> 8)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.unitNamed([]byte("one more")); !errors.Is(err, errFrame) {
		t.Errorf("unit number %d: %v", ha.MaxUnits+1, err)
	}
	p.units = map[string]*unit{}
	known, err := p.unitNamed([]byte("disk"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxNexuses {
		known.nexuses[lun.Nexus{InitiatorPort: string(rune(i))}] = struct{}{}
		p.portName([]byte{byte(i), byte(i >> 8)})
	}
	if p.portName([]byte("one more")); len(p.names) > maxNexuses {
		t.Errorf("%d port names", len(p.names))
	}
	p.mu.Unlock()
	deliver(c, submitFrame(1, newTask(lun.Nexus{InitiatorPort: "one more"}, write10(0, 8), nil, 0)), nil)
	if f := w.last(t, kindComplete); scsi.Status(f.Head[0]) != scsi.StatusTaskSetFull {
		t.Errorf("status %v", scsi.Status(f.Head[0]))
	}
	known.target = u
	end(t, c, w)
}

func FuzzPeer(f *testing.F) {
	write := newTask(alice, write10(0, 8), nil, 0)
	write.ExpectedOut = 4096
	tick, _ := appendTicket(nil, ticket{move: lun.Move{LBA: 3, Blocks: 1}, transfer: 512, lease: time.Second})
	f.Add([]byte{kindSubmit, 1, 0, 40, kindDataOut, 1, 0, 40, kindNexusLost, 0, 0, 0})
	f.Add([]byte{kindAdmit, 1, 6, 0, kindGathered, 1, 1, 0, kindMoved, 1, 0, 0, kindTicket, 3, 7, 0})
	f.Add([]byte{kindComplete, 1, 3, 9, kindReceive, 2, 0, 0, kindManaged, 3, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		c, w, u := alone(t)
		p := newPort(t, c.Proxy("far", 2, 7))
		p.hold.Store(true)
		p.submit(&lun.Task{CDB: read10(0, 8), ExpectedIn: 100})
		p.submit(&lun.Task{CDB: write10(0, 8), DataOut: make([]byte, 50), ExpectedOut: 100})
		local := NewLocal(block.NewRamdisk(mib), 512)
		defer local.Close()
		p.unit = c.Moving("far", 2, 7, local)
		p.submit(&lun.Task{CDB: read10(0, 8), ExpectedIn: 100})
		heads := [][]byte{
			appendCommand(nil, "disk", write), appendCount(nil, 0), appendCount(nil, 100), make([]byte, 9),
			appendManagement(nil, "disk", lun.Management{Function: scsi.AbortTaskSet, Nexus: alice}), appendCount(nil, 64),
			appendCommand(appendCount(nil, 0), "disk", write), tick,
		}
		for ; len(script) >= 4; script = script[4:] {
			request, op := uint64(script[1]%4), script[2]
			head := heads[int(op)%len(heads)]
			if op >= 128 {
				head = script
			}
			deliver(c, link.Frame{Kind: script[0] % 13, Flags: op, Request: request, Epoch: 7, Head: head}, make([]byte, script[3]))
			c.settle(t)
			if n := u.count(); op&64 != 0 && n > 0 {
				u.mu.Lock()
				task := u.tasks[int(op)%n]
				u.mu.Unlock()
				if task != nil && op&32 != 0 {
					u.complete(task)
				} else if task != nil {
					task.Transport.ReceiveDataOut(task, 100)
				}
			}
			if op&16 != 0 {
				w.releaseAll()
			}
			if op&8 != 0 {
				c.Proxy("far", 2, 7).Withdraw()
			}
		}
		for _, task := range p.order {
			task.Release()
		}
		end(t, c, w)
	})
}
