package ctlconf

import (
	"net/netip"
	"time"
)

// DiscoveryFilter says which targets discovery returns.
type DiscoveryFilter int

// The filters of ctl.conf(5).
const (
	// FilterNone: all targets of the portal group. It is the default.
	FilterNone DiscoveryFilter = iota
	// FilterPortal: those whose initiator-portal lets the initiator in.
	FilterPortal
	// FilterPortalName: and whose initiator-name does.
	FilterPortalName
	// FilterPortalNameAuth: and which need no CHAP, or know the credentials
	// that discovery was authenticated with.
	FilterPortalNameAuth
)

var discoveryFilters = []string{"none", "portal", "portal-name", "portal-name-auth"}

// String gives the word of ctl.conf(5).
func (f DiscoveryFilter) String() string { return discoveryFilters[f] }

// PortalGroup is a set of addresses that one controller listens on, with one
// tag (RFC 7143 §3.1).
type PortalGroup struct {
	Item
	Name string
	// Tag is the target portal group tag, 1 to 65535. Unless the file says
	// otherwise it is 256 times the controller's id for the group named
	// default, and counts up from there in the order of the file.
	Tag uint16
	// DiscoveryAuthGroup says who may discover; the group default, which
	// denies, unless given.
	DiscoveryAuthGroup *AuthGroup
	DiscoveryFilter    DiscoveryFilter
	Portals            []Portal
	// Foreign: another host listens on the portals; this one only tells of
	// them in discovery.
	Foreign bool
	// Redirect, when valid, is where every login is sent ("Target moved
	// temporarily").
	Redirect netip.AddrPort
	// DSCP is the differentiated services code point of outgoing packets, 0
	// to 63; -1 leaves it to the system.
	DSCP int
	// PCP is the 802.1Q priority code point, 0 to 7; -1 leaves it to the
	// system.
	PCP int
	// PingTimeout is how long an initiator may take to answer a NOP-In, 0
	// for no pings: option ping_timeout, in seconds. Default 5 s.
	PingTimeout time.Duration
	// MaxConnections is how many connections a session may have, 1 to 16:
	// option max_connections. Default 1.
	MaxConnections int
	// Used reports whether a target is offered through the group. A group
	// that is not used need not listen.
	Used bool

	discovery reference
}

func (g *PortalGroup) name() string { return g.Name }

// Portal is one address and port to listen on.
type Portal struct {
	Position
	Address netip.AddrPort
}

// reference names an item that is looked up when the whole file is known.
type reference struct {
	Position
	name string
}

var portalGroupSection = section[*PortalGroup]{
	name: "portal-group",
	statements: map[string]statement[*PortalGroup]{
		"discovery-auth-group": {params: "name", set: func(p *parser, g *PortalGroup, a arguments) {
			g.discovery = reference{a.pos(0), a.text(0)}
		}},
		"discovery-filter": {params: "filter", set: setDiscoveryFilter},
		"dscp":             {params: "value", set: setDSCP},
		"foreign": {set: func(_ *parser, g *PortalGroup, _ arguments) {
			g.Foreign = true
		}},
		"listen": {params: "address", many: true, set: func(p *parser, g *PortalGroup, a arguments) {
			if addr, ok := p.address(a, 0, ISCSIPort); ok && p.room(len(g.Portals), MaxItems, a) {
				g.Portals = append(g.Portals, Portal{a.pos(0), addr})
			}
		}},
		"listen-iser": {params: "address", many: true, set: func(p *parser, g *PortalGroup, a arguments) {
			p.address(a, 0, ISCSIPort)
			p.errorf(a.key.pos, "listen-iser: iSER is not supported yet, expected listen")
		}},
		"offload": {params: "driver", set: func(p *parser, _ *PortalGroup, a arguments) {
			p.noOffload(a)
		}},
		"option": {params: "name value", many: true, set: setPortalGroupOption},
		"pcp": {params: "value", set: func(p *parser, g *PortalGroup, a arguments) {
			g.PCP = int(p.number(a, 0, 0, 7))
			p.warnf(a.key.pos, "pcp has no effect: what the network interface makes of priorities is its own setting")
		}},
		"redirect": {params: "address", set: func(p *parser, g *PortalGroup, a arguments) {
			g.Redirect, _ = p.address(a, 0, ISCSIPort)
		}},
		"tag": {params: "value", set: func(p *parser, g *PortalGroup, a arguments) {
			g.Tag = uint16(p.number(a, 0, 1, 65535))
		}},
	},
}

func newPortalGroup(name string, at Position) *PortalGroup {
	return &PortalGroup{Item: Item{Position: at}, Name: name, DSCP: -1, PCP: -1, PingTimeout: 5 * time.Second, MaxConnections: 1}
}

// defaultPortalGroup is the group named default when the file has none.
func defaultPortalGroup() *PortalGroup {
	g := newPortalGroup("default", Position{})
	g.Portals = []Portal{
		{Address: netip.AddrPortFrom(netip.IPv4Unspecified(), ISCSIPort)},
		{Address: netip.AddrPortFrom(netip.IPv6Unspecified(), ISCSIPort)},
	}
	return g
}

func openPortalGroup(p *parser, c *Config, a arguments) {
	g := newPortalGroup(p.word(a, 0, 255), a.key.pos)
	portalGroupSection.braces(p, g)
	if old := c.PortalGroup(g.Name); old != nil {
		p.duplicate(a, &old.Item)
		return
	}
	if p.room(len(c.PortalGroups), MaxPortalGroups, a) {
		c.PortalGroups = append(c.PortalGroups, g)
	}
}

func setDiscoveryFilter(p *parser, g *PortalGroup, a arguments) {
	for f, word := range discoveryFilters {
		if a.text(0) == word {
			g.DiscoveryFilter = DiscoveryFilter(f)
			return
		}
	}
	p.choice(a, 0, "discovery-filter", discoveryFilters...)
}

// codePoints are the names of DSCP values (RFC 2474, RFC 2597, RFC 3246).
var codePoints = map[string]int{
	"be": 0, "ef": 46,
	"cs0": 0, "cs1": 8, "cs2": 16, "cs3": 24, "cs4": 32, "cs5": 40, "cs6": 48, "cs7": 56,
	"af11": 10, "af12": 12, "af13": 14, "af21": 18, "af22": 20, "af23": 22,
	"af31": 26, "af32": 28, "af33": 30, "af41": 34, "af42": 36, "af43": 38,
}

func setDSCP(p *parser, g *PortalGroup, a arguments) {
	if v, ok := codePoints[a.text(0)]; ok {
		g.DSCP = v
		return
	}
	n, ok := whole(a.text(0))
	if !ok || n > 63 {
		p.errorf(a.pos(0), "dscp %s, expected a number from 0 to 63 or be, ef, cs0 to cs7, af11 to af43", quote(a.text(0)))
		return
	}
	g.DSCP = int(n)
}

func setPortalGroupOption(p *parser, g *PortalGroup, a arguments) {
	value := arguments{key: token{text: "option " + a.text(0), pos: a.key.pos}, words: a.words[1:]}
	if g.Has(value.key.text) {
		p.errorf(a.pos(0), "%s is given a second time, expected once", value.key.text)
	}
	g.mark(value.key.text, a.key.pos)
	switch a.text(0) {
	case "max_connections":
		g.MaxConnections = int(p.number(value, 0, 1, 16))
	case "ping_timeout":
		g.PingTimeout = p.seconds(value, 0, 0, 3600)
	case "tag":
		g.Tag = uint16(p.number(value, 0, 1, 65535))
	case "ha_shared":
		p.errorf(a.pos(0), "option ha_shared is not supported: each controller has portal groups of its own")
	default:
		p.errorf(a.pos(0), "unknown option %s of a portal-group, expected max_connections, ping_timeout or tag", quote(a.text(0)))
	}
}

// noOffload answers offload: connections are always served by this process, so
// the statement may stand and changes nothing.
func (p *parser) noOffload(a arguments) {
	p.warnf(a.key.pos, "offload %s has no effect: there is no hardware to offload to", quote(a.text(0)))
}
