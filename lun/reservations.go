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
