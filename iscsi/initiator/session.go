package initiator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/iscsi"
)

// Session is an iSCSI session in the full feature phase. All methods may be
// called from many goroutines.
type Session struct {
	cfg    Config
	params Params
	conn   net.Conn
	in     *iscsi.Reader
	heard  atomic.Bool   // something came from the target since the watch looked
	done   chan struct{} // closed when the session is over and every task has ended

	ending chan struct{} // closed with the first cause
	wake   chan struct{} // something may be there to send
	out    writer        // for the writer's goroutine alone

	mu        sync.Mutex
	err       error // why the session is ending; nil while it is not
	tags      tagTable
	queued    taskList
	sent      taskList // in the order of sending
	bursts    burstQueue
	control   []controlPDU
	functions map[uint32]*function
	lastTag   uint32 // of control PDUs
	cmdSN     uint32 // next to be given
	maxCmdSN  uint32
	expCmdSN  uint32
	expStatSN uint32
	leaving   bool      // no new tasks: the target asked to log out
	leaveBy   time.Time // by then
}

// newSession makes the session of a connection that has logged in.
func newSession(l *login) *Session {
	s := &Session{
		cfg:       l.cfg,
		params:    l.params,
		conn:      l.conn,
		in:        l.in,
		done:      make(chan struct{}),
		ending:    make(chan struct{}),
		wake:      make(chan struct{}, 1),
		tags:      newTagTable(l.cfg.MaxTasks),
		functions: make(map[uint32]*function),
		cmdSN:     l.cmdSN,
		expCmdSN:  l.expCmdSN,
		maxCmdSN:  l.maxCmdSN,
		expStatSN: l.expStatSN,
	}
	go s.run()
	return s
}

// run owns the goroutines of the session.
func (s *Session) run() {
	var wg sync.WaitGroup
	wg.Go(func() { s.end(s.read()) })
	wg.Go(func() { s.end(s.write()) })
	wg.Go(s.watch)
	wg.Wait()
	s.cfg.Logger.Info("iSCSI session is over", "portal", s.cfg.Portal, "target", s.cfg.TargetName, "cause", s.Err())
	s.endAll()
	close(s.done)
}

// end makes the session end for cause, if it is not ending already. The
// connection is reset, not closed: what has not left this machine never will.
func (s *Session) end(cause error) {
	s.mu.Lock()
	if s.err == nil {
		if cause == nil {
			cause = ErrClosed
		}
		s.err = cause
		close(s.ending)
		reset(s.conn)
	}
	s.mu.Unlock()
}

// reset closes a connection and throws away what is waiting to be sent.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// endAll ends every task and function. The reader and the writer are gone, so
// nothing refers to the buffers any more.
func (s *Session) endAll() {
	s.mu.Lock()
	lost := &lostError{s.err}
	var ended []*Task
	for i := range s.tags.slots {
		if t := s.tags.slots[i].task; t != nil {
			t.Err = lost
			if t.aborting != nil {
				t.Err = errors.Join(t.aborting, lost)
			}
			s.forget(t)
			ended = append(ended, t)
		}
	}
	for s.out.deferred.first != nil {
		t := s.out.deferred.first
		s.out.deferred.remove(t)
		ended = append(ended, t)
	}
	functions := s.functions
	s.functions = nil
	s.mu.Unlock()
	for _, t := range ended {
		t.writing = 0 // the writer left with its last write unfinished
		t.finish()
	}
	for _, f := range functions {
		f.end(0, lost)
	}
}

// forget takes the task off every list. The lock is held.
func (s *Session) forget(t *Task) {
	switch t.state {
	case taskQueued:
		s.queued.remove(t)
	case taskSent:
		s.sent.remove(t)
	}
	s.bursts.remove(t)
	s.tags.remove(t)
	t.state = taskIdle
}

// Params are the parameters the login agreed on.
func (s *Session) Params() Params { return s.params }

// Portal is the address of the portal, as it was configured.
func (s *Session) Portal() string { return s.cfg.Portal }

// Done is closed when the session is over and all its tasks have ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Ending is closed when the session can take no more tasks because it is
// ending, before its tasks have ended.
func (s *Session) Ending() <-chan struct{} { return s.ending }

// Err tells why the session ended; nil while it has not.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the session at once, without a word to the target, and waits
// until its tasks have ended. Logout is the polite way.
func (s *Session) Close() error {
	s.end(ErrClosed)
	<-s.done
	return nil
}

// Logout asks the target to close the session (RFC 7143 §11.14) and ends it,
// also when the target does not answer before ctx ends or the session is lost
// meanwhile; that is the error. Tasks under way end with ErrSessionLost.
func (s *Session) Logout(ctx context.Context) error {
	f := newFunction()
	if err := s.addLogout(f); err != nil {
		<-s.done
		return err
	}
	err := f.await(ctx)
	s.end(ErrClosed)
	<-s.done
	if err != nil {
		return fmt.Errorf("log out: %w", err)
	}
	return nil
}

// kick wakes the writer.
func (s *Session) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
