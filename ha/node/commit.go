package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
)

const (
	// commitPatience bounds how long a change of state waits for its copies.
	commitPatience = 5 * time.Second
	// commitLook is how often it is looked whether a peer still has to have
	// the copy.
	commitLook = 20 * time.Millisecond
)

// commit makes a state survive the loss of this controller, and of the power
// of all: it returns nil when it is on stable storage here and at every peer
// that may become primary, and no other may serve without it. On an error the
// state before is the newest one again.
func (n *Node) commit(u *Unit, s lun.State) error {
	ctx, cancel := context.WithTimeout(context.Background(), commitPatience)
	defer cancel()
	at, before, err := u.replica.set(s)
	if err != nil {
		return fmt.Errorf("%w: %w", lun.ErrNotActive, err)
	}
	err = n.copyState(ctx, u, at)
	if err == nil {
		err = n.outdate(ctx, u, at)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errLostRight):
		// A later brain may have taken it over.
		return fmt.Errorf("%w: %w", lun.ErrNotActive, err)
	}
	if _, _, again := u.replica.set(before); again == nil {
		n.save(u)
		n.broadcastState(u, false)
	}
	return err
}

// outdate makes the state of every controller that has not taken this one out
// of date, so that it does not serve with it should it outlive this one.
func (n *Node) outdate(ctx context.Context, u *Unit, at ha.Stamp) error {
	if without, _, _ := u.replica.missing(at, n.peers.ids()); len(without) == 0 {
		return nil
	}
	if err := n.store.RaiseFloor(ctx, u.cfg.Name, at); err != nil {
		return err
	}
	if !u.right.Valid() {
		return errLostRight
	}
	return nil
}

// leave sends the last state of a brain that has stopped to the peers. It does
// not wait: nothing unacknowledged depends on it, and what gives the logical
// unit up is sent after it on the same stream.
func (n *Node) leave(u *Unit, s lun.State) {
	if _, _, err := u.replica.set(s); err == nil {
		n.save(u)
		n.broadcastState(u, false)
	}
}

// copyState waits until the newest state is on stable storage here and at the
// peers that must have it.
func (n *Node) copyState(ctx context.Context, u *Unit, at ha.Stamp) error {
	u.replica.await()
	n.save(u)
	n.broadcastState(u, true)
	var witnesses []ha.NodeID
	for {
		if err := n.ask(func() { witnesses = n.core.Witnesses(u.cfg.Name) }); err != nil {
			return err
		}
		missing, saved, changed := u.replica.missing(at, witnesses)
		if saved && len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			if !saved {
				return fmt.Errorf("the state is not on stable storage: %w", ctx.Err())
			}
			return fmt.Errorf("controllers %v have not taken the state: %w", missing, ctx.Err())
		case <-changed:
		case <-time.After(commitLook):
		}
		if !u.right.Valid() {
			return errLostRight
		}
	}
}
