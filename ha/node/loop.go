package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// post hands events to the loop, which takes them in one step. It waits only for
// the loop, which waits for nobody.
func (n *Node) post(events ...ha.Event) {
	select {
	case n.events <- events:
	case <-n.done:
	}
}

// ask runs f in the loop, where the core may be looked at.
func (n *Node) ask(f func()) error { return n.inLoop(func(context.Context) { f() }) }

// inLoop runs f in the loop, where the core may be fed.
func (n *Node) inLoop(f func(context.Context)) error {
	ran := make(chan struct{})
	select {
	case n.asks <- func(ctx context.Context) { f(ctx); close(ran) }:
		<-ran
		return nil
	case <-n.done:
		return errStopped
	}
}

// loop owns the core.
func (n *Node) loop(ctx context.Context) {
	defer close(n.done)
	every := n.cfg.Heartbeat / 10
	if every == 0 {
		every = ha.DefaultHeartbeat / 10
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case events := <-n.events:
			n.step(ctx, n.gather(events)...)
		case f := <-n.asks:
			f(ctx)
		case <-tick.C:
			n.step(ctx, ha.Tick{})
			n.keepVigil(ctx)
			n.noticeSilence(every)
			if n.awake.calm() {
				for _, u := range n.units {
					u.sweep()
					n.answerHopeless(u)
				}
			}
		}
	}
}

// gather returns the events and what else waits, which is much when something
// happens to many logical units.
func (n *Node) gather(events []ha.Event) []ha.Event {
	events = slices.Clip(events)
	for range len(n.events) {
		events = append(events, <-n.events...)
	}
	return events
}

// step feeds events to the core and carries out what it decides.
func (n *Node) step(ctx context.Context, events ...ha.Event) {
	for _, e := range events {
		if r, ok := e.(ha.Received); ok {
			n.noteOldEpochs(r)
		}
	}
	actions := n.core.Step(n.clock.now(), events...)
	n.say(actions)
	var t together
	for _, a := range actions {
		n.carryOut(ctx, a, &t)
	}
	n.carryOutTogether(ctx, &t)
	if drained := n.core.Drained(n.cfg.Self); drained != n.rests {
		n.rests = drained
		n.log.Warn("maintenance", "drained", drained)
	}
}

// together is what a step decided that is done for many logical units at once.
type together struct {
	fences map[fenceRun][]ha.Fence
	closed []string // logical units whose sessions are to be closed
}

func (n *Node) carryOutTogether(ctx context.Context, t *together) {
	for _, fences := range t.fences {
		n.works.Go(func() { n.fence(ctx, fences) })
	}
	if len(t.closed) > 0 {
		n.works.Go(func() { n.disconnect(ctx, t.closed...) })
	}
}

// carryOut does what the core decided, or keeps it for carryOutTogether. Nothing
// here waits.
func (n *Node) carryOut(ctx context.Context, a ha.Action, t *together) {
	switch a := a.(type) {
	case ha.Send:
		n.sendCore(a)
	case ha.AskChange:
		n.askChange(ctx, a)
	case ha.Settle:
		n.works.Go(func() { n.settle(ctx) })
	case ha.Hold:
		n.holder.ask(a)
	case ha.Fence:
		n.named[a.LUN].admission.forbid(a.Epoch)
		run := n.fenceRun(a)
		if t.fences == nil {
			t.fences = map[fenceRun][]ha.Fence{}
		}
		t.fences[run] = append(t.fences[run], a)
	case ha.Lapse:
		u := n.named[a.LUN]
		u.admission.forbid(a.Epoch)
		n.works.Go(func() { n.lapse(ctx, u, a) })
	case ha.Drain:
		n.named[a.LUN].drain(a)
	case ha.Right:
		u := n.named[a.LUN]
		u.right.set(a.Until)
	case ha.Route:
		u := n.named[a.LUN]
		u.learn(n.core.Grant(a.LUN))
		u.admission.routed(n.core.Grant(a.LUN), a)
		u.route(a)
	case ha.Disconnect:
		t.closed = append(t.closed, a.LUN)
	case ha.Note:
		if a.Alarm {
			n.notes.keep(a.LUN, a.Text, a.Refused)
		}
	default:
		panic(fmt.Sprintf("ha/node: unknown action %T", a))
	}
}
