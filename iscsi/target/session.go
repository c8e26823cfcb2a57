package target

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/lun"
)

// sessionKey is what a second session of the same initiator port has in
// common with the first: it reinstates it (RFC 7143 §6.3.5).
type sessionKey struct {
	initiator string
	isid      iscsi.ISID
	target    string
	tag       uint16
}

// session is an I_T nexus, or a discovery session. What is negotiated and
// counted for the session is here, what belongs to a connection there.
type session struct {
	server    *Server
	key       sessionKey
	tsih      uint16
	discovery bool
	alias     string // of the initiator
	group     *PortalGroup
	target    *target // nil for discovery
	port      Port
	nexus     lun.Nexus
	params    iscsi.Parameters
	user      string // CHAP name the initiator authenticated with
	started   time.Time

	// ended tells those who wait for units that the session ends.
	ended context.Context
	end   context.CancelFunc

	// members are its connections; connection is the leading one, which may
	// have left.
	members    members
	connection *connection

	// expCmdSN is moved by the reader, or with members.mu held where there may be
	// several, maxCmdSN by the writer (RFC 7143
	// §4.2.2.1).
	expCmdSN atomic.Uint32
	maxCmdSN atomic.Uint32

	// scanning: the first command was REPORT LUNS.
	scanning atomic.Bool
	// begun: there was a first command.
	begun atomic.Bool

	// lunsChanged: REPORTED LUNS DATA HAS CHANGED is to be told.
	lunsChanged atomic.Bool

	done chan struct{} // closed when the session is torn down
}

// targetName is the name of the target, "" for discovery.
func (s *session) targetName() string {
	if s.target == nil {
		return ""
	}
	return s.target.Name
}

// register enters a session that has logged in, and gives it its TSIH. An old
// session of the same initiator port is ended first, and waited for until ctx
// ends.
func (s *Server) register(ctx context.Context, ses *session) error {
	for {
		old, err := s.tryRegister(ses)
		if err != nil || old == nil {
			return err
		}
		old.close(errReinstated, nil)
		select {
		case <-old.done:
		case <-ctx.Done():
			return fmt.Errorf("the session it reinstates does not end: %w", ctx.Err())
		}
	}
}

// tryRegister enters ses, or returns the session that has to end first.
func (s *Server) tryRegister(ses *session) (old *session, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errShutdown
	}
	if old := s.sessions[ses.key]; old != nil && !ses.discovery {
		return old, nil
	}
	c := ses.connection
	if !c.counted {
		return nil, errCrowdedOut
	}
	for i, limit := range []int{s.limits.SessionsPerPortal, s.limits.SessionsPerAddress} {
		if c.places[i].usage.sessions >= limit {
			return nil, errTooManySessions
		}
	}
	for s.lastHandle++; s.lastHandle == 0 || s.handles[s.lastHandle] != nil; s.lastHandle++ {
		if len(s.handles) == 0xffff {
			return nil, errTooManySessions
		}
	}
	ses.tsih = s.lastHandle
	s.handles[ses.tsih] = ses
	if !ses.discovery {
		s.sessions[ses.key] = ses
	}
	for i := range c.places {
		c.places[i].usage.sessions++
	}
	s.forgetWaiting(c)
	ses.ended, ses.end = context.WithCancel(context.Background())
	ses.members.start(c)
	c.session = ses
	return nil, nil
}

// unregister forgets a session that is torn down.
func (s *Server) unregister(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.handles, ses.tsih)
	if s.sessions[ses.key] == ses {
		delete(s.sessions, ses.key)
	}
	for i := range ses.connection.places {
		ses.connection.places[i].usage.sessions--
	}
	s.forgetAddress(ses.connection)
	close(ses.done)
}

// known finds the session of a TSIH, if it has this key; nil when there is
// none.
func (s *Server) known(tsih uint16, key sessionKey) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ses := s.handles[tsih]; ses != nil && ses.key == key && !ses.discovery {
		return ses
	}
	return nil
}

// live are the sessions at this moment.
func (s *Server) live() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.handles))
	for _, ses := range s.handles {
		all = append(all, ses)
	}
	return all
}

// applyToSessions makes the sessions follow from one snapshot to the next.
func (s *Server) applyToSessions(old, snap *snapshot) {
	sessions := s.live()
	for name, t := range snap.targets {
		before := old.targets[name]
		if before == nil {
			continue
		}
		was := t.luns.all()
		t.luns.set(t.LUNs)
		if maps.Equal(was, t.luns.all()) {
			continue
		}
		for _, ses := range sessions {
			if ses.targetName() == name {
				ses.lunsChange(was, t.luns.all())
			}
		}
	}
	for _, ses := range sessions {
		if !ses.continues(snap) {
			ses.drop(errReconfigured)
		}
	}
}

// lunsChange tells the session that other units are behind its target.
func (s *session) lunsChange(was, is map[uint16]lun.Unit) {
	for n, u := range was {
		if is[n] != u {
			u.NexusLost(s.nexus)
		}
	}
	s.lunsChanged.Store(true)
}

// continues tells whether snap lets the session go on: its portal group is
// there and offers its target on the same terms.
func (s *session) continues(snap *snapshot) bool {
	g := snap.groups[s.group.Name]
	if g == nil || g.Tag != s.group.Tag || g.Foreign || g.Redirect != s.group.Redirect {
		return false
	}
	if s.discovery {
		return reflect.DeepEqual(g.DiscoveryAuth, s.group.DiscoveryAuth)
	}
	t := snap.targets[s.target.Name]
	if t == nil || t.Redirect != s.target.Redirect {
		return false
	}
	p := t.port(g.Name)
	return p != nil && reflect.DeepEqual(*p, s.port)
}

// SessionInfo describes a session at one moment.
type SessionInfo struct {
	Initiator        string
	InitiatorAlias   string
	InitiatorAddress netip.AddrPort
	Portal           netip.AddrPort // the local end
	PortalGroup      string
	PortalGroupTag   uint16
	Target           string // "" for a discovery session
	RelativePort     uint16
	ISID             iscsi.ISID
	TSIH             uint16
	CID              uint16 // of the leading connection, as are the addresses
	User             string // CHAP name; "" without authentication
	Parameters       iscsi.Parameters
	Started          time.Time
	Connections      int
	Outstanding      int // commands
	Counters
}

// Counters count what a session has done since it began.
type Counters struct {
	Commands uint64 // SCSI commands
	DataIn   uint64 // bytes to the initiator
	DataOut  uint64 // bytes from the initiator
}

func (c *Counters) add(more Counters) {
	c.Commands += more.Commands
	c.DataIn += more.DataIn
	c.DataOut += more.DataOut
}

// count sums up what the connections have done and have outstanding.
func (m *members) count() (sum Counters, outstanding, connections int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum = m.past
	for _, c := range m.byCID {
		c.mu.Lock()
		sum.add(c.counters)
		outstanding += c.outstanding
		c.mu.Unlock()
	}
	return sum, outstanding, len(m.byCID)
}

// info describes the session.
func (s *session) info() SessionInfo {
	c := s.connection
	counters, outstanding, connections := s.members.count()
	return SessionInfo{
		Initiator:        s.key.initiator,
		InitiatorAlias:   s.alias,
		InitiatorAddress: c.remote,
		Portal:           c.local,
		PortalGroup:      s.group.Name,
		PortalGroupTag:   s.group.Tag,
		Target:           s.targetName(),
		RelativePort:     s.port.RelativePort,
		ISID:             s.key.isid,
		TSIH:             s.tsih,
		CID:              c.cid,
		User:             s.user,
		Parameters:       s.params,
		Started:          s.started,
		Connections:      connections,
		Outstanding:      outstanding,
		Counters:         counters,
	}
}

// Sessions describes all sessions, in the order of their TSIH.
func (s *Server) Sessions() []SessionInfo {
	var infos []SessionInfo
	for _, ses := range s.live() {
		infos = append(infos, ses.info())
	}
	slices.SortFunc(infos, func(a, b SessionInfo) int { return int(a.TSIH) - int(b.TSIH) })
	return infos
}

// SessionFilter chooses sessions. The zero value chooses all but discovery
// sessions.
type SessionFilter struct {
	Target    string   // "" for any target
	Initiator string   // "" for any initiator
	Unit      lun.Unit // nil for any; else sessions of targets that have this unit
}

func (f SessionFilter) matches(s *session) bool {
	if s.discovery || f.Target != "" && f.Target != s.target.Name || f.Initiator != "" && f.Initiator != s.key.initiator {
		return false
	}
	if f.Unit == nil {
		return true
	}
	for _, u := range s.target.luns.all() {
		if u == f.Unit {
			return true
		}
	}
	return false
}

// CloseSessions tells the initiators chosen that their session is dropped and
// closes it, so that they go on through another path. It returns how many there
// were when all of them are gone, with whatever they had sent, or when ctx ends.
func (s *Server) CloseSessions(ctx context.Context, f SessionFilter) (int, error) {
	var closing []*session
	for _, ses := range s.live() {
		if f.matches(ses) {
			ses.drop(errClosedByOperator)
			closing = append(closing, ses)
		}
	}
	for _, ses := range closing {
		select {
		case <-ses.done:
		case <-ctx.Done():
			return len(closing), fmt.Errorf("closing %d sessions: %w", len(closing), ctx.Err())
		}
	}
	return len(closing), nil
}
