package ctlconf

import (
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"
)

// LUNOptions are the options of a logical unit: those of ctladm(8) that mean
// something in a process, and Tandem's own. A zero value is CTL's default
// unless said otherwise.
type LUNOptions struct {
	// Vendor, Product and Revision of the standard INQUIRY data, at most 8,
	// 16 and 4 bytes; "" for Tandem's own.
	Vendor, Product, Revision string
	// SCSIName is the SCSI name string designator; "" derives it.
	SCSIName string
	// EUI (8, 12 or 16 bytes), NAA (8 or 16 bytes) and UUID (16 bytes) are
	// designators given by hand; nil derives.
	EUI, NAA, UUID []byte
	// IdentInfo and TextIdentInfo are what REPORT IDENTIFYING INFORMATION
	// returns until it is set.
	IdentInfo     []byte
	TextIdentInfo string
	// Temperature and ReferenceTemperature are what the log pages tell, in
	// degrees Celsius; 0 is not known.
	Temperature, ReferenceTemperature uint8
	// Removable: the medium can be ejected and loaded.
	Removable bool
	// ReadOnly refuses writes.
	ReadOnly bool
	// ReadCache and WriteCache are the states of the caching mode page;
	// default true. Without a write cache each write is synced before it is
	// acknowledged.
	ReadCache, WriteCache bool
	// Unrestricted allows reordering of simple tasks. Default false.
	Unrestricted bool
	// SerializeReads and SerializeWrites keep consecutive ones in order
	// (option serseq: "read", "on").
	SerializeReads, SerializeWrites bool
	// PhysicalBlockSize and UnmapBlockSize in bytes with their offsets; 0
	// derives them from the backend.
	PhysicalBlockSize, PhysicalBlockOffset uint64
	UnmapBlockSize, UnmapBlockOffset       uint64
	// RPM is the medium rotation rate: 0 not reported, 1 non-rotating, which is
	// the default.
	RPM uint16
	// FormFactor is the nominal form factor, 0 not reported.
	FormFactor uint8
	// Unmap says whether UNMAP is supported. Default true.
	Unmap bool
	// ProvisioningType is "thin" (default), "resource" or "unknown".
	ProvisioningType string
	// UnmapMaxLBA, UnmapMaxDescriptors and WriteSameMaxLBA are limits for the
	// Block Limits page; 0 leaves them to the logical unit.
	UnmapMaxLBA, UnmapMaxDescriptors uint32
	WriteSameMaxLBA                  uint64
	// UsedThreshold and AvailThreshold are soft thresholds of thin provisioning
	// in bytes; 0 for none.
	UsedThreshold, AvailThreshold uint64
	// Capacity is the most memory that a ramdisk takes, in bytes; 0 is its
	// size. Unlike in CTL a ramdisk always keeps what is written to it.
	Capacity uint64

	// Role is the role of this controller for the logical unit at first; the
	// ha section's unless option ha_role says otherwise.
	Role Role
	// Shared: both controllers reach the disk at Path.
	Shared bool
	// Fence keeps a controller that lost its right away from a shared disk.
	Fence Fence
	// Failback: the controller of role primary takes the logical unit back when
	// it could have served it for FailbackHold without a break. Default false.
	Failback bool
	// FailbackHold defaults to DefaultFailbackHold.
	FailbackHold time.Duration
}

// Hold times of a fail-back.
const (
	DefaultFailbackHold = time.Minute
	MinFailbackHold     = time.Second
	MaxFailbackHold     = 24 * time.Hour
)

func defaultLUNOptions() LUNOptions {
	return LUNOptions{ReadCache: true, WriteCache: true, Unmap: true, ProvisioningType: "thin", FailbackHold: DefaultFailbackHold, RPM: 1}
}

// lunOption reads the value of one option. a holds the value alone and is
// named "option NAME".
type lunOption func(p *parser, o *LUNOptions, a arguments)

var lunOptions = map[string]lunOption{
	"avail-threshold": func(p *parser, o *LUNOptions, a arguments) { o.AvailThreshold = p.size(a, 0) },
	"used-threshold":  func(p *parser, o *LUNOptions, a arguments) { o.UsedThreshold = p.size(a, 0) },
	"capacity":        func(p *parser, o *LUNOptions, a arguments) { o.Capacity = p.size(a, 0) },
	"eui":             func(p *parser, o *LUNOptions, a arguments) { o.EUI = p.hexadecimal(a, 8, 12, 16) },
	"failback":        func(p *parser, o *LUNOptions, a arguments) { o.Failback = p.onOff(a) },
	"failback_hold": func(p *parser, o *LUNOptions, a arguments) {
		o.FailbackHold = p.duration(a, 0, MinFailbackHold, MaxFailbackHold)
	},
	"fence":        func(p *parser, o *LUNOptions, a arguments) { o.Fence = p.fence(a) },
	"formfactor":   func(p *parser, o *LUNOptions, a arguments) { o.FormFactor = uint8(p.number(a, 0, 0, 5)) },
	"ha_role":      func(p *parser, o *LUNOptions, a arguments) { o.Role = p.role(a) },
	"ident_info":   func(p *parser, o *LUNOptions, a arguments) { o.IdentInfo = p.identInfo(a) },
	"naa":          func(p *parser, o *LUNOptions, a arguments) { o.NAA = p.naa(a) },
	"pblockoffset": func(p *parser, o *LUNOptions, a arguments) { o.PhysicalBlockOffset = p.number(a, 0, 0, 1<<30) },
	"pblocksize":   func(p *parser, o *LUNOptions, a arguments) { o.PhysicalBlockSize = p.powerOfTwo(a) },
	"product":      func(p *parser, o *LUNOptions, a arguments) { o.Product = p.printable(a, 0, 16) },
	"provisioning_type": func(p *parser, o *LUNOptions, a arguments) {
		o.ProvisioningType = p.choice(a, 0, a.key.text, "thin", "resource", "unknown")
	},
	"readcache":      func(p *parser, o *LUNOptions, a arguments) { o.ReadCache = p.onOff(a) },
	"readonly":       func(p *parser, o *LUNOptions, a arguments) { o.ReadOnly = p.onOff(a) },
	"reftemperature": func(p *parser, o *LUNOptions, a arguments) { o.ReferenceTemperature = uint8(p.number(a, 0, 0, 254)) },
	"removable":      func(p *parser, o *LUNOptions, a arguments) { o.Removable = p.onOff(a) },
	"reordering": func(p *parser, o *LUNOptions, a arguments) {
		o.Unrestricted = p.choice(a, 0, a.key.text, "restricted", "unrestricted") == "unrestricted"
	},
	"revision":        func(p *parser, o *LUNOptions, a arguments) { o.Revision = p.printable(a, 0, 4) },
	"rpm":             func(p *parser, o *LUNOptions, a arguments) { o.RPM = p.rpm(a) },
	"scsiname":        func(p *parser, o *LUNOptions, a arguments) { o.SCSIName = p.word(a, 0, maxName) },
	"serseq":          setSerSeq,
	"shared":          func(p *parser, o *LUNOptions, a arguments) { o.Shared = p.onOff(a) },
	"temperature":     func(p *parser, o *LUNOptions, a arguments) { o.Temperature = uint8(p.number(a, 0, 0, 254)) },
	"text_ident_info": func(p *parser, o *LUNOptions, a arguments) { o.TextIdentInfo = p.word(a, 0, 255) },
	"ublockoffset":    func(p *parser, o *LUNOptions, a arguments) { o.UnmapBlockOffset = p.number(a, 0, 0, 1<<30) },
	"ublocksize":      func(p *parser, o *LUNOptions, a arguments) { o.UnmapBlockSize = p.number(a, 0, 512, 1<<30) },
	"unmap":           func(p *parser, o *LUNOptions, a arguments) { o.Unmap = p.onOff(a) },
	"unmap_max_descr": func(p *parser, o *LUNOptions, a arguments) {
		o.UnmapMaxDescriptors = uint32(p.number(a, 0, 1, maxUnmapDescriptors))
	},
	"unmap_max_lba": func(p *parser, o *LUNOptions, a arguments) { o.UnmapMaxLBA = uint32(p.number(a, 0, 1, 1<<32-1)) },
	"uuid":          func(p *parser, o *LUNOptions, a arguments) { o.UUID = p.uuid(a) },
	"vendor":        func(p *parser, o *LUNOptions, a arguments) { o.Vendor = p.printable(a, 0, 8) },
	"write_same_max_lba": func(p *parser, o *LUNOptions, a arguments) {
		o.WriteSameMaxLBA = p.number(a, 0, 1, 1<<62)
	},
	"writecache": func(p *parser, o *LUNOptions, a arguments) { o.WriteCache = p.onOff(a) },
}

// maxUnmapDescriptors is how many fit into the parameter list of UNMAP, whose
// length has 16 bits (SBC-4 §5.36).
const maxUnmapDescriptors = 4095

// idleOption is an option that may stand and changes nothing.
type idleOption struct {
	why string
	// same reports whether the value asks for what is done anyway; nil when
	// none does.
	same func(*LUNOptions) bool
}

// idleLUNOptions are options of CTL, and one of our own, that change nothing
// here. Values of those that are in lunOptions too are checked.
var idleLUNOptions = map[string]idleOption{
	"num_threads": {"each command runs as soon as it may", nil},
	"readcache":   {"reads are answered from wherever the data is", func(o *LUNOptions) bool { return o.ReadCache }},
	"reordering":  {"commands on ranges that do not overlap run in any order", func(o *LUNOptions) bool { return o.Unrestricted }},
	"serseq":      {"commands on ranges that do not overlap run in any order", func(o *LUNOptions) bool { return !o.SerializeReads && !o.SerializeWrites }},
}

// refusedLUNOptions are options of CTL that promise something which is not
// kept here; going on without would surprise.
var refusedLUNOptions = map[string]string{
	"file":                 "the file is named by path",
	"insecure_tpc":         "a copy has the rights of the nexus that asks for it",
	"pool-avail-threshold": "thresholds of ZFS pools are not supported",
	"pool-used-threshold":  "thresholds of ZFS pools are not supported",
}

func setLUNOption(p *parser, l *LUN, a arguments) {
	name := a.text(0)
	value := arguments{key: token{text: "option " + name, pos: a.key.pos}, words: a.words[1:]}
	if l.Has(value.key.text) {
		p.errorf(a.pos(0), "%s is given a second time, expected once in lun (first on line %d)", value.key.text, l.At(value.key.text).Line)
		return
	}
	set, known := lunOptions[name]
	if known {
		l.mark(value.key.text, a.key.pos)
		set(p, &l.Options, value)
	}
	if idle, ok := idleLUNOptions[name]; ok {
		if idle.same == nil || !idle.same(&l.Options) {
			p.warnf(a.pos(0), "option %s has no effect: %s", name, idle.why)
		}
		return
	}
	if known {
		return
	}
	if why, ok := refusedLUNOptions[name]; ok {
		p.errorf(a.pos(0), "option %s is refused: %s", name, why)
		return
	}
	p.errorf(a.pos(0), "unknown option %s of a lun, expected %s", quote(name), list(slices.Sorted(maps.Keys(lunOptions))))
}

func (p *parser) onOff(a arguments) bool {
	return p.choice(a, 0, a.key.text, "on", "off") == "on"
}

func setSerSeq(p *parser, o *LUNOptions, a arguments) {
	v := p.choice(a, 0, a.key.text, "on", "read", "off")
	o.SerializeReads = v == "on" || v == "read"
	o.SerializeWrites = v == "on"
}

func (p *parser) powerOfTwo(a arguments) uint64 {
	n := p.number(a, 0, 512, 1<<30)
	if n&(n-1) != 0 {
		p.errorf(a.pos(0), "%s %s, expected a power of two", a.key.text, quote(a.text(0)))
		return 0
	}
	return n
}

// rpm reads a medium rotation rate (SBC-4 §6.6.2): 2 to 0x400 are reserved.
func (p *parser) rpm(a arguments) uint16 {
	n := p.number(a, 0, 0, 0xfffe)
	if n > 1 && n <= 0x400 {
		p.errorf(a.pos(0), "%s %s, expected 0, 1 or a number from 1025 to 65534", a.key.text, quote(a.text(0)))
		return 0
	}
	return uint16(n)
}

// hexadecimal reads bytes as hexadecimal digits, with or without 0x.
func (p *parser) hexadecimal(a arguments, sizes ...int) []byte {
	b, err := hex.DecodeString(strings.TrimPrefix(a.text(0), "0x"))
	if err != nil || !slices.Contains(sizes, len(b)) {
		p.errorf(a.pos(0), "%s %s, expected 0x and hexadecimal digits for %s bytes", a.key.text, quote(a.text(0)), list(decimals(sizes)))
		return nil
	}
	return b
}

// naa reads an NAA designator (SPC-5 §7.7.6.6): 16 bytes when it is of type 6,
// 8 bytes when it is of type 2, 3 or 5.
func (p *parser) naa(a arguments) []byte {
	b := p.hexadecimal(a, 8, 16)
	if b == nil {
		return nil
	}
	kind := b[0] >> 4
	if (len(b) == 16) != (kind == 6) || !slices.Contains([]byte{2, 3, 5, 6}, kind) {
		p.errorf(a.pos(0), "%s %s, expected 16 bytes that begin with digit 6, or 8 that begin with 2, 3 or 5", a.key.text, quote(a.text(0)))
		return nil
	}
	return b
}

// uuid reads the text form of RFC 9562 §4.
func (p *parser) uuid(a arguments) []byte {
	parts := strings.Split(a.text(0), "-")
	b, err := hex.DecodeString(strings.Join(parts, ""))
	if err != nil || len(parts) != 5 || len(parts[0]) != 8 || len(parts[1]) != 4 || len(parts[2]) != 4 || len(parts[3]) != 4 || len(b) != 16 {
		p.errorf(a.pos(0), "%s %s, expected a form such as 6ba7b810-9dad-11d1-80b4-00c04fd430c8", a.key.text, quote(a.text(0)))
		return nil
	}
	return b
}

// identInfo reads text, or bytes as 0x and hexadecimal digits; at most 512.
func (p *parser) identInfo(a arguments) []byte {
	b := []byte(a.text(0))
	if digits, ok := strings.CutPrefix(a.text(0), "0x"); ok {
		var err error
		if b, err = hex.DecodeString(digits); err != nil {
			p.errorf(a.pos(0), "%s %s, expected text or 0x and an even number of hexadecimal digits", a.key.text, quote(a.text(0)))
			return nil
		}
	}
	if len(b) > 512 {
		p.errorf(a.pos(0), "%s of %d bytes, expected at most 512", a.key.text, len(b))
		return nil
	}
	return b
}
