package nemesis

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/initiator/multipath"
	"github.com/tandem-san/tandem/scsi"
)

// reservation is a persistent reservation that an initiator takes before
// anything is broken. It is of the type Write Exclusive, Registrants Only (SPC-5
// §5.14), with APTPL, as the plan may end all controllers at once.
type reservation struct {
	cluster *cluster
	owner   host
	key     uint64
}

const writeExclusiveRegistrantsOnly = 5

// take registers the owner at every controller and reserves.
func take(ctx context.Context, c *cluster, key uint64) (*reservation, error) {
	r := &reservation{c, host{c, "owner", 1}, key}
	for _, x := range c.controllers {
		if err := r.out(ctx, x, 0, 0, scsi.ReserveOut{ServiceActionKey: key, PowerLoss: true}); err != nil {
			return nil, fmt.Errorf("registering at %s: %w", x.name, err)
		}
	}
	x := c.controllers[len(c.controllers)-1]
	if err := r.out(ctx, x, 1, writeExclusiveRegistrantsOnly, scsi.ReserveOut{Key: key}); err != nil {
		return nil, fmt.Errorf("reserving at %s: %w", x.name, err)
	}
	return r, nil
}

// out is PERSISTENT RESERVE OUT.
func (r *reservation) out(ctx context.Context, x *controller, action, kind byte, list scsi.ReserveOut) error {
	b := list.Append(nil)
	return good(r.owner.command(ctx, x, []byte{0x5F, action, kind, 0, 0, 0, 0, 0, byte(len(b)), 0}, b, nil))
}

// good turns any status but GOOD into an error.
func good(t initiator.Task, err error) error {
	if err == nil && t.Status != scsi.StatusGood {
		err = fmt.Errorf("%v, %v", t.Status, t.Sense)
	}
	return err
}

// besiege lets an initiator that is not registered try to write, until stop is
// closed. None of its writes may end with GOOD.
func (r *reservation) besiege(ctx context.Context, found *record, stop <-chan struct{}) {
	d, err := multipath.Open(ctx, multipath.Config{Paths: r.cluster.paths("stranger"), LUN: iscsi.NewLUN(heldLUN), Policy: multipath.Spread})
	if err != nil {
		found.violated("a client that is not registered cannot even look: %v", err)
		return
	}
	defer d.Close()
	p := bytes.Repeat([]byte{0xEE}, blockSize)
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
		err := d.WriteAt(ctx, p, 0)
		var status *initiator.StatusError
		switch {
		case err == nil:
			found.violated("at %v: a client that is not registered has written in spite of the reservation", found.now())
			return
		case errors.As(err, &status) && status.Status == scsi.StatusReservationConflict, errors.Is(err, multipath.ErrQueueTimeout):
		case ctx.Err() == nil:
			found.violated("a client that is not registered has seen %v, expected RESERVATION CONFLICT", err)
			return
		}
	}
}

// holds looks through every controller whether the reservation is as it was.
func (r *reservation) holds(ctx context.Context) error {
	stranger := host{r.cluster, "another", 2}
	for _, x := range r.cluster.controllers {
		in := make([]byte, 256)
		if err := good(stranger.command(ctx, x, []byte{0x5E, 1, 0, 0, 0, 0, 0, 1, 0, 0}, nil, in)); err != nil {
			return fmt.Errorf("%s: READ RESERVATION: %w", x.name, err)
		}
		if n, key, kind := binary.BigEndian.Uint32(in[4:]), binary.BigEndian.Uint64(in[8:]), in[21]; n != 16 || key != r.key || kind != writeExclusiveRegistrantsOnly {
			return fmt.Errorf("%s: READ RESERVATION: %d bytes, key %x, type %d; expected key %x, type %d", x.name, n, key, kind, r.key, writeExclusiveRegistrantsOnly)
		}
		in = make([]byte, 256)
		if err := good(stranger.command(ctx, x, []byte{0x5E, 0, 0, 0, 0, 0, 0, 1, 0, 0}, nil, in)); err != nil {
			return fmt.Errorf("%s: READ KEYS: %w", x.name, err)
		}
		if n := int(binary.BigEndian.Uint32(in[4:])) / 8; n != len(r.cluster.controllers) {
			return fmt.Errorf("%s: READ KEYS: %d registrations, expected %d", x.name, n, len(r.cluster.controllers))
		}
		if !r.cluster.active(x, heldName) {
			continue
		}
		write, data := []byte{0x2A, 0, 0, 0, 0, 16, 0, 0, 1, 0}, make([]byte, 512)
		t, err := stranger.command(ctx, x, write, data, nil)
		if err != nil || t.Status != scsi.StatusReservationConflict {
			return fmt.Errorf("%s: the write of another ended with %v, %v, %w; expected RESERVATION CONFLICT", x.name, t.Status, t.Sense, err)
		}
		if err := good(r.owner.command(ctx, x, write, data, nil)); err != nil {
			return fmt.Errorf("%s: the write of the owner: %w", x.name, err)
		}
	}
	return nil
}
