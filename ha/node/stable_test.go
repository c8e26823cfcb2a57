package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun/statefile"
	"github.com/tandem-san/tandem/scsi"
)

// persist registers a key with APTPL and makes a write exclusive reservation.
func (p *pair) persist(id ha.NodeID, initiator string, key byte) {
	p.t.Helper()
	list := make([]byte, 24)
	list[15], list[20] = key, 1
	p.run(id, initiator, []byte{0x5F, 0x00, 0, 0, 0, 0, 0, 0, 24, 0}, list)
	list = make([]byte, 24)
	list[7] = key
	p.run(id, initiator, []byte{0x5F, 0x01, 0x01, 0, 0, 0, 0, 0, 24, 0}, list)
}

// stopBoth stops the controllers one after the other.
func (p *pair) stopBoth(order ...ha.NodeID) {
	for _, id := range order {
		p.nodes[id].stop()
	}
}

// serves waits until a controller serves.
func (p *pair) serves(id ha.NodeID) {
	p.t.Helper()
	p.wait(fmt.Sprintf("controller %d to serve", id), func() bool {
		return p.route(id) == ha.RouteServe && p.unit(id).lu.Active() && p.unit(id).right.Valid()
	})
}

// paired waits until both controllers are candidates and lead to the brain.
func (p *pair) paired() {
	p.t.Helper()
	p.wait("a healthy pair", func() bool {
		g := p.grant(1)
		return len(g.Candidates) == 2 && g.Equal(p.grant(2)) && p.route(3-g.Primary) == ha.RouteForward
	})
}

func TestAReservationWithAPTPLHoldsWhenBothControllersLostTheirMemory(t *testing.T) {
	for _, stop := range [][]ha.NodeID{{1, 2}, {2, 1}} {
		for _, start := range [][]ha.NodeID{{1, 2}, {2, 1}} {
			t.Run(fmt.Sprintf("stopped %v, started %v", stop, start), func(t *testing.T) {
				p := newPair(t)
				p.startBoth()
				p.persist(2, "owner", 0xAB)
				p.stopBoth(stop...)
				p.start(start[0])
				p.serves(start[0])
				p.conflicts(start[0], "other")
				p.start(start[1])
				p.paired()
				for _, id := range start {
					p.conflicts(id, "other")
				}
			})
		}
	}
}

func TestWithoutAPTPLAReservationEndsWhenTheLastControllerDoes(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	p.reserve(2, "owner", 0xAB)
	for _, id := range []ha.NodeID{1, 2, 1} { // one at a time
		p.nodes[id].stop()
		p.serves(3 - id)
		p.conflicts(3-id, "other")
		p.start(id)
		p.paired()
	}
	p.conflicts(1, "other")
	p.stopBoth(1, 2)
	p.start(1)
	p.start(2)
	p.paired()
	p.run(1, "other", write16(0, 1), fill(1, 1))
	keys := p.run(2, "other", []byte{0x5E, 0, 0, 0, 0, 0, 0, 0, 64, 0}, nil)
	if want := make([]byte, 8); string(keys) != string(want) {
		t.Errorf("READ KEYS answers %x, want no key and generation 0", keys)
	}
}

func TestSavedModePagesHoldWhenBothControllersLostTheirMemory(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	control := []byte{0, 0, 0, 0, 0x0A, 0x0A, 0x02, 0x10, 0, 0x40, 0, 0, 0xFF, 0xFF, 0, 0}
	p.run(2, "host", []byte{0x15, 0x11, 0, 0, byte(len(control)), 0}, control)
	p.stopBoth(2, 1)
	p.start(2)
	p.start(1)
	p.paired()
	for pc, what := range []string{"current", 3: "saved"} {
		if what == "" {
			continue
		}
		page := p.run(1, "host", []byte{0x1A, 8, byte(pc)<<6 | 0x0A, 0, 255, 0}, nil)
		if page[9]&0x40 == 0 {
			t.Errorf("%s control mode page %x, want TAS", what, page)
		}
	}
}

// Controller 2 was away while something was acknowledged: alone it must not
// serve with less.
func TestAControllerWhoseStateIsOutOfDateWaitsForTheOther(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	p.nodes[2].stop()
	p.wait("controller 1 to be alone", func() bool { return p.grant(1).Alone() })
	p.persist(1, "owner", 0xAB)
	p.nodes[1].stop()
	p.start(2)
	p.wait("the takeover", func() bool { return p.grant(2).Primary == 2 })
	p.wait("the alarm", func() bool { return strings.Contains(p.alarm(2), errOutOfDate.Error()) })
	p.unserved(2)
	p.start(1)
	p.serves(2)
	p.paired()
	p.conflicts(1, "other")
	p.conflicts(2, "other")
	if a := p.alarm(2); a != "" {
		t.Errorf("the alarm stays: %s", a)
	}
}

func TestWhatWasNotChangedWhileAControllerWasAwayIsNotOutOfDate(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	p.persist(1, "owner", 0xAB)
	p.nodes[2].stop()
	p.wait("controller 1 to be alone", func() bool { return p.grant(1).Alone() })
	p.run(1, "owner", write16(0, 1), fill(1, 1))
	p.nodes[1].stop()
	p.start(2)
	p.serves(2)
	p.conflicts(2, "other")
}

func TestForceGoesOnWithAStateThatIsOutOfDate(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	p.nodes[2].stop()
	p.wait("controller 1 to be alone", func() bool { return p.grant(1).Alone() })
	p.persist(1, "owner", 0xAB)
	p.nodes[1].stop()
	p.start(2)
	p.wait("the alarm", func() bool { return p.alarm(2) != "" })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.nodes[2].Promote(ctx, unitName, true); err != nil {
		t.Fatal(err)
	}
	p.run(2, "other", write16(0, 1), fill(1, 1))
	// What was forced stays: the other controller takes it over.
	p.start(1)
	p.paired()
	p.run(1, "other", write16(0, 1), fill(2, 1))
}

func TestAControllerWhoseStateIsLostTakesThatOfTheOther(t *testing.T) {
	for what, lose := range map[string]func(t *testing.T, file string){
		"damaged": func(t *testing.T, file string) {
			b, err := os.ReadFile(file)
			if err == nil {
				b[len(b)-1] ^= 1
				err = os.WriteFile(file, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"missing": func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			p := newPair(t)
			p.startBoth()
			p.persist(1, "owner", 0xAB)
			p.nodes[2].stop()
			p.wait("controller 1 to be alone", func() bool { return p.grant(1).Alone() })
			p.nodes[1].stop()
			files, err := filepath.Glob(filepath.Join(p.states(1), "*.state"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%v, %v", files, err)
			}
			lose(t, files[0])
			p.start(1)
			p.wait("the alarm", func() bool { return p.alarm(1) != "" })
			p.unserved(1)
			// Controller 1 was alone: 2 may have less, as far as anybody knows.
			p.start(2)
			p.wait("the link", func() bool {
				s, err := p.nodes[1].Status()
				return err == nil && len(s.Peers) == 1 && p.linked(1)
			})
			p.unserved(1)
		})
		t.Run(what+" when both were candidates", func(t *testing.T) {
			p := newPair(t).unhurried() // 1 has no time to notice that 2 is gone
			p.startBoth()
			p.persist(1, "owner", 0xAB)
			p.nodes[2].stop()
			p.nodes[1].stop()
			if g := p.stored(); !g.Has(2) || g.Primary != 1 {
				t.Fatalf("controller 1 noticed that 2 was gone: %v", g)
			}
			files, err := filepath.Glob(filepath.Join(p.states(1), "*.state"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%v, %v", files, err)
			}
			lose(t, files[0])
			p.start(1)
			p.wait("the alarm", func() bool { return p.alarm(1) != "" })
			p.unserved(1)
			p.start(2)
			p.paired()
			p.conflicts(1, "other")
		})
		t.Run(what+" while the other serves", func(t *testing.T) {
			p := newPair(t)
			p.startBoth()
			p.persist(1, "owner", 0xAB)
			p.nodes[1].stop()
			p.serves(2)
			files, err := filepath.Glob(filepath.Join(p.states(1), "*.state"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%v, %v", files, err)
			}
			lose(t, files[0])
			p.start(1)
			p.paired()
			p.nodes[2].stop()
			p.serves(1)
			p.conflicts(1, "other")
		})
	}
}

// stored is the grant as the arbiter has it.
func (p *pair) stored() ha.Grant {
	p.t.Helper()
	s, err := p.arbiter.StoreAt("1", 3).Read(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return s.Grants[unitName]
}

// linked reports whether a controller is connected to the other.
func (p *pair) linked(id ha.NodeID) (linked bool) {
	p.nodes[id].peers.with(3-id, func(s *peerState) { linked = s.linked })
	return linked
}

func (p *pair) alarm(id ha.NodeID) string {
	s, err := p.nodes[id].Status()
	if err != nil {
		p.t.Fatal(err)
	}
	return s.Units[0].Alarm
}

// unserved has a controller not serve for a while.
func (p *pair) unserved(id ha.NodeID) {
	p.t.Helper()
	for range 30 {
		if p.unit(id).lu.Active() {
			p.t.Fatalf("controller %d serves with a state that may be less than what was acknowledged", id)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// gate is stable storage whose Save can be stopped after the state is durable,
// or made to fail.
type gate struct {
	States
	shut    atomic.Pointer[chan struct{}] // Save waits until it is closed
	fail    atomic.Bool
	waiting atomic.Int32
}

func (g *gate) Save(r statefile.Record) error {
	if g.fail.Load() {
		return errors.New("the disk is gone")
	}
	err := g.States.Save(r)
	if c := g.shut.Load(); c != nil {
		g.waiting.Add(1)
		<-*c
		g.waiting.Add(-1)
	}
	return err
}

// newGatedPair is a pair whose stable storage the test can stop.
func newGatedPair(t *testing.T) (*pair, map[ha.NodeID]*gate) {
	p := newPair(t)
	gates := map[ha.NodeID]*gate{1: {}, 2: {}}
	p.wrap = func(id ha.NodeID, s States) States {
		gates[id].States = s
		return gates[id]
	}
	return p, gates
}

// registerWith begins to register a key with APTPL.
func (p *pair) registerWith(id ha.NodeID, initiator string, key byte) *command {
	list := make([]byte, 24)
	list[15], list[20] = key, 1
	return p.submit(id, initiator, []byte{0x5F, 0x06, 0, 0, 0, 0, 0, 0, 24, 0}, list, true)
}

func TestAChangeIsAcknowledgedWhenItIsOnStableStorageOfBoth(t *testing.T) {
	for _, slow := range []ha.NodeID{1, 2} {
		t.Run(fmt.Sprint("controller ", slow, " is slow"), func(t *testing.T) {
			p, gates := newGatedPair(t)
			p.unhurried()
			p.startBoth()
			p.run(1, "owner", read16(0, 1), nil)
			p.wait("nothing to save", func() bool { return p.unit(slow).replica.whenSaved() == nil })
			open := make(chan struct{})
			gates[slow].shut.Store(&open)
			c := p.registerWith(1, "owner", 0xAB)
			p.wait("the write", func() bool { return gates[slow].waiting.Load() == 1 })
			select {
			case <-c.done:
				t.Errorf("acknowledged before controller %d has it on stable storage: %v", slow, c.Status)
			case <-time.After(200 * time.Millisecond):
			}
			close(open)
			if p.finish(c); c.Status != scsi.StatusGood {
				t.Errorf("%v, %v", c.Status, c.Sense)
			}
		})
	}
}

// The primary ends between the durable write and the acknowledgement: what
// becomes of the command is open, but both controllers say the same of it.
func TestAControllerThatEndsBeforeItAcknowledgesLeavesOneTruth(t *testing.T) {
	p, gates := newGatedPair(t)
	p.startBoth()
	p.run(1, "owner", read16(0, 1), nil)
	p.wait("nothing to save", func() bool { return p.unit(1).replica.whenSaved() == nil })
	open := make(chan struct{})
	gates[1].shut.Store(&open)
	c := p.registerWith(1, "owner", 0xAB)
	p.wait("the write", func() bool { return gates[1].waiting.Load() == 1 })
	gates[2].fail.Store(true) // nor does it reach the other one's stable storage
	go func() {
		time.Sleep(100 * time.Millisecond)
		gates[1].shut.Store(nil)
		close(open)
	}()
	p.stopBoth(1, 2)
	if p.finish(c); c.Status == scsi.StatusGood && !c.Aborted {
		t.Fatal("acknowledged though the other controller has it not on stable storage")
	}
	gates[2].fail.Store(false)
	p.start(2)
	p.start(1)
	p.paired()
	read := []byte{0x5E, 0, 0, 0, 0, 0, 0, 0, 64, 0}
	first := p.run(1, "owner", read, nil)
	if second := p.run(2, "owner", read, nil); string(first) != string(second) {
		t.Errorf("READ KEYS answers %x through controller 1 and %x through controller 2", first, second)
	}
	g := p.grant(1).Primary
	p.nodes[g].stop()
	p.serves(3 - g)
	if after := p.run(3-g, "owner", read, nil); string(first) != string(after) {
		t.Errorf("READ KEYS answers %x, and %x after a failover", first, after)
	}
}

func TestWithoutStableStorageAChangeIsRefusedAndUndone(t *testing.T) {
	p, gates := newGatedPair(t)
	p.startBoth()
	p.run(1, "owner", read16(0, 1), nil)
	gates[1].fail.Store(true)
	c := p.finish(p.registerWith(1, "owner", 0xAB))
	if c.Status != scsi.StatusBusy {
		t.Errorf("%v, %v, want BUSY", c.Status, c.Sense)
	}
	p.run(1, "owner", write16(0, 1), fill(1, 1)) // data does not depend on it
	gates[1].fail.Store(false)
	p.run(1, "owner", []byte{0x5F, 0x06, 0, 0, 0, 0, 0, 0, 24, 0}, append(make([]byte, 15), 0xCD, 0, 0, 0, 0, 0, 0, 0, 0))
	p.nodes[1].stop()
	p.serves(2)
	keys := p.run(2, "owner", []byte{0x5E, 0, 0, 0, 0, 0, 0, 0, 64, 0}, nil)
	if len(keys) != 16 || keys[15] != 0xCD {
		t.Errorf("READ KEYS answers %x, want the key that was acknowledged", keys)
	}
}
