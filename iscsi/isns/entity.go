package isns

import (
	"net/netip"
	"slices"
	"time"
)

// Entity is what is registered: a network entity with its portals and targets
// (RFC 4171 §3.4).
type Entity struct {
	// ID is the entity identifier: at most 255 bytes, the same for all that
	// share it.
	ID string
	// Shared: others register in the same entity too.
	Shared bool
	Nodes  []Node
}

// Node is a target.
type Node struct {
	Name   string // iSCSI name
	Alias  string // at most 255 bytes; "" for none
	Groups []Group
}

// Group is the portals through which a target is offered with one portal group
// tag (§3.4). They are addresses that initiators can connect to.
type Group struct {
	Tag     uint16
	Portals []netip.AddrPort
}

// portals are those of all nodes, each once.
func (e *Entity) portals() (all []netip.AddrPort) {
	for _, n := range e.Nodes {
		for _, g := range n.Groups {
			all = append(all, g.Portals...)
		}
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return slices.Compact(all)
}

// names are those of the nodes.
func (e *Entity) names() (all []string) {
	for _, n := range e.Nodes {
		all = append(all, n.Name)
	}
	return all
}

// chunk is how long the attributes of one registration may become before the
// rest goes into another one.
const chunk = 32 << 10

// registration are the DevAttrReg messages that register the entity. The first
// replaces what the server had of it when replace is set (§5.6.5.1).
func (e *Entity) registration(period time.Duration, replace bool) (all []*Message) {
	source := e.Nodes[0].Name
	head := func() []Attribute {
		return []Attribute{
			text(TagISCSIName, source), text(TagEntityID, e.ID), {Tag: TagDelimiter},
			text(TagEntityID, e.ID), number(TagEntityProtocol, protocolISCSI),
			number(TagRegistrationPeriod, uint32(period/time.Second)),
		}
	}
	m := &Message{Function: DevAttrReg, Flags: flagClient, Attributes: head()}
	if replace {
		m.Flags |= flagReplace
	}
	all = append(all, m)
	add := func(part []Attribute) {
		if payloadLength(m.Attributes)+payloadLength(part) > chunk {
			m = &Message{Function: DevAttrReg, Flags: flagClient, Attributes: head()}
			all = append(all, m)
		}
		m.Attributes = append(m.Attributes, part...)
	}
	for _, p := range e.portals() {
		add(portal(TagPortalAddress, TagPortalPort, p))
	}
	for _, n := range e.Nodes {
		add(n.attributes(e.portals()))
	}
	return all
}

// attributes describe the node and its portal groups (§6.4, §6.5). A portal of
// the entity through which the node is not offered has an empty tag: without
// one it would count as offering it (§3.4).
func (n *Node) attributes(portals []netip.AddrPort) []Attribute {
	all := []Attribute{text(TagISCSIName, n.Name), number(TagNodeType, nodeTypeTarget)}
	if n.Alias != "" {
		all = append(all, text(TagAlias, n.Alias))
	}
	for _, g := range n.Groups {
		all = append(all, number(TagPGTag, uint32(g.Tag)))
		for _, p := range g.Portals {
			all = append(all, portal(TagPGPortalAddress, TagPGPortalPort, p)...)
		}
	}
	closed := slices.DeleteFunc(portals, n.offeredAt)
	if len(closed) > 0 {
		all = append(all, Attribute{Tag: TagPGTag})
	}
	for _, p := range closed {
		all = append(all, portal(TagPGPortalAddress, TagPGPortalPort, p)...)
	}
	return all
}

// offeredAt tells whether the node is offered through a portal.
func (n *Node) offeredAt(p netip.AddrPort) bool {
	return slices.ContainsFunc(n.Groups, func(g Group) bool { return slices.Contains(g.Portals, p) })
}

// maxAsked is how many nodes the server is asked for: their names fit in one
// PDU (§5.1.3; a name has up to 223 bytes, RFC 7143 §4.2.7.1).
const maxAsked = 256

// query asks for the portals of the entity and, when there are no more than
// maxAsked, its nodes.
func (e *Entity) query() *Message {
	m := &Message{Function: DevAttrQry, Flags: flagClient, Attributes: []Attribute{
		text(TagISCSIName, e.Nodes[0].Name), text(TagEntityID, e.ID), {Tag: TagDelimiter},
		{Tag: TagPortalAddress}, {Tag: TagPortalPort},
	}}
	if len(e.Nodes) <= maxAsked {
		m.Attributes = append(m.Attributes, Attribute{Tag: TagISCSIName})
	}
	return m
}

// foundIn tells whether the answer to the query has all that is registered.
func (e *Entity) foundIn(a *Message) bool {
	have := a.portals()
	for _, p := range e.portals() {
		if !slices.Contains(have, p) {
			return false
		}
	}
	if len(e.Nodes) > maxAsked {
		return true
	}
	names := a.names()
	return !slices.ContainsFunc(e.Nodes, func(n Node) bool { return !slices.Contains(names, n.Name) })
}

// deregistration takes the entity off the server, or, when it is shared, its
// portals (§5.6.5.4).
func (e *Entity) deregistration() *Message {
	if !e.Shared {
		return e.without(nil, nil, true)
	}
	return e.without(e.portals(), nil, false)
}

// without takes portals, nodes or the whole entity off the server.
func (e *Entity) without(portals []netip.AddrPort, names []string, whole bool) *Message {
	m := &Message{Function: DevDereg, Flags: flagClient, Attributes: []Attribute{
		text(TagISCSIName, e.Nodes[0].Name), {Tag: TagDelimiter},
	}}
	if whole {
		m.Attributes = append(m.Attributes, text(TagEntityID, e.ID))
	}
	for _, p := range portals {
		m.Attributes = append(m.Attributes, portal(TagPortalAddress, TagPortalPort, p)...)
	}
	for _, n := range names {
		m.Attributes = append(m.Attributes, text(TagISCSIName, n))
	}
	return m
}

// difference is what was registered and is no longer to be: portals and nodes.
func difference(was, is *Entity) (portals []netip.AddrPort, names []string) {
	now, named := is.portals(), is.names()
	for _, p := range was.portals() {
		if !slices.Contains(now, p) {
			portals = append(portals, p)
		}
	}
	for _, n := range was.names() {
		if !slices.Contains(named, n) {
			names = append(names, n)
		}
	}
	return portals, names
}
