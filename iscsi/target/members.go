package target

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// maxConnections is the most connections a session may be allowed.
const maxConnections = 16

var (
	errTooManyConnections = errors.New("the session has all the connections it may have")
	errSessionOver        = errors.New("the session ends")
	errNotReinstated      = errors.New("the connection it reinstates does not end")
	errCommandGap         = errors.New("a command that comes first did not arrive on any connection")
)

// members are the connections of a session, and the order of the commands that
// arrive on them (RFC 7143 §4.2.2.1): each command is handed to its unit before
// the one that follows it by CmdSN, whichever connection that came on. A reader
// whose command is not the next one waits; what it waits for cannot be behind
// itself, since initiators send in order on each connection.
type members struct {
	mu      sync.Mutex
	byCID   map[uint16]*connection // those that leave included, until they have
	active  int                    // those that do not leave
	joining int                    // logins that will become members
	// over: the last one leaves; ending: all are told to. Nobody joins any more.
	over, ending bool
	// departures are those that leave while others stay.
	departures sync.WaitGroup
	past       Counters // of connections that have left

	// turn: the command with CmdSN handed is being handed over.
	turn   bool
	handed uint32
	// skipped are commands ahead of the next one that were aborted before they
	// arrived. There are no more than the command window has.
	skipped map[uint32]struct{}
	// moved is closed and replaced when any of this, or ExpCmdSN, changes.
	moved chan struct{}
}

// start makes c the first member.
func (m *members) start(c *connection) {
	m.byCID = map[uint16]*connection{c.cid: c}
	m.active = 1
	m.skipped = map[uint32]struct{}{}
	m.moved = make(chan struct{})
}

// change wakes everybody who waits; mu is held.
func (m *members) change() {
	close(m.moved)
	m.moved = make(chan struct{})
}

// all are the connections now.
func (m *members) all() (list []*connection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.byCID {
		list = append(list, c)
	}
	return list
}

// refuse lets nobody join any more.
func (m *members) refuse() {
	m.mu.Lock()
	m.ending = true
	m.change()
	m.mu.Unlock()
}

// await waits until holds, which is called with mu held, says so; until closed
// is; or for as long as limit.
func (m *members) await(closed <-chan struct{}, limit time.Duration, holds func() bool) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	for !holds() {
		moved := m.moved
		m.mu.Unlock()
		given := false
		select {
		case <-moved:
		case <-closed:
			given = true
		case <-timer.C:
			given = true
		}
		m.mu.Lock()
		if given {
			return holds()
		}
	}
	return true
}

// several tells whether the session may have more than one connection.
func (s *session) several() bool { return s.params.MaxConnections > 1 }

// drop tells the initiator that the session is dropped and closes all its
// connections.
func (s *session) drop(cause error) {
	s.members.refuse()
	for _, c := range s.members.all() {
		c.drop(cause)
	}
}

// close closes all connections of the session at once, but for one.
func (s *session) close(cause error, except *connection) {
	s.members.refuse()
	for _, c := range s.members.all() {
		if c != except {
			c.close(cause)
		}
	}
}

// join makes c a connection of s. One that has its CID ends first (connection
// reinstatement, §6.3.4), with its tasks.
func (srv *Server) join(ctx context.Context, c *connection, s *session) error {
	m := &s.members
	m.mu.Lock()
	if m.over || m.ending {
		m.mu.Unlock()
		return errSessionOver
	}
	old := m.byCID[c.cid]
	others := m.active + m.joining
	if old != nil && !old.leaving {
		others--
	}
	if others >= int(s.params.MaxConnections) {
		m.mu.Unlock()
		return errTooManyConnections
	}
	m.joining++
	m.mu.Unlock()
	if old != nil {
		old.close(errReinstated)
	}
	err := srv.attach(c, s)
	joined := false
	if err == nil {
		err = errNotReinstated
		m.await(ctx.Done(), srv.limits.LoginTime, func() bool {
			if m.ending {
				err = errSessionOver
				return true
			}
			if m.byCID[c.cid] != nil {
				return false
			}
			m.byCID[c.cid] = c
			m.joining--
			m.active++
			joined = true
			return true
		})
	}
	if joined {
		return nil
	}
	s.giveUpJoining()
	return err
}

// attach gives a connection that has logged in its session.
func (srv *Server) attach(c *connection, s *session) error {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closed {
		return errShutdown
	}
	if !c.counted {
		return errCrowdedOut
	}
	srv.forgetWaiting(c)
	c.session = s
	return nil
}

// giveUpJoining takes back that a connection joins. When all others have left
// meanwhile, the session ends with it.
func (s *session) giveUpJoining() {
	m := &s.members
	m.mu.Lock()
	m.joining--
	last := m.active == 0 && m.joining == 0
	m.over = m.over || last
	m.mu.Unlock()
	if last {
		s.loseNexus()
		s.forget()
	}
}

// leave ends the part of the connection in its session: its tasks when others
// stay, else the session, which it reports. The reader calls it, as the last
// thing it does.
func (c *connection) leave() (last bool) {
	s := c.session
	m := &s.members
	c.end()
	m.mu.Lock()
	c.leaving = true
	m.active--
	last = m.active == 0 && m.joining == 0
	m.over = m.over || last
	if !last {
		m.departures.Add(1)
	}
	m.change()
	m.mu.Unlock()
	if last {
		s.loseNexus()
		c.awaitTasks()
		s.forget()
		return true
	}
	c.abortTasks()
	c.awaitTasks()
	m.mu.Lock()
	delete(m.byCID, c.cid)
	c.mu.Lock()
	m.past.add(c.counters)
	c.mu.Unlock()
	m.change()
	m.mu.Unlock()
	m.departures.Done()
	return false
}

// abortTasks has the units abort all tasks of a connection whose session goes
// on: their allegiance was to it (§4.2.5.2). No reader adds any.
func (c *connection) abortTasks() {
	ctx := c.session.ended
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.tasks {
		if unit := t.unit; unit != nil {
			m := lun.Management{Function: scsi.AbortTask, Nexus: t.Nexus, Tag: t.Tag}
			c.functions.Go(func() { unit.Manage(ctx, m) })
		}
	}
}

// awaitTasks waits until the last task has come back.
func (c *connection) awaitTasks() {
	c.mu.Lock()
	for c.outstanding > 0 {
		c.toReader.Wait()
	}
	c.mu.Unlock()
	c.functions.Wait()
}

// loseNexus tells every unit that the nexus is lost: all its tasks come back.
func (s *session) loseNexus() {
	s.end()
	if s.target == nil {
		return
	}
	for _, u := range s.target.luns.all() {
		u.NexusLost(s.nexus)
	}
}

// forget unregisters a session that has lost its nexus, when all its tasks have
// come back.
func (s *session) forget() {
	s.members.departures.Wait()
	s.server.unregister(s)
}
