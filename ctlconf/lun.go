package ctlconf

import "strings"

// Backend is what keeps the bytes of a logical unit.
type Backend int

// The backends of ctl.conf(5).
const (
	// BackendBlock is a file or a device node. It is the default.
	BackendBlock Backend = iota
	// BackendRAMDisk is memory.
	BackendRAMDisk
)

var backends = []string{"block", "ramdisk"}

// String gives the word of ctl.conf(5).
func (b Backend) String() string { return backends[b] }

// LUN is a logical unit.
type LUN struct {
	Item
	// Name is unique in the cluster: it is the key under which the arbiter
	// keeps the grant. For one defined in a target it is
	// "<target>,lun,<number>".
	Name    string
	Backend Backend
	// Path of the file or device node; "" for a ramdisk.
	Path string
	// Size in bytes; 0 takes the size of what is at Path.
	Size uint64
	// CD: it is a CD or DVD, read-only and removable. Default: a disk.
	CD bool
	// BlockSize in bytes, 512 or 4096, default 512; 2048 of a CD.
	BlockSize uint32
	// CTLLUN is the number asked for in CTL's own list; -1 when not given.
	CTLLUN int
	// DeviceID is the text of the device identification page, at most 64
	// bytes; "" derives it.
	DeviceID string
	// Serial is the unit serial number, at most 16 bytes; "" derives it.
	Serial string
	// Options are the options of ctladm(8) and Tandem's own.
	Options LUNOptions
}

func (l *LUN) name() string { return l.Name }

// Limits of CTL on text in INQUIRY data, in bytes.
const (
	maxSerial   = 16
	maxDeviceID = 64
)

var lunSection = section[*LUN]{
	name: "lun",
	statements: map[string]statement[*LUN]{
		"backend":   {params: "block|ramdisk", set: setBackend},
		"blocksize": {params: "size", set: setBlockSize},
		"ctl-lun": {params: "number", set: func(p *parser, l *LUN, a arguments) {
			l.CTLLUN = int(p.number(a, 0, 0, 1<<16))
			p.warnf(a.key.pos, "ctl-lun has no effect: there is no list of all logical units as CTL has")
		}},
		"device-id": {params: "string", set: func(p *parser, l *LUN, a arguments) {
			l.DeviceID = p.printable(a, 0, maxDeviceID)
		}},
		"device-type": {params: "type", set: setDeviceType},
		"option":      {params: "name value", many: true, set: setLUNOption},
		"path": {params: "path", set: func(p *parser, l *LUN, a arguments) {
			l.Path = p.path(a, 0)
		}},
		"serial": {params: "string", set: func(p *parser, l *LUN, a arguments) {
			l.Serial = p.printable(a, 0, maxSerial)
		}},
		"size": {params: "size", set: func(p *parser, l *LUN, a arguments) {
			l.Size = p.size(a, 0)
		}},
	},
}

// lun reads the section of a logical unit, whatever it stands in.
func (p *parser) lun(a arguments) *LUN {
	p.room(p.luns, MaxItems, a)
	p.luns++
	l := &LUN{Item: Item{Position: a.key.pos}, BlockSize: 512, CTLLUN: -1, Options: defaultLUNOptions()}
	lunSection.braces(p, l)
	if l.CD {
		if !l.Has("blocksize") {
			l.BlockSize = cdBlockSize
		}
		l.Options.ReadOnly, l.Options.Removable, l.Options.Unmap = true, true, false
	}
	return l
}

// openLUN is a lun outside a target.
func openLUN(p *parser, c *Config, a arguments) {
	name := p.word(a, 0, 255)
	if strings.ContainsAny(name, ", \t") {
		p.errorf(a.pos(0), "lun %s, expected a name without space and comma", quote(name))
	}
	l := p.lun(a)
	l.Name = name
	if old := c.LUN(l.Name); old != nil {
		p.duplicate(a, &old.Item)
		return
	}
	c.LUNs = append(c.LUNs, l)
}

func setBackend(p *parser, l *LUN, a arguments) {
	switch p.choice(a, 0, "backend", backends...) {
	case "block":
		l.Backend = BackendBlock
	case "ramdisk":
		l.Backend = BackendRAMDisk
	}
}

func setBlockSize(p *parser, l *LUN, a arguments) {
	n, ok := expand(a.text(0))
	if !ok || n != 512 && n != cdBlockSize && n != 4096 {
		p.errorf(a.pos(0), "blocksize %s, expected 512 or 4096, or of a CD %d", quote(a.text(0)), cdBlockSize)
		return
	}
	l.BlockSize = uint32(n)
}

// cdBlockSize is the logical block length of CDs and DVDs, in bytes.
const cdBlockSize = 2048

// setDeviceType knows the words and numbers of ctl.conf(5). A processor stores
// nothing.
func setDeviceType(p *parser, l *LUN, a arguments) {
	switch strings.ToLower(a.text(0)) {
	case "disk", "direct", "0":
	case "cd", "cdrom", "dvd", "dvdrom", "5":
		l.CD = true
	default:
		p.errorf(a.pos(0), "device-type %s, expected disk or cd", quote(a.text(0)))
	}
}

// printable reads printable ASCII, as INQUIRY data holds (SPC-5 §4.3.1).
func (p *parser) printable(a arguments, i, max int) string {
	s := a.text(i)
	if s == "" || len(s) > max || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		p.errorf(a.pos(i), "%s %s, expected 1 to %d printable ASCII characters", a.key.text, quote(s), max)
		return ""
	}
	return s
}
