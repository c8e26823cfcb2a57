package scsi

import (
	"encoding/binary"
	"fmt"
)

// ReservationType is the type of a persistent reservation (SPC-5 table 67).
type ReservationType uint8

// Types of persistent reservation.
const (
	WriteExclusive                 ReservationType = 0x1
	ExclusiveAccess                ReservationType = 0x3
	WriteExclusiveRegistrantsOnly  ReservationType = 0x5
	ExclusiveAccessRegistrantsOnly ReservationType = 0x6
	WriteExclusiveAllRegistrants   ReservationType = 0x7
	ExclusiveAccessAllRegistrants  ReservationType = 0x8
)

// Valid reports whether the standard defines t.
func (t ReservationType) Valid() bool {
	switch t {
	case WriteExclusive, ExclusiveAccess, WriteExclusiveRegistrantsOnly, ExclusiveAccessRegistrantsOnly,
		WriteExclusiveAllRegistrants, ExclusiveAccessAllRegistrants:
		return true
	}
	return false
}

// AllRegistrants reports whether every registrant holds a reservation of this
// type.
func (t ReservationType) AllRegistrants() bool {
	return t == WriteExclusiveAllRegistrants || t == ExclusiveAccessAllRegistrants
}

// Registrants reports whether every registrant has the access of the holder:
// the registrants only and all registrants types.
func (t ReservationType) Registrants() bool {
	return t >= WriteExclusiveRegistrantsOnly && t <= ExclusiveAccessAllRegistrants
}

// ExcludesReads reports whether the type is one of the exclusive access types.
func (t ReservationType) ExcludesReads() bool {
	return t == ExclusiveAccess || t == ExclusiveAccessRegistrantsOnly || t == ExclusiveAccessAllRegistrants
}

// typeCapabilities are the types of reservation in the PERSISTENT RESERVATION
// TYPE MASK field (SPC-5 table 192): all of them.
const typeCapabilities = 0x8000 | 0x4000 | 0x2000 | 0x0800 | 0x0200 | 0x0001

const (
	reservationKeyLength        = 8
	reserveOutLength            = 24
	reserveOutMoveLength        = 24
	reportCapabilitiesLength    = 8
	readReservationLength       = 16
	fullStatusDescriptorLength  = 24
	reservationScopeLogicalUnit = 0
)

// ReserveOut is the parameter list of PERSISTENT RESERVE OUT, but for REGISTER
// AND MOVE (SPC-5 §6.17.3).
type ReserveOut struct {
	Key              uint64
	ServiceActionKey uint64
	PowerLoss        bool     // APTPL
	AllPorts         bool     // ALL_TG_PT
	InitiatorPorts   []string // TransportIDs, with SPEC_I_PT
	SpecifyPorts     bool     // SPEC_I_PT
}

// DecodeReserveOut reads the parameter list. Its length must be 24 without
// SPEC_I_PT; what is wrong is answered as Sense.
func DecodeReserveOut(b []byte) (ReserveOut, error) {
	if len(b) < reserveOutLength {
		return ReserveOut{}, Illegal(ParameterListLengthError)
	}
	o := ReserveOut{
		Key:              binary.BigEndian.Uint64(b),
		ServiceActionKey: binary.BigEndian.Uint64(b[8:]),
		SpecifyPorts:     b[20]&0x08 != 0,
		AllPorts:         b[20]&0x04 != 0,
		PowerLoss:        b[20]&0x01 != 0,
	}
	if !o.SpecifyPorts {
		if len(b) != reserveOutLength {
			return ReserveOut{}, Illegal(ParameterListLengthError)
		}
		return o, nil
	}
	if len(b) < reserveOutLength+4 {
		return ReserveOut{}, Illegal(ParameterListLengthError)
	}
	n := uint64(binary.BigEndian.Uint32(b[24:]))
	list := b[28:]
	if n != uint64(len(list)) {
		return ReserveOut{}, Illegal(ParameterListLengthError)
	}
	for len(list) > 0 {
		name, length, err := DecodeTransportID(list)
		if err != nil {
			return ReserveOut{}, InvalidParameterField(len(b) - len(list))
		}
		o.InitiatorPorts = append(o.InitiatorPorts, name)
		list = list[length:]
	}
	return o, nil
}

// Append appends the parameter list.
func (o ReserveOut) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, o.Key)
	b = binary.BigEndian.AppendUint64(b, o.ServiceActionKey)
	flags := byte(0)
	if o.SpecifyPorts {
		flags |= 0x08
	}
	if o.AllPorts {
		flags |= 0x04
	}
	if o.PowerLoss {
		flags |= 0x01
	}
	b = append(b, 0, 0, 0, 0, flags, 0, 0, 0)
	if !o.SpecifyPorts {
		return b
	}
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	for _, name := range o.InitiatorPorts {
		b = AppendTransportID(b, name)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// ReserveMove is the parameter list of PERSISTENT RESERVE OUT, REGISTER AND
// MOVE (SPC-5 §6.17.4).
type ReserveMove struct {
	Key              uint64
	ServiceActionKey uint64
	Unregister       bool // UNREG
	PowerLoss        bool // APTPL
	RelativePort     uint16
	InitiatorPort    string
}

// DecodeReserveMove reads the parameter list; what is wrong is answered as
// Sense.
func DecodeReserveMove(b []byte) (ReserveMove, error) {
	if len(b) < reserveOutMoveLength {
		return ReserveMove{}, Illegal(ParameterListLengthError)
	}
	n := uint64(binary.BigEndian.Uint32(b[20:]))
	if n != uint64(len(b)-reserveOutMoveLength) {
		return ReserveMove{}, Illegal(ParameterListLengthError)
	}
	name, length, err := DecodeTransportID(b[reserveOutMoveLength:])
	if err != nil || length != int(n) {
		return ReserveMove{}, InvalidParameterField(reserveOutMoveLength)
	}
	return ReserveMove{
		Key:              binary.BigEndian.Uint64(b),
		ServiceActionKey: binary.BigEndian.Uint64(b[8:]),
		Unregister:       b[17]&0x02 != 0,
		PowerLoss:        b[17]&0x01 != 0,
		RelativePort:     binary.BigEndian.Uint16(b[18:]),
		InitiatorPort:    name,
	}, nil
}

// Append appends the parameter list.
func (m ReserveMove) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, m.Key)
	b = binary.BigEndian.AppendUint64(b, m.ServiceActionKey)
	flags := byte(0)
	if m.Unregister {
		flags |= 0x02
	}
	if m.PowerLoss {
		flags |= 0x01
	}
	b = append(b, 0, flags)
	b = binary.BigEndian.AppendUint16(b, m.RelativePort)
	id := AppendTransportID(nil, m.InitiatorPort)
	b = binary.BigEndian.AppendUint32(b, uint32(len(id)))
	return append(b, id...)
}

// AppendReservationKeys appends READ KEYS parameter data (SPC-5 §6.16.2).
func AppendReservationKeys(b []byte, generation uint32, keys []uint64) []byte {
	b = binary.BigEndian.AppendUint32(b, generation)
	b = binary.BigEndian.AppendUint32(b, uint32(reservationKeyLength*len(keys)))
	for _, k := range keys {
		b = binary.BigEndian.AppendUint64(b, k)
	}
	return b
}

// DecodeReservationKeys reads READ KEYS parameter data, as many keys as are
// there.
func DecodeReservationKeys(b []byte) (generation uint32, keys []uint64, err error) {
	if len(b) < 8 {
		return 0, nil, fmt.Errorf("READ KEYS data: %d bytes, want at least 8", len(b))
	}
	generation = binary.BigEndian.Uint32(b)
	n := binary.BigEndian.Uint32(b[4:]) / reservationKeyLength
	for b = b[8:]; n > 0 && len(b) >= reservationKeyLength; n, b = n-1, b[reservationKeyLength:] {
		keys = append(keys, binary.BigEndian.Uint64(b))
	}
	return generation, keys, nil
}

// AppendReservation appends READ RESERVATION parameter data
// (SPC-5 §6.16.3): held says whether there is a reservation, key is its
// holder's, 0 for the all registrants types.
func AppendReservation(b []byte, generation uint32, held bool, key uint64, t ReservationType) []byte {
	b = binary.BigEndian.AppendUint32(b, generation)
	if !held {
		return append(b, 0, 0, 0, 0)
	}
	b = binary.BigEndian.AppendUint32(b, readReservationLength)
	b = binary.BigEndian.AppendUint64(b, key)
	return append(b, 0, 0, 0, 0, 0, uint8(t), 0, 0)
}

// AppendReservationCapabilities appends REPORT CAPABILITIES parameter data
// (SPC-5 §6.16.4): compatible RESERVE and RELEASE, SPEC_I_PT, ALL_TG_PT and
// every type. powerLoss says whether APTPL is accepted, persistent whether it
// is in force.
func AppendReservationCapabilities(b []byte, powerLoss, persistent bool) []byte {
	const rlrc, crh, sipc, atpc, ptplc, tmv, ptpla = 0x80, 0x10, 0x08, 0x04, 0x01, 0x80, 0x01
	b2, b3 := byte(crh|sipc|atpc), byte(tmv)
	if powerLoss {
		b2 |= ptplc
	}
	if persistent {
		b3 |= ptpla
	}
	b = append(b, 0, reportCapabilitiesLength, b2, b3)
	b = binary.BigEndian.AppendUint16(b, typeCapabilities)
	return append(b, 0, 0)
}

// FullStatus is a registration as READ FULL STATUS tells of it.
type FullStatus struct {
	Key           uint64
	AllPorts      bool // ALL_TG_PT
	Holder        bool // R_HOLDER
	Type          ReservationType
	RelativePort  uint16
	InitiatorPort string
}

// AppendFullStatus appends READ FULL STATUS parameter data (SPC-5 §6.16.5).
func AppendFullStatus(b []byte, generation uint32, registrations []FullStatus) []byte {
	b = binary.BigEndian.AppendUint32(b, generation)
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	for _, r := range registrations {
		b = binary.BigEndian.AppendUint64(b, r.Key)
		flags, kind := byte(0), byte(0)
		if r.AllPorts {
			flags |= 0x02
		}
		if r.Holder {
			flags |= 0x01
			kind = uint8(r.Type)
		}
		b = append(b, 0, 0, 0, 0, flags, kind, 0, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, r.RelativePort)
		id := AppendTransportID(nil, r.InitiatorPort)
		b = binary.BigEndian.AppendUint32(b, uint32(len(id)))
		b = append(b, id...)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// DecodeFullStatus reads READ FULL STATUS parameter data. A descriptor cut
// short ends the list with an error; those before it are returned too.
func DecodeFullStatus(b []byte) (generation uint32, registrations []FullStatus, err error) {
	if len(b) < 8 {
		return 0, nil, fmt.Errorf("READ FULL STATUS data: %d bytes, want at least 8", len(b))
	}
	generation = binary.BigEndian.Uint32(b)
	n := uint64(binary.BigEndian.Uint32(b[4:]))
	b = b[8:]
	if n < uint64(len(b)) {
		b = b[:n]
	}
	for len(b) > 0 {
		short := fmt.Errorf("full status descriptor %d: cut short", len(registrations))
		if len(b) < fullStatusDescriptorLength {
			return generation, registrations, short
		}
		length := uint64(binary.BigEndian.Uint32(b[20:]))
		if length > uint64(len(b)-fullStatusDescriptorLength) {
			return generation, registrations, short
		}
		end := fullStatusDescriptorLength + int(length)
		name, _, err := DecodeTransportID(b[fullStatusDescriptorLength:end])
		if err != nil {
			return generation, registrations, fmt.Errorf("full status descriptor %d: %w", len(registrations), err)
		}
		registrations = append(registrations, FullStatus{
			Key:          binary.BigEndian.Uint64(b),
			AllPorts:     b[12]&0x02 != 0,
			Holder:       b[12]&0x01 != 0,
			Type:         ReservationType(b[13] & 0xF),
			RelativePort: binary.BigEndian.Uint16(b[18:]), InitiatorPort: name,
		})
		b = b[end:]
	}
	return generation, registrations, nil
}

// ReservationScopeAndType reads byte 2 of PERSISTENT RESERVE OUT: the type,
// and whether it is one that exists, with the scope of the logical unit, the
// only one there is (SPC-5 §6.17.2).
func ReservationScopeAndType(cdb CDB) (ReservationType, bool) {
	t := ReservationType(cdb.Byte(2) & 0xF)
	return t, cdb.Byte(2)>>4 == reservationScopeLogicalUnit && t.Valid()
}
