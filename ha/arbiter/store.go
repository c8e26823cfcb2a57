// Package arbiter keeps the grants: for each logical unit, who may serve it.
// It is the one place where the cluster agrees, so everything it answers is
// linearizable.
//
// Store is asked only when membership changes; no I/O and no heartbeat goes
// through it. It never decides who should serve: package ha does.
package arbiter

import (
	"context"
	"errors"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// Store keeps grants and which controllers hold the arbiter's lease. It
// speaks for one controller. All methods may be called from many goroutines.
//
// An error other than ErrInvalid means that nothing is known: a Change may or
// may not have been applied, and may still be. Settle ends that doubt.
type Store interface {
	// Read returns all grants and lease holders as they are now
	// (linearizable).
	Read(ctx context.Context) (State, error)
	// Change applies each change whose conditions hold, many in one
	// transaction. The answer has an entry per change, in order: the grant
	// after the attempt, equal to Change.To when it was applied.
	Change(ctx context.Context, changes []Change) ([]ha.Grant, error)
	// Settle makes sure that no earlier Change of this Store or of an earlier
	// process of its controller, whose answer was lost, can be applied any
	// more, and then reads. A controller that just started begins with it.
	Settle(ctx context.Context) (State, error)
	// Hold takes or renews the lease that says this controller is alive, and
	// returns until when, on this machine's monotonic clock, everybody else
	// is sure to see it held: counted from before the request was sent and
	// shortened for clocks that run at different rates. When the answer comes
	// after the until of the call before, the lease may have lapsed meanwhile
	// and somebody may have acted on that: Read before relying on it.
	Hold(ctx context.Context) (until time.Time, err error)
	// Drop gives the lease up at once.
	Drop(ctx context.Context) error
	// RaiseFloor makes every state of a logical unit before a stamp out of
	// date: from its return on every Read and Settle shows that floor, or a
	// higher one. The primary asks for it before it acknowledges what a
	// controller that might serve later does not know.
	RaiseFloor(ctx context.Context, lun string, at ha.Stamp) error
	// Watch sends the State after each change until ctx ends, the present one
	// first; then the channel is closed. States may be skipped, never
	// reordered. It is a hint: who acts on it uses Change, which checks again.
	Watch(ctx context.Context) <-chan State
	// Close releases the store. Leases run out by themselves.
	Close() error
}

// State is what the arbiter knows at one revision.
type State = ha.State

// Change moves one grant by compare-and-set.
type Change = ha.Change

// ErrInvalid: the request itself is wrong and was not sent.
var ErrInvalid = errors.New("invalid arbiter request")
