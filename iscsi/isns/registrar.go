package isns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Config says with which servers a Registrar registers, and how.
type Config struct {
	Servers []netip.AddrPort
	// Period is how long a server may keep the registration without a word
	// from here; it hears one each third of it. At least 1 s.
	Period time.Duration
	// Timeout bounds one exchange with a server, connecting included; more
	// than 0.
	Timeout time.Duration
	// Logger is told of what succeeds and what fails; nil: nobody.
	Logger *slog.Logger
}

// Registrar keeps an entity registered. Its methods are safe for concurrent
// use.
type Registrar struct {
	servers []*server
	stop    context.CancelFunc
	running sync.WaitGroup
}

// server is one server and what is known to be registered there.
type server struct {
	Config
	address netip.AddrPort
	log     *slog.Logger
	changed chan struct{} // holds one: wanted is another

	mu     sync.Mutex
	wanted *Entity

	// Of the goroutine that runs it:
	registered  *Entity // nil: nothing
	transaction uint16
	failing     error         // of the last exchange, so that it is told once
	period      time.Duration // as the server shortened it
}

// shortestRetry is the pause after the first failure; it doubles up to a third
// of the period.
const shortestRetry = time.Second

// farewell bounds taking everything off a server at the end, whatever the timeout:
// the process is to end soon, and a registration ends by itself after the period.
const farewell = 2 * time.Second

// Start begins to keep e registered with the servers of c, of which there may
// be none. Stop must be called.
func Start(c Config, e Entity) *Registrar {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Registrar{stop: stop}
	for _, a := range c.Servers {
		s := &server{Config: c, address: a, log: c.Logger.With("isns-server", a.String()), changed: make(chan struct{}, 1), wanted: &e, period: c.Period}
		r.servers = append(r.servers, s)
		r.running.Go(func() { s.run(ctx) })
	}
	return r
}

// Update makes e what is to be registered from now on.
func (r *Registrar) Update(e Entity) {
	for _, s := range r.servers {
		s.mu.Lock()
		s.wanted = &e
		s.mu.Unlock()
		select {
		case s.changed <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// Stop takes what was registered off the servers and returns when that is done
// or has failed, which takes no longer than farewell.
func (r *Registrar) Stop() {
	r.stop()
	r.running.Wait()
}

// run keeps the entity registered until ctx ends.
func (s *server) run(ctx context.Context) {
	retry := shortestRetry
	for ctx.Err() == nil {
		err := s.refresh(ctx)
		if ctx.Err() != nil {
			break
		}
		s.report(err)
		pause := s.period / 3
		if err != nil {
			pause = min(retry, pause)
			retry = min(2*retry, s.period/3)
		} else {
			retry = shortestRetry
		}
		select {
		case <-ctx.Done():
		case <-s.changed:
		case <-time.After(pause):
		}
	}
	if s.registered == nil {
		return
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), farewell, errors.New("the iSNS server does not answer in time"))
	defer cancel()
	if err := s.exchange(ctx, s.registered.deregistration()); err != nil {
		s.log.Warn("cannot deregister from the iSNS server", "error", err)
		return
	}
	s.log.Info("deregistered from the iSNS server")
}

// report logs a failure when it is another one than before, and its end.
func (s *server) report(err error) {
	switch {
	case err != nil && (s.failing == nil || s.failing.Error() != err.Error()):
		s.log.Warn("cannot register with the iSNS server; trying again", "error", err)
	case err == nil && s.failing != nil:
		s.log.Info("the iSNS server can be reached again")
	}
	s.failing = err
}

// refresh makes the server know what is wanted, and asks whether it still does.
func (s *server) refresh(ctx context.Context) error {
	s.mu.Lock()
	wanted := s.wanted
	s.mu.Unlock()
	switch was := s.registered; {
	case was == wanted:
		known, err := s.known(ctx, wanted)
		if err != nil || known {
			return err
		}
		s.log.Warn("the iSNS server has forgotten the registration")
	case was != nil:
		if err := s.takeOff(ctx, was, wanted); err != nil {
			return err
		}
	}
	if len(wanted.Nodes) == 0 {
		s.registered = wanted
		return nil
	}
	// Who shares an entity must not replace what others have of it.
	replace := s.registered == nil && !wanted.Shared
	requests := wanted.registration(s.Period, replace)
	answers, err := s.ask(ctx, requests...)
	if len(answers) > 0 && answers[0].Status == Successful {
		// There may be something to take off again, whatever comes of the rest.
		s.registered = &Entity{ID: wanted.ID, Shared: wanted.Shared, Nodes: wanted.Nodes}
	}
	if err := outcome(requests, answers, err); err != nil {
		return err
	}
	s.registered = wanted
	s.period = granted(s.Period, answers)
	s.log.Info("registered with the iSNS server", "entity", wanted.ID, "targets", len(wanted.Nodes), "portals", len(wanted.portals()))
	return nil
}

// granted is the registration period that counts: a server may shorten what it
// is asked for (§5.6.5.1), but not below a second.
func granted(period time.Duration, answers []*Message) time.Duration {
	for _, a := range answers {
		if v, ok := a.find(TagRegistrationPeriod); ok && len(v) == 4 {
			if n := time.Duration(binary.BigEndian.Uint32(v)) * time.Second; n > 0 {
				period = min(period, n)
			}
		}
	}
	return period
}

// takeOff takes off what was registered and is no longer wanted.
func (s *server) takeOff(ctx context.Context, was, wanted *Entity) error {
	if len(was.Nodes) == 0 {
		return nil
	}
	if len(wanted.Nodes) == 0 {
		return s.exchange(ctx, was.deregistration())
	}
	portals, names := difference(was, wanted)
	if len(portals)+len(names) == 0 {
		return nil
	}
	return s.exchange(ctx, was.without(portals, names, false))
}

// known asks whether the server still has e.
func (s *server) known(ctx context.Context, e *Entity) (bool, error) {
	if len(e.Nodes) == 0 {
		return true, nil
	}
	answers, err := s.ask(ctx, e.query())
	if err != nil {
		return false, err
	}
	a := answers[0]
	if a.Status == NoSuchEntry {
		return false, nil
	}
	if a.Status != Successful {
		return false, &StatusError{DevAttrQry, a.Status}
	}
	return e.foundIn(a), nil
}

// portals are the pairs of portal attributes in an answer.
func (m *Message) portals() (all []netip.AddrPort) {
	var last netip.Addr
	for _, a := range m.Attributes {
		switch {
		case a.Tag == TagPortalAddress && len(a.Value) == 16:
			last = netip.AddrFrom16([16]byte(a.Value)).Unmap()
		case a.Tag == TagPortalPort && len(a.Value) == 4:
			all = append(all, netip.AddrPortFrom(last, uint16(a.Value[2])<<8|uint16(a.Value[3])))
		}
	}
	return all
}

// names are the iSCSI names in an answer.
func (m *Message) names() (all []string) {
	for _, a := range m.Attributes {
		if a.Tag == TagISCSIName {
			name, _, _ := bytes.Cut(a.Value, []byte{0})
			all = append(all, string(name))
		}
	}
	return all
}

// StatusError tells that a server refused a request.
type StatusError struct {
	Function Function
	Status   Status
}

// Error names the request and the error code.
func (e *StatusError) Error() string {
	return fmt.Sprintf("the iSNS server answers %v with %q", e.Function, e.Status)
}

// exchange sends requests that must succeed.
func (s *server) exchange(ctx context.Context, requests ...*Message) error {
	answers, err := s.ask(ctx, requests...)
	return outcome(requests, answers, err)
}

// outcome is the error of requests that must succeed.
func outcome(requests, answers []*Message, err error) error {
	for i, a := range answers {
		if a.Status != Successful {
			return &StatusError{requests[i].Function, a.Status}
		}
	}
	return err
}

// ask sends requests over one connection, each when the one before has been
// answered, and returns the answers there were.
func (s *server) ask(ctx context.Context, requests ...*Message) (answers []*Message, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, errors.New("the iSNS server does not answer in time"))
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	// The end of ctx makes every read and write fail at once.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	for _, q := range requests {
		s.transaction++
		q.Transaction = s.transaction
		if _, err = conn.Write(q.Append(nil)); err != nil {
			break
		}
		var a *Message
		if a, err = ReadMessage(conn); err != nil {
			break
		}
		if a.Function != q.Function|answer || a.Transaction != q.Transaction {
			return answers, fmt.Errorf("%w: %v of transaction %d answers %v of %d", ErrMessage, a.Function, a.Transaction, q.Function, q.Transaction)
		}
		if answers = append(answers, a); a.Status != Successful {
			break
		}
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return answers, err
}
