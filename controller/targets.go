package controller

import (
	"net/netip"
	"time"

	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/lun"
)

// loginTime translates the statement timeout, of which 0 is for ever.
func loginTime(timeout time.Duration) time.Duration {
	if timeout == 0 {
		return target.NoLoginTime
	}
	return timeout
}

// targetConfig translates the configuration for the iSCSI target. unit finds
// a logical unit by name.
func targetConfig(c *ctlconf.Config, ports *portNumbers, unit func(name string) lun.Unit) (target.Config, error) {
	var out target.Config
	for _, g := range c.PortalGroups {
		if g.Used {
			out.PortalGroups = append(out.PortalGroups, portalGroup(g))
		}
	}
	for _, t := range c.Targets {
		next := target.Target{Name: t.Name, Alias: t.Alias, LUNs: map[uint16]lun.Unit{}, Redirect: t.Redirect}
		for _, p := range t.Ports {
			n, err := ports.number(portKey{t.Name, p.PortalGroup.Name})
			if err != nil {
				return target.Config{}, err
			}
			next.Ports = append(next.Ports, target.Port{PortalGroup: p.PortalGroup.Name, Auth: authGroup(p.AuthGroup), RelativePort: n})
		}
		for _, m := range t.LUNs {
			next.LUNs[m.Number] = unit(m.LUN.Name)
		}
		out.Targets = append(out.Targets, next)
	}
	return out, nil
}

func portalGroup(g *ctlconf.PortalGroup) target.PortalGroup {
	out := target.PortalGroup{
		Name: g.Name, Tag: g.Tag,
		DiscoveryAuth:   authGroup(g.DiscoveryAuthGroup),
		DiscoveryFilter: target.DiscoveryFilter(g.DiscoveryFilter),
		Foreign:         g.Foreign,
		Redirect:        g.Redirect,
		DSCP:            uint8(max(g.DSCP, 0)), // unset is best effort, as the system's own
		MaxConnections:  g.MaxConnections,
		PingTimeout:     g.PingTimeout,
	}
	for _, p := range g.Portals {
		out.Portals = append(out.Portals, netip.AddrPortFrom(p.Address.Addr(), p.Address.Port()))
	}
	return out
}

func authGroup(g *ctlconf.AuthGroup) target.AuthGroup {
	out := target.AuthGroup{Name: g.Name, InitiatorNames: g.InitiatorNames, InitiatorPortals: g.InitiatorPortals}
	switch g.Type {
	case ctlconf.AuthNone:
		out.Kind = target.AuthNone
	case ctlconf.AuthCHAP, ctlconf.AuthCHAPMutual:
		out.Kind = target.AuthCHAP
	}
	for _, u := range g.CHAP {
		user := target.User{Name: u.User, Secret: iscsi.NewSecret(u.Secret.Reveal())}
		if u.MutualUser != "" {
			user.MutualName, user.MutualSecret = u.MutualUser, iscsi.NewSecret(u.MutualSecret.Reveal())
		}
		out.Users = append(out.Users, user)
	}
	return out
}
