package lun

import (
	"github.com/tandem-san/tandem/scsi"
)

// persistentReserveIn answers PERSISTENT RESERVE IN (SPC-5 §6.16).
func persistentReserveIn(b *brain, t *Task) bool {
	r := &b.state.reservations
	var data []byte
	switch t.state.cmd {
	case scsi.CmdReadKeys:
		keys := make([]uint64, len(r.registrations))
		for i, g := range r.registrations {
			keys[i] = g.Key
		}
		data = scsi.AppendReservationKeys(nil, r.generation, keys)
	case scsi.CmdReadReservation:
		key := uint64(0)
		if i := r.find(r.holder); i >= 0 && !r.kind.AllRegistrants() {
			key = r.registrations[i].Key
		}
		data = scsi.AppendReservation(nil, r.generation, r.held, key, r.kind)
	case scsi.CmdReportCapabilities:
		data = scsi.AppendReservationCapabilities(nil, b.unit.config.Stable, r.powerLoss)
	case scsi.CmdReadFullStatus:
		list := make([]scsi.FullStatus, len(r.registrations))
		for i, g := range r.registrations {
			list[i] = scsi.FullStatus{
				Key: g.Key, AllPorts: g.AllPorts, Holder: r.holds(g.Nexus), Type: r.kind,
				RelativePort: g.Nexus.TargetPort, InitiatorPort: g.Nexus.InitiatorPort,
			}
		}
		data = scsi.AppendFullStatus(nil, r.generation, list)
	}
	b.unit.reply(t, data, t.cdb().AllocationLength())
	return false
}

// prepareReserveOut asks for the parameter list of PERSISTENT RESERVE OUT
// (SPC-5 §6.17).
func prepareReserveOut(_ *brain, t *Task) bool {
	n := t.cdb().AllocationLength()
	if n > maxParameterList {
		t.check(scsi.Illegal(scsi.ParameterListLengthError))
		return false
	}
	t.state.need, t.Transfer = int(n), int(n)
	return true
}

// maxParameterList is the longest parameter list, in bytes, that commands other
// than writes are taken with.
const maxParameterList = 64 << 10

// persistentReserveOut carries out PERSISTENT RESERVE OUT. Its commands change
// the reservations one after the other (SPC-5 §5.14).
func persistentReserveOut(b *brain, t *Task) {
	list := t.DataOut[:t.state.need]
	if t.state.cmd == scsi.CmdRegisterAndMove {
		b.registerAndMove(t, list)
		return
	}
	o, err := scsi.DecodeReserveOut(list)
	if err == nil {
		err = b.checkReserveOut(t, o)
	}
	if err != nil {
		t.fail(err)
		return
	}
	b.changeState(t, func(b *brain, p *persistent) (e effects, err error) {
		if p.reservations.reserve != nil {
			return effects{}, errConflict
		}
		e, err = b.reserveOut(t, o, &p.reservations)
		e.by = t.Nexus
		return e, err
	})
}

// checkReserveOut looks at what is wrong whatever the reservations are. All of
// it is found before anything is changed.
func (b *brain) checkReserveOut(t *Task, o scsi.ReserveOut) error {
	cmd := t.state.cmd
	if o.PowerLoss && (cmd == scsi.CmdRegister || cmd == scsi.CmdRegisterAndIgnore) && !b.unit.config.Stable {
		return scsi.InvalidParameterField(reserveOutFlags)
	}
	if o.SpecifyPorts && cmd != scsi.CmdRegister {
		return scsi.InvalidParameterField(reserveOutFlags)
	}
	switch cmd {
	case scsi.CmdReserveOut, scsi.CmdReleaseOut, scsi.CmdPreempt, scsi.CmdPreemptAndAbort:
		if _, ok := scsi.ReservationScopeAndType(t.CDB); !ok {
			return scsi.InvalidCDBField(2)
		}
	}
	return nil
}

// reserveOut runs the service action on a copy of the reservations.
func (b *brain) reserveOut(t *Task, o scsi.ReserveOut, r *reservations) (effects, error) {
	kind, _ := scsi.ReservationScopeAndType(t.CDB)
	limit := b.unit.config.MaxNexuses
	switch t.state.cmd {
	case scsi.CmdRegister:
		return r.register(t.Nexus, o, false, b.registerToo(t.Nexus, o), limit)
	case scsi.CmdRegisterAndIgnore:
		return r.register(t.Nexus, o, true, b.registerToo(t.Nexus, o), limit)
	case scsi.CmdReserveOut:
		return effects{}, r.reserveOut(t.Nexus, o.Key, kind)
	case scsi.CmdReleaseOut:
		return r.releaseOut(t.Nexus, o.Key, kind)
	case scsi.CmdClear:
		return r.clear(t.Nexus, o.Key)
	}
	e, preempted, err := r.preempt(t.Nexus, o.Key, o.ServiceActionKey, kind)
	if err == nil && t.state.cmd == scsi.CmdPreemptAndAbort {
		e.abort, e.spare = preempted, t
		e.waiter = &waiter{done: make(chan struct{})}
	}
	return e, err
}

// registerToo lists the other nexuses a registration is for: with SPEC_I_PT
// those of the initiator ports named, with ALL_TG_PT each through every
// target port.
func (b *brain) registerToo(n Nexus, o scsi.ReserveOut) []Nexus {
	ports := []uint16{n.TargetPort}
	if o.AllPorts {
		for _, g := range b.unit.access.Load().Groups {
			for _, p := range g.Ports {
				if p.Relative != n.TargetPort {
					ports = append(ports, p.Relative)
				}
			}
		}
	}
	var list []Nexus
	for _, name := range append([]string{n.InitiatorPort}, o.InitiatorPorts...) {
		for _, p := range ports {
			if m := (Nexus{name, p}); m != n {
				list = append(list, m)
			}
		}
	}
	return list
}

func (b *brain) registerAndMove(t *Task, list []byte) {
	m, err := scsi.DecodeReserveMove(list)
	if err == nil && m.PowerLoss && !b.unit.config.Stable {
		err = scsi.InvalidParameterField(17)
	}
	if _, port := b.unit.access.Load().find(m.RelativePort); err == nil && port == nil {
		err = scsi.InvalidParameterField(18)
	}
	if err != nil {
		t.fail(err)
		return
	}
	to := Nexus{m.InitiatorPort, m.RelativePort}
	b.changeState(t, func(b *brain, p *persistent) (effects, error) {
		if p.reservations.reserve != nil {
			return effects{}, errConflict
		}
		return p.reservations.move(t.Nexus, to, m, b.unit.config.MaxNexuses)
	})
}

// reserve and release carry out RESERVE and RELEASE (SPC-2 §7.21, §7.16).
func reserve(b *brain, t *Task) {
	b.changeState(t, func(_ *brain, p *persistent) (effects, error) {
		return effects{}, p.reservations.legacyReserve(t.Nexus)
	})
}

func release(b *brain, t *Task) {
	b.changeState(t, func(_ *brain, p *persistent) (effects, error) {
		return effects{}, p.reservations.legacyRelease(t.Nexus)
	})
}

// prepareState lets a command go on to execute.
func prepareState(*brain, *Task) bool { return true }
