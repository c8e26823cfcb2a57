package lun

import (
	"errors"
	"fmt"

	"github.com/tandem-san/tandem/scsi"
)

// Durable is what a logical unit keeps besides reservations and mode
// parameters. Like them it goes with the brain; unlike them it survives a loss
// of power, unless said otherwise.
type Durable struct {
	// Identifying is the identifying information that was set; nil: that of the
	// configuration.
	Identifying *Identifying `json:"identifying,omitempty"`
	// Clock is how many milliseconds the timestamp is ahead of this machine's
	// clock; nil when it was not set, and after a loss of power.
	Clock *int64 `json:"clock,omitempty"`
	// Erasure is under way, or has failed.
	Erasure *Erasure `json:"erasure,omitempty"`
	// Ejected: the medium of a removable logical unit is not there. Prevent are
	// the nexuses that do not let it be ejected, in the order in which they said
	// so. A loss of power loads it again.
	Ejected bool    `json:"ejected,omitempty"`
	Prevent []Nexus `json:"prevent,omitempty"`
	// Atomic is under way.
	Atomic *AtomicWrite `json:"atomic,omitempty"`
}

// Identifying is identifying information (SPC-5 §5.7).
type Identifying struct {
	Peripheral []byte `json:"peripheral,omitempty"` // at most 512 bytes
	Text       []byte `json:"text,omitempty"`       // at most 256 bytes of UTF-8 with the terminator
}

// check refuses what could not have been set.
func (d *Durable) check() error {
	if i := d.Identifying; i != nil && (len(i.Peripheral) > scsi.MaxPeripheralInformation || len(i.Text) > scsi.MaxTextInformation) {
		return fmt.Errorf("%w: identifying information of %d bytes and %d of text, at most %d and %d are accepted",
			ErrState, len(i.Peripheral), len(i.Text), scsi.MaxPeripheralInformation, scsi.MaxTextInformation)
	}
	if n := len(d.Prevent); n > maxNexuses {
		return fmt.Errorf("%w: %d nexuses prevent medium removal, at most %d are accepted", ErrState, n, maxNexuses)
	}
	return errors.Join(d.Erasure.check(), d.Atomic.check())
}

// Forced is what may be relied on of a state that is perhaps older than what was
// acknowledged: an atomic write or erasure that was under way then may be over,
// and would undo what was written since. So neither goes on. The erasure has
// failed, until EXIT FAILURE MODE says that the medium is to be used all the
// same.
func (s State) Forced() State {
	s.Durable.Atomic = nil
	if e := s.Durable.Erasure; e != nil {
		failed := *e
		failed.Failed, failed.Unrestricted = true, true
		if failed.Kind == EraseFormat {
			failed.Kind = EraseBlocks
		}
		s.Durable.Erasure = &failed
	}
	return s
}

// powerOn is what a loss of power leaves of it.
func (d Durable) powerOn() Durable {
	d.Clock, d.Ejected, d.Prevent = nil, false, nil
	return d
}
