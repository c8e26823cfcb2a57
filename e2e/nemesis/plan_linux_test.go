package nemesis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// kind is a way in which things go wrong.
type kind int

const (
	kill      kind = iota // SIGKILL; started again after a while
	killAll               // all controllers at once
	stopShort             // SIGSTOP for less than the lease
	stopLong              // SIGSTOP for longer
	terminate             // SIGTERM; started again after a while
	cutOff                // one network of one host, both ways or one way
	isolate               // the link and the arbiter networks of a controller; clients reach it
	unplug                // all networks of a host
	lose                  // some packets of one network of a host, at random
	delay                 // packets are late, and overtake each other
	throttle              // few bytes a second
	slowDisks             // few writes a second to the disk
	promote               // a controller is asked to take a logical unit
	drain                 // a controller is to serve nothing for a while
	kinds
)

func (k kind) String() string {
	return [...]string{"kill", "kill all", "pause", "long pause", "terminate", "cut", "isolate", "unplug", "loss", "delay", "throttle", "slow disk", "promote", "drain"}[k]
}

// step is one fault.
type step struct {
	kind
	at, length time.Duration
	port       // the host, and the network of those that have one
	in, out    bool
	amount     int // per mille lost, milliseconds late, KB a second, writes a second, or the logical unit
}

func (s step) String() string {
	what := map[kind]string{
		kill: "is killed", killAll: "and all others are killed", stopShort: "stands still", stopLong: "stands still",
		terminate: "is told to end", isolate: "has neither link nor arbiter", unplug: "has no network",
		slowDisks: fmt.Sprintf("writes to its disk %d times a second", s.amount),
		promote:   fmt.Sprintf("is to take LUN %d", s.amount), drain: "is drained",
	}[s.kind]
	who := hostName(s.host)
	switch s.kind {
	case cutOff:
		who, what = s.port.String(), map[bool]string{true: "is cut", false: "is cut one way, " + map[bool]string{true: "towards it", false: "from it"}[s.in]}[s.in && s.out]
	case lose:
		who, what = s.port.String(), fmt.Sprintf("loses %d of 1000 packets", s.amount)
	case delay:
		who, what = s.port.String(), fmt.Sprintf("is %d to %d ms late", s.amount, 2*s.amount)
	case throttle:
		who, what = s.port.String(), fmt.Sprintf("carries %d KB a second", s.amount)
	}
	return fmt.Sprintf("%6.3f s, for %5.3f s: %s %s", s.at.Seconds(), s.length.Seconds(), who, what)
}

// weights say how often each kind is drawn.
var weights = [kinds]int{
	kill: 12, killAll: 2, stopShort: 6, stopLong: 12, terminate: 5, cutOff: 20, isolate: 8, unplug: 8, lose: 8, delay: 6, throttle: 4,
	slowDisks: 8, promote: 5, drain: 3,
}

// lease of the clusters; a SIGSTOP is shorter or longer than that.
const lease = 500 * time.Millisecond

// plan draws the faults of a round, some of which are at the same time. Equal
// arguments give equal plans.
func plan(rnd *rand.Rand, nodes, witnesses int, length time.Duration) (steps []step) {
	total := 0
	for _, w := range weights {
		total += w
	}
	for at := span(rnd, 100, 500); at < length; at += span(rnd, 150, 1300) {
		n, k := rnd.IntN(total), kill
		for ; n >= weights[k]; k++ {
			n -= weights[k]
		}
		s := draw(rnd, k, nodes, witnesses)
		s.at = at
		s.length = min(s.length, length-at)
		steps = append(steps, s)
	}
	return steps
}

func draw(rnd *rand.Rand, k kind, nodes, witnesses int) step {
	controller := 1 + rnd.IntN(nodes)
	anybody := controller
	if rnd.IntN(5) == 0 {
		anybody = witnessHost + rnd.IntN(witnesses)
	}
	s := step{kind: k, port: port{host: controller}}
	switch k {
	case kill, terminate:
		s.host, s.length = anybody, span(rnd, 50, 2500)
	case killAll:
		s.length = span(rnd, 50, 1500)
	case stopShort:
		s.host, s.length = anybody, span(rnd, 20, int(lease.Milliseconds())*8/10)
	case stopLong:
		s.host, s.length = anybody, lease+span(rnd, 20, 2500)
	case isolate:
		s.length = span(rnd, 300, 4000)
	case unplug:
		s.host, s.length = anybody, span(rnd, 300, 4000)
	case cutOff, lose, delay, throttle:
		s.length = span(rnd, 100, 4000)
		s.net = []network{clients, link, arbiter}[rnd.IntN(3)]
		if s.net == arbiter {
			s.host = anybody
		}
		s.in, s.out = [...]bool{true, true, false}[rnd.IntN(3)], true
		if s.in && rnd.IntN(2) == 0 {
			s.out = false
		}
		s.amount = map[kind]int{cutOff: 0, lose: 20 + rnd.IntN(300), delay: 5 + rnd.IntN(120), throttle: 100 + rnd.IntN(1500)}[k]
	case slowDisks:
		s.length, s.amount = span(rnd, 500, 4000), 2+rnd.IntN(40)
	case promote:
		s.amount = rnd.IntN(2)
	case drain:
		s.length = span(rnd, 200, 2000)
	}
	return s
}

// span draws a time from low to high milliseconds.
func span(rnd *rand.Rand, low, high int) time.Duration {
	return time.Duration(low)*time.Millisecond + time.Duration(rnd.Int64N(int64(high-low)*int64(time.Millisecond)))
}

func TestOneSeedGivesOnePlan(t *testing.T) {
	of := func(seed uint64) []step { return plan(rand.New(rand.NewPCG(seed, 0)), 3, 2, 7*time.Second) }
	var drawn [kinds]int
	for seed := range uint64(200) {
		if !slices.Equal(of(seed), of(seed)) {
			t.Fatalf("seed %d gives two plans", seed)
		}
		for _, s := range of(seed) {
			drawn[s.kind]++
			if s.at+s.length > 7*time.Second {
				t.Errorf("seed %d: %v is not over at the end", seed, s)
			}
		}
	}
	for k, n := range drawn {
		if n == 0 {
			t.Errorf("no plan has a %v", kind(k))
		}
	}
}
