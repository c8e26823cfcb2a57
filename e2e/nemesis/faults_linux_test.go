package nemesis

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/tandem-san/tandem/api"
)

// villain carries out a plan on a cluster.
type villain struct {
	cluster *cluster
	say     func(format string, args ...any)
	active  []step // what goes on at the moment
	wg      sync.WaitGroup
}

// moment is when a step begins or ends.
type moment struct {
	at   time.Duration
	step int
	ends bool
}

// run carries out the plan and then mends everything. An error is one of the
// test's own means; what the cluster makes of it is not looked at.
func (v *villain) run(ctx context.Context, steps []step) error {
	defer v.wg.Wait()
	var moments []moment
	for i, s := range steps {
		moments = append(moments, moment{s.at, i, false}, moment{s.at + s.length, i, true})
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return int(a.at - b.at) })
	began := time.Now()
	for _, m := range moments {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(m.at - time.Since(began)):
		}
		s := steps[m.step]
		act := v.begin
		if m.ends {
			act = v.end
		} else {
			v.say("%v", s)
		}
		if err := act(ctx, s); err != nil {
			return fmt.Errorf("%v: %w", s, err)
		}
	}
	return v.mend(ctx)
}

// victims are the members that a step is about.
func (v *villain) victims(s step) (all []*member) {
	if s.kind != killAll {
		return []*member{v.cluster.member(s.host)}
	}
	for _, x := range v.cluster.controllers {
		all = append(all, x.member)
	}
	return all
}

func (v *villain) begin(ctx context.Context, s step) error {
	switch s.kind {
	case kill, killAll:
		for _, m := range v.victims(s) {
			m.signal(syscall.SIGKILL, s.length)
		}
	case terminate:
		v.victims(s)[0].signal(syscall.SIGTERM, s.length)
	case stopShort, stopLong:
		v.victims(s)[0].signal(syscall.SIGSTOP, 0)
	case promote:
		lun := []string{dataLUN: dataName, heldLUN: heldName}[s.amount]
		v.ask(ctx, s, func(ctx context.Context, c *api.Client) error { return c.Promote(ctx, api.Promotion{LUN: lun}) })
	case drain:
		v.ask(ctx, s, func(ctx context.Context, c *api.Client) error { _, err := c.Drain(ctx, api.Maintenance{}); return err })
	case slowDisks:
		return v.slow(s.host, s.amount)
	default:
		v.active = append(v.active, s)
		return v.impair()
	}
	return nil
}

func (v *villain) end(ctx context.Context, s step) error {
	switch s.kind {
	case kill, killAll, terminate, promote:
	case stopShort, stopLong:
		v.victims(s)[0].signal(syscall.SIGCONT, 0)
	case drain:
		v.ask(ctx, s, func(ctx context.Context, c *api.Client) error {
			_, err := c.Undrain(ctx, api.Maintenance{})
			return err
		})
	case slowDisks:
		return v.slow(s.host, 0)
	default:
		v.active = slices.DeleteFunc(v.active, func(o step) bool { return o == s })
		return v.impair()
	}
	return nil
}

// patience is how long a controller has for what it is asked to do.
const patience = 5 * time.Second

// ask asks a controller for something. It need not do it.
func (v *villain) ask(ctx context.Context, s step, f func(context.Context, *api.Client) error) {
	x := v.cluster.controllers[s.host-1]
	v.wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := f(ctx, x.admin); err != nil {
			v.say("        %s: %v", x.name, err)
		}
	})
}

func (v *villain) slow(host, writes int) error {
	disk := v.cluster.member(host).disk
	if disk == nil {
		v.say("        the disk is as fast as ever: %v", v.cluster.noSlowDisk)
		return nil
	}
	return disk.limit(writes)
}

// impair makes of the network what the active steps demand.
func (v *villain) impair() error {
	var all []impairment
	for _, s := range v.active {
		for _, p := range s.ports(len(v.cluster.controllers)) {
			i := impairment{port: p, in: s.in, out: s.out}
			switch s.kind {
			case isolate, unplug:
				i.in, i.out = true, true
			case cutOff:
			default:
				i.in, i.out = false, false
				i.setShape(s)
			}
			all = append(all, i)
		}
	}
	return v.cluster.fabric.impair(all)
}

func (i *impairment) setShape(s step) {
	switch s.kind {
	case lose:
		i.loss = s.amount
	case delay:
		late := time.Duration(s.amount) * time.Millisecond
		i.shape = shape{delay: late, jitter: late}
	case throttle:
		i.shape = shape{rate: s.amount << 10}
	}
}

// ports are those a step is about.
func (s step) ports(nodes int) []port {
	switch {
	case s.net != 0:
		return []port{s.port}
	case s.host > nodes:
		return []port{{arbiter, s.host}}
	case s.kind == isolate:
		return []port{{link, s.host}, {arbiter, s.host}}
	}
	return []port{{link, s.host}, {arbiter, s.host}, {clients, s.host}}
}

// mend ends everything that may still go on.
func (v *villain) mend(ctx context.Context) error {
	v.active = nil
	err := v.impair()
	for _, m := range v.cluster.members() {
		m.signal(syscall.SIGCONT, 0)
		if e := v.slow(m.host, 0); e != nil {
			err = e
		}
	}
	return err
}
