package lun

import (
	"fmt"
	"log/slog"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/scsi"
)

// Limits and defaults of Config.
const (
	DefaultBlockSize   = 512
	MaxBlockSize       = 4096
	DefaultMaxTasks    = 1024
	DefaultMaxNexuses  = 1024
	DefaultWorkers     = 32
	DefaultMaxTransfer = 8 << 20
	DefaultEraseRate   = 256 << 20

	DefaultMaxUnmap            = 1 << 20
	DefaultMaxUnmapDescriptors = 256
	DefaultMaxWriteSame        = 1 << 15

	maxWorkers     = 1024
	maxTasksLimit  = 1 << 16
	maxSerialBytes = 252
	maxNameBytes   = 223 // of an iSCSI name (RFC 7143 §4.2.7.1)

	// maxUnmapDescriptors is how many fit into the parameter list of UNMAP,
	// whose length has 16 bits.
	maxUnmapDescriptors = (1<<16 - 1 - 8) / 16
	maxFormFactor       = 5
)

// Defaults of the identification in INQUIRY data.
const (
	DefaultVendor   = "TANDEM"
	DefaultProduct  = "VIRTUAL DISK"
	DefaultRevision = "0001"
)

// Config says what a logical unit is. It must be the same on every controller
// except for Pool, Commit and Log.
type Config struct {
	// Name is what the log calls the logical unit.
	Name string
	// Identity is the NAA name and the serial number (scsi.Identify).
	Identity scsi.Identity
	// DeviceID is the vendor specific identifier in the device identification
	// page; the serial number when empty.
	DeviceID string
	// EUI64 (8, 12 or 16 bytes), UUID (16 bytes) and SCSIName (at most 223
	// bytes) are more designators for that page, where they are set.
	EUI64, UUID []byte
	SCSIName    string
	// Vendor, Product and Revision default to DefaultVendor, DefaultProduct and
	// DefaultRevision; at most 8, 16 and 4 printable ASCII characters.
	Vendor, Product, Revision string
	// BlockSize is the logical block length in bytes: 512 or 4096, default 512;
	// 2048 for a CD or DVD.
	BlockSize int
	// PhysicalBlockSize is a power of two times BlockSize, in bytes; BlockSize
	// when 0. PhysicalBlockOffset is how many bytes into a physical block the
	// first logical block begins: whole logical blocks, less than
	// PhysicalBlockSize.
	PhysicalBlockSize, PhysicalBlockOffset int
	// UnmapBlockSize and UnmapBlockOffset are the same of the units in which
	// space is best given back; those of physical blocks when UnmapBlockSize is
	// 0. Any number of logical blocks is accepted.
	UnmapBlockSize, UnmapBlockOffset int
	// MaxUnmap is the most logical blocks that one UNMAP gives back, and
	// MaxUnmapDescriptors, at most 4095, the most ranges it names. MaxWriteSame
	// is the most logical blocks that one WRITE SAME writes. They default to
	// DefaultMaxUnmap, DefaultMaxUnmapDescriptors and DefaultMaxWriteSame. A
	// handover waits for a command that is under way, however long it is.
	MaxUnmap            uint32
	MaxUnmapDescriptors int
	MaxWriteSame        uint64
	// IdentInfo, at most 512 bytes, and TextIdentInfo, at most 255 bytes of
	// UTF-8, are the identifying information until it is set.
	IdentInfo     []byte
	TextIdentInfo string
	// Temperature and ReferenceTemperature are what the log pages tell, in
	// degrees Celsius; 0 is not known.
	Temperature, ReferenceTemperature uint8
	// DeviceType is scsi.DeviceTypeDisk or scsi.DeviceTypeMultimedia: a CD or
	// DVD, which is read-only and removable, with logical blocks of 2048 bytes.
	DeviceType uint8
	// ThirdPartyCopy: a copy manager stands before the logical unit at every
	// target port, and carries out EXTENDED COPY and the like.
	ThirdPartyCopy bool
	// Removable: the medium can be ejected and loaded again.
	Removable bool
	// ReadOnly refuses every write with WRITE PROTECTED.
	ReadOnly bool
	// NoUnmap hides logical block provisioning: UNMAP is refused.
	NoUnmap bool
	// Provisioning is told unless NoUnmap.
	Provisioning scsi.ProvisioningType
	// UsedThreshold and AvailThreshold are soft thresholds of a thin provisioned
	// logical unit, in bytes, 0 for none: every nexus is told when its backend
	// takes as much, or has no more left.
	UsedThreshold, AvailThreshold int64
	// NoWriteCache: WCE is zero after a reset, so that each write is durable
	// before it is acknowledged. MODE SELECT can change it.
	NoWriteCache bool
	// RotationRate is the medium rotation rate in revolutions per minute,
	// scsi.NonRotating for a medium that does not turn, 0 for not reported.
	RotationRate uint16
	// FormFactor is a NOMINAL FORM FACTOR (SBC-4 table 267), at most 5; 0 is
	// not reported.
	FormFactor uint8
	// Pool lends the buffers of data-in.
	Pool *block.Pool
	// MaxTasks is how many tasks the task set holds; one more ends with TASK
	// SET FULL. Default 1024, at most 65536.
	MaxTasks int
	// MaxNexuses is how many I_T nexuses, and how many registrations, are
	// kept, at most 4096. When a nexus more comes an idle one is forgotten; when
	// none is idle the command ends with BUSY. Default 1024.
	MaxNexuses int
	// Workers is how many calls to a device that blocks run at a time.
	// Default 32, at most 1024.
	Workers int
	// MaxTransfer is the most bytes that one READ or WRITE moves. Default
	// 8 MiB.
	MaxTransfer int
	// EraseRate is how many bytes in a second SANITIZE, OVERWRITE writes at
	// most. Default 256 MiB.
	EraseRate int
	// Commit, when set, makes a State survive the loss of this controller. It
	// is called before a change of reservations or mode parameters is
	// acknowledged, one call at a time; an error undoes the change and ends the
	// command with BUSY. It may block.
	Commit func(State) error
	// Stable: what Commit has taken survives a loss of power too, so that APTPL
	// is accepted and mode parameters can be saved.
	Stable bool
	// HandOver, when set, begins to move the brain to the controller of another
	// target port group, and does not wait for it; an error says why that
	// cannot be. It is called for SET TARGET PORT GROUPS, and must not call
	// back.
	HandOver func(group uint16) error
	// Log gets a line per event in the life of the logical unit, none per
	// command. Nothing is logged when nil.
	Log *slog.Logger
}

// withDefaults checks the configuration and fills in what was left out.
func (c Config) withDefaults() (Config, error) {
	for _, d := range []struct {
		v *string
		d string
	}{{&c.Vendor, DefaultVendor}, {&c.Product, DefaultProduct}, {&c.Revision, DefaultRevision}, {&c.DeviceID, c.Identity.Serial}} {
		if *d.v == "" {
			*d.v = d.d
		}
	}
	for _, d := range []struct {
		v *int
		d int
	}{{&c.BlockSize, DefaultBlockSize}, {&c.MaxTasks, DefaultMaxTasks}, {&c.MaxNexuses, DefaultMaxNexuses}, {&c.Workers, DefaultWorkers}, {&c.MaxTransfer, DefaultMaxTransfer}, {&c.EraseRate, DefaultEraseRate},
		{&c.MaxUnmapDescriptors, DefaultMaxUnmapDescriptors}} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	if c.PhysicalBlockSize == 0 {
		c.PhysicalBlockSize = c.BlockSize
	}
	if c.UnmapBlockSize == 0 && c.UnmapBlockOffset == 0 {
		c.UnmapBlockSize, c.UnmapBlockOffset = c.PhysicalBlockSize, c.PhysicalBlockOffset
	}
	if c.MaxUnmap == 0 {
		c.MaxUnmap = DefaultMaxUnmap
	}
	if c.MaxWriteSame == 0 {
		c.MaxWriteSame = DefaultMaxWriteSame
	}
	if c.multimedia() {
		c.ReadOnly, c.Removable, c.NoUnmap, c.ThirdPartyCopy = true, true, true, false
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, c.check()
}

func (c Config) check() error {
	for _, s := range []struct {
		what, v string
		max     int
	}{
		{"vendor", c.Vendor, scsi.VendorLength},
		{"product", c.Product, scsi.ProductLength},
		{"revision", c.Revision, scsi.RevisionLength},
		{"serial", c.Identity.Serial, maxSerialBytes},
		{"device-id", c.DeviceID, maxSerialBytes - scsi.VendorLength},
	} {
		if len(s.v) > s.max {
			return fmt.Errorf("logical unit %s: %s %q has %d characters, at most %d are accepted", c.Name, s.what, s.v, len(s.v), s.max)
		}
		for i := range len(s.v) {
			if s.v[i] < 0x20 || s.v[i] > 0x7E {
				return fmt.Errorf("logical unit %s: %s %q has a character that is not printable ASCII", c.Name, s.what, s.v)
			}
		}
	}
	if err := c.checkDesignators(); err != nil {
		return err
	}
	if err := c.checkBlocks(); err != nil {
		return err
	}
	for _, l := range []struct {
		what     string
		v        int
		min, max int
	}{
		{"task limit", c.MaxTasks, 1, maxTasksLimit},
		{"nexus limit", c.MaxNexuses, 1, maxNexuses},
		{"number of workers", c.Workers, 1, maxWorkers},
		{"transfer limit in bytes", c.MaxTransfer, MaxBlockSize, 1 << 30},
		{"rate of erasure in bytes a second", c.EraseRate, 1, 1 << 40},
		{"limit of UNMAP descriptors", c.MaxUnmapDescriptors, 1, maxUnmapDescriptors},
		{"provisioning type", int(c.Provisioning), 0, int(scsi.ThinProvisioned)},
		{"form factor", int(c.FormFactor), 0, maxFormFactor},
	} {
		if l.v < l.min || l.v > l.max {
			return fmt.Errorf("logical unit %s: %s %d, accepted is %d to %d", c.Name, l.what, l.v, l.min, l.max)
		}
	}
	if c.Pool == nil {
		return fmt.Errorf("logical unit %s: no buffer pool", c.Name)
	}
	return nil
}

func (c *Config) checkDesignators() error {
	if n, m := len(c.IdentInfo), len(c.TextIdentInfo); n > scsi.MaxPeripheralInformation || m >= scsi.MaxTextInformation {
		return fmt.Errorf("logical unit %s: identifying information of %d bytes, and text of %d: at most %d and %d are accepted",
			c.Name, n, m, scsi.MaxPeripheralInformation, scsi.MaxTextInformation-1)
	}
	switch len(c.EUI64) {
	case 0, 8, 12, 16:
	default:
		return fmt.Errorf("logical unit %s: EUI-64 name of %d bytes, accepted are 8, 12 and 16", c.Name, len(c.EUI64))
	}
	if n := len(c.UUID); n != 0 && n != 16 {
		return fmt.Errorf("logical unit %s: UUID of %d bytes, accepted are 16", c.Name, n)
	}
	if n := len(c.SCSIName); n > maxNameBytes {
		return fmt.Errorf("logical unit %s: SCSI name of %d bytes, at most %d are accepted", c.Name, n, maxNameBytes)
	}
	return nil
}

func (c *Config) checkBlocks() error {
	bs := c.BlockSize
	if c.DeviceType != scsi.DeviceTypeDisk && !c.multimedia() {
		return fmt.Errorf("logical unit %s: device type %02Xh, accepted are 00h and 05h", c.Name, c.DeviceType)
	}
	if c.multimedia() && bs != scsi.MultimediaBlock {
		return fmt.Errorf("logical unit %s: block size %d, accepted of a CD or DVD is %d", c.Name, bs, scsi.MultimediaBlock)
	}
	if !c.multimedia() && bs != 512 && bs != MaxBlockSize {
		return fmt.Errorf("logical unit %s: block size %d, accepted are 512 and 4096", c.Name, bs)
	}
	if p := c.PhysicalBlockSize; p < bs || p&(p-1) != 0 || p > bs<<15 {
		return fmt.Errorf("logical unit %s: physical block size %d, accepted is a power of two from %d to %d", c.Name, p, bs, bs<<15)
	}
	for _, b := range []struct {
		what         string
		size, offset int
	}{
		{"physical block", c.PhysicalBlockSize, c.PhysicalBlockOffset},
		{"unmap block", c.UnmapBlockSize, c.UnmapBlockOffset},
	} {
		if b.size <= 0 || b.size%bs != 0 || b.offset%bs != 0 || b.offset < 0 || b.offset >= b.size {
			return fmt.Errorf("logical unit %s: %s of %d bytes, offset %d: want multiples of %d, and an offset that is less", c.Name, b.what, b.size, b.offset, bs)
		}
	}
	if at := alignedLBA(c.PhysicalBlockSize, c.PhysicalBlockOffset, bs); at > scsi.MaxLowestAlignedLBA {
		return fmt.Errorf("logical unit %s: the first physical block begins at LBA %d, accepted is at most %d", c.Name, at, scsi.MaxLowestAlignedLBA)
	}
	return nil
}

// alignedLBA is the first logical block at which a larger block of size bytes
// begins, when the first logical block is offset bytes into one.
func alignedLBA(size, offset, blockSize int) int {
	return (size - offset) % size / blockSize
}

// initialMode are the mode parameters after a reset: those saved, or nil, the
// default ones.
func (c *Config) initialMode(saved *scsi.ModeValues) scsi.ModeValues {
	if saved != nil {
		return *saved
	}
	return c.defaultMode()
}

// defaultMode are the mode parameters of a logical unit that has none saved.
func (c *Config) defaultMode() scsi.ModeValues {
	v := scsi.DefaultModeValues()
	v.WriteCache = !c.NoWriteCache
	return v
}
