package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
)

// agreement is what controllers show each other before they work together: all
// but the ports must be the same, and a logical unit has one home at most.
type agreement struct {
	// Controllers are all of the cluster. Each must give promises to every other
	// one that may be the primary.
	Controllers ha.NodeSet `json:"controllers"`

	Mode      Mode                 `json:"mode"`
	Heartbeat time.Duration        `json:"heartbeat"`
	Lease     time.Duration        `json:"lease"`
	Units     map[string]agreeUnit `json:"units"`
}

// agreeUnit is one logical unit of an agreement.
type agreeUnit struct {
	// What describes the logical unit in words that can be compared.
	What string `json:"what"`
	// Home: of the controller that says so.
	Home  bool       `json:"home,omitempty"`
	Ports []lun.Port `json:"ports"`
}

func (n *Node) agreement() agreement {
	c := n.cfg
	a := agreement{Controllers: ha.Nodes(c.Self), Mode: c.Mode, Heartbeat: c.Heartbeat, Lease: c.Lease, Units: map[string]agreeUnit{}}
	for p := range c.Peers {
		a.Controllers |= ha.Nodes(p)
	}
	for _, u := range c.Units {
		a.Units[u.Name] = agreeUnit{What: u.Describe, Home: u.Home, Ports: u.Ports}
	}
	return a
}

// compare judges a peer's agreement and keeps its ports when it fits.
func (n *Node) compare(peer ha.NodeID, theirs []byte) error {
	var t agreement
	if err := json.Unmarshal(theirs, &t); err != nil {
		return fmt.Errorf("the configuration shown by controller %d cannot be read: %w", peer, err)
	}
	if err := n.agreement().differences(n.cfg.Self, peer, t); err != nil {
		return err
	}
	n.peers.with(peer, func(s *peerState) {
		s.ports = map[string][]lun.Port{}
		for name, u := range t.Units {
			s.ports[name] = u.Ports
		}
	})
	return nil
}

// differences lists everything that is not the same at both.
func (a agreement) differences(self, peer ha.NodeID, t agreement) error {
	var all []error
	differ := func(what string, here, there any) {
		all = append(all, fmt.Errorf("%s differs: %v on controller %d, %v on controller %d", what, here, self, there, peer))
	}
	if a.Controllers != t.Controllers {
		differ("the list of controllers", a.Controllers, t.Controllers)
	}
	if a.Mode != t.Mode {
		differ("ha mode", a.Mode, t.Mode)
	}
	if a.Heartbeat != t.Heartbeat {
		differ("heartbeat", a.Heartbeat, t.Heartbeat)
	}
	if a.Lease != t.Lease {
		differ("lease", a.Lease, t.Lease)
	}
	for name, u := range a.Units {
		there, ok := t.Units[name]
		switch {
		case !ok:
			all = append(all, fmt.Errorf("logical unit %s exists on controller %d only", name, self))
		case there.What != u.What:
			differ("logical unit "+name, u.What, there.What)
		case there.Home && u.Home:
			all = append(all, fmt.Errorf("logical unit %s has two homes: its role is primary on controller %d and on controller %d", name, self, peer))
		}
	}
	for name := range t.Units {
		if _, ok := a.Units[name]; !ok {
			all = append(all, fmt.Errorf("logical unit %s exists on controller %d only", name, peer))
		}
	}
	return errors.Join(all...)
}
