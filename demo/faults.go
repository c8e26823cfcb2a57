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
// mends it, and waits until both paths are usable again. A service that does
// not come back is in the result, not an error.
func (r *run) disturb(ctx context.Context) error {
	if err := pause(ctx, r.options.Duration/faultFraction); err != nil {
		return err
	}
	v := r.cluster.look(ctx)
	primary, secondary, err := r.cluster.roles(v)
	if err != nil {
		return err
	}
	r.faultAt = time.Now()
	switch r.options.Fault {
	case KillPrimary:
		err = r.killed(ctx, primary, "primary")
	case KillSecondary:
		err = r.killed(ctx, secondary, "secondary")
	case StopPrimary:
		err = r.stopped(ctx, primary)
	case Handover:
		err = r.handedOver(ctx, secondary)
	}
	if err != nil {
		return err
	}
	return r.recovered(ctx)
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

// killed kills a controller and starts it again after a while.
func (r *run) killed(ctx context.Context, x *controller, role string) error {
	r.story.say(">>> SIGKILL to %s, process %d, the %s", x.name, x.pid(), role)
	x.kill()
	if err := pause(ctx, r.downtime()); err != nil {
		return err
	}
	r.story.say("<<< %s is started again", x.name)
	return x.start()
}

// stopped stops the controller for longer than the lease. When it was fenced
// meanwhile it is started again, otherwise it goes on.
func (r *run) stopped(ctx context.Context, x *controller) error {
	r.story.say(">>> SIGSTOP to %s, process %d, the primary", x.name, x.pid())
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

// recovered waits until both paths are usable again and notes when.
func (r *run) recovered(ctx context.Context) error {
	deadline := r.faultAt.Add(recoveryTime)
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
			return nil
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

// downtime is how long a killed controller stays away.
func (r *run) downtime() time.Duration {
	return min(r.options.Duration/downtimeShare, maxDowntime)
}
