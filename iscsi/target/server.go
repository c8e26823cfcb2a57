package target

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/iscsi"
)

// Options are what a Server works with besides its Config.
type Options struct {
	// Pool lends the buffers for data-out. It must be given.
	Pool *block.Pool
	// Logger is told of logins, ends of sessions and refusals; nil: nobody.
	Logger *slog.Logger
	// Limits, where a zero field takes its default.
	Limits Limits
	// Wanted is what the target brings to the negotiation; nil stands for
	// iscsi.FastWanted. MaxConnections and ErrorRecoveryLevel are not looked
	// at: the one is the portal group's, the other 0.
	Wanted *iscsi.Wanted
}

// Server is a target node and its portals. All methods are safe for
// concurrent use.
type Server struct {
	pool   *block.Pool
	log    *slog.Logger
	limits Limits
	wanted iscsi.Wanted
	config atomic.Pointer[snapshot]
	// guesses are the wrong CHAP responses.
	guesses guessing

	// applying is held by Start, Apply and Shutdown, one after the other.
	applying sync.Mutex

	mu          sync.Mutex
	closed      bool
	portals     []*portal
	connections map[*connection]struct{}
	addresses   map[netip.Addr]*usage
	sessions    map[sessionKey]*session
	handles     map[uint16]*session // by TSIH
	lastHandle  uint16
	logins      loginRate

	running sync.WaitGroup // portals, connections and the ticker
	stop    chan struct{}
}

// New makes a Server that serves c once it is started. It checks c and o and
// opens nothing.
func New(c Config, o Options) (*Server, error) {
	limits, err := o.Limits.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.Pool == nil {
		return nil, errors.New("an iSCSI target needs a buffer pool")
	}
	snap, err := compile(c, limits, nil)
	if err != nil {
		return nil, err
	}
	s := &Server{
		pool:        o.Pool,
		log:         o.Logger,
		limits:      limits,
		wanted:      iscsi.FastWanted(),
		connections: map[*connection]struct{}{},
		addresses:   map[netip.Addr]*usage{},
		sessions:    map[sessionKey]*session{},
		handles:     map[uint16]*session{},
		stop:        make(chan struct{}),
	}
	s.guesses.burst = limits.WrongCHAP
	s.guesses.byHost = map[netip.Addr]*list.Element{}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if o.Wanted != nil {
		s.wanted = *o.Wanted
	}
	s.wanted.ErrorRecoveryLevel = 0
	s.config.Store(snap)
	return s, nil
}

// Start opens the portals. When one cannot be opened, none stays open.
func (s *Server) Start() error {
	s.applying.Lock()
	defer s.applying.Unlock()
	portals, err := s.openPortals(s.config.Load(), nil)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		closePortals(portals)
		return errors.New("the iSCSI target was shut down")
	}
	s.portals = portals
	for _, p := range portals {
		s.running.Go(p.serve)
	}
	s.running.Go(s.tick)
	return nil
}

// Apply goes over to another Config. Portals that are new are opened first;
// when that fails, or c is wrong, nothing changes. Sessions go on when their
// portal group still offers their target on the same terms; a LUN map may
// change under them. The others are dropped.
func (s *Server) Apply(c Config) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	old := s.config.Load()
	snap, err := compile(c, s.limits, old)
	if err != nil {
		return err
	}
	s.mu.Lock()
	have := s.portals
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return errors.New("the iSCSI target was shut down")
	}
	opened, err := s.openPortals(snap, have)
	if err != nil {
		return err
	}
	s.config.Store(snap)
	s.mu.Lock()
	kept, gone := splitPortals(have, snap)
	s.portals = append(kept, opened...)
	for _, p := range opened {
		s.running.Go(p.serve)
	}
	for _, p := range kept {
		p.group.Store(snap.groups[p.group.Load().Name])
	}
	s.mu.Unlock()
	closePortals(gone)
	s.applyToSessions(old, snap)
	return nil
}

// Shutdown stops accepting, asks every initiator to log out, waits until they
// have or ctx ends, and closes what is left. When it returns every goroutine
// of the server has ended and every unit has lost its nexuses. A Server cannot
// be started again.
func (s *Server) Shutdown(ctx context.Context) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.running.Wait()
		return nil
	}
	s.closed = true
	close(s.stop)
	portals := s.portals
	sessions := map[*session]bool{}
	for c := range s.connections {
		if c.loggedIn() {
			sessions[c.session] = true
		} else {
			c.close(errShutdown)
		}
	}
	s.mu.Unlock()
	closePortals(portals)

	seconds := uint16(0)
	if deadline, ok := ctx.Deadline(); ok {
		seconds = uint16(min(max(0, time.Until(deadline)/time.Second), 0xffff))
	}
	for ses := range sessions {
		for _, c := range ses.members.all() {
			c.requestLogout(seconds)
		}
	}
	var err error
	for ses := range sessions {
		select {
		case <-ses.done:
		case <-ctx.Done():
			err = ctx.Err()
			ses.drop(errShutdown)
		}
	}
	s.running.Wait()
	if err != nil {
		return fmt.Errorf("iSCSI initiators did not log out in time: %w", err)
	}
	return nil
}
