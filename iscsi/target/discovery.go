package target

import (
	"net/netip"
	"slices"

	"github.com/tandem-san/tandem/iscsi"
)

// sendTargetsAll asks for every target, in a discovery session only
// (RFC 7143 appendix C).
const sendTargetsAll = "All"

// sendTargets answers the SendTargets key: the targets that may be known, each
// with the addresses of its portals and their tags.
func (c *connection) sendTargets(which string) []iscsi.KeyValue {
	s := c.session
	if !s.discovery {
		// Empty means the target of the session. Others are no business of a
		// normal session.
		if which != "" && which != s.target.Name {
			return []iscsi.KeyValue{{Key: iscsi.KeySendTargets, Value: iscsi.ValueReject}}
		}
		which = s.target.Name
	}
	config := c.server.config.Load()
	if which != sendTargetsAll {
		name, err := iscsi.CanonicalName(which)
		t := config.targets[name]
		if err != nil || t == nil || !c.mayDiscover(t) {
			return nil
		}
		return c.describe(nil, config, t)
	}
	var answer []iscsi.KeyValue
	for _, t := range config.order {
		if c.mayDiscover(t) {
			answer = c.describe(answer, config, t)
		}
	}
	return answer
}

// mayDiscover tells whether the initiator of a session is told of a target.
func (c *connection) mayDiscover(t *target) bool {
	s := c.session
	port := t.port(s.group.Name)
	if port == nil {
		return false
	}
	filter, auth := c.portal.group.Load().DiscoveryFilter, &port.Auth
	if !s.discovery {
		filter = FilterNone // it is logged in to it
	}
	if filter >= FilterPortal && !auth.allowsAddress(c.remote.Addr()) {
		return false
	}
	if filter >= FilterPortalName && !auth.allowsName(s.key.initiator) {
		return false
	}
	if filter >= FilterPortalNameAuth {
		return auth.Kind == AuthNone || auth.Kind == AuthCHAP && s.user != "" && auth.user(s.user) != nil
	}
	return true
}

// describe appends a target and its portals.
func (c *connection) describe(answer []iscsi.KeyValue, config *snapshot, t *target) []iscsi.KeyValue {
	answer = append(answer, iscsi.KeyValue{Key: iscsi.KeyTargetName, Value: t.Name})
	listening := c.server.Portals()
	for _, p := range t.Ports {
		g := config.groups[p.PortalGroup]
		portals := listening[g.Name]
		if g.Foreign {
			portals = g.Portals
		}
		for _, a := range portals {
			if a, ok := c.reachable(a); ok {
				answer = append(answer, iscsi.KeyValue{
					Key:   iscsi.KeyTargetAddress,
					Value: iscsi.TargetAddress{Host: a.Addr().WithZone("").String(), Port: a.Port(), Tag: g.Tag}.String(),
				})
			}
		}
	}
	// A portal may be listened on by itself and through a wildcard.
	return slices.Compact(answer)
}

// reachable is the address under which the initiator reaches a portal: for one
// that listens on all addresses, the one the connection came in on, if it is
// of the same IP version.
func (c *connection) reachable(a netip.AddrPort) (netip.AddrPort, bool) {
	if !a.Addr().IsUnspecified() {
		return a, true
	}
	here := c.local.Addr()
	return netip.AddrPortFrom(here, a.Port()), here.Is4() == a.Addr().Is4()
}
