package ctlconf

import (
	"net/netip"
	"strings"
	"time"
)

// Mode is how the secondary serves, numbered as CTL's ha_mode.
type Mode int

// The modes.
const (
	// ActiveStandby: the secondary answers only what a standby port may.
	ActiveStandby Mode = 0
	// ActiveActive: the primary admits each command, the secondary moves its
	// data.
	ActiveActive Mode = 1
	// ActiveActiveForward: the secondary ships command and data to the
	// primary. It is the default.
	ActiveActiveForward Mode = 2
)

var modes = []string{"active-standby", "active-active", "active-active-forward"}

// String gives the word of the ha section.
func (m Mode) String() string { return modes[m] }

// Role is whether a controller should be the primary of a logical unit at
// first. Later the arbiter says who is.
type Role int

// The roles.
const (
	// RoleUnset: nothing was said.
	RoleUnset Role = iota
	RolePrimary
	RoleSecondary
)

var roles = []string{"unset", "primary", "secondary"}

// String gives the word of the ha section.
func (r Role) String() string { return roles[r] }

// HA is the ha section: how this controller works with its peers.
type HA struct {
	Item
	// Cluster is the name that all members share, a part of each LUN's
	// identity and of each certificate: letters, digits, - and _, 1 to 32.
	Cluster string
	// ID of this controller, 1 to MaxNodeID.
	ID   uint8
	Mode Mode
	// Role of this controller for LUNs that do not say otherwise. By default
	// the controller with the lowest id is the primary.
	Role Role
	// Listen is where peers reach this controller's link.
	Listen netip.AddrPort
	// Peers are the other controllers, in the order of the file; at least one.
	Peers []Peer
	// Certificate, Key and CA are paths of PEM files; in the file they may be
	// relative to it.
	Certificate, Key, CA string
	// Heartbeat is how often the primary sends one; default 100 ms.
	Heartbeat time.Duration
	// Lease is how long a promise lasts; default 500 ms.
	Lease   time.Duration
	Arbiter Arbiter
}

// Peer is another controller.
type Peer struct {
	Position
	// ID of the peer, 1 to MaxNodeID.
	ID uint8
	// Address of its link.
	Address netip.AddrPort
}

// Defaults and ranges of the ha section.
const (
	DefaultHeartbeat = 100 * time.Millisecond
	DefaultLease     = 500 * time.Millisecond
	minHeartbeat     = 10 * time.Millisecond
	maxHeartbeat     = 10 * time.Second
	minLease         = 50 * time.Millisecond
	maxLease         = 60 * time.Second
)

var haSection = section[*HA]{
	name: "ha",
	statements: map[string]statement[*HA]{
		"arbiter": {params: "embedded|etcd|none", set: setArbiter, open: openArbiter},
		"ca":      {params: "path", set: func(p *parser, h *HA, a arguments) { h.CA = p.near(a, 0) }},
		"certificate": {params: "path", set: func(p *parser, h *HA, a arguments) {
			h.Certificate = p.near(a, 0)
		}},
		"cluster": {params: "name", set: func(p *parser, h *HA, a arguments) { h.Cluster = p.label(a, 0) }},
		"heartbeat": {params: "time", set: func(p *parser, h *HA, a arguments) {
			h.Heartbeat = p.duration(a, 0, minHeartbeat, maxHeartbeat)
		}},
		"id":  {params: "number", set: func(p *parser, h *HA, a arguments) { h.ID = p.nodeID(a, 0) }},
		"key": {params: "path", set: func(p *parser, h *HA, a arguments) { h.Key = p.near(a, 0) }},
		"lease": {params: "time", set: func(p *parser, h *HA, a arguments) {
			h.Lease = p.duration(a, 0, minLease, maxLease)
		}},
		"listen": {params: "address", set: func(p *parser, h *HA, a arguments) {
			h.Listen, _ = p.address(a, 0, LinkPort)
		}},
		"mode": {params: "mode", set: setMode},
		"peer": {params: "id address", many: true, set: addPeer},
		"role": {params: "primary|secondary", set: func(p *parser, h *HA, a arguments) { h.Role = p.role(a) }},
	},
}

func openHA(p *parser, c *Config, a arguments) {
	h := &HA{
		Item:      Item{Position: a.key.pos},
		Mode:      ActiveActiveForward,
		Heartbeat: DefaultHeartbeat,
		Lease:     DefaultLease,
	}
	haSection.braces(p, h)
	if c.HA == nil {
		c.HA = h
	}
}

func setMode(p *parser, h *HA, a arguments) {
	for m, word := range modes {
		if s := a.text(0); s == word || s == string(rune('0'+m)) {
			h.Mode = Mode(m)
			return
		}
	}
	p.errorf(a.pos(0), "mode %s, expected %s, or 0, 1 or 2", quote(a.text(0)), list(modes))
}

// role reads a role as CTL's ha_role does: 0 is primary.
func (p *parser) role(a arguments) Role {
	switch a.text(0) {
	case "primary", "0":
		return RolePrimary
	case "secondary", "1":
		return RoleSecondary
	}
	p.errorf(a.pos(0), "%s %s, expected primary, secondary, 0 or 1", a.key.text, quote(a.text(0)))
	return RoleUnset
}

func (p *parser) nodeID(a arguments, i int) uint8 {
	n, ok := whole(a.text(i))
	if !ok || n < 1 || n > MaxNodeID {
		p.errorf(a.pos(i), "%s %s, expected the id of a controller, 1 to %d", a.key.text, quote(a.text(i)), MaxNodeID)
		return 0
	}
	return uint8(n)
}

func addPeer(p *parser, h *HA, a arguments) {
	id := p.nodeID(a, 0)
	addr, ok := p.address(a, 1, LinkPort)
	if id == 0 || !ok {
		return
	}
	for _, old := range h.Peers {
		if old.ID == id {
			p.errorf(a.pos(0), "peer %d is given a second time, expected another id (first on line %d)", id, old.Line)
			return
		}
		if old.Address == addr {
			p.errorf(a.pos(1), "peer %d has the address of peer %d, expected another (first on line %d)", id, old.ID, old.Line)
			return
		}
	}
	h.Peers = append(h.Peers, Peer{a.key.pos, id, addr}) // at most MaxNodeID, as the ids differ
}

// label reads a name that also stands in certificates and in the arbiter.
func (p *parser) label(a arguments, i int) string {
	s := a.text(i)
	if !isLabel(s) {
		p.errorf(a.pos(i), "%s %s, expected 1 to 32 letters, digits, - or _", a.key.text, quote(s))
		return ""
	}
	return s
}

func isLabel(s string) bool {
	return s != "" && len(s) <= 32 && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", r)
	})
}
