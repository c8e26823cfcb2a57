package link

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/identity"
)

// What Send answers; test with errors.Is.
var (
	// ErrDown: there is no link to the peer now.
	ErrDown = errors.New("the link to the peer is down")
	// ErrQueueFull: the peer takes less than it is sent.
	ErrQueueFull = errors.New("the queue to the peer is full")
)

// Defaults for the queues of Config, in bytes.
const (
	DefaultControlQueue = 8 << 20
	DefaultDataQueue    = 128 << 20
)

// State is the state of the link to a peer, with the numbers CTL gives it.
type State uint8

// States of the link.
const (
	NotConfigured State = 0
	Configured    State = 1 // and not established
	Established   State = 2
)

// Handler is told what arrives. Calls for one peer come in order, PeerUp
// before everything and PeerDown after everything that one pair of streams
// delivered; Control may come at the same time as Place and Data. No call may
// wait for long: it keeps what comes behind it waiting.
type Handler interface {
	// PeerUp: both streams to the peer work. Sending is possible.
	PeerUp(peer ha.NodeID, boot uint64)
	// PeerDown: the streams are gone, for the reason given. No Owner of a
	// frame to this peer is outstanding, and no memory of Place is in use.
	PeerDown(peer ha.NodeID, err error)
	// Control is a message of the control stream. The payload is valid only
	// during the call.
	Control(peer ha.NodeID, payload []byte)
	// Place says where the n bytes of the body of f go, n > 0: memory of
	// exactly n bytes, or nil to have them thrown away. It is followed by Data,
	// or by PeerDown when the body did not arrive whole.
	Place(peer ha.NodeID, f Frame, n int) []byte
	// Data is a frame of the data stream.
	Data(peer ha.NodeID, f Frame)
}

// Config is what a link needs to know. Peers and Configuration must not be
// changed after New.
type Config struct {
	// Cluster and Node are who we are; the certificate must say the same.
	Cluster string
	Node    ha.NodeID
	// Boot names this life of the process; 0 has New draw one.
	Boot uint64
	// Listen is the address to accept peers with higher ids on, host:port.
	Listen string
	// Peers are the other controllers and their addresses, host:port. Only
	// those with lower ids are dialled.
	Peers map[ha.NodeID]string
	// Credentials prove who we are and tell whom to trust.
	Credentials *identity.Credentials
	// Configuration is shown to each peer, at most 4 MiB; Compare judges the
	// peer's, and its error, which should name both values, refuses the peer.
	// A nil Compare takes anything.
	Configuration []byte
	Compare       func(peer ha.NodeID, theirs []byte) error
	// ControlQueue and DataQueue are how many bytes may wait to be sent to
	// one peer; 0 means the default.
	ControlQueue int
	DataQueue    int
	// Log gets a line per event; nil means slog.Default.
	Log *slog.Logger
}

// Link is this controller's end of the links to all its peers.
type Link struct {
	config   Config
	handler  Handler
	log      *slog.Logger
	listener net.Listener // nil when no peer dials
	server   *tls.Config
	client   *tls.Config
	timing   timing
	peers    map[ha.NodeID]*peer
	reports  reports
	greeters greeters
}

// New checks the configuration and opens the listening socket. Run does the
// rest.
func New(c Config, h Handler) (*Link, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	l := &Link{
		handler: h,
		timing:  defaultTiming,
		log:     c.Log.With("node", c.Node),
		server:  c.Credentials.Server(),
		client:  c.Credentials.Client(),
		peers:   make(map[ha.NodeID]*peer),
	}
	// Throughput, not the time to the first byte, is what matters on a link.
	l.server.DynamicRecordSizingDisabled = true
	l.client.DynamicRecordSizingDisabled = true
	for id, address := range c.Peers {
		l.peers[id] = &peer{id: id, address: address}
	}
	l.config = c
	if c.Listen != "" {
		var err error
		if l.listener, err = listen(c.Listen); err != nil {
			return nil, fmt.Errorf("listen for controllers: %w", err)
		}
	}
	return l, nil
}

// validate fills in the defaults and reports the first value that cannot work.
func (c *Config) validate() error {
	switch {
	case c.Node < 1 || c.Node > ha.MaxNodes:
		return fmt.Errorf("node id %d: must be 1 to %d", c.Node, ha.MaxNodes)
	case c.Cluster == "" || len(c.Cluster) > maxCluster:
		return fmt.Errorf("cluster name of %d bytes: must be 1 to %d", len(c.Cluster), maxCluster)
	case len(c.Configuration) > maxConfiguration:
		return fmt.Errorf("configuration of %d bytes: at most %d", len(c.Configuration), maxConfiguration)
	case c.Credentials == nil:
		return errors.New("a link needs credentials")
	}
	self := identity.OfNode(c.Cluster, uint8(c.Node))
	if got := c.Credentials.Identity(); got != self {
		return fmt.Errorf("certificate is of %s, but this controller is %s", got, self)
	}
	for _, id := range slices.Sorted(maps.Keys(c.Peers)) {
		switch {
		case id < 1 || id > ha.MaxNodes:
			return fmt.Errorf("peer id %d: must be 1 to %d", id, ha.MaxNodes)
		case id == c.Node:
			return fmt.Errorf("peer id %d: is our own", id)
		case id < c.Node && c.Peers[id] == "":
			return fmt.Errorf("peer %d: needs an address, because the controller with the higher id dials", id)
		case id > c.Node && c.Listen == "":
			return fmt.Errorf("peer %d: a listen address is needed, because the controller with the higher id dials", id)
		}
	}
	if c.Boot == 0 {
		c.Boot = random()
	}
	if c.ControlQueue == 0 {
		c.ControlQueue = DefaultControlQueue
	}
	if c.DataQueue == 0 {
		c.DataQueue = DefaultDataQueue
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return nil
}

// random is a number that names something for good.
func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:]) | 1
}

// Boot names this life of the process.
func (l *Link) Boot() uint64 { return l.config.Boot }

// Addr is the address peers can dial; nil without Config.Listen.
func (l *Link) Addr() net.Addr {
	if l.listener == nil {
		return nil
	}
	return l.listener.Addr()
}

// Close closes the listening socket of a link whose Run was never called.
func (l *Link) Close() {
	if l.listener != nil {
		l.listener.Close()
	}
}

// Run keeps the links to all peers until ctx ends; it then closes them, waits
// for the last callback and returns nil.
func (l *Link) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, p := range l.peers {
		l.logState(p, NotConfigured, Configured, nil)
		if p.id < l.config.Node {
			wg.Go(func() { l.keepDialling(ctx, p) })
		} else if p.address != "" {
			wg.Go(func() { l.keepProbing(ctx, p) })
		}
	}
	if l.listener != nil {
		stop := context.AfterFunc(ctx, func() { l.listener.Close() })
		defer stop()
		wg.Go(func() { l.acceptLoop(ctx) })
	}
	<-ctx.Done()
	for _, p := range l.peers {
		p.failAll(errShutdown)
	}
	wg.Wait()
	return nil
}

// SendControl queues a message for the peer's control stream. It never waits;
// the payload, at most MaxControl bytes, must not change afterwards.
func (l *Link) SendControl(to ha.NodeID, payload []byte) error {
	f := Frame{Body: payload}
	if err := f.check(MaxControl); err != nil {
		return err
	}
	up := l.up(to)
	if up == nil {
		return ErrDown
	}
	return up.controlQueue.put(&f)
}

// SendData queues a frame for the peer's data stream. It never waits. On an
// error nothing was queued and the Owner stays with the caller.
func (l *Link) SendData(to ha.NodeID, f Frame) error {
	if err := f.check(MaxBody); err != nil {
		return err
	}
	up := l.up(to)
	if up == nil {
		return ErrDown
	}
	return up.dataQueue.put(&f)
}

// up is the pair of streams that works, nil when there is none.
func (l *Link) up(id ha.NodeID) *pair {
	p := l.peers[id]
	if p == nil {
		return nil
	}
	return p.up.Load()
}

// Reset closes the streams to a peer; they are set up again. Nothing happens
// when the peer is not up.
func (l *Link) Reset(id ha.NodeID) {
	if up := l.up(id); up != nil {
		up.fail(errReset)
	}
}

// State tells the state of the link to a peer.
func (l *Link) State(id ha.NodeID) State {
	switch p := l.peers[id]; {
	case p == nil:
		return NotConfigured
	case p.up.Load() == nil:
		return Configured
	default:
		return Established
	}
}

// PeerStatus is what an operator wants to know of a peer.
type PeerStatus struct {
	Node    ha.NodeID
	Address string
	State   State
	Boot    uint64 // of the peer, while established
	// Problem is why the link is not established, as far as known.
	Problem string
}

// Peers tells the status of all peers, by id.
func (l *Link) Peers() []PeerStatus {
	var all []PeerStatus
	for _, id := range slices.Sorted(maps.Keys(l.peers)) {
		p := l.peers[id]
		s := PeerStatus{Node: id, Address: p.address, State: Configured}
		if up := p.up.Load(); up != nil {
			s.State, s.Boot = Established, up.boot
		} else {
			s.Problem = l.reports.last(p.key())
		}
		all = append(all, s)
	}
	return all
}

func (l *Link) logState(p *peer, from, to State, why error) {
	attributes := []any{"peer", p.id, "from", from, "to", to}
	if why != nil {
		attributes = append(attributes, "reason", plain(why))
	}
	l.log.Info(fmt.Sprintf("HA link status changed from %d to %d", from, to), attributes...)
}
