package ha

import (
	"fmt"
	"time"
)

// Instant is a moment on the controller's own monotonic clock, as the time
// since an origin of the caller's choice. Instants of two controllers are
// never compared.
type Instant = time.Duration

// Config is what one controller knows of its cluster from the start.
type Config struct {
	Self NodeID
	// Boot names this life of the process; it differs from every earlier one.
	Boot uint64
	// Peers are the other controllers.
	Peers []NodeID
	// Heartbeat is how often a primary asks for promises.
	Heartbeat time.Duration
	// Lease is how long a promise lets its receiver serve.
	Lease time.Duration
	// StartGrace is how long a controller that just started leaves a primary
	// it has not heard from the time to appear.
	StartGrace time.Duration
	// Stall is how long a logical unit may be without service before its
	// sessions are closed, so that initiators use another path.
	Stall time.Duration
	// Units are the logical units of the cluster, at most MaxUnits.
	Units []UnitConfig
}

// MaxUnits is how many logical units one cluster can have.
const MaxUnits = 4096

// UnitConfig is what is known of one logical unit.
type UnitConfig struct {
	Name string
	// Home: this controller creates the first grant.
	Home bool
	// Automatic: a candidate takes over by itself; otherwise only when the
	// operator says so.
	Automatic bool
	// SecondaryWrites: candidates write to the disk too, each time as the
	// primary allows (mode 1), so that one that is lost has to be fenced.
	SecondaryWrites bool
	// Failback: at home, after it has been a healthy candidate for so long
	// without a break, this controller asks the primary to hand over. 0: never.
	Failback time.Duration
}

// Defaults for the times of Config.
const (
	DefaultHeartbeat  = 100 * time.Millisecond
	DefaultLease      = 500 * time.Millisecond
	DefaultStartGrace = 3 * time.Second
	DefaultStall      = 5 * time.Second
)

// promiseSpan is how long a promise binds its sender: Lease × 1.1.
func (c *Config) promiseSpan() time.Duration {
	if mutantNoClockMargin {
		return c.Lease
	}
	return c.Lease + c.Lease/10
}

// patience is how long a primary waits for a promise before it asks the
// arbiter to go on without that candidate. It is well inside the lease, so
// that a lost candidate costs no pause.
func (c *Config) patience() time.Duration { return c.Lease * 6 / 10 }

// Validate reports the first value that cannot work.
func (c *Config) Validate() error {
	switch {
	case c.Self < 1 || c.Self > MaxNodes:
		return fmt.Errorf("node id %d: must be 1 to %d", c.Self, MaxNodes)
	case c.Heartbeat <= 0 || c.Lease < 3*c.Heartbeat:
		return fmt.Errorf("lease %v with heartbeat %v: the lease must be at least three heartbeats", c.Lease, c.Heartbeat)
	case c.StartGrace < c.promiseSpan():
		return fmt.Errorf("start grace %v: must be at least the lease %v and a tenth", c.StartGrace, c.Lease)
	case c.Stall <= 0:
		return fmt.Errorf("stall %v: must be positive", c.Stall)
	case len(c.Units) > MaxUnits:
		return fmt.Errorf("%d logical units: at most %d", len(c.Units), MaxUnits)
	}
	seen := map[NodeID]bool{c.Self: true}
	for _, p := range c.Peers {
		if p < 1 || p > MaxNodes || seen[p] {
			return fmt.Errorf("peer id %d: must be 1 to %d, and no id may occur twice", p, MaxNodes)
		}
		seen[p] = true
	}
	names := map[string]bool{}
	for _, u := range c.Units {
		if u.Name == "" || names[u.Name] {
			return fmt.Errorf("logical unit %q: names must be present and different", u.Name)
		}
		names[u.Name] = true
		if u.Failback < 0 {
			return fmt.Errorf("logical unit %q: fail-back after %v: must not be negative", u.Name, u.Failback)
		}
	}
	return nil
}
