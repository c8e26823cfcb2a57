package ctlconf

import (
	"net/netip"
	"time"
)

// Limits of a file. Sections need none on their depth: none of the grammar's
// stands inside itself.
const (
	// MaxFileSize is the largest file, in bytes.
	MaxFileSize = 4 << 20
	// MaxWordLength is the longest word or string, in bytes.
	MaxWordLength = 4096
	// MaxErrors is how many errors, and how many warnings, are reported.
	MaxErrors = 100
	// MaxItems is how many groups, targets or LUNs of one kind a file may
	// define, and how many entries a list inside one of them may have.
	MaxItems = 4096
	// MaxPortalGroups is how many portal groups a file may define: each
	// controller owns 256 tags.
	MaxPortalGroups = 255
	// MaxTargetPorts is how many target ports a controller may have: CTL gives
	// each 128 numbers, of which three are taken.
	MaxTargetPorts = 125
	// MaxLUN is the largest LUN number in a target (CTL's MAX_LUNS, less one).
	MaxLUN = 1023
	// MaxSocketPath is the longest path of a unix socket, in bytes (that of
	// FreeBSD, the shorter one).
	MaxSocketPath = 103
	// MaxNodeID is the largest id of a controller.
	MaxNodeID = 8
)

// Default ports.
const (
	ISCSIPort   = 3260 // RFC 7143 §4.1
	ISNSPort    = 3205 // RFC 4171 §2.9
	LinkPort    = 7777
	ArbiterPort = 7778
)

// Item is the part that every item of a configuration has: where it stands.
type Item struct {
	// Position is where the item begins; nowhere when it is there by default.
	Position
	marks map[string]Position
}

// At returns where a statement of the item stands, by its keyword ("path") or,
// for an option, "option " and its name. When the item has no such statement it
// is the place of the item itself.
func (i *Item) At(keyword string) Position {
	if at, ok := i.marks[keyword]; ok {
		return at
	}
	return i.Position
}

// Has reports whether the item has such a statement; see At for the name.
func (i *Item) Has(keyword string) bool {
	_, ok := i.marks[keyword]
	return ok
}

func (i *Item) mark(keyword string, at Position) {
	if i.marks == nil {
		i.marks = make(map[string]Position)
	}
	i.marks[keyword] = at
}

// DefaultState is where a controller of a cluster keeps the states when its
// member of the arbiter does not suggest another place.
const DefaultState = "/var/lib/tandem/state"

// Config is the configuration of one controller. When Parse reported no error
// every reference in it is resolved and every default filled in.
type Config struct {
	Item
	// File is the name given to Parse.
	File string
	// Debug is the verbosity, 0 by default.
	Debug int
	// LoginTimeout is how long a login may take; 0 is for ever. Default 60 s.
	LoginTimeout time.Duration
	// MaxProc limits the processes of ctld(8); 0 is no limit. Default 30. A
	// login is no process here.
	MaxProc int
	// PIDFile is where the process writes its id; "" by default: nowhere.
	PIDFile string
	// Socket is the path of the unix socket of the admin API; "" by default:
	// the caller chooses. A statement of Tandem's own.
	Socket string
	// State is the directory in which the states of the logical units outlive
	// a restart and a loss of power. With an ha section there always is one;
	// otherwise "" keeps them in memory. A statement of Tandem's own.
	State string
	// ISNS says where to register; it has no servers by default.
	ISNS ISNS
	// AuthGroups are the named groups in the order of the file, after the
	// predefined ones: default, no-authentication and no-access.
	AuthGroups []*AuthGroup
	// PortalGroups in the order of the file; the one named default comes
	// first when it is there only by default.
	PortalGroups []*PortalGroup
	// LUNs are all logical units in the order of the file, those defined
	// inside a target among them.
	LUNs []*LUN
	// Targets in the order of the file.
	Targets []*Target
	// HA is the ha section; nil without one.
	HA *HA
}

// ISNS is where and how to register with iSNS servers (RFC 4171).
type ISNS struct {
	Servers []netip.AddrPort
	// Period is how long a server may keep the registration without hearing
	// from here. Default 900 s.
	Period time.Duration
	// Timeout of a request. Default 5 s.
	Timeout time.Duration
}

// Errorf makes an error about a place in the file, for what the caller finds
// wrong: a path that cannot be opened, an address that is not here.
func (c *Config) Errorf(at Position, format string, args ...any) Diagnostic {
	r := reporter{file: c.File}
	r.errorf(at, format, args...)
	return r.list.Errors[0]
}

// AuthGroup finds an auth group by name; nil when there is none.
func (c *Config) AuthGroup(name string) *AuthGroup { return find(c.AuthGroups, name) }

// PortalGroup finds a portal group by name; nil when there is none.
func (c *Config) PortalGroup(name string) *PortalGroup { return find(c.PortalGroups, name) }

// Target finds a target by its iSCSI name; nil when there is none.
func (c *Config) Target(name string) *Target { return find(c.Targets, name) }

// LUN finds a logical unit by name; nil when there is none.
func (c *Config) LUN(name string) *LUN { return find(c.LUNs, name) }

// named is an item with a name.
type named interface{ name() string }

func find[T named](items []T, name string) (none T) {
	for _, i := range items {
		if i.name() == name {
			return i
		}
	}
	return none
}

// Parse reads a configuration. file is its name, for messages only. The Config
// is never nil; when there are errors it holds what could be understood and
// must not be used to serve.
func Parse(file string, src []byte) (*Config, Diagnostics) {
	p := newParser(file, src)
	c := &Config{
		File:         file,
		LoginTimeout: 60 * time.Second,
		MaxProc:      30,
		ISNS:         ISNS{Period: 900 * time.Second, Timeout: 5 * time.Second},
		AuthGroups:   predefinedAuthGroups(),
	}
	configSection.file(p, c)
	resolve(p.reporter, c)
	validate(p.reporter, c)
	return c, p.result()
}

// configSection is the global context of ctl.conf(5).
var configSection = section[*Config]{
	name: "the file",
	statements: map[string]statement[*Config]{
		"auth-group": {params: "name", many: true, open: openAuthGroup},
		"controller": {params: "name", many: true, open: openNVMeController},
		"debug": {params: "level", set: func(p *parser, c *Config, a arguments) {
			c.Debug = int(p.number(a, 0, 0, 1<<16))
		}},
		"ha": {open: openHA},
		"isns-period": {params: "seconds", set: func(p *parser, c *Config, a arguments) {
			c.ISNS.Period = p.seconds(a, 0, 1, 86400)
		}},
		"isns-server": {params: "address", many: true, set: setISNSServer},
		"isns-timeout": {params: "seconds", set: func(p *parser, c *Config, a arguments) {
			c.ISNS.Timeout = p.seconds(a, 0, 1, 86400)
		}},
		"lun": {params: "name", many: true, open: openLUN},
		"maxproc": {params: "number", set: func(p *parser, c *Config, a arguments) {
			c.MaxProc = int(p.number(a, 0, 0, 1<<16))
			p.warnf(a.key.pos, "maxproc has no effect: a login is no process")
		}},
		"pidfile": {params: "path", set: func(p *parser, c *Config, a arguments) {
			c.PIDFile = p.path(a, 0)
		}},
		"portal-group": {params: "name", many: true, open: openPortalGroup},
		"socket": {params: "path", set: func(p *parser, c *Config, a arguments) {
			if c.Socket = p.path(a, 0); len(c.Socket) > MaxSocketPath {
				p.errorf(a.pos(0), "socket path of %d bytes, expected at most %d", len(c.Socket), MaxSocketPath)
			}
		}},
		"state": {params: "path", set: func(p *parser, c *Config, a arguments) {
			c.State = p.path(a, 0)
		}},
		"target": {params: "name", many: true, open: openTarget},
		"timeout": {params: "seconds", set: func(p *parser, c *Config, a arguments) {
			c.LoginTimeout = p.seconds(a, 0, 0, 86400)
		}},
		"transport-group": {params: "name", many: true, open: openTransportGroup},
	},
}

func setISNSServer(p *parser, c *Config, a arguments) {
	if addr, ok := p.address(a, 0, ISNSPort); ok && p.room(len(c.ISNS.Servers), MaxItems, a) {
		c.ISNS.Servers = append(c.ISNS.Servers, addr)
	}
}
