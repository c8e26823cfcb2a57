package lun_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

func TestAnInactiveUnitServesNothing(t *testing.T) {
	u := newUnit(t, testConfig())
	p := newPort(u)
	if task, _ := p.do(t, alice, testUnitReady(), nil); !task.NotServed {
		t.Errorf("TEST UNIT READY ended with %v", task.Status)
	}
	if r := manage(u, scsi.LogicalUnitReset, alice, 0); r != scsi.FunctionRejected {
		t.Errorf("LOGICAL UNIT RESET: %d", r)
	}
	u.NexusLost(alice)
	u.PortLost(3)
	u.Attention(scsi.ModeParametersChanged)
	u.DataOutReceived(&lun.Task{})
	if err := u.Resized(); !errors.Is(err, lun.ErrNotActive) {
		t.Errorf("Resized: %v", err)
	}
	if s := u.Deactivate(); !reflect.DeepEqual(s, lun.State{}) || u.Active() {
		t.Errorf("Deactivate: %+v", s)
	}
	if err := u.Drain(context.Background()); err != nil {
		t.Errorf("Drain: %v", err)
	}
}

func TestActivateRefusesWhatItCannotServe(t *testing.T) {
	u := newUnit(t, testConfig())
	for _, size := range []int64{0, 100, 1000} {
		if err := u.Activate(block.NewRamdisk(size), &right{}, lun.State{}); err == nil {
			t.Fatalf("a device of %d bytes was taken", size)
		}
	}
	if err := u.Activate(ramdisk(t, 4096), &right{}, lun.State{Version: 9}); !errors.Is(err, lun.ErrState) {
		t.Errorf("a state of version 9: %v", err)
	}
	if err := u.Activate(ramdisk(t, 4096), &right{}, lun.State{}); err != nil {
		t.Fatal(err)
	}
	defer u.Deactivate()
	if err := u.Activate(ramdisk(t, 4096), &right{}, lun.State{}); !errors.Is(err, lun.ErrActive) {
		t.Errorf("a second Activate: %v", err)
	}
}

// Every command on every kind of port that is not active, answered without the
// brain.
func TestAPortThatIsNotActiveAnswersByTheTable(t *testing.T) {
	for _, tc := range []struct {
		state scsi.AccessState
		asc   scsi.ASC
	}{
		{scsi.Standby, scsi.LogicalUnitNotAccessibleTargetPortInStandbyState},
		{scsi.Unavailable, scsi.LogicalUnitNotAccessibleTargetPortInUnavailableState},
		{scsi.Transitioning, scsi.LogicalUnitNotAccessibleAsymmetricAccessStateTransition},
		{scsi.ActiveNonOptimized, 0},
	} {
		u := newUnit(t, testConfig())
		a := testAccess
		a.Groups = []lun.PortGroup{{ID: 3, State: tc.state, Ports: []lun.Port{{Relative: 131, Name: "iqn.b,t,0x0201"}}}}
		u.SetAccess(a)
		p := newPort(u)
		for id := scsi.NoCommand + 1; id < scsi.NumCommands; id++ {
			c := &scsi.Commands[id]
			cdb := plain(c)
			if id == scsi.CmdInquiry || id == scsi.CmdRequestSense {
				cdb[4] = 96
			}
			task := command(carol, cdb, nil, 1024)
			task.Transport = p
			p.done[task] = make(chan struct{})
			answered := u.AnswerLocal(task)
			_, refused := tc.state.Refusal(c)
			brain := !refused && (!c.ByPort || id == scsi.CmdRequestSense) && (tc.state.Active() || tc.state == scsi.Standby)
			if answered == brain {
				t.Errorf("%v: %s: answered by the port is %t", tc.state, c.Name, answered)
				continue
			}
			if !answered {
				if p.isFinished(task) {
					t.Errorf("%v: %s completed", tc.state, c.Name)
				}
				continue
			}
			p.wait(t, task)
			ready := !refused && c.ByPort
			if ready != (task.Status == scsi.StatusGood) || !ready && (task.Sense.Key != scsi.NotReady || task.Sense.ASC != tc.asc) {
				t.Errorf("%v: %s ended with %v, %v", tc.state, c.Name, task.Status, task.Sense)
			}
			task.Release()
		}
	}
}

func TestTheBrainHoldsAPortToItsAccessState(t *testing.T) {
	f := ready(t, testConfig())
	a := testAccess
	a.Groups = []lun.PortGroup{a.Groups[0], {ID: 3, State: scsi.Standby, Ports: a.Groups[1].Ports}}
	f.unit.SetAccess(a)
	for _, n := range []lun.Nexus{alice, carol} {
		f.bad(t, n, testUnitReadyOrRegister(n), nil, scsi.UnitAttention, scsi.AsymmetricAccessStateChanged)
	}
	f.bad(t, carol, read10(0, 1), nil, scsi.NotReady, scsi.LogicalUnitNotAccessibleTargetPortInStandbyState)
	f.good(t, carol, reserveIn(0), nil)
	if got, err := scsi.DecodeSense(f.good(t, carol, []byte{0x03, 0, 0, 0, 252, 0}, nil)); err != nil || got.ASC != 0x040B {
		t.Errorf("REQUEST SENSE on a standby port: %v, %v", got, err)
	}
	f.good(t, alice, read10(0, 1), nil)
	f.unit.SetAccess(a)
	f.good(t, alice, testUnitReady(), nil)
}

func testUnitReadyOrRegister(n lun.Nexus) []byte {
	if n == carol {
		return reserveIn(0)
	}
	return testUnitReady()
}

func TestDrainWaitsForTasksAndTurnsNewOnesAway(t *testing.T) {
	f, g := slow(t, testConfig())
	task := f.start(alice, scsi.AttributeSimple, write10(0, 1), blocks('x', 1))
	g.expect(t, "write")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := f.unit.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Drain with a task that runs: %v", err)
	}
	if late, _ := f.do(t, alice, testUnitReady(), nil); !late.NotServed {
		t.Error("a new task was served while draining")
	}
	f.unit.Resume()
	f.good(t, alice, testUnitReady(), nil)
	drained := make(chan error)
	go func() { drained <- f.unit.Drain(context.Background()) }()
	g.pass <- struct{}{}
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	if !f.isFinished(task) || task.Status != scsi.StatusGood || task.NotServed {
		t.Errorf("the task ended with %v, not served %t", task.Status, task.NotServed)
	}
}

func TestDeactivateWaitsForTheDeviceAndSendsTheRestElsewhere(t *testing.T) {
	f, g := slow(t, testConfig())
	runs := f.start(alice, scsi.AttributeSimple, write10(0, 8), blocks('x', 8))
	g.expect(t, "write")
	overlaps := f.start(alice, scsi.AttributeSimple, write10(4, 8), blocks('y', 8))
	ordered := f.start(bob, scsi.AttributeOrdered, read10(0, 1), nil)
	f.hold = true
	waits := command(carol, write10(20, 1), nil, 0)
	waits.ExpectedOut = testBlock
	waits.Attribute = scsi.AttributeHeadOfQueue
	f.submit(waits)

	stopped := make(chan lun.State)
	go func() { stopped <- f.unit.Deactivate() }()
	for _, task := range []*lun.Task{overlaps, ordered, waits} {
		f.wait(t, task)
		if !task.NotServed {
			t.Errorf("%s ended with %v", name(task.CDB), task.Status)
		}
	}
	select {
	case <-stopped:
		t.Fatal("Deactivate did not wait for the device")
	case <-time.After(10 * time.Millisecond):
	}
	g.pass <- struct{}{}
	state := <-stopped
	if runs.NotServed || runs.Status != scsi.StatusGood {
		t.Errorf("the task that ran ended with %v, not served %t", runs.Status, runs.NotServed)
	}
	if len(state.Nexuses) != 3 {
		t.Errorf("the state knows %d nexuses, want 3", len(state.Nexuses))
	}
	waits.DataOut = blocks('z', 1)
	f.unit.DataOutReceived(waits) // does nothing

	// The next brain goes on with what was turned away.
	g.openAll()
	if err := f.unit.Activate(f.device, f.right, state); err != nil {
		t.Fatal(err)
	}
	f.hold = false
	f.clear(t, alice)
	f.submitAgain(overlaps)
	f.wait(t, overlaps)
	if overlaps.Status != scsi.StatusGood {
		t.Errorf("submitted again it ended with %v, %v", overlaps.Status, overlaps.Sense)
	}
	if got := f.good(t, alice, read10(0, 12), nil); !bytes.Equal(got, append(blocks('x', 4), blocks('y', 8)...)) {
		t.Error("the disk does not hold what was written")
	}
}

func (p *port) submitAgain(t *lun.Task) { p.submit(t) }

func TestTheStateMovesToTheNextBrain(t *testing.T) {
	f := ready(t, testConfig())
	register(t, f, alice, 0xA)
	register(t, f, bob, 0xB)
	f.good(t, alice, reserveOut(1, byte(scsi.WriteExclusive)), scsi.ReserveOut{Key: 0xA}.Append(nil))
	page := append([]byte{0, 0, 0, 0, 0x08, 0x12, 0}, make([]byte, 17)...)
	f.good(t, alice, []byte{0x15, 0x10, 0, 0, byte(len(page)), 0}, page)
	encoded := f.unit.Deactivate().Encode()

	state, err := lun.DecodeState(encoded)
	if err != nil {
		t.Fatal(err)
	}
	next := newUnit(t, testConfig())
	if err := next.Activate(f.device, &right{}, state); err != nil {
		t.Fatal(err)
	}
	defer next.Deactivate()
	p := newPort(next)
	// What was pending is still pending, and no nexus is new.
	p.bad(t, bob, testUnitReady(), nil, scsi.UnitAttention, scsi.ModeParametersChanged)
	p.bad(t, bob, testUnitReady(), nil, scsi.UnitAttention, scsi.AsymmetricAccessStateChanged)
	p.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.AsymmetricAccessStateChanged)
	p.status(t, bob, write10(0, 1), blocks('b', 1), scsi.StatusReservationConflict)
	p.good(t, alice, write10(0, 1), blocks('a', 1))
	if got := p.good(t, alice, []byte{0x1A, 0x08, 0x08, 0, 255, 0}, nil); got[6]&0x04 != 0 {
		t.Error("the write cache is on again")
	}
	p.bad(t, lun.Nexus{InitiatorPort: "iqn.new,i,0x1", TargetPort: 3}, testUnitReady(), nil, scsi.UnitAttention, scsi.PowerOnOccurred)
	if generation, _ := keys(t, p); generation != 2 {
		t.Errorf("PRGENERATION is %d, want 2", generation)
	}
}

func TestAChangeThatIsNotCommittedIsUndone(t *testing.T) {
	var committed []lun.State
	var fail error
	c := testConfig()
	c.Stable = true
	c.Commit = func(s lun.State) error {
		committed = append(committed, s)
		return fail
	}
	f := ready(t, c)
	register(t, f, alice, 0xA)
	if n := len(committed); n != 1 || len(committed[0].Registrations) != 1 {
		t.Fatalf("%d states committed: %+v", n, committed)
	}
	fail = errors.New("the other controller does not answer")
	f.status(t, bob, reserveOut(6, 0), scsi.ReserveOut{ServiceActionKey: 0xB}.Append(nil), scsi.StatusBusy)
	f.status(t, alice, []byte{0x15, 0x10, 0, 0, 24, 0}, append([]byte{0, 0, 0, 0, 0x08, 0x12, 0}, make([]byte, 17)...), scsi.StatusBusy)
	f.good(t, bob, testUnitReady(), nil)
	if _, k := keys(t, f.port); !reflect.DeepEqual(k, []uint64{0xA}) {
		t.Errorf("keys are %X", k)
	}
	fail = nil
	// The unit attention of others is in the state that was committed.
	f.good(t, alice, []byte{0x15, 0x10, 0, 0, 24, 0}, append([]byte{0, 0, 0, 0, 0x08, 0x12, 0}, make([]byte, 17)...))
	last := committed[len(committed)-1]
	for _, k := range last.Nexuses {
		if want := k.Nexus != alice; want != (len(k.Attentions) == 1) {
			t.Errorf("committed unit attentions of %s: %v", k.Nexus.InitiatorPort, k.Attentions)
		}
	}
	f.good(t, alice, reserveOut(0, 0), scsi.ReserveOut{Key: 0xA, ServiceActionKey: 0xA, PowerLoss: true}.Append(nil))
	if !committed[len(committed)-1].PowerLoss {
		t.Error("APTPL is not in the state")
	}
}

func TestAnUncommittedChangeLeavesNoTrace(t *testing.T) {
	var fail error
	c := testConfig()
	c.Commit = func(lun.State) error { return fail }
	f := ready(t, c)
	register(t, f, alice, 0xA)
	register(t, f, bob, 0xB)
	f.good(t, alice, reserveOut(1, byte(scsi.WriteExclusive)), scsi.ReserveOut{Key: 0xA}.Append(nil))
	before := f.unit.State()
	fail = errors.New("the other controller does not answer")
	out := func(key, action uint64) []byte {
		return scsi.ReserveOut{Key: key, ServiceActionKey: action}.Append(nil)
	}
	for _, tc := range []struct {
		n    lun.Nexus
		cdb  []byte
		list []byte
	}{
		{alice, reserveOut(0, 0), out(0xA, 0xAA)},
		{alice, reserveOut(0, 0), out(0xA, 0)},
		{alice, reserveOut(2, 1), out(0xA, 0)},
		{bob, reserveOut(3, 0), out(0xB, 0)},
		{bob, reserveOut(4, 1), out(0xB, 0xA)},
	} {
		f.status(t, tc.n, tc.cdb, tc.list, scsi.StatusBusy)
		after := f.unit.State()
		before.Nexuses, after.Nexuses = nil, nil
		if !reflect.DeepEqual(after, before) {
			t.Errorf("service action %d: the state is %+v, was %+v", tc.cdb[1], after, before)
		}
	}
	f.good(t, alice, testUnitReady(), nil)
	f.good(t, bob, testUnitReady(), nil)
}

func TestWithoutTheRightNothingIsCommitted(t *testing.T) {
	c := testConfig()
	commits := 0
	c.Commit = func(lun.State) error { commits++; return nil }
	f := ready(t, c)
	f.hold = true
	task := command(alice, reserveOut(6, 0), nil, 0)
	task.ExpectedOut = 24
	f.submit(task)
	f.right.gone.Store(true)
	task.DataOut = scsi.ReserveOut{ServiceActionKey: 0xA}.Append(nil)
	f.unit.DataOutReceived(task)
	f.wait(t, task)
	if !task.NotServed || commits != 0 {
		t.Errorf("not served is %t after %d commits", task.NotServed, commits)
	}
}

func TestALongCommandMakesRoomForAMove(t *testing.T) {
	g := newGate(ramdisk(t, 4<<20))
	f := setup(t, testConfig(), g)
	f.clear(t, alice)
	task := f.start(alice, scsi.AttributeSimple, cdb10(0x2F, 0, 0, 8192), nil)
	g.expect(t, "read")
	drained := make(chan error)
	go func() { drained <- f.unit.Drain(context.Background()) }()
	for f.served(t) { // until Drain has begun
	}
	g.pass <- struct{}{}
	if err := <-drained; err != nil || !task.NotServed {
		t.Errorf("VERIFY ended with %v, not served %t; Drain: %v", task.Status, task.NotServed, err)
	}
}

// served reports whether the unit serves a command.
func (f *fixture) served(t *testing.T) bool {
	task, _ := f.do(t, alice, testUnitReady(), nil)
	return !task.NotServed
}

func TestStatesThatAreNotOursAreRefused(t *testing.T) {
	for _, bad := range []string{
		"", "{", `{"version":2}`, `{"version":1,"registrations":[{"nexus":{"InitiatorPort":"a"},"key":0}]}`,
		`{"version":1,"registrations":[{"nexus":{"InitiatorPort":"a"},"key":1},{"nexus":{"InitiatorPort":"a"},"key":2}]}`,
		`{"version":1,"reservation":{"type":1,"holder":{"InitiatorPort":"a"}}}`,
		`{"version":1,"reservation":{"type":2,"holder":{"InitiatorPort":"a"}},"registrations":[{"nexus":{"InitiatorPort":"a"},"key":1}]}`,
		`{"version":1,"reserve":{"InitiatorPort":""}}`,
	} {
		if s, err := lun.DecodeState([]byte(bad)); !errors.Is(err, lun.ErrState) {
			t.Errorf("%s was taken for %+v, %v", bad, s, err)
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	f.Add(lun.State{}.Encode())
	f.Add(lun.State{
		Version: 1, Generation: 3, Registrations: []lun.Registration{{Nexus: alice, Key: 1}},
		Reservation: &lun.Reservation{Type: scsi.WriteExclusive, Holder: alice}, Reserve: &bob,
		Nexuses: []lun.KnownNexus{{Nexus: alice, Attentions: []scsi.ASC{0x2901}}},
	}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := lun.DecodeState(b)
		if err != nil {
			return
		}
		again, err := lun.DecodeState(s.Encode())
		if err != nil || !bytes.Equal(again.Encode(), s.Encode()) {
			t.Fatalf("%+v came back as %+v, %v", s, again, err)
		}
	})
}

// takenAway is a device whose sync fails when the right to it has just ended.
type takenAway struct {
	block.Device
	right  atomic.Pointer[right]
	cached bool
}

func (d *takenAway) Attributes() block.Attributes {
	return block.Attributes{Alignment: 1, Blocks: true, Cached: d.cached}
}

func (d *takenAway) Sync() error {
	d.right.Load().gone.Store(true)
	return errors.New("input/output error")
}

// What the machine kept and has lost cannot be synced elsewhere.
func TestAFailedSyncOfACachedDeviceIsToldThoughTheRightHasEnded(t *testing.T) {
	for _, cached := range []bool{false, true} {
		d := &takenAway{Device: ramdisk(t, testBlocks*testBlock), cached: cached}
		f := setup(t, testConfig(), d)
		d.right.Store(f.right)
		f.clear(t, alice)
		task, _ := f.do(t, alice, cdb10(0x35, 0, 0, 1), nil)
		if task.NotServed == cached || task.Sense.Key == scsi.MediumError != cached {
			t.Errorf("cached %t: %v, %v, not served %t", cached, task.Status, task.Sense, task.NotServed)
		}
	}
}
