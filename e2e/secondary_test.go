package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/scsi"
)

var (
	costRounds = flag.Int("cost-rounds", 1, "how many times primary and secondary are measured one after the other")
	costTime   = flag.Duration("cost-time", 100*time.Millisecond, "how long each of these takes")
)

// costLoad is what is measured: commands of one size, so many at a time.
type costLoad struct {
	name   string
	write  bool
	random bool
	size   int // bytes
	depth  int
}

var costLoads = []costLoad{
	{"4 KiB random read, 1 at a time", false, true, 4 << 10, 1},
	{"4 KiB random write, 1 at a time", true, true, 4 << 10, 1},
	{"4 KiB random read, 32 at a time", false, true, 4 << 10, 32},
	{"4 KiB random write, 32 at a time", true, true, 4 << 10, 32},
	{"64 KiB sequential read, 8 at a time", false, false, 64 << 10, 8},
	{"64 KiB sequential write, 8 at a time", true, false, 64 << 10, 8},
	{"256 KiB sequential read, 8 at a time", false, false, 256 << 10, 8},
	{"256 KiB sequential write, 8 at a time", true, false, 256 << 10, 8},
}

// TestASecondaryServesTheSameLoadsAsThePrimary prints what each path does, and
// the median of the ratio of their latencies in the same round. How long that
// takes is for flags: scripts/measure-secondary.
func TestASecondaryServesTheSameLoadsAsThePrimary(t *testing.T) {
	for _, mode := range []string{"active-active-forward", "active-active"} {
		t.Run(mode, func(t *testing.T) {
			p := startPair(t, "--mode", mode)
			primary, secondary := p.session(t, p.a), p.session(t, p.b)
			fill(t, primary)
			t.Logf("%-38s%12s%10s%12s%10s%8s", "load", "primary/s", "ms", "secondary/s", "ms", "ratio")
			for _, l := range costLoads {
				var first, second, ratios []float64
				for round := range *costRounds {
					a, b := 0.0, 0.0
					if round%2 == 0 {
						a, b = l.rate(t, primary), l.rate(t, secondary)
					} else {
						b, a = l.rate(t, secondary), l.rate(t, primary)
					}
					first, second, ratios = append(first, a), append(second, b), append(ratios, a/b)
				}
				a, b := middle(first), middle(second)
				ms := float64(l.depth) * 1000
				t.Logf("%-38s%12.0f%10.3f%12.0f%10.3f%8.2f", l.name, a, ms/a, b, ms/b, middle(ratios))
			}
			busy, _ := os.ReadFile("/proc/loadavg")
			t.Logf("%d rounds of %v; load average %s", *costRounds, *costTime, strings.Join(strings.Fields(string(busy))[:1], ""))
		})
	}
}

// middle is the median, the upper one of two.
func middle(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// session logs in to a controller.
func (p *pair) session(t *testing.T, c *controller) *initiator.LogicalUnit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cfg := p.path(c)
	cfg.InitiatorName += "-cost"
	s, err := initiator.Dial(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.LogicalUnit(0)
}

// fill writes everything once: what a file does not have costs nothing to read.
func fill(t *testing.T, unit *initiator.LogicalUnit) {
	t.Helper()
	l := costLoad{write: true, size: 1 << 20}
	for slot := range int64(lunSize / l.size) {
		if err := l.one(t.Context(), unit, make([]byte, l.size), slot); err != nil {
			t.Fatal(err)
		}
	}
}

// rate keeps a logical unit busy and answers how many commands a second it
// carried out.
func (l costLoad) rate(t *testing.T, unit *initiator.LogicalUnit) float64 {
	t.Helper()
	var done, next atomic.Int64
	var workers sync.WaitGroup
	var failed atomic.Pointer[error]
	began := time.Now()
	end := began.Add(*costTime)
	for range l.depth {
		workers.Go(func() {
			data := make([]byte, l.size)
			for time.Now().Before(end) && failed.Load() == nil {
				slot := next.Add(1)
				if l.random {
					slot = rand.Int64()
				}
				if err := l.one(t.Context(), unit, data, slot%int64(lunSize/l.size)); err != nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	workers.Wait()
	if err := failed.Load(); err != nil {
		t.Fatalf("%s: %v", l.name, *err)
	}
	return float64(done.Load()) / time.Since(began).Seconds()
}

// one carries out one command, once more after a UNIT ATTENTION.
func (l costLoad) one(ctx context.Context, unit *initiator.LogicalUnit, data []byte, slot int64) error {
	const block = 512
	lba, blocks := uint64(slot)*uint64(l.size/block), uint32(l.size/block)
	for {
		do := unit.Read
		if l.write {
			do = unit.Write
		}
		err := do(ctx, lba, blocks, data)
		if s := (scsi.Sense{}); errors.As(err, &s) && s.Key == scsi.UnitAttention {
			continue
		}
		if err != nil {
			return fmt.Errorf("block %d: %w", lba, err)
		}
		return nil
	}
}
