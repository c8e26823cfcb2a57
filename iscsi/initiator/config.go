package initiator

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/tandem-san/tandem/iscsi"
)

// Credentials are one side's CHAP name and secret (RFC 7143 §12.1.3).
type Credentials struct {
	Name   string
	Secret iscsi.Secret
}

// Config says how to reach a target and within which limits. Zero values mean
// the defaults stated with each field.
type Config struct {
	// Portal is the target portal, host:port or host; the port defaults to
	// 3260.
	Portal string
	// TargetName and InitiatorName are iSCSI names. TargetName is not used for
	// discovery.
	TargetName    string
	InitiatorName string
	// ISID is this side's part of the session identifier. A second session
	// with the same initiator name, ISID and target portal group ends the
	// first (RFC 7143 §6.3.5). Zero: RandomISID.
	ISID iscsi.ISID
	// CHAP, when set, is how this side authenticates itself. Mutual, when
	// set, demands that the target authenticates itself too.
	CHAP   *Credentials
	Mutual *Credentials
	// HeaderDigest and DataDigest demand CRC32C digests; otherwise none are
	// used.
	HeaderDigest bool
	DataDigest   bool

	// MaxRecvDataSegmentLength is the longest data segment this side takes,
	// in bytes: 512 to 2^24-1, default 256 KiB.
	MaxRecvDataSegmentLength int
	// MaxBurstLength and FirstBurstLength are offered, in bytes: 512 to
	// 2^24-1, default 1 MiB and 256 KiB. FirstBurstLength is no longer than
	// MaxBurstLength.
	MaxBurstLength   int
	FirstBurstLength int
	// NoImmediateData offers ImmediateData=No, InitialR2T offers
	// InitialR2T=Yes.
	NoImmediateData bool
	InitialR2T      bool
	// MaxTasks bounds the tasks under way, queued ones included: 1 to 65536,
	// default 1024.
	MaxTasks int

	// LoginTimeout bounds connecting and logging in; default 10 s.
	LoginTimeout time.Duration
	// PingInterval: after that long without a word from the target a NOP-Out
	// is sent; default 5 s. PingTimeout: after that long without an answer the
	// session is over; default 5 s. Negative: no pings.
	PingInterval time.Duration
	PingTimeout  time.Duration
	// TaskTimeout: a task that takes longer is aborted; 0: never.
	TaskTimeout time.Duration
	// AbortTimeout: a task management function that takes longer ends the
	// session; default 5 s.
	AbortTimeout time.Duration

	// Dial, when set, makes the TCP connection instead of a net.Dialer: through
	// another network namespace, say. It must end when its context does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// OnAsync, when set, is told of asynchronous messages the session has no
	// use for itself. It must not wait for anything.
	OnAsync func(AsyncEvent)
	// Logger, when set, is told how sessions begin and end.
	Logger *slog.Logger
}

// Defaults and bounds of Config.
const (
	defaultSegment      = 256 << 10
	defaultMaxBurst     = 1 << 20
	defaultFirstBurst   = 256 << 10
	defaultMaxTasks     = 1024
	defaultLoginTimeout = 10 * time.Second
	defaultPing         = 5 * time.Second
	minSegment          = 512
)

// RandomISID draws an ISID of the random format (RFC 7143 §11.12.5). To come
// back as the same initiator port, an initiator uses one again.
func RandomISID() (id iscsi.ISID) {
	const formatRandom = 0x80
	_, _ = rand.Read(id[:]) // it does not fail
	id[0] = formatRandom
	return id
}

// withDefaults fills in the defaults and refuses what makes no sense.
func (c Config) withDefaults() (Config, error) {
	setInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	setDuration := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	setInt(&c.MaxRecvDataSegmentLength, defaultSegment)
	setInt(&c.MaxBurstLength, defaultMaxBurst)
	setInt(&c.FirstBurstLength, min(defaultFirstBurst, c.MaxBurstLength))
	setInt(&c.MaxTasks, defaultMaxTasks)
	setDuration(&c.LoginTimeout, defaultLoginTimeout)
	setDuration(&c.PingInterval, defaultPing)
	setDuration(&c.PingTimeout, defaultPing)
	setDuration(&c.AbortTimeout, defaultPing)
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.ISID == (iscsi.ISID{}) {
		c.ISID = RandomISID()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, c.validate()
}

func (c *Config) validate() error {
	lengths := []struct {
		name  string
		value int
	}{
		{"MaxRecvDataSegmentLength", c.MaxRecvDataSegmentLength},
		{"MaxBurstLength", c.MaxBurstLength},
		{"FirstBurstLength", c.FirstBurstLength},
	}
	for _, l := range lengths {
		if l.value < minSegment || l.value > iscsi.MaxDataSegmentLength {
			return fmt.Errorf("initiator: %s %d: want %d to %d", l.name, l.value, minSegment, iscsi.MaxDataSegmentLength)
		}
	}
	if c.FirstBurstLength > c.MaxBurstLength {
		return fmt.Errorf("initiator: FirstBurstLength %d: want no more than MaxBurstLength %d", c.FirstBurstLength, c.MaxBurstLength)
	}
	if c.MaxTasks < 1 || c.MaxTasks > maxTasks {
		return fmt.Errorf("initiator: MaxTasks %d: want 1 to %d", c.MaxTasks, maxTasks)
	}
	if c.Mutual != nil && c.CHAP == nil {
		return fmt.Errorf("initiator: mutual CHAP needs CHAP credentials of this side too")
	}
	if c.Mutual != nil && bytes.Equal(c.Mutual.Secret.Reveal(), c.CHAP.Secret.Reveal()) {
		return fmt.Errorf("initiator: the two secrets of mutual CHAP must differ (RFC 7143 §9.2.1)")
	}
	if _, err := iscsi.CanonicalName(c.InitiatorName); err != nil {
		return fmt.Errorf("initiator: InitiatorName: %w", err)
	}
	return nil
}

// address is the portal with its port.
func (c *Config) address() (string, error) {
	if c.Portal == "" {
		return "", fmt.Errorf("initiator: no portal given: want host:port")
	}
	if _, _, err := net.SplitHostPort(c.Portal); err == nil {
		return c.Portal, nil
	}
	withPort := net.JoinHostPort(c.Portal, strconv.Itoa(iscsi.DefaultPort))
	if _, _, err := net.SplitHostPort(withPort); err != nil {
		return "", fmt.Errorf("initiator: portal %q: want host:port: %w", c.Portal, err)
	}
	return withPort, nil
}
