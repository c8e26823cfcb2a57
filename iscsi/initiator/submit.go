package initiator

import (
	"context"
	"time"
)

// Submit hands the task to the session. It does not wait: t.Done is called
// when the task has ended, perhaps before Submit returns. When Submit returns
// an error the task was not accepted and t.Done is not called: ErrTooManyTasks
// at the limit, ErrSessionLost when the session is over.
func (s *Session) Submit(t *Task) error {
	t.sync = false
	return s.submit(t)
}

// Do hands the task to the session and waits for its end; the error is that of
// t.Error. When ctx ends first the task is aborted, and Do returns once that is
// certain: the error is then that of ctx, unless the task ended by itself
// meanwhile.
func (s *Session) Do(ctx context.Context, t *Task) error {
	if t.wait == nil {
		t.wait = make(chan struct{}, 1)
	}
	t.sync = true
	if err := s.submit(t); err != nil {
		return err
	}
	select {
	case <-t.wait:
	case <-ctx.Done():
		s.abort(t, context.Cause(ctx))
		<-t.wait
	}
	return t.Error()
}

func (s *Session) submit(t *Task) error {
	if err := t.validate(); err != nil {
		return err
	}
	now := time.Now()
	s.mu.Lock()
	switch {
	case s.err != nil:
		err := &lostError{s.err}
		s.mu.Unlock()
		return err
	case s.leaving:
		s.mu.Unlock()
		return &lostError{ErrLogoutRequested}
	}
	t.reset(now)
	if !s.tags.add(t) {
		s.mu.Unlock()
		return ErrTooManyTasks
	}
	t.state = taskQueued
	s.queued.push(t)
	s.mu.Unlock()
	s.kick()
	return nil
}

// abort ends the task for cause: at once when it has not been sent, otherwise
// when the target has confirmed that it is aborted. It does nothing for a task
// that has ended or is being aborted.
func (s *Session) abort(t *Task, cause error) {
	s.mu.Lock()
	if t.state == taskIdle || t.aborting != nil || s.err != nil {
		s.mu.Unlock()
		return
	}
	if t.state == taskQueued {
		t.Err = cause
		s.forget(t)
		s.mu.Unlock()
		t.finish()
		return
	}
	s.addAbort(t, cause)
	s.mu.Unlock()
	s.kick()
}
