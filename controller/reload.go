package controller

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/tandem-san/tandem/ctlconf"
)

// Reload goes over to another configuration without disturbing sessions of
// targets that did not change. What cannot change while running is refused,
// and then nothing changes.
func (c *Controller) Reload(next *ctlconf.Config) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refuseReload(next); err != nil {
		return err
	}
	if c.cluster == nil {
		if err := c.openNew(next); err != nil {
			return err
		}
	}
	tc, err := targetConfig(next, c.ports, c.unit)
	if err == nil {
		err = c.tellCopies(next)
	}
	if err == nil {
		err = c.target.Apply(tc)
	}
	if err != nil {
		c.closeUnused(c.config)
		c.ports.keep(c.config)
		return errors.Join(err, c.tellCopies(c.config))
	}
	c.config = next
	c.closeUnused(next)
	c.ports.keep(next)
	return errors.Join(c.tellPorts(next), c.updateISNS(next))
}

// refuseReload lists what only a restart can change.
func (c *Controller) refuseReload(next *ctlconf.Config) error {
	var all []error
	refuse := func(at ctlconf.Position, what string) {
		all = append(all, next.Errorf(at, "%s cannot change while the controller runs: restart it", what))
	}
	old := c.config
	for _, s := range []struct {
		statement string
		same      bool
	}{
		{"pidfile", old.PIDFile == next.PIDFile},
		{"socket", old.Socket == next.Socket},
		{"state", old.State == next.State || (old.HA == nil) != (next.HA == nil)},
		{"timeout", old.LoginTimeout == next.LoginTimeout},
		{"isns-server", slices.Equal(old.ISNS.Servers, next.ISNS.Servers)},
		{"isns-period", old.ISNS.Period == next.ISNS.Period},
		{"isns-timeout", old.ISNS.Timeout == next.ISNS.Timeout},
	} {
		if !s.same {
			refuse(next.At(s.statement), s.statement)
		}
	}
	switch {
	case (old.HA == nil) != (next.HA == nil):
		all = append(all, errors.New("the ha section cannot come or go while the controller runs: restart it"))
		return errors.Join(all...) // with it all the rest changes
	case old.HA != nil && !sameHA(old.HA, next.HA):
		refuse(next.HA.Position, "the ha section")
	}
	for _, l := range next.LUNs {
		was := old.LUN(l.Name)
		switch {
		case was != nil && !sameLUN(was, l):
			refuse(l.Position, fmt.Sprintf("lun %q", l.Name))
		case was == nil && next.HA != nil:
			refuse(l.Position, fmt.Sprintf("the list of logical units of a cluster (new: %q)", l.Name))
		}
	}
	if next.HA != nil {
		for _, l := range old.LUNs {
			if next.LUN(l.Name) == nil {
				all = append(all, fmt.Errorf("lun %q cannot be removed from a cluster while the controller runs: restart it", l.Name))
			}
		}
	}
	if old.HA != nil && next.HA != nil {
		refusePorts(old, next, refuse)
	}
	return errors.Join(all...)
}

// refusePorts names what would change the target ports through which the
// logical units of a cluster are reached: the other controllers, and
// initiators through them, were told of those of the start.
func refusePorts(old, next *ctlconf.Config, refuse func(ctlconf.Position, string)) {
	before, after := clusterPorts(old), clusterPorts(next)
	for _, t := range next.Targets {
		for _, tp := range t.Ports {
			key := portKey{t.Name, tp.PortalGroup.Name}
			was, had := before[key]
			is, has := after[key]
			switch {
			case has && !had:
				refuse(tp.Position, fmt.Sprintf("the target ports of a cluster (new: %s in portal-group %q)", t.Name, key.group))
			case has && was.tag != is.tag:
				refuse(tagPosition(tp.PortalGroup), fmt.Sprintf("the tag of portal-group %q (%d, not %d) in a cluster", key.group, was.tag, is.tag))
			case has && !slices.Equal(was.luns, is.luns):
				refuse(t.Position, fmt.Sprintf("the list of logical units of target %s in a cluster", t.Name))
			}
		}
	}
	for _, t := range old.Targets {
		for _, tp := range t.Ports {
			key := portKey{t.Name, tp.PortalGroup.Name}
			_, had := before[key]
			if _, has := after[key]; had && !has {
				refuse(ctlconf.Position{}, fmt.Sprintf("the target ports of a cluster (gone: %s in portal-group %q)", t.Name, key.group))
			}
		}
	}
}

// clusterPort is a target port and the names of the logical units behind it.
type clusterPort struct {
	tag  uint16
	luns []string
}

// clusterPorts are the target ports that have a logical unit behind them.
func clusterPorts(c *ctlconf.Config) map[portKey]clusterPort {
	out := map[portKey]clusterPort{}
	for _, t := range c.Targets {
		var luns []string
		for _, m := range t.LUNs {
			luns = append(luns, m.LUN.Name)
		}
		slices.Sort(luns)
		for _, tp := range t.Ports {
			if len(luns) > 0 {
				out[portKey{t.Name, tp.PortalGroup.Name}] = clusterPort{tp.PortalGroup.Tag, luns}
			}
		}
	}
	return out
}

// tagPosition is where the tag of a group is given, or the group that counts
// otherwise.
func tagPosition(g *ctlconf.PortalGroup) ctlconf.Position {
	if g.Has("option tag") {
		return g.At("option tag")
	}
	return g.At("tag")
}

// sameLUN reports whether both describe the same logical unit, wherever they
// stand in their files.
func sameLUN(a, b *ctlconf.LUN) bool {
	x, y := *a, *b
	x.Item, y.Item = ctlconf.Item{}, ctlconf.Item{}
	return reflect.DeepEqual(x, y)
}

// sameHA reports whether both ha sections say the same.
func sameHA(a, b *ctlconf.HA) bool {
	strip := func(h ctlconf.HA) ctlconf.HA {
		h.Item, h.Arbiter.Item = ctlconf.Item{}, ctlconf.Item{}
		peers := make([]ctlconf.Peer, len(h.Peers))
		for i, p := range h.Peers {
			peers[i] = ctlconf.Peer{ID: p.ID, Address: p.Address}
		}
		h.Peers = peers
		if e := h.Arbiter.Embedded; e != nil {
			stripped := ctlconf.EmbeddedArbiter{Data: e.Data, Listen: e.Listen}
			for _, m := range e.Members {
				stripped.Members = append(stripped.Members, ctlconf.Member{Name: m.Name, Address: m.Address})
			}
			h.Arbiter.Embedded = &stripped
		}
		if e := h.Arbiter.Etcd; e != nil {
			stripped := *e
			stripped.Item = ctlconf.Item{}
			h.Arbiter.Etcd = &stripped
		}
		return h
	}
	return reflect.DeepEqual(strip(*a), strip(*b))
}

// openNew opens the logical units that were not there before.
func (c *Controller) openNew(next *ctlconf.Config) error {
	var all []error
	for _, l := range next.LUNs {
		if c.local[l.Name] == nil {
			if err := c.openLocal(next, l); err != nil {
				all = append(all, err)
			}
		}
	}
	if len(all) > 0 {
		c.closeUnused(c.config)
	}
	return errors.Join(all...)
}

// closeUnused closes the logical units that a configuration does not name.
func (c *Controller) closeUnused(conf *ctlconf.Config) {
	for name, u := range c.local {
		if conf.LUN(name) != nil {
			continue
		}
		if err := u.close(); err != nil {
			c.log.Error("closing a logical unit", "lun", name, "error", err)
		}
		delete(c.local, name)
		delete(c.units, name)
	}
}

// tellPorts tells the logical units through which ports they are reached now.
func (c *Controller) tellPorts(conf *ctlconf.Config) error {
	for _, l := range conf.LUNs {
		u := c.local[l.Name]
		if u == nil {
			continue
		}
		access, err := c.localAccess(conf, l)
		if err != nil {
			return err
		}
		u.SetAccess(access)
	}
	return nil
}
