package demo

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/tandem-san/tandem/api"
)

// disturb lets the workload run for a while, breaks what is to be broken,
// mends it, and waits until all is as it was before. A service that does not
// come back is in the result, not an error.
func (r *run) disturb(ctx context.Context) error {
	if err := pause(ctx, r.options.Duration/faultFraction); err != nil {
		return err
	}
	v, err := r.cluster.served(ctx)
	if err != nil {
		return err
	}
	primary, secondary, err := r.cluster.roles(v)
	if err != nil {
		return err
	}
	r.faultAt = time.Now()
	switch r.options.Fault {
	case KillPrimary:
		err = r.killed(ctx, primary.process, "the primary")
	case KillSecondary:
		err = r.killed(ctx, secondary.process, "the secondary")
	case KillWitness:
		err = r.killed(ctx, r.cluster.witness, "the third vote")
	case KillArbiterLeader:
		err = r.killed(ctx, r.cluster.member(v.leader()), "the leader of the arbiter")
	case StopPrimary:
		err = r.stopped(ctx, primary, "primary")
	case StopSecondary:
		err = r.stopped(ctx, secondary, "secondary")
	case CutLink:
		err = r.cut(ctx)
	case Handover:
		err = r.handedOver(ctx, secondary)
	case Drain:
		err = r.drained(ctx, primary)
	case Terminate:
		err = r.terminated(ctx, primary)
	}
	if err != nil {
		return err
	}
	return r.recovered(ctx)
}

// served looks until somebody is primary: on a machine that is busy the right to
// serve may be lost for a moment.
func (c *cluster) served(ctx context.Context) (view, error) {
	for deadline := time.Now().Add(recoveryTime); ; {
		v := c.look(ctx)
		if v.primary() != 0 || time.Now().After(deadline) {
			return v, nil
		}
		if err := pause(ctx, pollTime); err != nil {
			return nil, err
		}
	}
}

// roles finds who is primary.
func (c *cluster) roles(v view) (primary, secondary *controller, err error) {
	id := v.primary()
	for _, x := range c.controllers {
		if x.id == id {
			primary = x
		} else {
			secondary = x
		}
	}
	if primary == nil {
		return nil, nil, fmt.Errorf("nobody is primary: %v", v)
	}
	return primary, secondary, nil
}

// killed kills a process and starts it again after a while.
func (r *run) killed(ctx context.Context, p *process, role string) error {
	r.story.say(">>> SIGKILL to %s, process %d, %s", p.name, p.pid(), role)
	p.kill()
	if err := pause(ctx, r.downtime()); err != nil {
		return err
	}
	r.story.say("<<< %s is started again", p.name)
	return p.start()
}

// stopped stops the controller for longer than the lease. When it was fenced
// meanwhile it is started again, otherwise it goes on.
func (r *run) stopped(ctx context.Context, x *controller, role string) error {
	r.story.say(">>> SIGSTOP to %s, process %d, the %s", x.name, x.pid(), role)
	if err := x.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	err := pause(ctx, stopTime)
	if x.ended() {
		if err != nil {
			return err
		}
		r.story.say("<<< %s was fenced while it stood still: it is started again", x.name)
		return x.start()
	}
	r.story.say("<<< SIGCONT to %s", x.name)
	return errors.Join(err, x.signal(syscall.SIGCONT))
}

// handedOver promotes the secondary.
func (r *run) handedOver(ctx context.Context, x *controller) error {
	r.story.say(">>> promote %s at %s", lunName, x.name)
	began := time.Now()
	if err := x.admin.Promote(ctx, api.Promotion{LUN: lunName}); err != nil {
		return fmt.Errorf("promote %s at %s: %w", lunName, x.name, err)
	}
	r.story.say("<<< %s is primary after %d ms", x.name, time.Since(began).Milliseconds())
	return nil
}

// drained has the primary hand over for maintenance, and ends that.
func (r *run) drained(ctx context.Context, x *controller) error {
	r.story.say(">>> drain %s", x.name)
	began := time.Now()
	if _, err := x.admin.Drain(ctx, api.Maintenance{}); err != nil {
		return fmt.Errorf("drain %s: %w", x.name, err)
	}
	r.story.say("<<< %s serves nothing after %d ms", x.name, time.Since(began).Milliseconds())
	if _, err := x.admin.Undrain(ctx, api.Maintenance{}); err != nil {
		return fmt.Errorf("undrain %s: %w", x.name, err)
	}
	return nil
}

// terminated asks the primary to end, and starts it again after a while.
func (r *run) terminated(ctx context.Context, x *controller) error {
	r.story.say(">>> SIGTERM to %s, process %d, the primary", x.name, x.pid())
	began := time.Now()
	if err := x.signal(syscall.SIGTERM); err != nil {
		return err
	}
	if !x.wait(recoveryTime) {
		return fmt.Errorf("%s has not ended %v after SIGTERM", x.name, recoveryTime)
	}
	r.story.say("... %s has ended after %d ms", x.name, time.Since(began).Milliseconds())
	if err := pause(ctx, r.downtime()); err != nil {
		return err
	}
	r.story.say("<<< %s is started again", x.name)
	return x.start()
}

// cut makes the link silent for a while.
func (r *run) cut(ctx context.Context) error {
	r.story.say(">>> the link is cut")
	r.cluster.cutLink(true)
	err := pause(ctx, r.downtime())
	r.cluster.cutLink(false)
	r.story.say("<<< the link is whole again")
	return err
}

// recovered waits until both paths are usable again and notes when, and until
// the cluster is whole.
func (r *run) recovered(ctx context.Context) error {
	deadline := r.faultAt.Add(recoveryTime)
	r.result.Recovered = false
	for {
		limited, cancel := context.WithTimeout(ctx, reviveEvery)
		err := waitUsable(limited, r.disk, r.options.Mode)
		cancel()
		r.recoveredAt = time.Now()
		switch {
		case err == nil:
			r.result.Recovered = true
			if r.options.Fault != NoFault {
				r.story.say("<<< both paths are usable")
			}
			return r.whole(ctx, deadline)
		case ctx.Err() != nil:
			return err
		case r.recoveredAt.After(deadline):
			r.story.say("<<< the service is not back: %v; %v", err, r.cluster.look(ctx))
			r.result.Violations = append(r.result.Violations, err.Error())
			return nil
		}
		if err := r.revive(); err != nil {
			return err
		}
	}
}

// whole waits until each controller may take over from the other, and the
// witness leads the arbiter.
func (r *run) whole(ctx context.Context, deadline time.Time) error {
	for {
		v := r.cluster.look(ctx)
		if v.ready() && r.cluster.member(v.leader()) == r.cluster.witness {
			return nil
		}
		if time.Now().After(deadline) {
			r.story.say("<<< the cluster is not whole: %v", v)
			r.result.Recovered = false
			r.result.Violations = append(r.result.Violations, fmt.Sprintf("the cluster is not whole: %v", v))
			return nil
		}
		if err := r.revive(); err != nil {
			return err
		}
		if err := pause(ctx, pollTime); err != nil {
			return err
		}
	}
}

// revive starts again what has ended meanwhile, as a service manager would: a
// controller that is back before the other has taken over is fenced by it.
func (r *run) revive() error {
	for _, p := range r.cluster.processes() {
		if !p.ended() {
			continue
		}
		r.story.say("<<< %v\n        it is started again", p.failure())
		if err := p.start(); err != nil {
			return err
		}
	}
	return nil
}

// downtime is how long what was killed or cut stays away: long enough for a
// takeover.
func (r *run) downtime() time.Duration {
	return min(max(r.options.Duration/downtimeShare, minDowntime), maxDowntime)
}
