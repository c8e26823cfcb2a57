package lun

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-san/tandem/scsi"
)

// Limits of an encoded State.
const (
	stateVersion      = 1
	maxStateBytes     = 4 << 20
	maxNexuses        = 4096
	maxInitiatorBytes = 255
)

// ErrState is what opening a State answers, wrapped, when it is not one this
// version can go on with.
var ErrState = errors.New("state of the logical unit is not usable")

// State is what of the brain survives a move to another controller:
// reservations, registrations, mode parameters, and the unit attentions that
// are pending. The zero State is that of a logical unit that never was active.
type State struct {
	// Version of the format; 0 for the zero State.
	Version int `json:"version"`
	// Generation is PRGENERATION, the counter of changes to registrations
	// (SPC-5 §6.16.2).
	Generation    uint32         `json:"generation"`
	Registrations []Registration `json:"registrations,omitempty"`
	// Reservation is the persistent reservation, nil when there is none.
	Reservation *Reservation `json:"reservation,omitempty"`
	// PowerLoss (APTPL): registrations and the reservation are to survive loss
	// of power.
	PowerLoss bool `json:"aptpl,omitempty"`
	// Reserve is who holds a reservation made with RESERVE.
	Reserve *Nexus          `json:"reserve,omitempty"`
	Mode    scsi.ModeValues `json:"mode"`
	// Saved are the mode parameters saved by MODE SELECT, nil when none were.
	Saved   *scsi.ModeValues `json:"saved,omitempty"`
	Durable Durable          `json:"durable,omitzero"`
	// Nexuses are those that have used the logical unit.
	Nexuses []KnownNexus `json:"nexuses,omitempty"`
}

// Registration is the registration of an I_T nexus with its reservation key.
type Registration struct {
	Nexus    Nexus  `json:"nexus"`
	Key      uint64 `json:"key"`
	AllPorts bool   `json:"all_ports,omitempty"` // made with ALL_TG_PT
}

// Reservation is a persistent reservation. Holder means nothing for the all
// registrants types.
type Reservation struct {
	Type   scsi.ReservationType `json:"type"`
	Holder Nexus                `json:"holder"`
}

// KnownNexus is a nexus and its pending unit attentions, the next one first.
type KnownNexus struct {
	Nexus      Nexus      `json:"nexus"`
	Attentions []scsi.ASC `json:"attentions,omitempty"`
}

// Encode gives the bytes that DecodeState reads.
func (s State) Encode() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("lun: a State does not encode: " + err.Error())
	}
	return b
}

// DecodeState reads what Encode wrote. It answers ErrState, wrapped, for
// anything else.
func DecodeState(b []byte) (State, error) {
	if len(b) > maxStateBytes {
		return State{}, fmt.Errorf("%w: %d bytes, at most %d are accepted", ErrState, len(b), maxStateBytes)
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		return State{}, fmt.Errorf("%w: %v", ErrState, err)
	}
	if _, err := s.open(maxNexuses, scsi.DefaultModeValues()); err != nil {
		return State{}, err
	}
	return s, nil
}

// persistent is State as the brain keeps it.
type persistent struct {
	reservations reservations
	mode         scsi.ModeValues
	saved        *scsi.ModeValues // never changed, only replaced
	durable      Durable          // so is what it leads to
}

// clone makes a copy to be changed.
func (p *persistent) clone() persistent {
	return persistent{reservations: p.reservations.clone(), mode: p.mode, saved: p.saved, durable: p.durable}
}

// open checks a State and takes it over; initial are the mode parameters of a
// logical unit that never was active.
func (s State) open(limit int, initial scsi.ModeValues) (persistent, error) {
	if s.Version == 0 {
		return persistent{mode: initial}, nil
	}
	if s.Version != stateVersion {
		return persistent{}, fmt.Errorf("%w: version %d, want %d", ErrState, s.Version, stateVersion)
	}
	if len(s.Registrations) > maxNexuses || len(s.Nexuses) > limit {
		return persistent{}, fmt.Errorf("%w: %d registrations and %d nexuses, at most %d and %d are accepted",
			ErrState, len(s.Registrations), len(s.Nexuses), maxNexuses, limit)
	}
	if err := s.checkNames(); err != nil {
		return persistent{}, err
	}
	if err := s.Durable.check(); err != nil {
		return persistent{}, err
	}
	p := persistent{mode: s.Mode, saved: s.Saved, durable: s.Durable}
	r := &p.reservations
	r.generation, r.powerLoss = s.Generation, s.PowerLoss
	seen := make(map[Nexus]bool, len(s.Registrations))
	for _, g := range s.Registrations {
		if g.Key == 0 || seen[g.Nexus] {
			return persistent{}, fmt.Errorf("%w: registration of %v twice or without a key", ErrState, g.Nexus)
		}
		seen[g.Nexus] = true
		r.registrations = append(r.registrations, g)
	}
	if v := s.Reservation; v != nil {
		if !v.Type.Valid() || len(s.Registrations) == 0 || !v.Type.AllRegistrants() && !seen[v.Holder] {
			return persistent{}, fmt.Errorf("%w: reservation of type %Xh held by %v, who is not registered", ErrState, uint8(v.Type), v.Holder)
		}
		r.held, r.kind, r.holder = true, v.Type, v.Holder
	}
	if s.Reserve != nil {
		n := *s.Reserve
		r.reserve = &n
	}
	return p, nil
}

// PowerOn is what a loss of power leaves of a State: the saved mode parameters
// and what is Durable, and, when APTPL was set, registrations and the
// persistent reservation (SPC-5 §5.14.5). PRGENERATION begins again whatever APTPL was
// (SPC-5 §6.16.2). No nexus is known, so each meets POWER ON OCCURRED.
func (u *LogicalUnit) PowerOn(s State) State {
	if s.Version == 0 {
		return s
	}
	next := State{Version: s.Version, Mode: u.config.initialMode(s.Saved), Saved: s.Saved, Durable: s.Durable.powerOn()}
	if s.PowerLoss {
		next.Registrations, next.Reservation, next.PowerLoss = s.Registrations, s.Reservation, true
	}
	return next
}

func (s State) checkNames() error {
	check := func(n Nexus) error {
		if n.InitiatorPort == "" || len(n.InitiatorPort) > maxInitiatorBytes {
			return fmt.Errorf("%w: initiator port name of %d bytes, accepted is 1 to %d", ErrState, len(n.InitiatorPort), maxInitiatorBytes)
		}
		return nil
	}
	for _, g := range s.Registrations {
		if err := check(g.Nexus); err != nil {
			return err
		}
	}
	for _, k := range s.Nexuses {
		if err := check(k.Nexus); err != nil {
			return err
		}
	}
	if s.Reserve != nil {
		return check(*s.Reserve)
	}
	return nil
}

// export makes the State of p and of the nexuses the brain knows.
func (b *brain) export(p *persistent) State {
	r := &p.reservations
	s := State{
		Version: stateVersion, Mode: p.mode, Saved: p.saved, Durable: p.durable,
		Generation: r.generation, PowerLoss: r.powerLoss,
		Registrations: append([]Registration(nil), r.registrations...),
	}
	if r.held {
		s.Reservation = &Reservation{Type: r.kind, Holder: r.holder}
	}
	if r.reserve != nil {
		n := *r.reserve
		s.Reserve = &n
	}
	for name, n := range b.nexuses {
		s.Nexuses = append(s.Nexuses, KnownNexus{Nexus: name, Attentions: append([]scsi.ASC(nil), n.attentions[:n.attentionCount]...)})
	}
	slices.SortFunc(s.Nexuses, func(x, y KnownNexus) int {
		return cmp.Or(strings.Compare(x.Nexus.InitiatorPort, y.Nexus.InitiatorPort), cmp.Compare(x.Nexus.TargetPort, y.Nexus.TargetPort))
	})
	return s
}

// errUnchanged is how a change says that there is nothing to commit.
var errUnchanged = errors.New("nothing changed")

// change changes the persistent state: compute makes the next one under the
// lock, the commit hook stores it, and then it is installed, with the unit
// attentions of effects. On any error, which it answers, nothing has changed.
// The caller must not hold the lock.
func (u *LogicalUnit) change(compute func(*brain, *persistent) (effects, error)) error {
	u.changes.Lock()
	defer u.changes.Unlock()
	u.mu.Lock()
	b := u.brain
	if b == nil || !b.right.Valid() {
		u.mu.Unlock()
		return ErrNotActive
	}
	next := b.state.clone()
	settled := b.forgetLost(&next)
	e, err := compute(b, &next)
	if err == nil && u.config.Commit != nil {
		s := b.export(&next)
		s.attend(e)
		u.mu.Unlock()
		err = u.config.Commit(s)
		u.mu.Lock()
	}
	if err == nil {
		b.install(next, e)
		b.losses.settle(settled)
	}
	waiting := e.waiter != nil && e.waiter.left > 0
	b.run()
	if waiting {
		<-e.waiter.done
	}
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// effects are what a change of state does to others.
type effects struct {
	attentions []attention
	// all, when not zero, is for every nexus but the one that asked.
	all scsi.ASC
	by  Nexus
	// abort: the tasks of these nexuses are aborted; waiter is told of those
	// that may have an effect yet.
	abort  []Nexus
	waiter *waiter
	// spare is the task that asked, which is not aborted.
	spare *Task
}

type attention struct {
	nexus Nexus
	code  scsi.ASC
}

func (e *effects) attend(n Nexus, code scsi.ASC) {
	e.attentions = append(e.attentions, attention{n, code})
}

// attend adds unit attentions that are not established yet, so that the state
// committed has them.
func (s *State) attend(e effects) {
	for i := range s.Nexuses {
		k := &s.Nexuses[i]
		if e.all != 0 && k.Nexus != e.by {
			k.Attentions = append(k.Attentions, e.all)
		}
		for _, a := range e.attentions {
			if a.nexus == k.Nexus {
				k.Attentions = append(k.Attentions, a.code)
			}
		}
	}
}

// install makes next the state and lets it take effect.
func (b *brain) install(next persistent, e effects) {
	b.state = next
	r := &b.state.reservations
	for name, n := range b.nexuses {
		n.registered, n.holder = r.registered(name), r.holds(name)
	}
	if e.all != 0 {
		b.attend(e.all, b.nexuses[e.by])
	}
	for _, a := range e.attentions {
		if n := b.nexuses[a.nexus]; n != nil {
			n.attention(a.code)
		}
	}
	for _, name := range e.abort {
		n := b.nexuses[name]
		if n == nil {
			continue
		}
		if n.tasks > 0 && name != e.by && !b.state.mode.TaskAbortedStatusSent {
			n.attention(scsi.CommandsClearedByAnotherInitiator)
		}
		// Tasks of the worker that changes the state are behind this one in its queue: once
		// aborted they have no effect, and waiting for them would be for ever.
		b.abortTasks(e.waiter, func(t *Task) bool { return t.state.nexus == n && !inChangeQueue(t) }, name != e.by)
		b.abortTasks(nil, func(t *Task) bool { return t.state.nexus == n && inChangeQueue(t) && t != e.spare }, name != e.by)
	}
}

// inChangeQueue reports whether one worker executes the task, after the others
// of its kind.
func inChangeQueue(t *Task) bool { return changesState(t) || handlers[t.state.cmd].apart }

func changesState(t *Task) bool { return scsi.Commands[t.state.cmd].Effect == scsi.EffectState }

// changeState carries out a command of EffectState: it changes the state and
// ends the task by what came of it.
func (b *brain) changeState(t *Task, compute func(*brain, *persistent) (effects, error)) {
	err := b.unit.change(compute)
	var sense scsi.Sense
	switch {
	case err == nil:
	case errors.As(err, &sense):
		t.check(sense)
	case errors.Is(err, errConflict):
		t.end(scsi.StatusReservationConflict)
	case errors.Is(err, ErrNotActive):
		t.notServed()
	default:
		t.end(scsi.StatusBusy)
		b.unit.config.Log.Warn("state not committed", "lun", b.unit.config.Name, "command", scsi.Commands[t.state.cmd].Name,
			"nexus", t.Nexus.InitiatorPort, "port", t.Nexus.TargetPort, "error", err)
	}
}

// resetState is what a reset does to the state: the saved mode parameters, no
// reservation made with RESERVE, and a unit attention for every nexus
// (SAM-6 §6.3.3).
func (u *LogicalUnit) resetState() {
	err := u.change(func(b *brain, p *persistent) (effects, error) {
		b.attend(scsi.BusDeviceResetFunctionOccurred, nil)
		// It is committed even if nothing else changes: the nexuses are to be
		// told of the reset though this controller be lost.
		p.mode, p.reservations.reserve, p.durable.Prevent = u.config.initialMode(p.saved), nil, nil
		return effects{}, nil
	})
	if err != nil {
		u.config.Log.Warn("state after reset not committed", "lun", u.config.Name, "error", err)
	}
}

// dropReserve stores the end of what ends with a nexus.
func (u *LogicalUnit) dropReserve(name Nexus) {
	u.mu.Lock()
	pending := u.brain != nil && u.brain.losses.has(name)
	u.mu.Unlock()
	if !pending {
		return
	}
	err := u.change(func(b *brain, _ *persistent) (effects, error) {
		if !b.losses.has(name) { // another change has stored it
			return effects{}, errUnchanged
		}
		return effects{}, nil
	})
	if err != nil {
		u.config.Log.Warn("release of a lost nexus not committed", "lun", u.config.Name, "nexus", name.InitiatorPort, "error", err)
	}
}
