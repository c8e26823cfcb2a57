package nemesis

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// fixed are the rounds that are run each time: each mode, and more than two
// controllers. They were chosen for having many kinds of faults between them.
var fixed = []shot{
	{seed: 1, mode: 0, nodes: 2},
	{seed: 2, mode: 1, nodes: 2},
	{seed: 3, mode: 2, nodes: 2},
	{seed: 4, mode: 2, nodes: 3},
}

func TestClientsSeeOneDiskWhateverBreaks(t *testing.T) {
	random := shot{seed: 1 + rand.Uint64N(1<<32), mode: rand.IntN(3), nodes: 2}
	for _, s := range append(slices.Clone(fixed), random) {
		s.length = *faultsFlag
		t.Run(fmt.Sprintf("mode %d with %d controllers", s.mode, s.nodes), s.check)
	}
}

// TestSoak runs rounds until the time is over: make soak DURATION=1h.
func TestSoak(t *testing.T) {
	if *soakFlag == 0 {
		t.Skip("for rounds until the time is over: -soak DURATION")
	}
	first := *seedFlag
	if first == 0 {
		first = 1 + rand.Uint64N(1<<32)
	}
	var sum tally
	began := time.Now()
	for i := uint64(0); time.Since(began) < *soakFlag && t.Context().Err() == nil; i++ {
		s := shot{seed: first + i, mode: int(i % 3), nodes: 2, length: *faultsFlag}
		if i%5 == 4 {
			s.nodes = 3
		}
		o, err := s.run(t.Context())
		if err != nil {
			t.Errorf("%v\nagain with: %s", err, s.replay())
			continue
		}
		sum.add(o)
		fmt.Printf("%8s  %v: %s\n", time.Since(began).Round(time.Second), s, o.tell())
		for _, v := range o.violations {
			t.Errorf("%v: %s", s, v)
			fmt.Printf("          VIOLATION %s\n", v)
		}
		if len(o.violations) > 0 {
			fmt.Printf("          logs: %s\n          again with: %s\n", o.dir, s.replay())
		}
	}
	fmt.Println(sum.tell())
}

// tally sums up rounds.
type tally struct {
	rounds, writes, reads, unanswered, lives, violations int
	faults                                               [kinds]int
	recoveries, longest                                  []time.Duration
}

func (a *tally) add(o outcome) {
	a.rounds++
	a.writes += o.writes
	a.reads += o.reads
	a.unanswered += o.unanswered
	a.lives += o.lives
	a.violations += len(o.violations)
	for k, n := range o.faults {
		a.faults[k] += n
	}
	a.recoveries = append(a.recoveries, o.recovery)
	a.longest = append(a.longest, o.longest)
}

func (a *tally) tell() string {
	total, each := 0, ""
	for k, n := range a.faults {
		total += n
		each += fmt.Sprintf(" %v %d,", kind(k), n)
	}
	median := func(all []time.Duration) (middle, worst float64) {
		if len(all) == 0 {
			return 0, 0
		}
		slices.SortFunc(all, cmp.Compare)
		return all[len(all)/2].Seconds(), all[len(all)-1].Seconds()
	}
	recovery, worstRecovery := median(a.recoveries)
	longest, worstLongest := median(a.longest)
	return fmt.Sprintf("%d rounds, %d writes and %d reads, %d without an answer; %d faults (%s); %d process lives; whole again after %.2f s (median), %.2f s (worst); longest operation %.2f s (median), %.2f s (worst); %d violations",
		a.rounds, a.writes, a.reads, a.unanswered, total, each[1:max(1, len(each)-1)], a.lives, recovery, worstRecovery, longest, worstLongest, a.violations)
}
