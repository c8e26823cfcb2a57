package lun_test

import (
	"testing"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// slowly is a configuration whose commits wait until they are let through, once
// hold is closed.
func slowly() (c lun.Config, hold, entered, pass chan struct{}) {
	c = fullConfig()
	hold, entered, pass = make(chan struct{}), make(chan struct{}, 100), make(chan struct{})
	c.Commit = func(lun.State) error {
		select {
		case <-hold:
			entered <- struct{}{}
			<-pass
		default:
		}
		return nil
	}
	return c, hold, entered, pass
}

func TestALostNexusHoldsNothingThoughThatIsNotStoredYet(t *testing.T) {
	c, hold, entered, pass := slowly()
	f := ready(t, c)
	reserve6 := []byte{0x16, 0, 0, 0, 0, 0}
	f.good(t, alice, reserve6, nil)
	f.good(t, alice, prevent, nil)
	f.status(t, bob, read10(0, 1), nil, scsi.StatusReservationConflict)
	close(hold)
	gone := make(chan struct{})
	go func() { defer close(gone); f.unit.NexusLost(alice) }()
	<-entered
	f.good(t, bob, read10(0, 1), nil)
	// The nexus comes again and reserves again, which lasts.
	f.clear(t, alice)
	again := command(alice, reserve6, nil, 0)
	f.submit(again)
	close(pass)
	<-gone
	if f.wait(t, again); again.Status != scsi.StatusGood {
		t.Fatalf("RESERVE(6) of the new nexus: %v", again.Status)
	}
	f.status(t, bob, read10(0, 1), nil, scsi.StatusReservationConflict)
	f.good(t, alice, []byte{0x17, 0, 0, 0, 0, 0}, nil)
	f.good(t, bob, eject, nil)
}
