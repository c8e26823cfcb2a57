package node

import (
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// clock turns this machine's monotonic clock into the core's instants.
type clock struct{ origin time.Time }

// now is the present instant.
func (c clock) now() ha.Instant { return time.Since(c.origin) }

// at is the instant of a time that bears a monotonic reading.
func (c clock) at(t time.Time) ha.Instant { return t.Sub(c.origin) }

// right is until when a logical unit may be served here. It implements
// lun.Right.
type right struct {
	clock clock
	until atomic.Int64 // an ha.Instant
}

// Valid reports whether the right holds at this instant.
func (r *right) Valid() bool { return int64(r.clock.now()) < r.until.Load() }

// set replaces the instant at which the right ends.
func (r *right) set(until ha.Instant) { r.until.Store(int64(until)) }
