package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// fill is a block of one byte.
func fill(b byte, blocks int) []byte { return bytes.Repeat([]byte{b}, 512*blocks) }

func TestBothControllersLeadToOneBrain(t *testing.T) {
	p := newPair(t).unhurried()
	p.startBoth()
	p.run(2, "host", write16(8, 16), fill(0xA5, 16))
	if got := p.run(1, "host", read16(8, 16), nil); !bytes.Equal(got, fill(0xA5, 16)) {
		t.Fatalf("read through controller 1 what was not written through controller 2")
	}
	if !p.unit(1).lu.Active() || p.unit(2).lu.Active() {
		t.Fatal("the brain is not at controller 1 alone")
	}
}

func TestTheSurvivorServesWhatWasAcknowledgedAndWhatWaited(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	p.run(2, "host", write16(0, 1), fill(1, 1))
	p.nodes[1].stop()
	held := p.submit(2, "host", write16(1, 1), fill(2, 1), true)
	if c := p.finish(held); c.Status != scsi.StatusGood && c.Sense.Key != scsi.UnitAttention {
		t.Fatalf("a command that came while nobody served ended with %v, %v", c.Status, c.Sense)
	}
	p.run(2, "host", write16(1, 1), fill(2, 1))
	if got := p.run(2, "host", read16(0, 2), nil); !bytes.Equal(got, append(fill(1, 1), fill(2, 1)...)) {
		t.Fatal("acknowledged data is lost")
	}
	if g := p.grant(2); g.Primary != 2 || !g.Alone() || g.Epoch < 3 {
		t.Fatalf("grant after the takeover: %v", g)
	}
}

func TestAReturningControllerForwardsAndMayTakeOverAgain(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	p.nodes[1].stop()
	p.wait("the takeover", func() bool { return p.route(2) == ha.RouteServe })
	p.start(1)
	p.wait("both to be candidates", func() bool { return p.grant(2).Has(1) && p.route(1) == ha.RouteForward })
	p.run(1, "host", write16(0, 1), fill(7, 1))
	p.nodes[2].stop()
	if got := p.run(1, "host", read16(0, 1), nil); !bytes.Equal(got, fill(7, 1)) {
		t.Fatal("acknowledged data is lost")
	}
}

func TestAHandoverUnderLoadFailsNoCommand(t *testing.T) {
	p := newPair(t).unhurried()
	p.startBoth()
	for id := ha.NodeID(1); id <= 2; id++ {
		p.run(id, fmt.Sprint("host", id), read16(0, 1), nil) // clears the unit attention
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for id := ha.NodeID(1); id <= 2; id++ {
		load.Go(func() { p.load(id, fmt.Sprint("host", id), stop) })
	}
	for _, to := range []ha.NodeID{2, 1, 2} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := p.nodes[to].Promote(ctx, unitName, false); err != nil {
			t.Error(err)
		}
		cancel()
	}
	close(stop)
	load.Wait()
}

// load writes and reads until stop and has every command succeed.
func (p *pair) load(id ha.NodeID, initiator string, stop chan struct{}) {
	for i := uint64(0); ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		lba := uint64(id)*1000 + i%64
		for _, c := range []*command{
			p.loadCommand(id, initiator, i, write16(lba, 1), fill(byte(i), 1)),
			p.loadCommand(id, initiator, i, read16(lba, 1), nil),
		} {
			if c == nil {
				return
			}
			if c.DataIn != nil && !bytes.Equal(c.DataIn.Bytes(), fill(byte(i), 1)) {
				p.t.Errorf("controller %d, block %d: read something else than was written", id, lba)
			}
			c.Release()
		}
	}
}

// tags of the load must not meet those of the test's own goroutine.
func (p *pair) loadCommand(id ha.NodeID, initiator string, i uint64, cdb, out []byte) *command {
	for try := uint64(0); ; try++ {
		c := &command{done: make(chan struct{}), all: out, unit: p.unit(id)}
		c.Task = lun.Task{
			Nexus: lun.Nexus{InitiatorPort: initiator, TargetPort: port(id)}, Tag: 1<<32 + i<<3 + try, CDB: cdb,
			Attribute: scsi.AttributeSimple, Transport: c, ExpectedOut: len(out), ExpectedIn: 512,
		}
		c.unit.Submit(&c.Task)
		select {
		case <-c.done:
		case <-time.After(patience):
			p.t.Errorf("controller %d: command %x does not end", id, cdb)
			return nil
		}
		switch {
		case c.Status == scsi.StatusGood:
			return c
		case c.Sense.ASC == scsi.AsymmetricAccessStateChanged && try < 4:
			// What a handover may tell; the initiator repeats.
		default:
			p.t.Errorf("controller %d: command %x: %v, %v", id, cdb, c.Status, c.Sense)
			return nil
		}
	}
}

// A reservation made through one controller holds through both and through
// the loss of the primary (S5).
func TestAReservationHoldsThroughBothAndThroughFailover(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	p.reserve(2, "owner", 0xAB)
	for _, id := range []ha.NodeID{1, 2} {
		p.conflicts(id, "other")
		p.run(id, "other", read16(0, 1), nil)
	}
	p.nodes[1].stop()
	p.wait("the takeover", func() bool { return p.route(2) == ha.RouteServe })
	p.run(2, "owner", write16(0, 1), fill(1, 1))
	p.conflicts(2, "other")
}

// reserve registers a key and makes a write exclusive reservation.
func (p *pair) reserve(id ha.NodeID, initiator string, key byte) {
	p.t.Helper()
	list := make([]byte, 24)
	list[15] = key
	p.run(id, initiator, []byte{0x5F, 0x00, 0, 0, 0, 0, 0, 0, 24, 0}, list)
	list = make([]byte, 24)
	list[7] = key
	p.run(id, initiator, []byte{0x5F, 0x01, 0x01, 0, 0, 0, 0, 0, 24, 0}, list)
}

// conflicts has a write end with RESERVATION CONFLICT.
func (p *pair) conflicts(id ha.NodeID, initiator string) {
	p.t.Helper()
	for {
		c := p.finish(p.submit(id, initiator, write16(0, 1), fill(9, 1), false))
		if c.Status == scsi.StatusCheckCondition && c.Sense.Key == scsi.UnitAttention {
			continue
		}
		if c.Status != scsi.StatusReservationConflict {
			p.t.Fatalf("a write through controller %d against a reservation: %v, %v", id, c.Status, c.Sense)
		}
		return
	}
}

func TestWhileNobodyMayServeCommandsWaitAndThenEndSoftly(t *testing.T) {
	p := newPair(t, "1", "w")
	p.holdTime = 1500 * time.Millisecond
	p.maxHeld = 2
	p.arbiter.Stop("w") // no majority: nobody will be granted anything
	p.start(1)
	first := p.submit(1, "host", read16(0, 1), nil, true)
	second := p.submit(1, "host", write16(0, 1), fill(1, 1), true)
	if c := p.finish(p.submit(1, "host", read16(0, 1), nil, true)); c.Status != scsi.StatusBusy {
		t.Errorf("above the limit of held commands: %v, want BUSY", c.Status)
	}
	inquiry := p.finish(p.submit(1, "host", []byte{0x12, 0, 0, 0, 96, 0}, nil, true))
	if inquiry.Status != scsi.StatusGood {
		t.Errorf("INQUIRY while nobody serves: %v, want GOOD", inquiry.Status)
	}
	inquiry.Release()
	want := scsi.Sense{Key: scsi.NotReady, ASC: scsi.LogicalUnitNotAccessibleAsymmetricAccessStateTransition}
	for _, c := range []*command{first, second} {
		if p.finish(c); c.Status != scsi.StatusCheckCondition || c.Sense != want {
			t.Errorf("held for too long: %v, %v; want NOT READY 04h/0Ah", c.Status, c.Sense)
		}
	}
}

func TestHeldCommandsCanBeAborted(t *testing.T) {
	p := newPair(t, "1", "w")
	p.arbiter.Stop("w")
	p.start(1)
	c := p.submit(1, "host", read16(0, 1), nil, true)
	abort := lun.Management{Function: scsi.AbortTask, Nexus: c.Nexus, Tag: c.Tag}
	if r := p.unit(1).Manage(t.Context(), abort); r != scsi.FunctionComplete {
		t.Errorf("ABORT TASK: %v", r)
	}
	if p.finish(c); !c.Aborted {
		t.Error("the task is not aborted")
	}
	c = p.submit(1, "host", read16(0, 1), nil, true)
	p.unit(1).NexusLost(c.Nexus)
	if p.finish(c); !c.Aborted {
		t.Error("the task outlived its nexus")
	}
}

// The transport may still be gathering data-out when the brain moves: the task
// goes on at the new brain, and with all its data.
func TestAWriteWhoseDataIsOnItsWayMovesWithTheBrain(t *testing.T) {
	p := newPair(t).unhurried()
	p.startBoth()
	p.run(1, "host", read16(0, 1), nil)
	c := &command{done: make(chan struct{}), all: fill(0x3C, 4), unit: p.unit(1), slow: make(chan struct{})}
	c.Task = lun.Task{
		Nexus: lun.Nexus{InitiatorPort: "host", TargetPort: port(1)}, Tag: lastTag.Add(1), CDB: write16(40, 4),
		Attribute: scsi.AttributeSimple, Transport: c, ExpectedOut: 4 * 512,
	}
	c.unit.Submit(&c.Task)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.nodes[2].Promote(ctx, unitName, false); err != nil {
		t.Fatal(err)
	}
	close(c.slow)
	if p.finish(c); c.Status != scsi.StatusGood && c.Sense.ASC != scsi.AsymmetricAccessStateChanged {
		t.Fatalf("the write ended with %v, %v", c.Status, c.Sense)
	}
	if c.Status == scsi.StatusGood {
		if got := p.run(2, "host2", read16(40, 4), nil); !bytes.Equal(got, c.all) {
			t.Fatal("an acknowledged write is lost")
		}
	}
}

func TestPromotionOfAnUnknownLogicalUnitIsRefused(t *testing.T) {
	p := newPair(t).unhurried()
	p.startBoth()
	if err := p.nodes[1].Promote(t.Context(), "nothing", false); err == nil {
		t.Error("no error")
	}
}

func TestControllersThatDisagreeRefuseEachOther(t *testing.T) {
	p := newPair(t)
	p.start(1)
	p.mode = ActiveStandby
	p.start(2)
	p.wait("the refusal", func() bool {
		s, err := p.nodes[2].Status()
		if errors.Is(err, errStopped) {
			t.Fatal(err)
		}
		return len(s.Peers) == 1 && bytes.Contains([]byte(s.Peers[0].Problem), []byte("ha mode differs"))
	})
}

func TestAStandbyPortAnswersWhatItMay(t *testing.T) {
	p := newPair(t).unhurried()
	p.mode = ActiveStandby
	p.startBoth()
	p.wait("the standby state", func() bool {
		c := p.finish(p.submit(2, "host", read16(0, 1), nil, true))
		return c.Status == scsi.StatusCheckCondition &&
			c.Sense == scsi.Sense{Key: scsi.NotReady, ASC: 0x040B}
	})
	p.reserve(2, "owner", 5)
	p.conflicts(1, "other")
}

// A stopped process finds old commands in its sockets when it goes on. None may
// start before the sessions they came from are gone (S4).
func TestAControllerThatWasStoppedStartsNothingFromBefore(t *testing.T) {
	for _, id := range []ha.NodeID{1, 2} {
		t.Run(fmt.Sprint("controller ", id), func(t *testing.T) {
			p := newPair(t)
			p.fence = &Fence{Command: "true"} // the other one would kill this very process
			p.startBoth()
			p.run(id, "host", write16(0, 1), fill(1, 1))
			var old *command
			loseNexus := func(stopped ha.NodeID) {
				if stopped == id {
					p.unit(id).NexusLost(lun.Nexus{InitiatorPort: "host", TargetPort: port(id)})
				}
			}
			p.disconnect.Store(&loseNexus)
			if err := p.nodes[id].ask(func() { // as long as this runs the process seems stopped
				time.Sleep(2 * p.lease)
				old = p.submit(id, "host", write16(0, 1), fill(2, 1), false)
			}); err != nil {
				t.Fatal(err)
			}
			if p.finish(old); !old.Aborted {
				t.Fatalf("a command from before the stop ended with %v", old.Status)
			}
			if got := p.run(id, "host", read16(0, 1), nil); !bytes.Equal(got, fill(1, 1)) {
				t.Fatal("an old write came up")
			}
		})
	}
}
