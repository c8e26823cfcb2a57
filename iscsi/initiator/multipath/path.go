package multipath

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/scsi"
)

// path is one way to the logical unit. A goroutine of its own connects it and
// keeps its access state up to date.
type path struct {
	disk *Disk
	cfg  initiator.Config
	poke chan struct{} // read the access state again, now

	// Guarded by disk.mu.
	unit  *initiator.LogicalUnit // nil while the path is lost
	state scsi.AccessState
	err   error // why it is lost

	// For the path's goroutine alone.
	alua  bool // the target reports target port groups
	group uint16

	outstanding                              atomic.Int64
	reads, writes, bytesRead, bytesWritten   atomic.Uint64
	retries, failures, hardErrors, connected atomic.Uint64
	latency                                  atomic.Int64 // ns, of all reads and writes together
}

// run keeps the path connected until ctx ends.
func (p *path) run(ctx context.Context) {
	for ctx.Err() == nil {
		s, err := initiator.Dial(ctx, p.cfg)
		if err == nil {
			err = p.use(ctx, s)
		}
		p.setDown(nil, err)
		select {
		case <-ctx.Done():
		case <-time.After(p.disk.cfg.ReconnectInterval):
		}
	}
}

// use identifies the logical unit behind s and offers the path until the
// session ends or ctx does; the error says why.
func (p *path) use(ctx context.Context, s *initiator.Session) error {
	defer func() { _ = s.Close() }()
	unit := s.LogicalUnit(p.disk.cfg.LUN)
	state, err := p.identify(ctx, unit)
	if err != nil {
		return err
	}
	p.connected.Add(1)
	p.setUp(unit, state)
	for {
		t := time.NewTimer(p.refreshInterval())
		select {
		case <-ctx.Done():
			t.Stop()
			p.setDown(nil, ctx.Err())
			p.logout(s)
			return ctx.Err()
		case <-s.Ending():
			t.Stop()
			return s.Err()
		case <-p.poke:
		case <-t.C:
		}
		t.Stop()
		if err := p.refresh(ctx, unit); errors.Is(err, initiator.ErrSessionLost) {
			// The target may have asked to log out: what is under way may end.
			p.setDown(nil, err)
			select {
			case <-s.Ending():
			case <-ctx.Done():
			}
			return err
		}
	}
}

// refreshInterval is how long the access state may rest.
func (p *path) refreshInterval() time.Duration {
	d := p.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.state == scsi.Transitioning || d.chooseLocked(nil) == nil {
		return unsettledInterval
	}
	return d.cfg.RefreshInterval
}

func (p *path) logout(s *initiator.Session) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = s.Logout(ctx)
}

// identify makes sure that the path leads to the logical unit of the disk,
// and reads its access state.
func (p *path) identify(ctx context.Context, unit *initiator.LogicalUnit) (scsi.AccessState, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.LoginTimeout)
	defer cancel()
	var inquiry scsi.StandardInquiry
	var designators []scsi.Designator
	err := retried(ctx, func() (err error) {
		if inquiry, err = unit.Inquiry(ctx); err == nil {
			designators, err = unit.Designators(ctx)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	identity, err := identityOf(designators)
	if err != nil {
		return 0, err
	}
	p.alua = inquiry.TPGS != 0
	for _, d := range designators {
		if n, ok := initiator.DesignatedNumber(d); ok && d.Association == scsi.AssociationTargetPort && d.Type == scsi.DesignatorTargetPortGroup {
			p.group = n
		}
	}
	state, err := p.readState(ctx, unit)
	if err != nil {
		return 0, err
	}
	return state, p.disk.claim(ctx, identity, unit)
}

// readState reads the access state of the path's target port group. Without
// target port groups every path is as good as any.
func (p *path) readState(ctx context.Context, unit *initiator.LogicalUnit) (scsi.AccessState, error) {
	if !p.alua {
		return scsi.ActiveOptimized, nil
	}
	var groups []scsi.PortGroup
	err := retried(ctx, func() (err error) {
		groups, err = unit.ReportTargetPortGroups(ctx)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, g := range groups {
		if g.ID == p.group {
			return g.State, nil
		}
	}
	return 0, fmt.Errorf("target port group %d is not among those reported", p.group)
}

// refresh reads the access state again, and the capacity when it is not known.
func (p *path) refresh(ctx context.Context, unit *initiator.LogicalUnit) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.LoginTimeout)
	defer cancel()
	state, err := p.readState(ctx, unit)
	if err != nil {
		return err
	}
	p.setState(state)
	return p.disk.measure(ctx, unit, state)
}

// retried runs do again while it ends with a UNIT ATTENTION or a passing
// condition, until ctx ends.
func retried(ctx context.Context, do func() error) error {
	rest := backoff{}
	for {
		err := do()
		switch judge(err).verdict {
		case again:
		case busy:
			if rest.wait(ctx, nil) != nil {
				return err
			}
		default:
			return err
		}
		if ctx.Err() != nil {
			return err
		}
	}
}

func (p *path) setUp(unit *initiator.LogicalUnit, state scsi.AccessState) {
	d := p.disk
	d.mu.Lock()
	p.unit, p.state, p.err = unit, state, nil
	d.changedLocked()
	d.mu.Unlock()
	d.cfg.Logger.Info("path is up", "portal", p.cfg.Portal, "state", state)
}

// setDown notes that the path is lost, for unit only unless that is nil: it
// may have come back since.
func (p *path) setDown(unit *initiator.LogicalUnit, err error) {
	d := p.disk
	d.mu.Lock()
	if unit != nil && p.unit != unit {
		d.mu.Unlock()
		return
	}
	wasUp := p.unit != nil
	said := p.err != nil && err != nil && p.err.Error() == err.Error()
	p.unit, p.err = nil, err
	if wasUp {
		d.changedLocked()
	}
	d.mu.Unlock()
	if wasUp || !said {
		d.cfg.Logger.Info("path is lost", "portal", p.cfg.Portal, "error", err)
	}
	if wasUp {
		d.pokeAll() // the others may have been promoted
	}
}

func (p *path) setState(state scsi.AccessState) {
	d := p.disk
	d.mu.Lock()
	was := p.state
	p.state = state
	if was != state {
		d.changedLocked()
	}
	d.mu.Unlock()
	if was == state {
		return
	}
	d.cfg.Logger.Info("path changed its access state", "portal", p.cfg.Portal, "from", was, "to", state)
	if rank(state) == unusable {
		d.pokeAll() // another may be what this one was
	}
}

// pokeNow makes the path's goroutine read the access state.
func (p *path) pokeNow() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// identityOf picks the designator of the logical unit that names it best:
// NAA, then EUI-64, then T10 vendor identification; the longest of a type.
func identityOf(list []scsi.Designator) (string, error) {
	for _, kind := range []scsi.DesignatorType{scsi.DesignatorNAA, scsi.DesignatorEUI64, scsi.DesignatorT10Vendor} {
		var best []byte
		for _, d := range list {
			if d.Association == scsi.AssociationLogicalUnit && d.Type == kind && len(d.Value) > len(best) {
				best = d.Value
			}
		}
		if best != nil {
			return fmt.Sprintf("%d.%x", kind, best), nil
		}
	}
	return "", errors.New("the logical unit does not say who it is (VPD page 83h)")
}

// capacityUnavailable tells whether a port in state cannot be asked for the
// capacity (SPC-5 §5.17.2.5 and on).
func capacityUnavailable(err error) bool {
	var s scsi.Sense
	return errors.As(err, &s) && s.Key == scsi.NotReady
}
