package ctlconf

import (
	"fmt"
	"net/netip"
)

// Target is an iSCSI target.
type Target struct {
	Item
	// Name is the iSCSI name, in lower case.
	Name string
	// Alias is text for people (RFC 7143 §13.7); "" by default.
	Alias string
	// AuthGroup says who may log in, unless the port has its own. A target
	// that spells its rules out for itself has a group without a name; one
	// that says nothing has the group default, which denies.
	AuthGroup *AuthGroup
	// Ports are the portal groups the target is offered through, at least
	// one; by default the group named default.
	Ports []TargetPort
	// LUNs in the order of the file.
	LUNs []LUNMapping
	// Redirect, when valid, is where logins are sent after authentication.
	Redirect netip.AddrPort

	auth reference  // auth-group
	own  *AuthGroup // rules spelt out
}

func (t *Target) name() string { return t.Name }

// TargetPort offers a target through a portal group.
type TargetPort struct {
	Position
	PortalGroup *PortalGroup
	// AuthGroup is who may log in here: the one given for this port, or the
	// target's.
	AuthGroup *AuthGroup

	portal, auth reference
}

// LUNMapping gives a logical unit its number in a target.
type LUNMapping struct {
	Position
	// Number is the LUN, 0 to MaxLUN.
	Number uint16
	LUN    *LUN

	ref reference // when the logical unit is defined elsewhere
}

var targetSection = section[*Target]{
	name: "target",
	statements: map[string]statement[*Target]{
		"alias": {params: "text", set: func(p *parser, t *Target, a arguments) {
			t.Alias = p.word(a, 0, 255)
		}},
		"auth-group": {params: "name", set: func(_ *parser, t *Target, a arguments) {
			t.auth = reference{a.pos(0), a.text(0)}
		}},
		"auth-type":        {params: "type", many: true, set: ownRule(setAuthType)},
		"chap":             {params: "user secret", many: true, secret: true, set: ownRule(addCHAP)},
		"chap-mutual":      {params: "user secret mutualuser mutualsecret", many: true, secret: true, set: ownRule(addCHAPMutual)},
		"initiator-name":   {params: "initiator-name", many: true, set: ownRule(addInitiatorName)},
		"initiator-portal": {params: "address", many: true, set: ownRule(addInitiatorPortal)},
		"lun":              {params: "number [name]", many: true, set: addLUNReference, open: openTargetLUN},
		"offload": {params: "driver", set: func(p *parser, _ *Target, a arguments) {
			p.noOffload(a)
		}},
		"port": {params: "name", many: true, set: func(p *parser, _ *Target, a arguments) {
			p.errorf(a.key.pos, "port %s: physical ports of CTL are not supported, expected portal-group", quote(a.text(0)))
		}},
		"portal-group": {params: "name [auth-group]", many: true, set: addTargetPort},
		"redirect": {params: "address", set: func(p *parser, t *Target, a arguments) {
			t.Redirect, _ = p.address(a, 0, ISCSIPort)
		}},
	},
}

// ownRule applies a statement of an auth-group to the target's own one.
func ownRule(set func(*parser, *AuthGroup, arguments)) func(*parser, *Target, arguments) {
	return func(p *parser, t *Target, a arguments) {
		if t.own == nil {
			t.own = &AuthGroup{Item: Item{Position: a.key.pos}}
		}
		set(p, t.own, a)
	}
}

func openTarget(p *parser, c *Config, a arguments) {
	name, problem := targetName(a.text(0))
	if problem != "" {
		p.errorf(a.pos(0), "target %s %s", quote(a.text(0)), problem)
	}
	t := &Target{Item: Item{Position: a.key.pos}, Name: name}
	targetSection.braces(p, t)
	if old := c.Target(name); old != nil && name != "" {
		p.duplicate(a, &old.Item)
		return
	}
	if p.room(len(c.Targets), MaxItems, a) {
		c.Targets = append(c.Targets, t)
	}
}

func addTargetPort(p *parser, t *Target, a arguments) {
	port := TargetPort{Position: a.key.pos, portal: reference{a.pos(0), a.text(0)}}
	if len(a.words) == 2 {
		port.auth = reference{a.pos(1), a.text(1)}
	}
	for _, old := range t.Ports {
		if old.portal.name == port.portal.name {
			p.errorf(a.pos(0), "portal-group %s is given a second time, expected once in target (first on line %d)", quote(port.portal.name), old.Line)
			return
		}
	}
	if p.room(len(t.Ports), MaxPortalGroups, a) {
		t.Ports = append(t.Ports, port)
	}
}

// addLUNReference is lun NUMBER NAME: a logical unit defined elsewhere.
func addLUNReference(p *parser, t *Target, a arguments) {
	if len(a.words) < 2 {
		p.errorf(a.key.pos, "lun %s, expected the name of a lun or { behind it", quote(a.text(0)))
		return
	}
	t.mapLUN(p, a, LUNMapping{ref: reference{a.pos(1), a.text(1)}})
}

// openTargetLUN is lun NUMBER { ... }: a logical unit of this target. It is
// named as ctld(8) does, by target and number.
func openTargetLUN(p *parser, t *Target, a arguments) {
	if len(a.words) > 1 {
		p.errorf(a.pos(1), "lun %s has both a name and a section, expected one of them", quote(a.text(0)))
	}
	t.mapLUN(p, a, LUNMapping{LUN: p.lun(a)})
}

func (t *Target) mapLUN(p *parser, a arguments, m LUNMapping) {
	n, ok := expand(a.text(0))
	if !ok || n > MaxLUN {
		p.errorf(a.pos(0), "lun %s, expected a number from 0 to %d", quote(a.text(0)), MaxLUN)
		return
	}
	m.Position, m.Number = a.key.pos, uint16(n)
	for _, old := range t.LUNs {
		if old.Number == m.Number {
			p.errorf(a.pos(0), "lun %d is defined a second time, expected another number (first on line %d)", n, old.Line)
			return
		}
	}
	if m.LUN != nil {
		m.LUN.Name = fmt.Sprintf("%s,lun,%d", t.Name, n)
	}
	t.LUNs = append(t.LUNs, m) // at most MaxLUN+1, as the numbers differ
}
