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
	weight int // of allWeights
	faults []faultKind
	set    func(p *plan, r *rand.Rand)
}

// allWeights are the weights of the themes, and that of lives without one.
const allWeights = 47

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
	{"home again", 1, []faultKind{faultCutLink, faultIsolate, faultPause, faultFlap}, func(p *plan, _ *rand.Rand) {
		p.mode, p.fence = modeForward, fenceVain
		p.nodes, p.units, p.home = 2, 1, [maxUnits]ha.NodeID{1, 1, 1}
		p.failback, p.sluggish, p.think = 5*ms, 0.3, 5*ms
		p.arbiterSlow, p.arbiterLoses = 0, 0
		p.every, p.spite = 1500*ms, 0
	}},
	{"estranged", 1, []faultKind{faultEstranged, faultAmnesia}, func(p *plan, _ *rand.Rand) {
		p.mode, p.fence = modeForward, fenceVain
		p.nodes, p.units, p.fenceFails, p.fenceSlow = 2, 1, 0, 0
		p.arbiterSlow, p.arbiterLoses, p.lateRequests, p.lateSettles = 0, 0, 0.4, 0.6
		p.lateFrom, p.lateTo = 50*ms, 500*ms
		p.every, p.spite, p.aftershock = 2500*ms, 0.3, 0
	}},
	{"several doubts", 1, []faultKind{faultEarlier, faultInDoubt}, func(p *plan, _ *rand.Rand) {
		p.mode, p.fence = modeForward, fenceVain
		p.nodes, p.units, p.home, p.fenceFails, p.fenceSlow = 2, 2, [maxUnits]ha.NodeID{1, 2, 1}, 0, 0
		p.arbiterSlow, p.arbiterLoses, p.lateRequests, p.datagrams = 0, 0, 0, false
		p.failback, p.active = 300*ms, 40*time.Second
		p.every, p.spite, p.aftershock = 6*time.Second, 0, 0
	}},
	{"each the other", 1, []faultKind{faultCutLink, faultFlap}, func(p *plan, r *rand.Rand) {
		p.mode, p.fence = modeForward, fenceKind(r.IntN(int(fenceRegister)))
		p.nodes, p.units, p.home, p.fenceFails, p.fenceSlow = 2, 2, [maxUnits]ha.NodeID{1, 2, 1}, 0, 0
		p.arbiterSlow, p.arbiterLoses, p.lateRequests = 0, 0, 0.4
		p.lateFrom, p.lateTo, p.failback = 700*ms, 2500*ms, 300*ms
		p.every, p.spite, p.aftershock = 2500*ms, 0, 0
	}},
	{"alone", 1, []faultKind{faultLag, faultCutArbiter}, func(p *plan, _ *rand.Rand) {
		p.mode, p.fence = modeForward, fenceVain
		p.nodes, p.units = 2, 1
		p.arbiterSlow, p.arbiterLoses = 0, 0
		p.every, p.spite, p.aftershock = 6*time.Second, 0, 0
	}},
	{"a lease regained", 1, []faultKind{faultRegain}, func(p *plan, _ *rand.Rand) {
		p.mode, p.fence = modeForward, fenceVain
		p.nodes, p.units, p.registers, p.moves = 2, 1, 0, false
		p.arbiterSlow, p.arbiterLoses, p.lateRequests = 0, 0, 0
		p.every, p.active, p.spite, p.aftershock = 15*time.Second, 40*time.Second, 0, 0
	}},
	{"a lease given up", 1, []faultKind{faultLateDrop}, func(p *plan, _ *rand.Rand) {
		p.mode, p.fence = modeForward, fenceVain
		p.nodes, p.units, p.fenceFails, p.fenceSlow = 2, 1, 0, 0
		p.arbiterSlow, p.arbiterLoses, p.lateRequests = 0, 0, 0
		p.every, p.spite, p.aftershock = 5*time.Second, 0, 0
	}},
	{"a long sleep", 1, []faultKind{faultStupor}, func(p *plan, _ *rand.Rand) {
		p.mode, p.fence = modeForward, fenceVain
		p.nodes, p.units, p.blocks, p.think, p.registers, p.active = 2, 1, maxBlocks, 3*ms, 0, 40*time.Second
		p.linkGivesUp, p.holdTime, p.every, p.spite, p.aftershock = 700*ms, 300*ms, 6*time.Second, 0, 0
	}},
	{"born again", 1, []faultKind{faultReborn, faultStorm}, func(p *plan, _ *rand.Rand) {
		p.mode, p.fence = modeForward, fenceVain
		p.nodes, p.units, p.fenceFails, p.fenceSlow = 2, 1, 0, 0
		p.datagrams, p.loss, p.late = true, 0.03, 0.6
		p.arbiterSlow, p.arbiterLoses = 0, 0
		p.every, p.spite, p.aftershock = 2500*ms, 0, 0
	}},
	{"taken back", 1, []faultKind{faultReclaim}, func(p *plan, _ *rand.Rand) {
		p.mode, p.fence = modeForward, fenceVain
		p.nodes, p.units, p.home = 2, 2, [maxUnits]ha.NodeID{1, 1, 1}
		p.arbiterSlow, p.arbiterLoses, p.failback = 0, 0, 0
		p.every, p.spite, p.aftershock = 2500*ms, 0, 0
	}},
	{"a short sleep", 1, []faultKind{faultDoze}, func(p *plan, _ *rand.Rand) {
		p.mode, p.fence = modeForward, fenceVain
		p.nodes, p.units, p.blocks, p.think, p.registers = 2, 1, 1, 3*ms, 0
		p.arbiterSlow, p.arbiterLoses, p.lateData, p.retransmits = 0, 0, 0.2, 0
		p.linkGivesUp, p.stall = 2500*ms, 4*time.Second
		p.every, p.spite, p.aftershock = 2500*ms, 0, 0
	}},
	{"force", 1, []faultKind{faultRevival}, func(p *plan, _ *rand.Rand) {
		p.mode, p.fence = modeForward, fenceNone
		p.nodes, p.units, p.think, p.startGrace = 2, 1, 3*ms, 600*ms
		p.arbiterSlow, p.arbiterLoses, p.stuckWrites, p.sluggish = 0, 0, 0.1, 0.1
		p.every, p.spite, p.aftershock = 2500*ms, 0, 0
	}},
	{"late hands", 1, []faultKind{faultDrowse, faultCutLink}, func(p *plan, _ *rand.Rand) {
		p.mode, p.fence = modeTickets, fenceNone
		p.nodes, p.units, p.blocks, p.think, p.registers = 2, 1, maxBlocks, 3*ms, 0
		p.sluggish, p.lateData, p.arbiterSlow, p.arbiterLoses, p.datagrams = 0.3, 0.1, 0, 0, false
		p.every, p.spite, p.aftershock = 2500*ms, 0, 0
	}},
	{"slow secondaries", 1, []faultKind{faultCrash, faultPause, faultIsolate, faultCutLink}, func(p *plan, r *rand.Rand) {
		p.mode, p.fence = modeTickets, fenceKind(r.IntN(int(fenceVain)))
		p.nodes, p.units, p.think, p.registers = 2, 1, 3*ms, 0
		p.stuckWrites, p.fenceFails, p.fenceSlow = 0.2, 0, 0
		p.every, p.spite = 2*time.Second, 0
	}},
}

// Themes are the names of the themes.
func Themes() []string {
	var names []string
	for i := range themes {
		names = append(names, themes[i].name)
	}
	return names
}

// drawTheme gives a life the theme that is wanted; when none is, one of all, or
// none.
func (p *plan) drawTheme(r *rand.Rand, wanted string) {
	n, t := r.IntN(allWeights), (*theme)(nil)
	for i := range themes {
		switch n -= themes[i].weight; {
		case wanted == themes[i].name, wanted == "" && n < 0:
			t = &themes[i]
		default:
			continue
		}
		break
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
