package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/tandem-san/tandem/iscsi/initiator/multipath"
)

// liveInterval is how often a line is printed.
const liveInterval = time.Second

// story tells what happens, to somebody who watches. It may be told from many
// goroutines.
type story struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

// say prints a line with the time since the workload began.
func (s *story) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := "      "
	if !s.start.IsZero() {
		at = fmt.Sprintf("%5.1fs", time.Since(s.start).Seconds())
	}
	fmt.Fprintf(s.out, "%s  %s\n", at, fmt.Sprintf(format, args...))
}

// begin sets the clock.
func (s *story) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start = time.Now()
}

// live prints how the paths and controllers are each second until ctx ends.
func (s *story) live(ctx context.Context, c *cluster, d *multipath.Disk) {
	tick := time.NewTicker(liveInterval)
	defer tick.Stop()
	before, since := d.Paths(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		v := c.look(ctx)
		if ctx.Err() != nil {
			return
		}
		now, at := d.Paths(), time.Now()
		var parts []string
		for i := range now {
			parts = append(parts, pathLine(c.controllers[i].id, before[i], now[i], at.Sub(since)))
		}
		s.say("%s | link %s | %s", strings.Join(parts, " | "), linkWord(v), primaryWord(v))
		before, since = now, at
	}
}

// pathLine tells what went over a path in a time.
func pathLine(id int, a, b multipath.PathStats, took time.Duration) string {
	state := "lost"
	if b.Up {
		state = b.State.String()
	}
	ops := b.Reads + b.Writes - a.Reads - a.Writes
	bytes := b.BytesRead + b.BytesWritten - a.BytesRead - a.BytesWritten
	latency := 0.0
	if ops > 0 {
		latency = (b.Latency - a.Latency).Seconds() * 1000 / float64(ops)
	}
	return fmt.Sprintf("%d %-20s %6.0f IOPS %6.1f MB/s %6.2f ms", id, state, float64(ops)/took.Seconds(), float64(bytes)/1e6/took.Seconds(), latency)
}

func linkWord(v view) string {
	if v.linked() {
		return "up  "
	}
	return "down"
}

func primaryWord(v view) string {
	if p := v.primary(); p != 0 {
		return fmt.Sprintf("primary %d", p)
	}
	return "no primary"
}
