package forward

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// maxNexuses is how many nexuses of one peer a unit here may have.
const maxNexuses = 4096

// unit is what one peer does with one logical unit here. Task management
// functions and lost nexuses may have to wait, so a goroutine performs them,
// and everything that comes for the unit meanwhile waits behind it: what comes
// after a function is not touched by it. The mutex of the peer protects unit.
type unit struct {
	peer    *peer
	name    string
	target  lun.Unit // where its commands went last
	nexuses map[lun.Nexus]struct{}
	busy    bool // a goroutine works on waiting
	waiting []operation
}

// operation is something to be done in its turn.
type operation struct {
	command *served // to submit; or else
	lost    []lun.Nexus
	manage  lun.Management // when lost is nil
	target  lun.Unit
	life    uint64
	ctx     context.Context
	// answer: the secondary waits for the response of manage, by request and
	// epoch.
	answer         bool
	request, epoch uint64
}

// unitNamed answers the unit of a name. The caller holds mu.
func (p *peer) unitNamed(name []byte) (*unit, error) {
	if u := p.units[string(name)]; u != nil {
		return u, nil
	}
	if len(p.units) >= ha.MaxUnits {
		return nil, fmt.Errorf("%w: more than %d logical units", errFrame, ha.MaxUnits)
	}
	u := &unit{peer: p, name: string(name), nexuses: make(map[lun.Nexus]struct{})}
	p.units[u.name] = u
	return u, nil
}

// portName answers the one string of the name. The caller holds mu.
func (p *peer) portName(name []byte) string {
	if s, ok := p.names[string(name)]; ok {
		return s
	}
	if len(p.names) >= maxNexuses {
		clear(p.names) // only costs allocations
	}
	s := string(name)
	p.names[s] = s
	return s
}

// knows remembers a nexus of the peer; false when there are too many.
func (u *unit) knows(n lun.Nexus) bool {
	if _, known := u.nexuses[n]; known {
		return true
	}
	if len(u.nexuses) >= maxNexuses {
		return false
	}
	u.nexuses[n] = struct{}{}
	return true
}

// submit submits a command in its turn. It is called with the peer's mu held
// and releases it.
func (u *unit) submit(s *served) {
	if u.busy {
		u.waiting = append(u.waiting, operation{command: s})
		u.peer.mu.Unlock()
		return
	}
	u.peer.mu.Unlock()
	s.target.Submit(&s.task)
}

// enter has a goroutine perform the operation in its turn. The caller holds
// the peer's mu.
func (u *unit) enter(o operation) {
	u.waiting = append(u.waiting, o)
	if !u.busy {
		u.busy = true
		u.peer.forward.working.Go(u.work)
	}
}

// work performs what waits, in order, until nothing does.
func (u *unit) work() {
	p := u.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(u.waiting) > 0 {
		o := u.waiting[0]
		u.waiting[0] = operation{}
		u.waiting = u.waiting[1:]
		u.perform(o)
	}
	u.waiting, u.busy = nil, false
}

// perform is called with the peer's mu held, and holds it again when it
// returns.
func (u *unit) perform(o operation) {
	p := u.peer
	switch {
	case o.command != nil && o.command.life != p.life:
		p.finish(o.command)
	case o.command != nil:
		p.mu.Unlock()
		o.command.target.Submit(&o.command.task)
		p.mu.Lock()
	case o.lost != nil:
		p.mu.Unlock()
		for _, n := range o.lost {
			o.target.NexusLost(n)
		}
		p.mu.Lock()
	default:
		p.mu.Unlock()
		response := o.target.Manage(o.ctx, o.manage)
		p.mu.Lock()
		if !o.answer {
			return
		}
		p.managing--
		if o.life == p.life {
			p.sendManaged(o.request, o.epoch, response)
		}
	}
}

func (p *peer) sendManaged(request, epoch uint64, r scsi.FunctionResponse) {
	p.send(link.Frame{Kind: kindManaged, Flags: uint8(r), Request: request, Epoch: epoch})
}

// managementCame performs a task management function, or the loss of a nexus,
// in its turn.
func (p *peer) managementCame(f link.Frame) error {
	m, err := decodeManagement(f.Head)
	if err != nil {
		return err
	}
	target, refused := p.forward.config.Serving(string(m.unit), f.Epoch)
	p.mu.Lock()
	defer p.mu.Unlock()
	u, err := p.unitNamed(m.unit)
	if err != nil {
		return err
	}
	n := lun.Nexus{InitiatorPort: p.portName(m.port), TargetPort: m.target}
	if f.Kind == kindNexusLost {
		// Whatever the epoch: the unit must not keep what is gone.
		if _, known := u.nexuses[n]; known {
			delete(u.nexuses, n)
			u.enter(operation{lost: []lun.Nexus{n}, target: u.target})
		}
		return nil
	}
	if refused != nil || p.managing >= 2*maxManaging {
		p.sendManaged(f.Request, f.Epoch, scsi.FunctionRejected)
		return nil
	}
	p.managing++
	u.enter(operation{
		target: target, life: p.life, ctx: p.ctx, answer: true, request: f.Request, epoch: f.Epoch,
		manage: lun.Management{Function: m.function, Nexus: n, Tag: m.tag},
	})
	return nil
}

// loseAll loses every nexus that the peer had. The caller holds the peer's mu.
func (u *unit) loseAll() {
	if len(u.nexuses) == 0 {
		return
	}
	u.enter(operation{lost: slices.Collect(maps.Keys(u.nexuses)), target: u.target})
	clear(u.nexuses)
}
