package multipath

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
)

// Policy says which of the usable paths commands go to.
type Policy int

const (
	// PreferOptimized uses active/non-optimized paths only while no path is
	// active/optimized.
	PreferOptimized Policy = iota
	// Spread uses all active paths alike.
	Spread
)

// Config says which paths lead to the logical unit. Zero values mean the
// defaults stated with each field.
type Config struct {
	// Paths has a session configuration for each path, 1 to MaxPaths. An ISID
	// left zero is drawn once and kept over reconnections. Ping, task and
	// abort times are derived from PathTimeout.
	Paths  []initiator.Config
	LUN    iscsi.LUN
	Policy Policy
	// PathTimeout: a path that is silent for that long is lost; default 1 s.
	// It is longer than the lease of a cluster behind it: a controller that
	// stood still for less has every right to go on with what it was sent.
	PathTimeout time.Duration
	// TaskTimeout: a command that takes that long on a path that is alive is
	// aborted and sent again; default 5 s.
	TaskTimeout time.Duration
	// QueueTimeout: a command that could not be carried out for that long
	// fails; default 30 s.
	QueueTimeout time.Duration
	// ReconnectInterval is how long a lost path rests before it is connected
	// again; default 100 ms.
	ReconnectInterval time.Duration
	// RefreshInterval is how often access states are read again while all is
	// well; default 1 s.
	RefreshInterval time.Duration
	// Logger, when set, is told how paths come and go.
	Logger *slog.Logger
}

// MaxPaths is the most paths a Disk has.
const MaxPaths = 16

// Times that are not configured.
const (
	// unsettledInterval is how often access states are read while no path can
	// be used.
	unsettledInterval = 25 * time.Millisecond
	minBackoff        = 2 * time.Millisecond
	maxBackoff        = 50 * time.Millisecond
	// closeTimeout bounds the logouts of Close.
	closeTimeout = time.Second
)

// maxTransfer is the largest single command in bytes; longer reads and writes
// are several commands.
const maxTransfer = 1 << 20

func (c Config) withDefaults() (Config, error) {
	if len(c.Paths) < 1 || len(c.Paths) > MaxPaths {
		return c, fmt.Errorf("multipath: %d paths: want 1 to %d", len(c.Paths), MaxPaths)
	}
	for _, d := range []struct {
		p *time.Duration
		v time.Duration
	}{
		{&c.PathTimeout, time.Second},
		{&c.TaskTimeout, 5 * time.Second},
		{&c.QueueTimeout, 30 * time.Second},
		{&c.ReconnectInterval, 100 * time.Millisecond},
		{&c.RefreshInterval, time.Second},
	} {
		if *d.p < 0 {
			return c, fmt.Errorf("multipath: negative time %v", *d.p)
		}
		if *d.p == 0 {
			*d.p = d.v
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// session is the configuration of the sessions of path i.
func (c *Config) session(i int) initiator.Config {
	s := c.Paths[i]
	if s.ISID == (iscsi.ISID{}) {
		s.ISID = initiator.RandomISID()
	}
	s.PingInterval = c.PathTimeout / 3
	s.PingTimeout = c.PathTimeout - s.PingInterval
	s.AbortTimeout = c.PathTimeout
	s.LoginTimeout = max(c.PathTimeout, time.Second)
	s.TaskTimeout = c.TaskTimeout
	return s
}
