package ctlconf

import (
	"net/netip"
)

// AuthType is how an auth group lets an initiator in.
type AuthType int

// The types of ctl.conf(5).
const (
	// AuthDeny lets nobody in. It is the default.
	AuthDeny AuthType = iota
	// AuthNone lets in without authentication.
	AuthNone
	// AuthCHAP: the target authenticates the initiator.
	AuthCHAP
	// AuthCHAPMutual: each authenticates the other.
	AuthCHAPMutual
)

var authTypes = []string{AuthDeny: "deny", AuthNone: "none", AuthCHAP: "chap", AuthCHAPMutual: "chap-mutual"}

// String gives the word of ctl.conf(5).
func (t AuthType) String() string { return authTypes[t] }

// AuthGroup says who may log in, and how. An initiator must match one of the
// names when there are any, one of the portals when there are any, and
// authenticate as Type says.
type AuthGroup struct {
	Item
	// Name; "" for the group that a target spells out for itself.
	Name string
	Type AuthType
	// CHAP credentials, when Type is AuthCHAP or AuthCHAPMutual.
	CHAP []CHAP
	// InitiatorNames in lower case.
	InitiatorNames []string
	// InitiatorPortals are the addresses initiators may come from.
	InitiatorPortals []netip.Prefix

	typed bool // auth-type or a credential has set Type
}

func (g *AuthGroup) name() string { return g.Name }

// CHAP is one set of credentials (RFC 7143 §12.1.3).
type CHAP struct {
	Position
	// User and Secret are the initiator's.
	User   string
	Secret Secret
	// MutualUser and MutualSecret are the target's; empty unless mutual.
	MutualUser   string
	MutualSecret Secret
}

// Initiators demand secrets of 12 to 16 characters (Windows and others refuse
// all else; RFC 7143 §12.1.3 asks for at least 96 bits).
const (
	minSecret = 12
	maxSecret = 16
)

func predefinedAuthGroups() []*AuthGroup {
	return []*AuthGroup{
		{Name: "default", Type: AuthDeny, typed: true},
		{Name: "no-authentication", Type: AuthNone, typed: true},
		{Name: "no-access", Type: AuthDeny, typed: true},
	}
}

var authGroupSection = section[*AuthGroup]{
	name: "auth-group",
	statements: map[string]statement[*AuthGroup]{
		"auth-type":        {params: "type", many: true, set: setAuthType},
		"chap":             {params: "user secret", many: true, secret: true, set: addCHAP},
		"chap-mutual":      {params: "user secret mutualuser mutualsecret", many: true, secret: true, set: addCHAPMutual},
		"host-address":     {params: "address", many: true, set: refuseNVMe},
		"host-nqn":         {params: "name", many: true, set: refuseNVMe},
		"initiator-name":   {params: "initiator-name", many: true, set: addInitiatorName},
		"initiator-portal": {params: "address", many: true, set: addInitiatorPortal},
	},
}

func openAuthGroup(p *parser, c *Config, a arguments) {
	g := &AuthGroup{Item: Item{Position: a.key.pos}, Name: p.word(a, 0, 255)}
	authGroupSection.braces(p, g)
	if g.Name == "default" && !c.AuthGroup("default").IsValid() {
		*c.AuthGroup("default") = *g // the predefined one may be redefined
		return
	}
	if old := c.AuthGroup(g.Name); old != nil {
		p.duplicate(a, &old.Item)
		return
	}
	if p.room(len(c.AuthGroups), MaxItems, a) {
		c.AuthGroups = append(c.AuthGroups, g)
	}
}

// duplicate reports the second definition of a name.
func (p *parser) duplicate(a arguments, old *Item) {
	switch {
	case a.text(0) == "": // reported already
	case old.IsValid():
		p.errorf(a.pos(0), "%s %s is defined a second time, expected another name (first on line %d)", a.key.text, quote(a.text(0)), old.Line)
	default:
		p.errorf(a.pos(0), "%s %s is predefined, expected another name", a.key.text, quote(a.text(0)))
	}
}

func setAuthType(p *parser, g *AuthGroup, a arguments) {
	for t, word := range authTypes {
		if a.text(0) == word {
			p.authType(g, AuthType(t), a)
			return
		}
	}
	p.choice(a, 0, "auth-type", authTypes...)
}

// authType sets the type of a group, which may not change.
func (p *parser) authType(g *AuthGroup, t AuthType, a arguments) bool {
	if g.typed && g.Type != t {
		p.errorf(a.key.pos, "%s after %s, expected only one type of authentication", a.key.text, g.Type)
		return false
	}
	g.Type, g.typed = t, true
	return true
}

func addCHAP(p *parser, g *AuthGroup, a arguments) {
	p.credentials(g, AuthCHAP, a, CHAP{Position: a.key.pos, User: a.text(0), Secret: NewSecret(a.text(1))})
}

func addCHAPMutual(p *parser, g *AuthGroup, a arguments) {
	p.credentials(g, AuthCHAPMutual, a, CHAP{
		Position: a.key.pos,
		User:     a.text(0), Secret: NewSecret(a.text(1)),
		MutualUser: a.text(2), MutualSecret: NewSecret(a.text(3)),
	})
}

// credentials adds a set of credentials, and warns of secrets that initiators
// refuse. Users are checked without being named: they may stand in the place
// of a secret by mistake.
func (p *parser) credentials(g *AuthGroup, t AuthType, a arguments, c CHAP) {
	for i, w := range a.words {
		n := len(w.text)
		switch secret := i%2 == 1; {
		case n == 0 || n > 255:
			p.errorf(w.pos, "%s: argument %d has %d bytes, expected 1 to 255", a.key.text, i+1, n)
			return
		case secret && (n < minSecret || n > maxSecret):
			p.warnf(w.pos, "%s: secret of %d characters, initiators demand %d to %d", a.key.text, n, minSecret, maxSecret)
		}
	}
	if t == AuthCHAPMutual && c.Secret.Reveal() == c.MutualSecret.Reveal() {
		p.errorf(a.pos(3), "%s: both secrets are the same, expected two (RFC 7143 §9.2.1)", a.key.text)
	}
	for _, old := range g.CHAP {
		if old.User == c.User {
			p.errorf(a.pos(0), "%s: this user is given a second time, expected once (first on line %d)", a.key.text, old.Line)
			return
		}
	}
	if p.authType(g, t, a) && p.room(len(g.CHAP), MaxItems, a) {
		g.CHAP = append(g.CHAP, c)
	}
}

func addInitiatorName(p *parser, g *AuthGroup, a arguments) {
	name, problem := initiatorName(a.text(0))
	if problem != "" {
		p.errorf(a.pos(0), "initiator-name %s %s", quote(a.text(0)), problem)
		return
	}
	if p.room(len(g.InitiatorNames), MaxItems, a) {
		g.InitiatorNames = append(g.InitiatorNames, name)
	}
}

func addInitiatorPortal(p *parser, g *AuthGroup, a arguments) {
	if prefix, ok := p.prefix(a, 0); ok && p.room(len(g.InitiatorPortals), MaxItems, a) {
		g.InitiatorPortals = append(g.InitiatorPortals, prefix)
	}
}

func refuseNVMe(p *parser, _ *AuthGroup, a arguments) { p.noNVMe(a) }
