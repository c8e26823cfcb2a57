package target

import (
	"net"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/scsi"
)

// gapTime is how long a session waits for what has to come first on another of
// its connections: a command, or the answer to a ping.
const gapTime = 4 * time.Second

// takeTurn waits until the command of a CmdSN is the next one. It reports false
// for one that is to be ignored. endTurn must follow when it reports true.
func (s *session) takeTurn(c *connection, sn uint32) (bool, error) {
	m := &s.members
	m.mu.Lock()
	expected := s.expCmdSN.Load()
	inWindow := iscsi.InWindow(sn, expected, s.maxCmdSN.Load())
	next := inWindow && sn == expected && !m.turn
	if next {
		s.beginTurn(sn)
	}
	m.mu.Unlock()
	if next || !inWindow {
		return next, nil
	}
	c.setBatching(false)
	came := m.await(c.closed, gapTime, func() bool {
		switch expected := s.expCmdSN.Load(); {
		case iscsi.Before(sn, expected): // aborted, or sent on two connections
			return true
		case sn == expected && !m.turn:
			s.beginTurn(sn)
			next = true
			return true
		}
		return false
	})
	if came {
		return next, nil
	}
	select {
	case <-c.closed:
		return false, net.ErrClosed
	default:
	}
	s.drop(errCommandGap)
	return false, errCommandGap
}

// beginTurn counts the next command and keeps those after it waiting until
// endTurn. It is counted before it can be answered. members.mu is held.
func (s *session) beginTurn(sn uint32) {
	s.members.turn, s.members.handed = true, sn
	s.advance()
}

// endTurn lets the next command in.
func (s *session) endTurn() {
	s.members.mu.Lock()
	s.members.turn = false
	s.members.change()
	s.members.mu.Unlock()
}

// advance goes on to the next command that was not skipped; members.mu is held.
func (s *session) advance() {
	next := s.expCmdSN.Load() + 1
	for {
		if _, skip := s.members.skipped[next]; !skip {
			break
		}
		delete(s.members.skipped, next)
		s.maxCmdSN.Add(1) // nothing else will give its slot back
		next++
	}
	s.expCmdSN.Store(next)
	s.members.change()
}

// skip makes a command that has not arrived count as aborted: it will not be
// carried out when it does (RFC 7143 §11.5.1, "ABORT TASK"). It reports false
// when it has arrived, or was never to.
func (s *session) skip(sn, before uint32) bool {
	m := &s.members
	m.mu.Lock()
	defer m.mu.Unlock()
	expected := s.expCmdSN.Load()
	_, already := m.skipped[sn]
	if already {
		return true
	}
	if !iscsi.InWindow(sn, expected, s.maxCmdSN.Load()) || !iscsi.Before(sn, before) {
		return false
	}
	if sn == expected {
		s.maxCmdSN.Add(1)
		s.advance()
	} else {
		m.skipped[sn] = struct{}{}
	}
	return true
}

// seek finds the connection that has the task a function names. When nobody
// has it because it has not arrived, and it is to be aborted, it is skipped.
func (s *session) seek(c *connection, p *iscsi.TaskRequest) (holder *connection, skipped bool) {
	if s.several() { // it may be about to be handed over
		s.members.await(c.closed, gapTime, func() bool {
			return !s.members.turn || s.members.handed != p.RefCmdSN
		})
	}
	if holder = s.holder(p.ReferencedTaskTag); holder != nil {
		return holder, false
	}
	if p.Function == scsi.AbortTask && s.several() && s.skip(p.RefCmdSN, p.CmdSN) {
		return nil, true
	}
	return s.holder(p.ReferencedTaskTag), false // it may have arrived just now
}

// holder is the connection that has a task.
func (s *session) holder(itt uint32) *connection {
	for _, c := range s.members.all() {
		c.mu.Lock()
		has := c.tasks[itt] != nil
		c.mu.Unlock()
		if has {
			return c
		}
	}
	return nil
}

// settle waits, before a function that concerns many tasks is carried out, for
// the commands that were sent before it on other connections (RFC 7143
// §4.2.3.3).
func (s *session) settle(c *connection, p *iscsi.TaskRequest) {
	if !s.several() {
		return
	}
	m := &s.members
	m.await(c.closed, gapTime, func() bool {
		return !iscsi.Before(s.expCmdSN.Load(), p.CmdSN) && !(m.turn && iscsi.Before(m.handed, p.CmdSN))
	})
}

// drain waits until the initiator has taken what was sent to it on the other
// connections before now: it has when it answers a ping that is sent after it
// (RFC 7143 §4.2.3.3).
func (s *session) drain(c *connection) {
	if !s.several() {
		return
	}
	pinged := map[*connection]uint32{}
	for _, o := range s.members.all() {
		if o != c {
			pinged[o] = o.ping()
		}
	}
	m := &s.members
	m.await(c.closed, gapTime, func() bool {
		for o, n := range pinged {
			if m.byCID[o.cid] == o && iscsi.Before(o.pongs.Load(), n) {
				return false
			}
		}
		return true
	})
}

// pong takes the answer to a ping.
func (c *connection) pong(tag uint32) {
	if tag&pingTag == 0 || !c.session.several() {
		return
	}
	if n := tag &^ pingTag; iscsi.Before(c.pongs.Load(), n) {
		c.pongs.Store(n)
	}
	m := &c.session.members
	m.mu.Lock()
	m.change()
	m.mu.Unlock()
}
