package initiator

import (
	"errors"
	"fmt"
	"time"

	"github.com/tandem-san/tandem/iscsi"
)

// How often the watch looks: a quarter of the shortest time it has to keep,
// within these bounds.
const (
	minWatch = 5 * time.Millisecond
	maxWatch = 250 * time.Millisecond
)

// watch is the life of the goroutine that keeps time: it pings a silent
// target, aborts tasks that take too long, and ends the session when the
// target does not answer.
func (s *Session) watch() {
	tick := time.NewTicker(s.watchInterval())
	defer tick.Stop()
	lastHeard := time.Now()
	for {
		select {
		case <-s.ending:
			return
		case now := <-tick.C:
			if s.heard.Swap(false) {
				lastHeard = now
			}
			s.expireQueued(now)
			if err := s.look(now, now.Sub(lastHeard)); err != nil {
				s.end(err)
				return
			}
		}
	}
}

func (s *Session) watchInterval() time.Duration {
	shortest := 4 * maxWatch
	for _, d := range []time.Duration{s.cfg.PingInterval, s.cfg.PingTimeout, s.cfg.TaskTimeout, s.cfg.AbortTimeout} {
		if d > 0 {
			shortest = min(shortest, d)
		}
	}
	return max(shortest/4, minWatch)
}

// look compares the time with everything that has a limit; the error ends the
// session.
func (s *Session) look(now time.Time, silence time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pinging := false
	for _, f := range s.functions {
		age := now.Sub(f.since)
		switch {
		case f.op == iscsi.OpNOPOut:
			pinging = true
			if age >= s.cfg.PingTimeout && silence >= s.cfg.PingTimeout {
				return fmt.Errorf("%w: silent for %v", ErrPingTimeout, silence.Round(time.Millisecond))
			}
		case age < s.cfg.AbortTimeout:
		case f.op == iscsi.OpLogoutRequest:
			return errors.New("the target does not answer a logout request")
		default:
			return fmt.Errorf("%w: no answer to task management for %v", ErrAbortFailed, age.Round(time.Millisecond))
		}
	}
	if s.cfg.PingInterval > 0 && silence >= s.cfg.PingInterval && !pinging {
		s.addPing()
		s.kick()
	}
	if s.cfg.TaskTimeout > 0 {
		// Tasks are in the order of sending, which is that of submission.
		for t := s.sent.first; t != nil && now.Sub(t.since) >= s.cfg.TaskTimeout; t = t.next {
			if t.aborting == nil {
				s.addAbort(t, ErrTaskTimeout)
				s.kick()
			}
		}
	}
	return s.lookLeaving(now)
}

// lookLeaving logs out, as the target asked, once no task is left or the time
// it gave is up. The lock is held.
func (s *Session) lookLeaving(now time.Time) error {
	if !s.leaving || s.leaveBy.IsZero() {
		return nil
	}
	if now.After(s.leaveBy) {
		return ErrLogoutRequested
	}
	if s.tags.used() > 0 {
		return nil
	}
	s.leaveBy = now.Add(s.cfg.AbortTimeout)
	for _, f := range s.functions {
		if f.op == iscsi.OpLogoutRequest {
			return nil
		}
	}
	s.control = append(s.control, s.logoutPDU(&function{}))
	s.kick()
	return nil
}

// expireQueued ends tasks that waited for the command window for too long.
func (s *Session) expireQueued(now time.Time) {
	if s.cfg.TaskTimeout <= 0 {
		return
	}
	for {
		s.mu.Lock()
		t := s.queued.first
		if t == nil || now.Sub(t.since) < s.cfg.TaskTimeout {
			s.mu.Unlock()
			return
		}
		t.Err = ErrTaskTimeout
		s.forget(t)
		s.mu.Unlock()
		t.finish()
	}
}
