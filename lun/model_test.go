package lun_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// model is persistent reservations as a table: who is registered with which
// key, and which reservation there is. Keys are small numbers, so that they
// meet.
type model struct {
	key    map[lun.Nexus]uint64
	kind   scsi.ReservationType // 0: none
	holder lun.Nexus
}

func (m *model) holds(n lun.Nexus) bool {
	return m.kind != 0 && m.key[n] != 0 && (m.kind.AllRegistrants() || m.holder == n)
}

// may tells whether n may read or write.
func (m *model) may(n lun.Nexus, write bool) bool {
	switch {
	case m.kind == 0 || m.holds(n):
		return true
	case m.key[n] != 0 && m.kind >= scsi.WriteExclusiveRegistrantsOnly:
		return true
	}
	writeExclusive := m.kind == scsi.WriteExclusive || m.kind == scsi.WriteExclusiveRegistrantsOnly || m.kind == scsi.WriteExclusiveAllRegistrants
	return !write && writeExclusive
}

func (m *model) forget(n lun.Nexus) {
	delete(m.key, n)
	if m.kind != 0 && (!m.kind.AllRegistrants() && m.holder == n || m.kind.AllRegistrants() && len(m.key) == 0) {
		m.kind = 0
	}
}

// out is PERSISTENT RESERVE OUT; it answers whether it succeeds.
func (m *model) out(n lun.Nexus, action byte, key, other uint64, kind scsi.ReservationType) bool {
	mine := m.key[n]
	if action == 6 || action == 0 {
		if action == 0 && mine != key {
			return false
		}
		switch {
		case other != 0:
			m.key[n] = other
		case mine != 0:
			m.forget(n)
		}
		return true
	}
	if mine == 0 || mine != key {
		return false
	}
	switch action {
	case 1:
		if m.kind != 0 {
			return m.holds(n) && m.kind == kind
		}
		m.kind, m.holder = kind, n
	case 2:
		if m.holds(n) {
			if m.kind != kind {
				return false
			}
			m.kind = 0
		}
	case 3:
		m.key, m.kind = map[lun.Nexus]uint64{}, 0
	case 4:
		return m.preempt(n, other, kind)
	}
	return true
}

func (m *model) preempt(n lun.Nexus, victim uint64, kind scsi.ReservationType) bool {
	all := m.kind != 0 && m.kind.AllRegistrants() && victim == 0
	takes := all || m.kind != 0 && !m.kind.AllRegistrants() && victim != 0 && m.key[m.holder] == victim
	if victim == 0 && !all {
		return false
	}
	found := false
	for o, k := range m.key {
		if all || k == victim {
			found = true
			if !takes || o != n {
				delete(m.key, o)
			}
		}
	}
	switch {
	case takes:
		m.kind, m.holder = kind, n
	case m.kind != 0 && m.kind.AllRegistrants() && len(m.key) == 0:
		m.kind = 0
	}
	return found
}

func TestReservationsBehaveAsTheModel(t *testing.T) {
	pool := block.NewPool(16 << 20)
	rapid.Check(t, func(rt *rapid.T) {
		c := testConfig()
		c.Pool = pool
		f := setup(t, c, nil)
		defer func() { f.unit.Deactivate() }()
		nexuses := []lun.Nexus{alice, bob, carol}
		m := &model{key: map[lun.Nexus]uint64{}}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			n := rapid.SampledFrom(nexuses).Draw(rt, "nexus")
			switch action := rapid.SampledFrom([]byte{0, 1, 1, 1, 2, 3, 4, 4, 6, 6, 6, 100, 101}).Draw(rt, "action"); action {
			case 100:
				f.unit.NexusLost(n)
			case 101:
				moveBrain(t, f)
			default:
				key, other := rapid.Uint64Max(3).Draw(rt, "key"), rapid.Uint64Max(3).Draw(rt, "other key")
				if rapid.Bool().Draw(rt, "right key") {
					key = m.key[n]
				}
				kind := rapid.SampledFrom(reservationTypes).Draw(rt, "type")
				f.clear(t, n)
				task, _ := f.do(t, n, reserveOut(action, byte(kind)), scsi.ReserveOut{Key: key, ServiceActionKey: other}.Append(nil))
				if want := m.out(n, action, key, other, kind); want != (task.Status == scsi.StatusGood) {
					rt.Fatalf("service action %d by %v: %v, %v; the model says it succeeds: %t", action, n, task.Status, task.Sense, want)
				}
			}
			compareWithModel(t, rt, f, m, nexuses)
		}
	})
}

// moveBrain lets another unit go on with the state.
func moveBrain(t *testing.T, f *fixture) {
	state, err := lun.DecodeState(f.unit.Deactivate().Encode())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.unit.Activate(f.device, f.right, state); err != nil {
		t.Fatal(err)
	}
}

func compareWithModel(t *testing.T, rt *rapid.T, f *fixture, m *model, nexuses []lun.Nexus) {
	f.clear(t, nexuses...)
	_, got := keys(t, f.port)
	var want []uint64
	for _, k := range m.key {
		want = append(want, k)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		rt.Fatalf("keys %X, the model has %X", got, want)
	}
	for _, n := range nexuses {
		for _, write := range []bool{false, true} {
			cdb, out := read10(0, 1), []byte(nil)
			if write {
				cdb, out = write10(0, 1), blocks('m', 1)
			}
			task, _ := f.do(t, n, cdb, out)
			if want := m.may(n, write); want != (task.Status == scsi.StatusGood) {
				rt.Fatalf("%s by %v: %v; the model lets it: %t (type %Xh)", name(cdb), n, task.Status, want, uint8(m.kind))
			}
		}
	}
}
