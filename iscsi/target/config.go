package target

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// Config is what a Server serves. It is not changed after it was handed over.
type Config struct {
	PortalGroups []PortalGroup
	Targets      []Target
}

// DefaultPingTimeout is how long an initiator usually gets to answer a ping.
const DefaultPingTimeout = 5 * time.Second

// PortalGroup is a set of addresses with one target portal group tag
// (RFC 7143 §3.1).
type PortalGroup struct {
	Name string
	Tag  uint16 // not 0
	// Portals are listened on. Port 0 takes a free port.
	Portals []netip.AddrPort
	// DiscoveryAuth says who may open a discovery session.
	DiscoveryAuth   AuthGroup
	DiscoveryFilter DiscoveryFilter
	// Foreign portals belong to another node: they are told of in discovery
	// and not listened on.
	Foreign bool
	// Redirect, when valid, sends every login to another portal before it is
	// authenticated (target moved temporarily).
	Redirect netip.AddrPort
	// DSCP is the differentiated services code point (RFC 2474) of what is sent
	// to initiators, at most 63. 0 is best effort, the system's own.
	DSCP uint8
	// MaxConnections is how many connections a session may have, at most 16; 0
	// stands for 1.
	MaxConnections int
	// PingTimeout is how long an initiator may be silent in all, a ping at
	// two fifths of it included, before its session is dropped; 0 is for ever.
	PingTimeout time.Duration
}

// DiscoveryFilter says which targets discovery returns.
type DiscoveryFilter uint8

// The filters of ctl.conf(5), each stricter than the one before.
const (
	FilterNone           DiscoveryFilter = iota // all of the portal group
	FilterPortal                                // whose InitiatorPortals match
	FilterPortalName                            // and whose InitiatorNames match
	FilterPortalNameAuth                        // and that let the discovery session's CHAP user in
)

// Target is one target node: a name and the logical units behind it.
type Target struct {
	Name  string // iSCSI name
	Alias string // for people (RFC 7143 §13.7)
	// Ports are the portal groups it is offered through.
	Ports []Port
	// LUNs by number, up to scsi.MaxLUN.
	LUNs map[uint16]lun.Unit
	// Redirect, when valid, sends initiators that have authenticated to
	// another portal (target moved temporarily).
	Redirect netip.AddrPort
}

// Port offers a target through a portal group: a SCSI target port.
type Port struct {
	PortalGroup string // its name
	Auth        AuthGroup
	// RelativePort is the relative target port identifier (SPC-5 §7.7.6.7);
	// not 0.
	RelativePort uint16
}

// AuthKind is how an auth group lets an initiator in.
type AuthKind uint8

// Kinds of authentication. The zero value lets nobody in.
const (
	AuthDeny AuthKind = iota
	AuthNone
	AuthCHAP
)

// AuthGroup says who may log in, and how: an initiator must match one of the
// names when there are any, one of the portals when there are any, and
// authenticate as Kind says.
type AuthGroup struct {
	Name             string // for messages
	Kind             AuthKind
	Users            []User // of AuthCHAP
	InitiatorNames   []string
	InitiatorPortals []netip.Prefix
}

// User is one set of CHAP credentials (RFC 7143 §12.1.3).
type User struct {
	// Name and Secret are the initiator's.
	Name   string
	Secret iscsi.Secret
	// MutualName and MutualSecret are the target's, for initiators that want
	// it to authenticate itself; empty when it cannot.
	MutualName   string
	MutualSecret iscsi.Secret
}

// snapshot is a Config that was found good, with what is looked up in it.
type snapshot struct {
	groups  map[string]*PortalGroup
	targets map[string]*target // by canonical name
	order   []*target
}

// target is a Target of a snapshot.
type target struct {
	Target
	// luns is shared by all snapshots in which the target is, so that sessions
	// see it change.
	luns *lunMap
}

// port finds the port through which a portal group offers the target.
func (t *target) port(group string) *Port {
	for i := range t.Ports {
		if t.Ports[i].PortalGroup == group {
			return &t.Ports[i]
		}
	}
	return nil
}

// compile checks c and makes a snapshot; the LUN maps of targets that are in
// old too are taken over, unchanged as yet. All errors are reported.
func compile(c Config, limits Limits, old *snapshot) (*snapshot, error) {
	s := &snapshot{groups: map[string]*PortalGroup{}, targets: map[string]*target{}}
	errs := s.addGroups(c.PortalGroups)
	for i := range c.Targets {
		t := &target{Target: c.Targets[i]}
		name, err := iscsi.CanonicalName(t.Name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t.Name = name
		if s.targets[name] != nil {
			errs = append(errs, fmt.Errorf("target %s: there are two of that name", name))
			continue
		}
		errs = append(errs, s.checkTarget(t, limits)...)
		if old != nil && old.targets[name] != nil {
			t.luns = old.targets[name].luns
		} else {
			t.luns = newLUNMap(t.LUNs)
		}
		s.targets[name] = t
		s.order = append(s.order, t)
	}
	return s, errors.Join(errs...)
}

func (s *snapshot) addGroups(groups []PortalGroup) (errs []error) {
	tags := map[uint16]string{}
	portals := map[netip.AddrPort]string{}
	for i := range groups {
		g := &groups[i]
		fail := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("portal group %s: %w", g.Name, fmt.Errorf(format, args...)))
		}
		if s.groups[g.Name] != nil {
			fail("there are two of that name")
		}
		if other, used := tags[g.Tag]; used || g.Tag == 0 {
			fail("tag %d: want a tag from 1 to 65535 that no other group has (%q)", g.Tag, other)
		}
		for _, p := range g.Portals {
			if !p.Addr().IsValid() {
				fail("portal %v is no address", p)
			}
			if other, used := portals[p]; used && p.Port() != 0 {
				fail("portal %v is in group %s too", p, other)
			}
			portals[p] = g.Name
		}
		if err := g.DiscoveryAuth.check(); err != nil {
			fail("discovery: %w", err)
		}
		if g.DSCP > maxDSCP {
			fail("DSCP %d, want at most %d", g.DSCP, maxDSCP)
		}
		if g.MaxConnections < 0 || g.MaxConnections > maxConnections {
			fail("%d connections of a session, want 1 to %d", g.MaxConnections, maxConnections)
		}
		if g.PingTimeout < 0 {
			fail("ping timeout %v is negative", g.PingTimeout)
		}
		tags[g.Tag] = g.Name
		s.groups[g.Name] = g
	}
	return errs
}

func (s *snapshot) checkTarget(t *target, limits Limits) (errs []error) {
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("target %s: %w", t.Name, fmt.Errorf(format, args...)))
	}
	for i, p := range t.Ports {
		if s.groups[p.PortalGroup] == nil {
			fail("there is no portal group %q", p.PortalGroup)
		}
		if p.RelativePort == 0 {
			fail("portal group %s: relative target port 0, want 1 to 65535", p.PortalGroup)
		}
		if t.port(p.PortalGroup) != &t.Ports[i] {
			fail("portal group %s is given twice", p.PortalGroup)
		}
		if err := p.Auth.check(); err != nil {
			fail("%w", err)
		}
	}
	if len(t.LUNs) > limits.LUNsPerTarget {
		fail("%d LUNs, at most %d", len(t.LUNs), limits.LUNsPerTarget)
	}
	for n, u := range t.LUNs {
		if n > scsi.MaxLUN || u == nil {
			fail("LUN %d: want a unit with a number from 0 to %d", n, scsi.MaxLUN)
		}
	}
	return errs
}

// check refuses what would be unsafe or can never work. Secrets are not
// looked at for their length: initiators differ in what they take.
func (g *AuthGroup) check() error {
	if g.Kind > AuthCHAP {
		return fmt.Errorf("auth group %q: kind %d is none", g.Name, g.Kind)
	}
	for i, u := range g.Users {
		bad := func(why string) error { return fmt.Errorf("auth group %q: user %q: %s", g.Name, u.Name, why) }
		switch {
		case g.Kind != AuthCHAP:
			return bad("only CHAP has users")
		case u.Name == "" || !u.Secret.IsSet():
			return bad("name and secret must not be empty")
		case (u.MutualName == "") != !u.MutualSecret.IsSet():
			return bad("mutual name and mutual secret belong together")
		case string(u.Secret.Reveal()) == string(u.MutualSecret.Reveal()):
			// Else the initiator could have its challenge answered by us
			// (RFC 7143 §12.1.3).
			return bad("secret and mutual secret must differ")
		case slices.ContainsFunc(g.Users[:i], func(o User) bool { return o.Name == u.Name }):
			return bad("given twice")
		}
	}
	for _, n := range g.InitiatorNames {
		if _, err := iscsi.CanonicalName(n); err != nil {
			return fmt.Errorf("auth group %q: initiator name: %w", g.Name, err)
		}
	}
	return nil
}

// allowsName tells whether an initiator of this canonical name may log in.
func (g *AuthGroup) allowsName(name string) bool {
	return len(g.InitiatorNames) == 0 || slices.ContainsFunc(g.InitiatorNames, func(n string) bool {
		canonical, err := iscsi.CanonicalName(n)
		return err == nil && canonical == name
	})
}

// allowsAddress tells whether initiators may come from an address.
func (g *AuthGroup) allowsAddress(a netip.Addr) bool {
	return len(g.InitiatorPortals) == 0 || slices.ContainsFunc(g.InitiatorPortals, func(p netip.Prefix) bool {
		return p.Contains(a)
	})
}

// user finds CHAP credentials by the name the initiator gives.
func (g *AuthGroup) user(name string) *User {
	for i := range g.Users {
		if g.Users[i].Name == name {
			return &g.Users[i]
		}
	}
	return nil
}
