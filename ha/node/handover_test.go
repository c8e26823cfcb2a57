package node

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// underLoad keeps both controllers busy while f runs. No command may fail.
func (p *pair) underLoad(f func(ctx context.Context)) {
	p.t.Helper()
	for id := range p.nodes {
		p.run(id, fmt.Sprint("host", id), read16(0, 1), nil) // clears the unit attention
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for id := range p.nodes {
		load.Go(func() { p.load(id, fmt.Sprint("host", id), stop) })
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	f(ctx)
	close(stop)
	load.Wait()
}

// must fails the test on an error.
func (p *pair) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// primary is who serves, as a controller that is in a healthy pair sees it.
func (p *pair) primary(id ha.NodeID) ha.NodeID { return p.grant(id).Primary }

func TestDrainingControllersUnderLoadFailsNoCommand(t *testing.T) {
	p := newPair(t).unhurried()
	p.startBoth()
	p.underLoad(func(ctx context.Context) {
		for _, step := range []struct{ drained, asked ha.NodeID }{{1, 1}, {2, 2}, {1, 2}, {2, 1}} {
			p.must(p.nodes[step.asked].Drain(ctx, step.drained))
			if got := p.primary(step.asked); got != 3-step.drained {
				t.Errorf("controller %d is drained and controller %d serves", step.drained, got)
			}
			s, err := p.nodes[3-step.drained].Status()
			p.must(err)
			if !s.Drained[step.drained] || s.Drained[3-step.drained] {
				t.Errorf("controller %d is drained, its peer shows %v", step.drained, s.Drained)
			}
			p.must(p.nodes[step.asked].Undrain(ctx, step.drained))
		}
	})
}

func TestADrainedControllerTakesOnlyWhatNobodyElseCanServe(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	p.must(p.nodes[1].Drain(t.Context(), 1))
	if err := p.nodes[1].Promote(t.Context(), unitName, false); err == nil || !strings.Contains(err.Error(), "is drained") {
		t.Errorf("promote at a drained controller: %v", err)
	}
	p.run(1, "host", write16(0, 1), fill(3, 1)) // it still forwards

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := p.nodes[2].Drain(ctx, 2); err == nil || !strings.Contains(err.Error(), unitName) {
		t.Errorf("draining the last controller that can serve: %v", err)
	}
	p.must(p.nodes[2].Undrain(t.Context(), 2))

	p.nodes[2].stop()
	if got := p.run(1, "host", read16(0, 1), nil); string(got) != string(fill(3, 1)) {
		t.Error("acknowledged data is lost")
	}
	p.start(2)
	p.wait("the drained controller to hand over to the one that came back", func() bool { return p.primary(1) == 2 })
	p.run(1, "host", write16(0, 1), fill(4, 1))
}

func TestDrainingAnUnknownControllerIsRefused(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	if err := p.nodes[1].Drain(t.Context(), 5); err == nil {
		t.Error("no error")
	}
	p.nodes[2].stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.nodes[1].Drain(ctx, 2); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("draining a controller that is away: %v", err)
	}
}

func TestLeavingUnderLoadFailsNoCommand(t *testing.T) {
	p := newPair(t).unhurried()
	p.startBoth()
	p.underLoad(func(ctx context.Context) {
		p.must(p.nodes[1].Leave(ctx))
		if got := p.primary(2); got != 2 {
			t.Errorf("controller %d serves", got)
		}
		time.Sleep(100 * time.Millisecond) // what arrives at the leaver now is forwarded
	})
}

func TestFailBackBringsALogicalUnitHome(t *testing.T) {
	p := newPair(t)
	p.failback, p.lease = 2*time.Second, 2*time.Second
	p.startBoth()
	p.nodes[1].stop()
	p.wait("the takeover", func() bool { return p.route(2) == ha.RouteServe })
	back := time.Now()
	p.start(1)
	p.wait("both to be candidates", func() bool { return p.grant(2).Has(1) })
	p.underLoad(func(context.Context) {
		p.wait("the fail-back", func() bool { return p.primary(2) == 1 })
	})
	if held := time.Since(back); held < p.failback {
		t.Errorf("it came home after %v, the hold time is %v", held, p.failback)
	}
}

// setPortGroups makes a controller's ports active/optimized.
func (p *pair) setPortGroups(through, to ha.NodeID, initiator string) *command {
	p.t.Helper()
	list := scsi.AppendSetPortGroups(nil, []scsi.GroupState{{Group: PortGroup(to), State: scsi.ActiveOptimized}})
	for {
		c := p.finish(p.submit(through, initiator, []byte{0xA4, 0x0A, 0, 0, 0, 0, 0, 0, 0, byte(len(list)), 0, 0}, list, true))
		if c.Status != scsi.StatusCheckCondition || c.Sense.Key != scsi.UnitAttention {
			return c
		}
	}
}

func TestSetTargetPortGroupsMovesTheBrainThroughEitherController(t *testing.T) {
	for _, mode := range []Mode{ActiveStandby, ActiveActiveForward} {
		t.Run(fmt.Sprint("mode ", mode), func(t *testing.T) {
			p := newPair(t).unhurried()
			p.mode = mode
			p.startBoth()
			for _, step := range []struct{ through, to ha.NodeID }{{1, 2}, {1, 1}, {2, 2}, {2, 1}, {2, 1}} {
				c := p.setPortGroups(step.through, step.to, "host")
				if c.Status != scsi.StatusGood {
					t.Fatalf("through controller %d, to %d: %v, %v", step.through, step.to, c.Status, c.Sense)
				}
				if got := p.primary(step.to); got != step.to || !p.unit(step.to).lu.Active() {
					t.Fatalf("GOOD, and controller %d serves, not %d", got, step.to)
				}
			}
		})
	}
}

func TestSetTargetPortGroupsUnderLoadFailsNoCommand(t *testing.T) {
	p := newPair(t).unhurried()
	p.startBoth()
	p.underLoad(func(context.Context) {
		for i := range 6 {
			to := ha.NodeID(2 - i%2)
			if c := p.setPortGroups(ha.NodeID(1+i/3), to, "alua"); c.Status != scsi.StatusGood {
				t.Errorf("to controller %d: %v, %v", to, c.Status, c.Sense)
			}
		}
	})
}

func TestSetTargetPortGroupsThatCannotBeEndsSoftlyAndMovesNothing(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	failed := func(why string, c *command) {
		t.Helper()
		if c.Status != scsi.StatusCheckCondition || c.Sense.Key != scsi.AbortedCommand || c.Sense.ASC != scsi.SetTargetPortGroupsCommandFailed {
			t.Errorf("%s: %v, %v", why, c.Status, c.Sense)
		}
		if got := p.primary(1); got != 1 {
			t.Errorf("%s: controller %d serves", why, got)
		}
	}
	p.must(p.nodes[1].Drain(t.Context(), 2))
	failed("to a drained controller", p.setPortGroups(2, 2, "host"))
	p.must(p.nodes[1].Undrain(t.Context(), 2))
	p.nodes[2].stop()
	p.wait("the loss to be seen", func() bool { return p.grant(1).Alone() })
	failed("to one that is away", p.setPortGroups(1, 2, "host"))
}

// A command that does not end holds the handover up, which is given up in the
// end; who asked for it is told.
func TestSetTargetPortGroupsThatIsGivenUpSaysSo(t *testing.T) {
	p := newPair(t).unhurried()
	gate := make(chan struct{})
	var stuck atomic.Bool
	p.disk.before = func() {
		if stuck.CompareAndSwap(true, false) {
			<-gate
		}
	}
	p.startBoth()
	p.run(1, "host", read16(0, 1), nil)
	stuck.Store(true)
	slow := make(chan *command)
	go func() { slow <- p.submit(1, "host", write16(0, 1), fill(1, 1), false) }()
	p.wait("the command to be stuck", func() bool { return !stuck.Load() })
	c := p.setPortGroups(2, 2, "alua")
	close(gate)
	if c.Status != scsi.StatusCheckCondition || c.Sense.ASC != scsi.SetTargetPortGroupsCommandFailed {
		t.Errorf("%v, %v", c.Status, c.Sense)
	}
	if c := p.finish(<-slow); c.Status != scsi.StatusGood {
		t.Errorf("the command that was slow: %v, %v", c.Status, c.Sense)
	}
	p.run(2, "host2", write16(0, 1), fill(2, 1))
}

// The nexuses that remain are told of a takeover, those that the copy of the
// state does not name too, and of no power on.
func TestEveryNexusIsToldOfATakeover(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	p.run(2, "host", read16(0, 1), nil)
	p.run(2, "gone", read16(0, 1), nil)
	p.unit(2).NexusLost(lun.Nexus{InitiatorPort: "gone", TargetPort: port(2)})
	p.nodes[1].stop()
	p.wait("the takeover", func() bool { return p.route(2) == ha.RouteServe })
	for host, want := range map[string]scsi.ASC{"host": scsi.AsymmetricAccessStateChanged, "gone": scsi.PowerOnOccurred} {
		if c := p.finish(p.submit(2, host, read16(0, 1), nil, true)); c.Status != scsi.StatusCheckCondition || c.Sense.ASC != want {
			t.Errorf("%s: %v, %v; want %v", host, c.Status, c.Sense, want)
		}
	}
}

// A reset is told to every nexus though the primary that performed it be lost
// before it could (S5).
func TestAResetIsToldThoughThePrimaryIsLost(t *testing.T) {
	p := newPair(t)
	p.startBoth()
	p.run(2, "host", read16(0, 1), nil)
	reset := lun.Management{Function: scsi.LogicalUnitReset, Nexus: lun.Nexus{InitiatorPort: "other", TargetPort: port(2)}}
	if r := p.unit(2).Manage(t.Context(), reset); r != scsi.FunctionComplete {
		t.Fatalf("LOGICAL UNIT RESET: %v", r)
	}
	p.nodes[1].stop()
	p.wait("the takeover", func() bool { return p.route(2) == ha.RouteServe })
	for _, want := range []scsi.ASC{scsi.BusDeviceResetFunctionOccurred, scsi.AsymmetricAccessStateChanged} {
		if c := p.finish(p.submit(2, "host", read16(0, 1), nil, true)); c.Status != scsi.StatusCheckCondition || c.Sense.ASC != want {
			t.Errorf("%v, %v; want %v", c.Status, c.Sense, want)
		}
	}
}

// After each change the nexuses that remain are told, through whichever
// controller they come (SPC-5 §5.18.2.1), and of nothing else.
func TestEveryNexusIsToldOfEachChange(t *testing.T) {
	p := newPair(t).unhurried()
	p.startBoth()
	for id := ha.NodeID(1); id <= 2; id++ {
		p.run(id, fmt.Sprint("host", id), read16(0, 1), nil)
	}
	told := func(what string, ids ...ha.NodeID) {
		t.Helper()
		for _, id := range ids {
			host := fmt.Sprint("host", id)
			c := p.finish(p.submit(id, host, read16(0, 1), nil, true))
			if c.Status != scsi.StatusCheckCondition || c.Sense.ASC != scsi.AsymmetricAccessStateChanged {
				t.Errorf("%s, through controller %d: %v, %v; want ASYMMETRIC ACCESS STATE CHANGED", what, id, c.Status, c.Sense)
			}
			if c = p.finish(p.submit(id, host, read16(0, 1), nil, true)); c.Status != scsi.StatusGood {
				t.Errorf("%s, through controller %d, second command: %v, %v", what, id, c.Status, c.Sense)
			}
			c.Release()
		}
	}
	p.must(p.nodes[2].Promote(t.Context(), unitName, false))
	p.wait("controller 1 to forward", func() bool { return p.route(1) == ha.RouteForward })
	told("promote", 1, 2)
	p.must(p.nodes[2].Drain(t.Context(), 2))
	p.wait("controller 2 to forward", func() bool { return p.route(2) == ha.RouteForward })
	told("drain", 1, 2)
	p.must(p.nodes[2].Undrain(t.Context(), 2))
	p.nodes[1].stop()
	p.wait("the takeover", func() bool { return p.route(2) == ha.RouteServe })
	told("takeover", 2)
}
