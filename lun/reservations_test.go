package lun_test

import (
	"reflect"
	"testing"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

func reserveIn(action byte) []byte { return []byte{0x5E, action, 0, 0, 0, 0, 0, 0x20, 0, 0} }

func reserveOut(action, kind byte) []byte { return []byte{0x5F, action, kind, 0, 0, 0, 0, 0, 24, 0} }

func register(t *testing.T, f *fixture, n lun.Nexus, key uint64) {
	t.Helper()
	f.good(t, n, reserveOut(6, 0), scsi.ReserveOut{ServiceActionKey: key}.Append(nil))
}

func keys(t *testing.T, p *port) (uint32, []uint64) {
	t.Helper()
	generation, k, err := scsi.DecodeReservationKeys(p.good(t, alice, reserveIn(0), nil))
	if err != nil {
		t.Fatal(err)
	}
	return generation, k
}

var reservationTypes = []scsi.ReservationType{
	scsi.WriteExclusive, scsi.ExclusiveAccess, scsi.WriteExclusiveRegistrantsOnly, scsi.ExclusiveAccessRegistrantsOnly,
	scsi.WriteExclusiveAllRegistrants, scsi.ExclusiveAccessAllRegistrants,
}

// Every command of the table but those that deal with reservations, under
// every type, from a nexus that holds the reservation, one that is registered
// and one that is not.
func TestReservationsConflictAsTheTableSays(t *testing.T) {
	for _, kind := range reservationTypes {
		f := ready(t, fullConfig())
		register(t, f, alice, 0xA)
		register(t, f, bob, 0xB)
		f.good(t, alice, reserveOut(1, byte(kind)), scsi.ReserveOut{Key: 0xA}.Append(nil))
		for id := scsi.NoCommand + 1; id < scsi.NumCommands; id++ {
			c := &scsi.Commands[id]
			if c.Effect == scsi.EffectState || !there(t, f, c) {
				continue
			}
			for _, who := range []struct {
				n                  lun.Nexus
				holder, registered bool
			}{{alice, true, true}, {bob, kind.AllRegistrants(), true}, {carol, false, false}} {
				cdb := plain(c)
				task, _ := f.do(t, who.n, cdb, nil)
				want := !who.holder && c.Conflicts(cdb, kind, who.registered)
				if got := task.Status == scsi.StatusReservationConflict; got != want {
					t.Errorf("type %Xh: %s by %s: %v", uint8(kind), c.Name, who.n.InitiatorPort, task.Status)
				}
			}
		}
	}
}

func TestReserveKeepsOthersOutAsTheTableSays(t *testing.T) {
	f := ready(t, fullConfig())
	f.good(t, alice, []byte{0x16, 0, 0, 0, 0, 0}, nil)
	f.good(t, alice, []byte{0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0}, nil)
	for id := scsi.NoCommand + 1; id < scsi.NumCommands; id++ {
		c := &scsi.Commands[id]
		if !there(t, f, c) {
			continue
		}
		task, _ := f.do(t, bob, plain(c), nil)
		if got := task.Status == scsi.StatusReservationConflict; got == c.WithReserve {
			t.Errorf("%s: %v", c.Name, task.Status)
		}
	}
	f.status(t, alice, reserveOut(6, 0), scsi.ReserveOut{ServiceActionKey: 1}.Append(nil), scsi.StatusReservationConflict)
	f.good(t, bob, []byte{0x17, 0, 0, 0, 0, 0}, nil)
	f.status(t, bob, testUnitReady(), nil, scsi.StatusReservationConflict)
	f.good(t, alice, []byte{0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0}, nil)
	f.good(t, bob, []byte{0x16, 0, 0, 0, 0, 0}, nil)
}

func TestReserveUnderRegistrationsIsCompatible(t *testing.T) {
	f := ready(t, testConfig())
	register(t, f, alice, 0xA)
	reserve, release := []byte{0x16, 0, 0, 0, 0, 0}, []byte{0x17, 0, 0, 0, 0, 0}
	f.status(t, bob, reserve, nil, scsi.StatusReservationConflict)
	f.good(t, alice, reserveOut(1, byte(scsi.WriteExclusive)), scsi.ReserveOut{Key: 0xA}.Append(nil))
	f.good(t, alice, reserve, nil)
	f.good(t, alice, release, nil)
	f.status(t, bob, release, nil, scsi.StatusReservationConflict)
	f.status(t, bob, write10(0, 1), blocks('b', 1), scsi.StatusReservationConflict)
}

func TestRegistrationNeedsTheRightKey(t *testing.T) {
	f := ready(t, testConfig())
	out := func(key, action uint64) []byte {
		return scsi.ReserveOut{Key: key, ServiceActionKey: action}.Append(nil)
	}
	f.status(t, alice, reserveOut(0, 0), out(7, 0xA), scsi.StatusReservationConflict)
	f.good(t, alice, reserveOut(0, 0), out(0, 0))
	f.good(t, alice, reserveOut(0, 0), out(0, 0xA))
	f.status(t, alice, reserveOut(0, 0), out(0, 0xB), scsi.StatusReservationConflict)
	f.good(t, alice, reserveOut(0, 0), out(0xA, 0xB))
	f.good(t, alice, reserveOut(6, 0), out(0, 0xC))
	if generation, k := keys(t, f.port); generation != 3 || !reflect.DeepEqual(k, []uint64{0xC}) {
		t.Errorf("generation %d, keys %X", generation, k)
	}
	f.good(t, alice, reserveOut(0, 0), out(0xC, 0))
	if _, k := keys(t, f.port); len(k) != 0 {
		t.Errorf("keys %X", k)
	}
	for _, action := range []byte{1, 2, 3, 4, 5} {
		f.status(t, alice, reserveOut(action, 1), out(0xC, 0xC), scsi.StatusReservationConflict)
	}
}

func TestWrongReserveOutsAreRefused(t *testing.T) {
	f := ready(t, testConfig())
	register(t, f, alice, 0xA)
	good := scsi.ReserveOut{Key: 0xA}.Append(nil)
	for _, tc := range []struct {
		cdb []byte
		out []byte
		asc scsi.ASC
	}{
		{reserveOut(1, 2), good, scsi.InvalidFieldInCDB},
		{reserveOut(1, 0x11), good, scsi.InvalidFieldInCDB},
		{reserveOut(8, 1), good, scsi.InvalidFieldInCDB},
		{[]byte{0x5F, 1, 1, 0, 0, 0, 0, 0, 16, 0}, good[:16], scsi.ParameterListLengthError},
		{[]byte{0x5F, 1, 1, 0, 0, 1, 0, 0, 0, 0}, good, scsi.ParameterListLengthError},
		{reserveOut(6, 0), scsi.ReserveOut{ServiceActionKey: 1, PowerLoss: true}.Append(nil), scsi.InvalidFieldInParameterList},
		{reserveOut(4, 1), scsi.ReserveOut{Key: 0xA}.Append(nil), scsi.InvalidFieldInParameterList},
	} {
		f.bad(t, alice, tc.cdb, tc.out, scsi.IllegalRequest, tc.asc)
	}
}

func TestReleaseTellsTheRegistrants(t *testing.T) {
	for _, kind := range reservationTypes {
		f := ready(t, testConfig())
		register(t, f, alice, 0xA)
		register(t, f, bob, 0xB)
		f.good(t, alice, reserveOut(1, byte(kind)), scsi.ReserveOut{Key: 0xA}.Append(nil))
		f.good(t, alice, reserveOut(1, byte(kind)), scsi.ReserveOut{Key: 0xA}.Append(nil))
		other := scsi.WriteExclusive
		if kind == other {
			other = scsi.ExclusiveAccess
		}
		f.status(t, alice, reserveOut(1, byte(other)), scsi.ReserveOut{Key: 0xA}.Append(nil), scsi.StatusReservationConflict)
		f.bad(t, alice, reserveOut(2, byte(other)), scsi.ReserveOut{Key: 0xA}.Append(nil), scsi.IllegalRequest, scsi.InvalidReleaseOfPersistentReservation)
		f.good(t, alice, reserveOut(2, byte(kind)), scsi.ReserveOut{Key: 0xA}.Append(nil))
		if kind.Registrants() {
			f.bad(t, bob, testUnitReady(), nil, scsi.UnitAttention, scsi.ReservationsReleased)
		}
		f.good(t, bob, testUnitReady(), nil)
		f.good(t, carol, write10(0, 1), blocks('c', 1))
		f.good(t, alice, reserveOut(2, byte(kind)), scsi.ReserveOut{Key: 0xA}.Append(nil))
	}
}

func TestUnregisteringTheHolderReleases(t *testing.T) {
	for _, kind := range reservationTypes {
		f := ready(t, testConfig())
		register(t, f, alice, 0xA)
		register(t, f, bob, 0xB)
		f.good(t, alice, reserveOut(1, byte(kind)), scsi.ReserveOut{Key: 0xA}.Append(nil))
		register(t, f, alice, 0)
		held := f.good(t, alice, reserveIn(1), nil)
		if want := kind.AllRegistrants(); want != (len(held) == 24) {
			t.Errorf("type %Xh: READ RESERVATION % X", uint8(kind), held)
		}
		if kind.Registrants() && !kind.AllRegistrants() {
			f.bad(t, bob, testUnitReady(), nil, scsi.UnitAttention, scsi.ReservationsReleased)
		}
		f.good(t, bob, testUnitReady(), nil)
		register(t, f, bob, 0)
		if held := f.good(t, alice, reserveIn(1), nil); len(held) != 8 {
			t.Errorf("type %Xh: held by nobody: % X", uint8(kind), held)
		}
	}
}

func TestClearRemovesAllAndTellsThem(t *testing.T) {
	f := ready(t, testConfig())
	register(t, f, alice, 0xA)
	register(t, f, bob, 0xB)
	f.good(t, alice, reserveOut(1, byte(scsi.ExclusiveAccess)), scsi.ReserveOut{Key: 0xA}.Append(nil))
	f.good(t, bob, reserveOut(3, 0), scsi.ReserveOut{Key: 0xB}.Append(nil))
	f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.ReservationsPreempted)
	if generation, k := keys(t, f.port); generation != 3 || len(k) != 0 {
		t.Errorf("generation %d, keys %X", generation, k)
	}
	f.good(t, carol, write10(0, 1), blocks('c', 1))
}

func TestPreemptTakesOverAndTellsThePreempted(t *testing.T) {
	f := ready(t, testConfig())
	register(t, f, alice, 0xA)
	register(t, f, bob, 0xB)
	register(t, f, carol, 0xC)
	f.good(t, alice, reserveOut(1, byte(scsi.WriteExclusive)), scsi.ReserveOut{Key: 0xA}.Append(nil))
	f.status(t, bob, reserveOut(4, byte(scsi.ExclusiveAccess)), scsi.ReserveOut{Key: 0xB, ServiceActionKey: 0xD}.Append(nil), scsi.StatusReservationConflict)
	f.good(t, bob, reserveOut(4, byte(scsi.ExclusiveAccess)), scsi.ReserveOut{Key: 0xB, ServiceActionKey: 0xA}.Append(nil))
	f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.RegistrationsPreempted)
	f.bad(t, carol, testUnitReady(), nil, scsi.UnitAttention, scsi.ReservationsReleased)
	f.good(t, bob, testUnitReady(), nil)
	if generation, k := keys(t, f.port); generation != 4 || !reflect.DeepEqual(k, []uint64{0xB, 0xC}) {
		t.Errorf("generation %d, keys %X", generation, k)
	}
	f.status(t, carol, read10(0, 1), nil, scsi.StatusReservationConflict)
	f.good(t, bob, read10(0, 1), nil)
	// Of one that does not hold it only the registration goes.
	f.good(t, bob, reserveOut(4, byte(scsi.WriteExclusive)), scsi.ReserveOut{Key: 0xB, ServiceActionKey: 0xC}.Append(nil))
	f.bad(t, carol, testUnitReady(), nil, scsi.UnitAttention, scsi.RegistrationsPreempted)
	f.status(t, carol, read10(0, 1), nil, scsi.StatusReservationConflict)
}

func TestPreemptOfAllRegistrantsWithKeyZeroTakesOver(t *testing.T) {
	f := ready(t, testConfig())
	register(t, f, alice, 0xA)
	register(t, f, bob, 0xB)
	f.good(t, alice, reserveOut(1, byte(scsi.WriteExclusiveAllRegistrants)), scsi.ReserveOut{Key: 0xA}.Append(nil))
	f.good(t, bob, reserveOut(4, byte(scsi.WriteExclusive)), scsi.ReserveOut{Key: 0xB}.Append(nil))
	f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.RegistrationsPreempted)
	if _, k := keys(t, f.port); !reflect.DeepEqual(k, []uint64{0xB}) {
		t.Errorf("keys %X", k)
	}
	f.status(t, alice, write10(0, 1), blocks('a', 1), scsi.StatusReservationConflict)
}

func TestPreemptAndAbortEndsTheTasksOfThePreempted(t *testing.T) {
	f, g := slow(t, testConfig())
	register(t, f, alice, 0xA)
	register(t, f, bob, 0xB)
	runs := f.start(alice, scsi.AttributeSimple, write10(0, 1), blocks('a', 1))
	g.expect(t, "write")
	other := f.start(carol, scsi.AttributeSimple, read10(9, 1), nil)
	g.expect(t, "read")
	preempt := f.start(bob, scsi.AttributeSimple, reserveOut(5, byte(scsi.WriteExclusive)), scsi.ReserveOut{Key: 0xB, ServiceActionKey: 0xA}.Append(nil))
	g.quiet(t)
	if f.isFinished(preempt) {
		t.Error("PREEMPT AND ABORT did not wait for a write that runs")
	}
	g.openAll()
	for _, task := range []*lun.Task{runs, other, preempt} {
		f.wait(t, task)
	}
	if !runs.Aborted || other.Aborted || preempt.Status != scsi.StatusGood {
		t.Errorf("aborted %t and %t, %v", runs.Aborted, other.Aborted, preempt.Status)
	}
	other.Release()
	f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.RegistrationsPreempted)
	f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.CommandsClearedByAnotherInitiator)
}

func TestARegistrationCanBeMadeForOthers(t *testing.T) {
	f := ready(t, testConfig())
	list := scsi.ReserveOut{ServiceActionKey: 0xA, SpecifyPorts: true, AllPorts: true, InitiatorPorts: []string{bob.InitiatorPort}}.Append(nil)
	cdb := reserveOut(0, 0)
	cdb[8] = byte(len(list))
	f.good(t, alice, cdb, list)
	_, status, err := scsi.DecodeFullStatus(f.good(t, alice, reserveIn(3), nil))
	if err != nil {
		t.Fatal(err)
	}
	got := map[lun.Nexus]bool{}
	for _, s := range status {
		got[lun.Nexus{InitiatorPort: s.InitiatorPort, TargetPort: s.RelativePort}] = s.Key == 0xA && s.AllPorts && !s.Holder
	}
	for _, n := range []lun.Nexus{alice, bob, {InitiatorPort: alice.InitiatorPort, TargetPort: 131}, {InitiatorPort: bob.InitiatorPort, TargetPort: 131}} {
		if !got[n] {
			t.Errorf("%v is not registered as asked: %+v", n, status)
		}
	}
	if len(got) != 4 {
		t.Errorf("registered are %+v", status)
	}
	f.bad(t, alice, cdb, scsi.ReserveOut{Key: 0xA, ServiceActionKey: 0xB, SpecifyPorts: true, AllPorts: true, InitiatorPorts: []string{bob.InitiatorPort}}.Append(nil),
		scsi.IllegalRequest, scsi.InvalidFieldInParameterList)
}

func TestAReservationCanBeMoved(t *testing.T) {
	f := ready(t, testConfig())
	register(t, f, alice, 0xA)
	move := func(m scsi.ReserveMove) ([]byte, []byte) {
		list := m.Append(nil)
		cdb := reserveOut(7, 0)
		cdb[8] = byte(len(list))
		return cdb, list
	}
	good := scsi.ReserveMove{Key: 0xA, ServiceActionKey: 0xC, Unregister: true, RelativePort: carol.TargetPort, InitiatorPort: carol.InitiatorPort}
	cdb, list := move(good)
	f.status(t, alice, cdb, list, scsi.StatusReservationConflict)
	f.good(t, alice, reserveOut(1, byte(scsi.ExclusiveAccess)), scsi.ReserveOut{Key: 0xA}.Append(nil))
	bad := good
	bad.RelativePort = 77
	cdb, list = move(bad)
	f.bad(t, alice, cdb, list, scsi.IllegalRequest, scsi.InvalidFieldInParameterList)
	bad = good
	bad.ServiceActionKey = 0
	cdb, list = move(bad)
	f.bad(t, alice, cdb, list, scsi.IllegalRequest, scsi.InvalidFieldInParameterList)
	cdb, list = move(good)
	f.good(t, alice, cdb, list)
	f.status(t, alice, read10(0, 1), nil, scsi.StatusReservationConflict)
	f.good(t, carol, read10(0, 1), nil)
	if _, k := keys(t, f.port); !reflect.DeepEqual(k, []uint64{0xC}) {
		t.Errorf("keys %X", k)
	}
}

func TestRegistrationsAreLimited(t *testing.T) {
	c := testConfig()
	c.MaxNexuses = 3
	f := ready(t, c)
	list := scsi.ReserveOut{ServiceActionKey: 1, SpecifyPorts: true, InitiatorPorts: []string{"iqn.1,i,0x1", "iqn.2,i,0x1", "iqn.3,i,0x1"}}.Append(nil)
	cdb := reserveOut(0, 0)
	cdb[8] = byte(len(list))
	f.bad(t, alice, cdb, list, scsi.IllegalRequest, scsi.InsufficientRegistrationResources)
	if _, k := keys(t, f.port); len(k) != 0 {
		t.Errorf("keys %X", k)
	}
}
