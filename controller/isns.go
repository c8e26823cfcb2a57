package controller

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/iscsi/isns"
)

// startISNS begins to register with the iSNS servers of the configuration.
func (c *Controller) startISNS() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.config.ISNS.Servers) == 0 {
		return nil
	}
	e, err := networkEntity(c.config)
	if err != nil {
		return err
	}
	i := c.config.ISNS
	c.isns = isns.Start(isns.Config{Servers: i.Servers, Period: i.Period, Timeout: i.Timeout, Logger: c.log}, e)
	return nil
}

// updateISNS registers what another configuration offers; mu is held.
func (c *Controller) updateISNS(next *ctlconf.Config) error {
	if c.isns == nil {
		return nil
	}
	e, err := networkEntity(next)
	if err != nil {
		return err
	}
	c.isns.Update(e)
	return nil
}

// stopISNS takes the registration off the servers.
func (c *Controller) stopISNS() {
	c.mu.Lock()
	r := c.isns
	c.mu.Unlock()
	if r != nil {
		r.Stop()
	}
}

// networkEntity is what this controller registers: all controllers of a
// cluster register in one network entity, since an iSCSI name belongs to one
// only (RFC 4171 §3.4). Portal groups that are foreign are registered by who
// listens there.
func networkEntity(c *ctlconf.Config) (isns.Entity, error) {
	e := isns.Entity{}
	if c.HA != nil {
		e.ID, e.Shared = c.HA.Cluster, true
	} else {
		host, err := os.Hostname()
		if err != nil {
			return e, fmt.Errorf("the name of this machine, under which iSNS knows it: %w", err)
		}
		e.ID = host
	}
	local, err := localAddresses()
	if err != nil {
		return e, err
	}
	for _, t := range c.Targets {
		n := isns.Node{Name: t.Name, Alias: t.Alias}
		for _, tp := range t.Ports {
			if tp.PortalGroup.Foreign {
				continue
			}
			g := isns.Group{Tag: tp.PortalGroup.Tag}
			for _, p := range tp.PortalGroup.Portals {
				g.Portals = append(g.Portals, reachable(p.Address, local)...)
			}
			n.Groups = append(n.Groups, g)
		}
		e.Nodes = append(e.Nodes, n)
	}
	return e, nil
}

// reachable are the addresses by which initiators reach a portal: for one that
// listens on all addresses those of this machine, of the same IP version.
func reachable(portal netip.AddrPort, local []netip.Addr) (all []netip.AddrPort) {
	if !portal.Addr().IsUnspecified() {
		return []netip.AddrPort{portal}
	}
	for _, a := range local {
		if a.Is4() == portal.Addr().Is4() {
			all = append(all, netip.AddrPortFrom(a, portal.Port()))
		}
	}
	return all
}

// localAddresses are those of this machine that others can use.
func localAddresses() (all []netip.Addr, err error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("the addresses of this machine: %w", err)
	}
	for _, a := range addresses {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.IsGlobalUnicast() {
			all = append(all, ip.Unmap())
		}
	}
	return all, nil
}
