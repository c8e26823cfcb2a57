package lun

import (
	"errors"
	"slices"

	"github.com/tandem-san/tandem/scsi"
)

// errConflict ends a command with RESERVATION CONFLICT.
var errConflict = errors.New("reservation conflict")

// reservations are the registrations and reservations of a logical unit
// (SPC-5 §5.14, SPC-2 §5.5.1). The changes are made on a copy, by the methods
// named for the service actions; each answers errConflict, a scsi.Sense, or
// nothing and then has changed what it was asked to.
type reservations struct {
	generation    uint32
	registrations []Registration // in the order they were made
	held          bool           // a persistent reservation exists:
	kind          scsi.ReservationType
	holder        Nexus
	powerLoss     bool
	reserve       *Nexus // who holds a reservation made with RESERVE
}

func (r *reservations) clone() reservations {
	c := *r
	c.registrations = slices.Clone(r.registrations)
	return c
}

// any reports whether there is a reservation of any kind.
func (r *reservations) any() bool { return r.held || r.reserve != nil }

func (r *reservations) find(n Nexus) int {
	return slices.IndexFunc(r.registrations, func(g Registration) bool { return g.Nexus == n })
}

func (r *reservations) registered(n Nexus) bool { return r.find(n) >= 0 }

// holds reports whether n holds the persistent reservation.
func (r *reservations) holds(n Nexus) bool {
	return r.held && (r.kind.AllRegistrants() && r.registered(n) || !r.kind.AllRegistrants() && r.holder == n)
}

// matches answers errConflict unless n is registered with key.
func (r *reservations) matches(n Nexus, key uint64) error {
	if i := r.find(n); i < 0 || r.registrations[i].Key != key {
		return errConflict
	}
	return nil
}

// register is REGISTER, and with ignore REGISTER AND IGNORE EXISTING KEY
// (SPC-5 §5.14.7): it registers, changes the key of, or unregisters n. others
// are nexuses to register along with it.
func (r *reservations) register(n Nexus, o scsi.ReserveOut, ignore bool, others []Nexus, limit int) (effects, error) {
	i := r.find(n)
	if !ignore {
		if i < 0 && o.Key != 0 {
			return effects{}, errConflict
		}
		if i >= 0 && r.registrations[i].Key != o.Key {
			return effects{}, errConflict
		}
	}
	if i >= 0 && o.SpecifyPorts {
		return effects{}, scsi.InvalidParameterField(reserveOutFlags)
	}
	var e effects
	switch {
	case o.ServiceActionKey == 0 && i >= 0:
		e = r.unregister(n)
	case o.ServiceActionKey == 0:
		return effects{}, errUnchanged
	default:
		for _, m := range append([]Nexus{n}, others...) {
			r.put(Registration{Nexus: m, Key: o.ServiceActionKey, AllPorts: o.AllPorts})
		}
		if len(r.registrations) > limit {
			return effects{}, scsi.Illegal(scsi.InsufficientRegistrationResources)
		}
	}
	r.powerLoss = o.PowerLoss
	r.generation++
	return e, nil
}

// reserveOutFlags is where SPEC_I_PT, ALL_TG_PT and APTPL are in the parameter
// list.
const reserveOutFlags = 20

// put adds a registration or changes its key.
func (r *reservations) put(g Registration) {
	if i := r.find(g.Nexus); i >= 0 {
		r.registrations[i] = g
		return
	}
	r.registrations = append(r.registrations, g)
}

// remove takes a registration away.
func (r *reservations) remove(n Nexus) {
	if i := r.find(n); i >= 0 {
		r.registrations = slices.Delete(r.registrations, i, i+1)
	}
}

// unregister removes the registration of n, and with it the reservation when n
// is the last to hold it (SPC-5 §5.14.11.3).
func (r *reservations) unregister(n Nexus) (e effects) {
	held := r.holds(n)
	r.remove(n)
	switch {
	case !held:
	case r.kind.AllRegistrants() && len(r.registrations) > 0:
	default:
		if r.kind.Registrants() {
			e = r.released(n)
		}
		r.drop()
	}
	return e
}

// drop ends the persistent reservation.
func (r *reservations) drop() { r.held, r.kind, r.holder = false, 0, Nexus{} }

// released tells every registrant but by that a reservation of theirs was
// released.
func (r *reservations) released(by Nexus) (e effects) {
	for _, g := range r.registrations {
		if g.Nexus != by {
			e.attend(g.Nexus, scsi.ReservationsReleased)
		}
	}
	return e
}

// reserveOut is RESERVE (SPC-5 §5.14.9).
func (r *reservations) reserveOut(n Nexus, key uint64, t scsi.ReservationType) error {
	if err := r.matches(n, key); err != nil {
		return err
	}
	if r.held {
		if r.holds(n) && r.kind == t {
			return errUnchanged
		}
		return errConflict
	}
	r.held, r.kind, r.holder = true, t, n
	return nil
}

// releaseOut is RELEASE (SPC-5 §5.14.11.2).
func (r *reservations) releaseOut(n Nexus, key uint64, t scsi.ReservationType) (effects, error) {
	if err := r.matches(n, key); err != nil {
		return effects{}, err
	}
	if !r.holds(n) {
		return effects{}, errUnchanged
	}
	if r.kind != t {
		return effects{}, scsi.Illegal(scsi.InvalidReleaseOfPersistentReservation)
	}
	var e effects
	if r.kind.Registrants() {
		e = r.released(n)
	}
	r.drop()
	return e, nil
}

// clear is CLEAR (SPC-5 §5.14.11.6).
func (r *reservations) clear(n Nexus, key uint64) (effects, error) {
	if err := r.matches(n, key); err != nil {
		return effects{}, err
	}
	var e effects
	for _, g := range r.registrations {
		if g.Nexus != n {
			e.attend(g.Nexus, scsi.ReservationsPreempted)
		}
	}
	r.registrations = nil
	r.drop()
	r.generation++
	return e, nil
}

// preempt is PREEMPT (SPC-5 §5.14.11.4): it removes registrations by their
// key, and takes over the reservation when its holder is among them. preempted
// are the nexuses that lost something.
func (r *reservations) preempt(n Nexus, key, victim uint64, t scsi.ReservationType) (e effects, preempted []Nexus, err error) {
	if err := r.matches(n, key); err != nil {
		return effects{}, nil, err
	}
	if r.held && r.preemptsReservation(victim) {
		all := r.kind.AllRegistrants()
		e, preempted = r.removeKey(victim, all, n, n)
		if r.kind != t {
			for _, g := range r.registrations {
				if g.Nexus != n {
					e.attend(g.Nexus, scsi.ReservationsReleased)
				}
			}
		}
		r.held, r.kind, r.holder = true, t, n
		r.generation++
		return e, preempted, nil
	}
	if victim == 0 {
		return effects{}, nil, scsi.InvalidParameterField(8)
	}
	e, preempted = r.removeKey(victim, false, n, Nexus{})
	if len(preempted) == 0 {
		return effects{}, nil, errConflict
	}
	if r.held && r.kind.AllRegistrants() && len(r.registrations) == 0 {
		r.drop()
	}
	r.generation++
	return e, preempted, nil
}

// preemptsReservation reports whether a key names the holder of the
// reservation: 0 for the all registrants types, otherwise the holder's key.
func (r *reservations) preemptsReservation(victim uint64) bool {
	if r.kind.AllRegistrants() {
		return victim == 0
	}
	i := r.find(r.holder)
	return i >= 0 && victim != 0 && r.registrations[i].Key == victim
}

// removeKey removes the registrations with a key, or all of them, except that
// of spare, and tells all but by.
func (r *reservations) removeKey(key uint64, all bool, by, spare Nexus) (e effects, removed []Nexus) {
	kept := r.registrations[:0]
	for _, g := range r.registrations {
		if g.Nexus == spare || !all && g.Key != key {
			kept = append(kept, g)
			continue
		}
		removed = append(removed, g.Nexus)
		if g.Nexus != by {
			e.attend(g.Nexus, scsi.RegistrationsPreempted)
		}
	}
	r.registrations = kept
	return e, removed
}

// move is REGISTER AND MOVE (SPC-5 §5.14.8): it registers to and makes it the
// holder of the reservation that n holds.
func (r *reservations) move(n, to Nexus, m scsi.ReserveMove, limit int) (effects, error) {
	if err := r.matches(n, m.Key); err != nil {
		return effects{}, err
	}
	switch {
	case !r.held || !r.holds(n):
		return effects{}, errConflict
	case r.kind.AllRegistrants():
		return effects{}, errConflict
	case m.ServiceActionKey == 0:
		return effects{}, scsi.InvalidParameterField(8)
	case to == n:
		return effects{}, scsi.InvalidParameterField(reserveMoveTransportID)
	}
	r.put(Registration{Nexus: to, Key: m.ServiceActionKey})
	if m.Unregister {
		r.remove(n)
	}
	if len(r.registrations) > limit {
		return effects{}, scsi.Illegal(scsi.InsufficientRegistrationResources)
	}
	r.holder = to
	r.powerLoss = m.PowerLoss
	r.generation++
	return effects{}, nil
}

const reserveMoveTransportID = 24

// legacyReserve is RESERVE (6) and (10) (SPC-2 §7.21, SPC-3 §5.6.3): under a
// persistent reservation the holder's is accepted without effect.
func (r *reservations) legacyReserve(n Nexus) error {
	switch {
	case r.holds(n) || r.held && r.kind.Registrants() && r.registered(n):
		return errUnchanged
	case len(r.registrations) > 0 || r.reserve != nil && *r.reserve != n:
		return errConflict
	case r.reserve != nil:
		return errUnchanged
	}
	r.reserve = &n
	return nil
}

// legacyRelease is RELEASE (6) and (10): of another nexus it does nothing.
func (r *reservations) legacyRelease(n Nexus) error {
	switch {
	case r.holds(n) || r.held && r.kind.Registrants() && r.registered(n):
		return errUnchanged
	case len(r.registrations) > 0:
		return errConflict
	case r.reserve == nil || *r.reserve != n:
		return errUnchanged
	}
	r.reserve = nil
	return nil
}
