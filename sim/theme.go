package sim

import (
	"math/rand/v2"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// theme makes a life one of a kind: some troubles need several things together
// that seldom meet by chance.
type theme struct {
	name   string
	weight int // of 30
	faults []faultKind
	set    func(p *plan, r *rand.Rand)
}

var themes = [...]theme{
	{"doubt", 4, []faultKind{faultRelapse, faultCrash, faultCutArbiter, faultArbiterDown, faultReset, faultPromote, faultDeaf, faultFlap}, func(p *plan, r *rand.Rand) {
		p.mode, p.fence = modeForward, fenceVain
		p.nodes, p.units = 2+r.IntN(2), 1+r.IntN(2)
		p.arbiterSlow, p.arbiterLoses, p.lateRequests = 0.2, 0.15, 0.15
		p.every, p.spite = 1500*ms, 0.1
	}},
	{"commands on their way", 4, []faultKind{faultStalledHandover, faultStalledSleep, faultPingPong, faultComa, faultCutClient, faultPause, faultCutLink}, func(p *plan, r *rand.Rand) {
		p.mode, p.fence = modeForward, fenceKind(r.IntN(int(fenceNone)))
		p.nodes, p.units, p.blocks = 2, 1, 1
		p.think, p.registers = 5*ms, 20
		p.linkGivesUp, p.holdTime = 2500*ms, 400*ms
		p.retransmits, p.every, p.spite = 0.01, 1500*ms, 0
	}},
	{"tickets", 4, []faultKind{faultRelapse, faultReset, faultStorm, faultPause, faultIsolate, faultFlap, faultCutLink, faultLoop}, func(p *plan, r *rand.Rand) {
		p.mode = modeTickets
		if p.fence == fenceVain || r.IntN(2) == 0 {
			p.fence = fenceNone
		}
		p.nodes, p.units = 2+r.IntN(2), 1
		p.think, p.registers = 3*ms, 10
		p.sluggish, p.every = 0.2, 700*ms
		p.operator = 100 * ms
	}},
	{"two of everything", 2, []faultKind{faultIsolate, faultCutLink, faultFlap, faultPower, faultStorm, faultPingPong}, func(p *plan, r *rand.Rand) {
		p.nodes, p.units, p.home = 2, 2, [maxUnits]ha.NodeID{1, 2, 1}
		p.fence = fenceKind(r.IntN(int(fenceRegister)))
		p.mode = modeTickets + mode(r.IntN(2))
		p.failback = 400 * ms
		p.every = 400 * ms
	}},
	{"an operator in a hurry", 1, []faultKind{faultPause, faultIsolate, faultCrash, faultLoop, faultCutLink}, func(p *plan, r *rand.Rand) {
		p.fence, p.mode = fenceNone, modeForward
		p.nodes, p.units = 2, 1
		p.operator, p.think = time.Duration(100+r.IntN(400))*ms, 5*ms
		p.stuckWrites, p.every = 0.05, 500*ms
	}},
	{"late words", 1, []faultKind{faultRelapse, faultStorm, faultOneWay, faultIsolate, faultPromote, faultPause}, func(p *plan, r *rand.Rand) {
		p.datagrams, p.loss, p.late = true, 0.1, 0.5
		p.mode, p.fence = modeForward, fenceVain
		p.nodes, p.units = 2, 1+r.IntN(2)
		p.every, p.spite = 1200*ms, 0.05
	}},
	{"slow disks", 2, []faultKind{faultDisk, faultPromote, faultPingPong, faultIsolate, faultPause, faultShutdown}, func(p *plan, r *rand.Rand) {
		p.stuckWrites, p.slowOpens, p.sluggish = 0.1, 0.3, 0.05
		p.nodes, p.units, p.blocks, p.think = 2, 1, 1, 5*ms
		if p.mode != modeTickets {
			p.fence = fenceRegister + fenceKind(min(1, r.IntN(3)))
		}
		p.every = 400 * ms
	}},
	{"fences that fail", 3, []faultKind{faultComa, faultIsolate, faultPower, faultCrash}, func(p *plan, r *rand.Rand) {
		p.nodes, p.units, p.fenceFails, p.fenceSlow = 3, 1, 0.7, 0.3
		p.fence = fenceKind(r.IntN(int(fenceVain)))
		p.every, p.spite = 1500*ms, 0.05
	}},
	{"handovers that fail", 4, []faultKind{faultVainHandover, faultPromote, faultPingPong, faultCutArbiter, faultCrash, faultMaintenance, faultReset}, func(p *plan, r *rand.Rand) {
		p.mode, p.fence = modeForward, fenceVain
		p.nodes, p.units, p.home = 2+r.IntN(2), 2, [maxUnits]ha.NodeID{1, 1, 1}
		p.every, p.spite, p.moves = 800*ms, 0.05, true
	}},
}

// drawTheme gives a life its theme, or none.
func (p *plan) drawTheme(r *rand.Rand) {
	n, t := r.IntN(30), (*theme)(nil)
	for i := range themes {
		if n -= themes[i].weight; n < 0 {
			t = &themes[i]
			break
		}
	}
	if t == nil {
		return
	}
	p.theme = t.name
	t.set(p, r)
	p.faults = [faultKinds]int{}
	for _, k := range t.faults {
		if r.IntN(3) > 0 {
			p.faults[k] = 1 + r.IntN(3)
		}
	}
	p.faults[t.faults[0]] += 3
}
