package ctlconf

import (
	"net/netip"
	"path"
	"strings"
)

// ArbiterKind is where the cluster agrees who may serve.
type ArbiterKind int

// The kinds.
const (
	// ArbiterUnset: nothing was said, which is an error.
	ArbiterUnset ArbiterKind = iota
	// ArbiterNone: nowhere; an operator promotes.
	ArbiterNone
	// ArbiterEmbedded: in members that live in the controllers and witnesses.
	ArbiterEmbedded
	// ArbiterEtcd: in an etcd cluster that exists already.
	ArbiterEtcd
)

// String gives the word of the ha section.
func (k ArbiterKind) String() string {
	return [...]string{"unset", "none", "embedded", "etcd"}[k]
}

// Arbiter is where the grants are kept.
type Arbiter struct {
	Item
	Kind ArbiterKind
	// Embedded is set when Kind is ArbiterEmbedded.
	Embedded *EmbeddedArbiter
	// Etcd is set when Kind is ArbiterEtcd.
	Etcd *EtcdArbiter
}

// EmbeddedArbiter is this process's member of the arbiter, and the others.
type EmbeddedArbiter struct {
	Item
	// Data is the directory of this member.
	Data string
	// Listen is where the other members reach this one.
	Listen netip.AddrPort
	// Members are all members, this one too, in the order of the file.
	Members []Member
}

// Member is one member of the embedded arbiter.
type Member struct {
	Position
	// Name is the id of a controller, or the name of a witness.
	Name string
	// Address of the member, as the others reach it.
	Address netip.AddrPort
}

// Member finds a member by name; nil when there is none.
func (e *EmbeddedArbiter) Member(name string) *Member {
	for i := range e.Members {
		if e.Members[i].Name == name {
			return &e.Members[i]
		}
	}
	return nil
}

// EtcdArbiter is an etcd cluster that exists already.
type EtcdArbiter struct {
	Item
	// Endpoints are URLs such as https://192.0.2.1:2379, at least one.
	Endpoints []string
	// Certificate, Key and CA are paths of PEM files, "" where not given; in
	// the file they may be relative to it.
	Certificate, Key, CA string
}

// FirstStart is the file, beside the configuration, that allows a member of the
// embedded arbiter to start without data, once. 'tandem init' writes it and the
// first start takes it away.
func FirstStart(file, member string) string {
	return path.Join(path.Dir(file), "first-start."+member)
}

// MaxMembers is how many members the embedded arbiter may have.
const MaxMembers = 9

var embeddedSection = section[*EmbeddedArbiter]{
	name: "arbiter embedded",
	statements: map[string]statement[*EmbeddedArbiter]{
		"data": {params: "path", set: func(p *parser, e *EmbeddedArbiter, a arguments) { e.Data = p.path(a, 0) }},
		"listen": {params: "address", set: func(p *parser, e *EmbeddedArbiter, a arguments) {
			e.Listen, _ = p.address(a, 0, ArbiterPort)
		}},
		"member": {params: "name address", many: true, set: addMember},
	},
}

var etcdSection = section[*EtcdArbiter]{
	name: "arbiter etcd",
	statements: map[string]statement[*EtcdArbiter]{
		"ca": {params: "path", set: func(p *parser, e *EtcdArbiter, a arguments) { e.CA = p.near(a, 0) }},
		"certificate": {params: "path", set: func(p *parser, e *EtcdArbiter, a arguments) {
			e.Certificate = p.near(a, 0)
		}},
		"endpoint": {params: "url", many: true, set: addEndpoint},
		"key":      {params: "path", set: func(p *parser, e *EtcdArbiter, a arguments) { e.Key = p.near(a, 0) }},
	},
}

// setArbiter is arbiter without a section, which only none may be.
func setArbiter(p *parser, h *HA, a arguments) {
	switch a.text(0) {
	case "none":
		h.Arbiter = Arbiter{Item: Item{Position: a.key.pos}, Kind: ArbiterNone}
	case "embedded", "etcd":
		p.errorf(a.pos(0), "arbiter %s needs a section, expected {", a.text(0))
	default:
		p.unknownArbiter(a)
	}
}

func openArbiter(p *parser, h *HA, a arguments) {
	item := Item{Position: a.key.pos}
	switch a.text(0) {
	case "embedded":
		h.Arbiter = Arbiter{Item: item, Kind: ArbiterEmbedded, Embedded: &EmbeddedArbiter{Item: item}}
		embeddedSection.braces(p, h.Arbiter.Embedded)
	case "etcd":
		h.Arbiter = Arbiter{Item: item, Kind: ArbiterEtcd, Etcd: &EtcdArbiter{Item: item}}
		etcdSection.braces(p, h.Arbiter.Etcd)
	case "none":
		p.errorf(p.last.pos, "arbiter none has no section, expected another statement")
		p.skipBraces()
	default:
		p.unknownArbiter(a)
		p.skipBraces()
	}
}

func (p *parser) unknownArbiter(a arguments) {
	p.errorf(a.pos(0), "arbiter %s, expected embedded, etcd or none", quote(a.text(0)))
}

func addMember(p *parser, e *EmbeddedArbiter, a arguments) {
	name := p.label(a, 0)
	addr, ok := p.address(a, 1, ArbiterPort)
	if name == "" || !ok {
		return
	}
	for _, old := range e.Members {
		if old.Name == name {
			p.errorf(a.pos(0), "member %s is given a second time, expected another name (first on line %d)", name, old.Line)
			return
		}
		if old.Address == addr {
			p.errorf(a.pos(1), "member %s has the address of member %s, expected another (first on line %d)", name, old.Name, old.Line)
			return
		}
	}
	if p.room(len(e.Members), MaxMembers, a) {
		e.Members = append(e.Members, Member{a.key.pos, name, addr})
	}
}

func addEndpoint(p *parser, e *EtcdArbiter, a arguments) {
	url := a.text(0)
	hostPort, ok := strings.CutPrefix(url, "https://")
	if !ok {
		hostPort, ok = strings.CutPrefix(url, "http://")
	}
	host, port := hostPort, ""
	if n := strings.LastIndexByte(hostPort, ':'); n >= 0 {
		host, port = hostPort[:n], hostPort[n+1:]
	}
	if n, number := whole(port); !ok || !number || n == 0 || n > 65535 || host == "" || strings.ContainsAny(host, "/@ ") {
		p.errorf(a.pos(0), "endpoint, expected a form such as https://192.0.2.1:2379")
		return
	}
	if p.room(len(e.Endpoints), MaxMembers, a) {
		e.Endpoints = append(e.Endpoints, url)
	}
}
