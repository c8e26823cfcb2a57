// Package manual is what stands in for an arbiter when none is configured: a
// Store that grants this controller whatever it asks for. It arbitrates
// nothing, so nothing may be taken over by itself on its word: an operator has
// to know that the other controller is off, as with CTL.
package manual

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter"
)

// Store implements arbiter.Store in the memory of this process.
type Store struct {
	self  ha.NodeID
	ready time.Time

	mu     sync.Mutex
	state  arbiter.State
	change chan struct{} // closed with the next change
}

var _ arbiter.Store = (*Store)(nil)

// New makes a Store for a controller. For the time of grace it answers no
// Read, so that a primary which is there already can be heard first.
func New(self ha.NodeID, grace time.Duration) *Store {
	return &Store{
		self:  self,
		ready: time.Now().Add(grace),
		state: arbiter.State{Revision: 1, Grants: map[string]ha.Grant{}, Holders: map[ha.NodeID]bool{self: true}},

		change: make(chan struct{}),
	}
}

// Read returns what was granted here, after the grace.
func (s *Store) Read(ctx context.Context) (arbiter.State, error) {
	select {
	case <-ctx.Done():
		return arbiter.State{}, ctx.Err()
	case <-time.After(time.Until(s.ready)):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot(), nil
}

func (s *Store) snapshot() arbiter.State {
	return arbiter.State{Revision: s.state.Revision, Grants: maps.Clone(s.state.Grants), Holders: maps.Clone(s.state.Holders)}
}

// Change applies every change that is newer than what was granted here.
func (s *Store) Change(_ context.Context, changes []arbiter.Change) ([]ha.Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]ha.Grant, len(changes))
	for i, ch := range changes {
		if s.state.Grants[ch.LUN].Epoch <= ch.From {
			s.state.Grants[ch.LUN] = ch.To
		}
		out[i] = s.state.Grants[ch.LUN]
	}
	s.state.Revision++
	close(s.change)
	s.change = make(chan struct{})
	return out, nil
}

// Settle is Read: no answer is ever lost.
func (s *Store) Settle(ctx context.Context) (arbiter.State, error) { return s.Read(ctx) }

// Hold succeeds for ever.
func (s *Store) Hold(context.Context) (time.Time, error) {
	return time.Now().Add(math.MaxInt64 / 4), nil
}

// RaiseFloor does nothing: after a restart nothing would be known of it.
func (s *Store) RaiseFloor(context.Context, string, ha.Stamp) error { return nil }

// Drop does nothing.
func (s *Store) Drop(context.Context) error { return nil }

// Watch sends the state after the grace and after each change.
func (s *Store) Watch(ctx context.Context) <-chan arbiter.State {
	out := make(chan arbiter.State)
	go func() {
		defer close(out)
		if _, err := s.Read(ctx); err != nil {
			return
		}
		for {
			s.mu.Lock()
			state, changed := s.snapshot(), s.change
			s.mu.Unlock()
			select {
			case <-ctx.Done():
				return
			case out <- state:
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}()
	return out
}

// Close does nothing.
func (s *Store) Close() error { return nil }
