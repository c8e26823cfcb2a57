package ctlconf

import (
	"cmp"
	"path"
	"slices"
)

// resolve looks up the names that items refer to, once all are known, and
// fills in the defaults that depend on the whole file.
func resolve(r *reporter, c *Config) {
	if c.PortalGroup("default") == nil {
		c.PortalGroups = slices.Insert(c.PortalGroups, 0, defaultPortalGroup())
	}
	for _, g := range c.PortalGroups {
		g.DiscoveryAuthGroup = c.AuthGroup("default")
		if g.discovery.IsValid() {
			g.DiscoveryAuthGroup = r.authGroup(c, g.discovery, "discovery-auth-group")
		}
	}
	luns := make(map[string]*LUN, len(c.LUNs))
	for _, l := range c.LUNs {
		luns[l.Name] = l
	}
	for _, t := range c.Targets {
		resolveTarget(r, c, t, luns)
	}
	slices.SortStableFunc(c.LUNs, func(a, b *LUN) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column)
	})
	numberPortalGroups(c)
	if c.HA != nil {
		resolveRoles(c)
		resolveState(c)
	}
}

// resolveState puts the states beside the data of the arbiter's member: who
// loses one loses both, and without its data the member does not start.
func resolveState(c *Config) {
	switch e := c.HA.Arbiter.Embedded; {
	case c.State != "":
	case e != nil && e.Data != "":
		c.State = path.Join(path.Dir(path.Clean(e.Data)), "state")
	default:
		c.State = DefaultState
	}
}

// resolveTarget resolves what a target refers to; luns are those defined
// outside targets.
func resolveTarget(r *reporter, c *Config, t *Target, luns map[string]*LUN) {
	switch {
	case t.auth.IsValid() && t.own != nil:
		r.errorf(t.auth.Position, "auth-group together with rules of the target's own (line %d), expected one or the other", t.own.Line)
		t.AuthGroup = t.own
	case t.auth.IsValid():
		t.AuthGroup = r.authGroup(c, t.auth, "auth-group")
	case t.own != nil:
		t.AuthGroup = t.own
	default:
		t.AuthGroup = c.AuthGroup("default")
	}
	if len(t.Ports) == 0 {
		t.Ports = []TargetPort{{Position: t.Position, portal: reference{t.Position, "default"}}}
	}
	for i := range t.Ports {
		port := &t.Ports[i]
		if port.PortalGroup = c.PortalGroup(port.portal.name); port.PortalGroup == nil {
			r.errorf(port.portal.Position, "portal-group %s is not defined, expected the name of one", quote(port.portal.name))
			port.PortalGroup = c.PortalGroup("default")
		} else {
			port.PortalGroup.Used = true
		}
		port.AuthGroup = t.AuthGroup
		if port.auth.IsValid() {
			port.AuthGroup = r.authGroup(c, port.auth, "auth-group")
		}
	}
	for i := range t.LUNs {
		m := &t.LUNs[i]
		if m.LUN != nil {
			c.LUNs = append(c.LUNs, m.LUN)
		} else if m.LUN = luns[m.ref.name]; m.LUN == nil {
			r.errorf(m.ref.Position, "lun %s is not defined, expected the name of one defined outside targets", quote(m.ref.name))
			m.LUN = &LUN{Item: Item{Position: m.Position}}
		}
	}
}

// authGroup looks an auth group up; for one that is not there it answers the
// one that denies.
func (r *reporter) authGroup(c *Config, ref reference, keyword string) *AuthGroup {
	if g := c.AuthGroup(ref.name); g != nil {
		return g
	}
	r.errorf(ref.Position, "%s %s is not defined, expected the name of an auth-group", keyword, quote(ref.name))
	return c.AuthGroup("no-access")
}

// numberPortalGroups gives tags to the groups that have none of their own. The
// tag is part of the SCSI port name, so each controller has a range of its own.
func numberPortalGroups(c *Config) {
	base := uint16(1) << 8
	if c.HA != nil && c.HA.ID != 0 {
		base = uint16(c.HA.ID) << 8
	}
	next := base + 1
	for _, g := range c.PortalGroups {
		tag := next
		if g.Name == "default" {
			tag = base
		} else {
			next++
		}
		if g.Tag == 0 {
			g.Tag = tag
		}
	}
}

// resolveRoles gives each LUN a role.
func resolveRoles(c *Config) {
	h := c.HA
	if h.Role == RoleUnset {
		h.Role = RolePrimary
		for _, peer := range h.Peers {
			if peer.ID < h.ID {
				h.Role = RoleSecondary
			}
		}
	}
	for _, l := range c.LUNs {
		if l.Options.Role == RoleUnset {
			l.Options.Role = h.Role
		}
	}
}
