package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tandem-san/tandem/ha"
)

const (
	ms = time.Millisecond
	us = time.Microsecond
)

// Limits of what a plan can have, so that tables are arrays.
const (
	maxUnits   = 3
	maxBlocks  = 4
	maxClients = 4
)

// fenceKind is how a controller is kept from writing to the disk.
type fenceKind uint8

const (
	fenceKill     fenceKind = iota // its process is killed, its writes awaited
	fencePower                     // its machine is switched off
	fenceRegister                  // the disk takes no more writes of it
	fenceVain                      // says that it worked, and did nothing
	fenceNone                      // none: only an operator takes over
	fenceKinds
)

func (k fenceKind) String() string {
	return [...]string{"process", "power", "registration", "vain", "none"}[k]
}

// Times that do not change: those of ha/node, and of etcd's lease.
const (
	heartbeat       = ha.DefaultHeartbeat
	lease           = ha.DefaultLease
	arbiterPatience = time.Second
	arbiterRetry    = 50 * ms
	holdEvery       = 300 * ms
	holdTTL         = 2 * time.Second
	commitPatience  = 5 * time.Second
	commitLook      = 20 * ms
	openRetry       = 200 * ms
	withdrawAfter   = time.Second
	sparePatience   = 250 * ms
	localRest       = 5 * time.Second
	fencePatience   = 3 * time.Second
	// slowestLink is the longest that a retransmission holds a stream up.
	slowestLink = 1200 * ms
	// slowestPath is the longest a packet is on its way between a client and
	// a controller.
	slowestPath = 300 * ms
)

// mode is what a secondary does with commands; the numbers are CTL's.
type mode uint8

const (
	modeStandby mode = iota // nothing
	modeTickets             // moves the data of what the primary admits
	modeForward             // ships them to the primary
)

// plan is what a life is like: drawn once, before it begins.
type plan struct {
	theme                         string
	nodes, units, blocks, clients int

	rates       [ha.MaxNodes + 1]rate
	arbiterRate rate

	fence      fenceKind
	fenceFails float64
	fenceSlow  float64
	mode       mode
	home       [maxUnits]ha.NodeID
	failback   time.Duration
	moves      bool // clients send SET TARGET PORT GROUPS
	// datagrams: what cores say to each other is delayed, lost and doubled,
	// message by message, beyond what TCP does.
	datagrams bool
	maxHeld   int

	tick, startGrace, stall, holdTime, linkGivesUp, patience time.Duration
	latency                                                  time.Duration

	retransmits  float64       // chance that a message in the link meets one
	sluggish     float64       // chance that a goroutine is late
	arbiterSlow  float64       // chance that a request or answer is slow
	arbiterLoses float64       // chance that an answer is lost
	lateRequests float64       // chance that a request is under way for seconds
	lateFrom     time.Duration // at least so long, at most lateTo
	lateTo       time.Duration
	lateSettles  float64 // the same, of one that is to end doubt
	lateData     float64 // chance that a command in the link, or its answer, meets a retransmission
	stuckWrites  float64 // chance that a write of the disk takes long
	slowOpens    float64 // chance that opening the backend does
	registers    int     // percent of the operations about registrations

	faults     [faultKinds]int // weights
	every      time.Duration   // between faults, on the average
	aftershock float64         // chance that another follows at once
	spite      float64         // chance of one when it hurts most
	loss, late float64         // chances of a datagram
	think      time.Duration   // a client does between two commands, at most
	operator   time.Duration   // how long nothing is served before he acts
	active     time.Duration   // how long there are faults
}

// rate is how fast a clock runs, in millionths of true time.
type rate int64

const trueRate rate = 1_000_000

// drift is how far a rate is from the truth at most, so that any two differ by
// just less than a tenth.
const drift = 45_000

func (r rate) local(t time.Duration) time.Duration {
	return t * time.Duration(r) / time.Duration(trueRate)
}

// real is how long a local duration truly lasts, rounded up.
func (r rate) real(d time.Duration) time.Duration {
	return (d*time.Duration(trueRate) + time.Duration(r) - 1) / time.Duration(r)
}

// draw makes the plan of a seed, of a theme when it is not "".
func draw(seed uint64, theme string) plan {
	r := rand.New(rand.NewPCG(seed, 1))
	chance := func(p float64) bool { return r.Float64() < p }
	between := func(a, b time.Duration) time.Duration { return a + time.Duration(r.Int64N(int64(b-a)+1)) }
	oneOf := func(v ...float64) float64 { return v[r.IntN(len(v))] }

	p := plan{
		nodes: 2, units: 1 + r.IntN(2), blocks: 1 + r.IntN(3), clients: 2 + r.IntN(3),
		fence:      fenceKind(r.IntN(int(fenceKinds))),
		fenceFails: oneOf(0, 0, 0.2, 0.6), fenceSlow: oneOf(0, 0.1, 0.5),
		datagrams:  chance(0.5),
		maxHeld:    4096,
		tick:       [...]time.Duration{10 * ms, 20 * ms, 25 * ms}[r.IntN(3)],
		startGrace: between(600*ms, 1500*ms), stall: between(1500*ms, 4*time.Second),
		holdTime: between(300*ms, 1200*ms), linkGivesUp: between(700*ms, 2500*ms),
		latency:     between(50*us, 800*us),
		retransmits: oneOf(0, 0.002, 0.01, 0.03), sluggish: oneOf(0, 0, 0.01, 0.05),
		arbiterSlow: oneOf(0, 0.1, 0.4, 0.4), arbiterLoses: oneOf(0, 0.1, 0.3), stuckWrites: oneOf(0, 0.01, 0.05),
		slowOpens: oneOf(0, 0.02, 0.3), registers: 10 + 15*r.IntN(3),
		every: between(80*ms, 1500*ms), aftershock: oneOf(0, 0.3, 0.6), spite: oneOf(0, 0.01, 0.05, 0.2),
		loss: oneOf(0.03, 0.03, 0.2), late: oneOf(0.1, 0.1, 0.4), operator: between(time.Second, 4*time.Second),
		lateFrom: 500 * ms, lateTo: 2500 * ms,
		active: between(15*time.Second, 40*time.Second), think: []time.Duration{10 * ms, 60 * ms, 60 * ms}[r.IntN(3)],
	}
	switch n := r.IntN(20); {
	case n >= 18:
		p.nodes = 4 + r.IntN(5)
		p.units = 1
	case n >= 12:
		p.nodes = 3
	}
	if chance(0.1) {
		p.maxHeld = 1
	}
	if p.fence == fenceNone && chance(0.3) {
		p.fence = fenceVain
	}
	switch n := r.IntN(20); {
	case n < 2:
		p.mode = modeStandby
	case n < 11:
		p.mode = modeTickets
	default:
		p.mode = modeForward
	}
	if p.mode == modeTickets && p.fence == fenceVain {
		// The blocks of a lost secondary are free when its fence has worked.
		p.fence = fenceKind(r.IntN(int(fenceVain)))
	}
	p.moves = chance(0.4)
	if chance(0.3) {
		p.failback = between(300*ms, 3*time.Second)
	}
	home := r.Perm(p.nodes)
	for i := range p.home {
		p.home[i] = ha.NodeID(1 + home[i%p.nodes])
	}
	p.drawClocks(r)
	p.drawFaults(r)
	p.drawTheme(r, theme)
	// Longer than a command can be under way: on its way here, to the primary and
	// back as slowly as the link bears, held, and once more to the primary.
	p.patience = slowestPath + p.holdTime + 3*(p.linkGivesUp+slowestLink) + 500*ms
	return p
}

// drawClocks gives every machine its clock.
func (p *plan) drawClocks(r *rand.Rand) {
	kind := r.IntN(5)
	one := func() rate {
		switch kind {
		case 0:
			return trueRate
		case 1, 2:
			return trueRate + rate(r.IntN(2*drift+1)-drift)
		}
		return trueRate + rate(drift*(2*r.IntN(2)-1))
	}
	for i := range p.rates {
		p.rates[i] = one()
	}
	p.arbiterRate = one()
}

// recipes are faults that make more trouble together than each alone.
var recipes = [...][]faultKind{
	{faultIsolate, faultCutArbiter, faultArbiterDown},
	{faultFlap, faultReset, faultCutLink, faultCutArbiter},
	{faultPause, faultComa, faultLoop, faultCutClient},
	{faultPromote, faultPingPong, faultStalledHandover, faultStalledSleep, faultStall},
	{faultCrash, faultStorm, faultPower, faultPromote},
	{faultDeaf, faultCutArbiter, faultPromote, faultOneWay, faultArbiterDown},
	{faultMaintenance, faultShutdown, faultReset, faultPause},
	{faultDisk, faultIsolate, faultPingPong, faultPause},
}

// drawFaults decides which faults there are: a few of them, so that each is also
// met alone and in pairs.
func (p *plan) drawFaults(r *rand.Rand) {
	if r.IntN(2) == 0 {
		for _, k := range recipes[r.IntN(len(recipes))] {
			p.faults[k] = 1 + r.IntN(4)
		}
		return
	}
	for range 1 + r.IntN(8) {
		p.faults[r.IntN(int(faultKinds))] = 1 + r.IntN(4)
	}
}

func (p *plan) String() string {
	var f []string
	for k, n := range p.faults {
		if n > 0 {
			f = append(f, fmt.Sprintf("%v:%d", faultKind(k), n))
		}
	}
	what := [...]string{"0, standby", "1, secondaries move data with tickets", "2, commands are forwarded"}[p.mode]
	return fmt.Sprintf("%d controllers in mode %s; %d logical units of %d blocks, at home at %v, fail-back after %v; %d clients, SET TARGET PORT GROUPS %v\n"+
		"fence: %v, fails %.1f, slow %.1f; clocks in millionths of true time: %v, arbiter %v\n"+
		"start grace %v, stall %v, held for %v at most (%d commands), link gives up after %v, clients after %v; network %v, loop every %v\n"+
		"chances: retransmission %v, late goroutine %v, slow arbiter %v, lost answer %v, late request %v, slow write %v, slow opening %v; messages of cores as datagrams %v (lost %v, late %v)\n"+
		"faults every %v for %v, aftershocks %v, at bad moments %v: %s; theme: %s",
		p.nodes, what, p.units, p.blocks, p.home[:p.units], span(p.failback), p.clients, p.moves,
		p.fence, p.fenceFails, p.fenceSlow, p.rates[1:p.nodes+1], p.arbiterRate,
		span(p.startGrace), span(p.stall), span(p.holdTime), p.maxHeld, span(p.linkGivesUp), span(p.patience), p.latency.Round(us), p.tick,
		p.retransmits, p.sluggish, p.arbiterSlow, p.arbiterLoses, p.lateRequests, p.stuckWrites, p.slowOpens, p.datagrams, p.loss, p.late,
		span(p.every), span(p.active), p.aftershock, p.spite, strings.Join(f, " "), cmp.Or(p.theme, "none"))
}
