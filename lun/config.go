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

	maxWorkers     = 1024
	maxTasksLimit  = 1 << 16
	maxSerialBytes = 252
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
	// Vendor, Product and Revision default to DefaultVendor, DefaultProduct and
	// DefaultRevision; at most 8, 16 and 4 printable ASCII characters.
	Vendor, Product, Revision string
	// BlockSize is the logical block length in bytes: 512 or 4096, default 512.
	BlockSize int
	// PhysicalBlockSize is a power of two times BlockSize; BlockSize when 0.
	PhysicalBlockSize int
	// ReadOnly refuses every write with WRITE PROTECTED.
	ReadOnly bool
	// NoUnmap hides logical block provisioning: UNMAP is refused.
	NoUnmap bool
	// RotationRate is the medium rotation rate in revolutions per minute; 0
	// means non-rotating.
	RotationRate uint16
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
	// Commit, when set, makes a State survive the loss of this controller. It
	// is called before a change of reservations or mode parameters is
	// acknowledged, one call at a time; an error undoes the change and ends the
	// command with BUSY. It may block.
	Commit func(State) error
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
	}{{&c.BlockSize, DefaultBlockSize}, {&c.MaxTasks, DefaultMaxTasks}, {&c.MaxNexuses, DefaultMaxNexuses}, {&c.Workers, DefaultWorkers}, {&c.MaxTransfer, DefaultMaxTransfer}} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	if c.PhysicalBlockSize == 0 {
		c.PhysicalBlockSize = c.BlockSize
	}
	if c.RotationRate == 0 {
		c.RotationRate = scsi.NonRotating
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
	if c.BlockSize != 512 && c.BlockSize != MaxBlockSize {
		return fmt.Errorf("logical unit %s: block size %d, accepted are 512 and 4096", c.Name, c.BlockSize)
	}
	if c.PhysicalBlockSize < c.BlockSize || c.PhysicalBlockSize&(c.PhysicalBlockSize-1) != 0 || c.PhysicalBlockSize > c.BlockSize<<15 {
		return fmt.Errorf("logical unit %s: physical block size %d, accepted is a power of two from %d to %d",
			c.Name, c.PhysicalBlockSize, c.BlockSize, c.BlockSize<<15)
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
