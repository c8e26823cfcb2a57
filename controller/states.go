package controller

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/lun/statefile"
)

// openStates opens the directory in which states are kept; nil when they are
// not.
func openStates(c *ctlconf.Config) (*statefile.Dir, error) {
	if c.State == "" {
		return nil, nil
	}
	owner := "a controller without high availability"
	if c.HA != nil {
		owner = fmt.Sprintf("controller %d of cluster %s", c.HA.ID, c.HA.Cluster)
	}
	return statefile.Open(c.State, owner)
}

// localState keeps the state of a logical unit of a controller without high
// availability.
type localState struct {
	states *statefile.Dir // nil: it is not kept
	lun    string
	at     ha.Stamp
}

// load reads the state; the zero State when there is none yet.
func (s *localState) load() (lun.State, error) {
	if s.states == nil {
		return lun.State{}, nil
	}
	r, err := s.states.Load(s.lun)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, statefile.ErrDamaged):
		return lun.State{}, fmt.Errorf("%w; restore the file, or remove it to go on without reservations and saved mode pages", err)
	case err != nil:
		return lun.State{}, err
	}
	s.at = r.At
	return r.State, nil
}

// commit is the logical unit's; nil when nothing is kept. Its calls follow each
// other.
func (s *localState) commit() func(lun.State) error {
	if s.states == nil {
		return nil
	}
	return func(next lun.State) error {
		s.at.Version++
		return s.states.Save(statefile.Record{LUN: s.lun, At: s.at, State: next})
	}
}
