package controller

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/ha/node"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/lun/statefile"
	"github.com/tandem-san/tandem/scsi"
)

// always is the right to serve of a controller that shares its logical units
// with nobody.
type always struct{}

// Valid implements lun.Right.
func (always) Valid() bool { return true }

// localUnit is a logical unit of a controller without high availability: its
// brain is here from start to end.
type localUnit struct {
	*lun.LogicalUnit
	device block.Device
	config *ctlconf.LUN
}

// openLocal opens the backend and starts the logical unit.
func openLocal(c *ctlconf.Config, l *ctlconf.LUN, states *statefile.Dir, pool *block.Pool, log *slog.Logger, access lun.Access) (*localUnit, error) {
	device, err := openBackend(l, log)
	if err != nil {
		return nil, err
	}
	kept := &localState{states: states, lun: l.Name}
	state, err := kept.load()
	var lu *lun.LogicalUnit
	if err == nil {
		lu, err = newLogicalUnit(c, l, pool, log, node.Hooks{Commit: kept.commit()})
	}
	if err == nil {
		lu.SetAccess(access)
		err = lu.Activate(device, always{}, lu.PowerOn(state))
	}
	if err != nil {
		device.Close()
		return nil, err
	}
	return &localUnit{lu, device, l}, nil
}

// close stops the logical unit and makes what was written durable.
func (u *localUnit) close() error {
	u.Deactivate()
	if err := u.device.Sync(); err != nil && !u.config.Options.ReadOnly {
		u.device.Close()
		return fmt.Errorf("logical unit %s: sync: %w", u.config.Name, err)
	}
	return u.device.Close()
}

// newLogicalUnit makes a logical unit that is not active. The Commit of its hooks
// puts its state on stable storage; without one it is kept in memory.
func newLogicalUnit(c *ctlconf.Config, l *ctlconf.LUN, pool *block.Pool, log *slog.Logger, h node.Hooks) (*lun.LogicalUnit, error) {
	config := unitConfig(c, l)
	config.Pool, config.Commit, config.HandOver, config.Log = pool, h.Commit, h.HandOver, log
	config.Stable, config.ThirdPartyCopy = h.Commit != nil, true
	return lun.New(config)
}

// provisioningTypes are the values of option provisioning_type.
var provisioningTypes = map[string]scsi.ProvisioningType{
	"unknown":  scsi.ProvisioningNotReported,
	"resource": scsi.ResourceProvisioned,
	"thin":     scsi.ThinProvisioned,
}

// unitConfig translates what must be the same on every controller.
func unitConfig(c *ctlconf.Config, l *ctlconf.LUN) lun.Config {
	o := l.Options
	return lun.Config{
		Name:                 l.Name,
		Identity:             identityOf(c, l),
		DeviceID:             l.DeviceID,
		EUI64:                o.EUI,
		UUID:                 o.UUID,
		SCSIName:             o.SCSIName,
		Vendor:               o.Vendor,
		Product:              o.Product,
		Revision:             o.Revision,
		DeviceType:           deviceType(l),
		BlockSize:            int(l.BlockSize),
		PhysicalBlockSize:    int(o.PhysicalBlockSize),
		PhysicalBlockOffset:  int(o.PhysicalBlockOffset),
		UnmapBlockSize:       int(o.UnmapBlockSize),
		UnmapBlockOffset:     int(o.UnmapBlockOffset),
		MaxUnmap:             o.UnmapMaxLBA,
		MaxUnmapDescriptors:  int(o.UnmapMaxDescriptors),
		MaxWriteSame:         o.WriteSameMaxLBA,
		IdentInfo:            o.IdentInfo,
		TextIdentInfo:        o.TextIdentInfo,
		Temperature:          o.Temperature,
		ReferenceTemperature: o.ReferenceTemperature,
		Removable:            o.Removable,
		ReadOnly:             o.ReadOnly,
		NoUnmap:              !o.Unmap,
		Provisioning:         provisioningTypes[o.ProvisioningType],
		UsedThreshold:        int64(o.UsedThreshold),
		AvailThreshold:       int64(o.AvailThreshold),
		NoWriteCache:         !o.WriteCache,
		RotationRate:         o.RPM,
		FormFactor:           o.FormFactor,
	}
}

func deviceType(l *ctlconf.LUN) uint8 {
	if l.CD {
		return scsi.DeviceTypeMultimedia
	}
	return scsi.DeviceTypeDisk
}

// identityOf derives what tells a logical unit from all others from the names
// of the cluster, the target and the LUN, unless the configuration says
// otherwise.
func identityOf(c *ctlconf.Config, l *ctlconf.LUN) scsi.Identity {
	cluster := ""
	if c.HA != nil {
		cluster = c.HA.Cluster
	}
	id := scsi.Identify(cluster, l.Name, 0)
	for _, t := range c.Targets {
		for _, m := range t.LUNs {
			if m.LUN == l && l.Name == fmt.Sprintf("%s,lun,%d", t.Name, m.Number) {
				id = scsi.Identify(cluster, t.Name, m.Number)
			}
		}
	}
	switch {
	case l.DeviceID != "":
		id = scsi.IdentifyBy(l.DeviceID)
	case l.Serial != "":
		id = scsi.IdentifyBy(l.Serial)
	}
	if l.Serial != "" {
		id.Serial = l.Serial
	}
	if len(l.Options.NAA) > 0 {
		id.NAA = scsi.NAA(l.Options.NAA)
	}
	return id
}

// openBackend opens what keeps the bytes.
func openBackend(l *ctlconf.LUN, log *slog.Logger) (block.Device, error) {
	if l.Backend == ctlconf.BackendRAMDisk {
		if memory := l.Options.Capacity; memory != 0 {
			return block.NewRamdiskWithin(int64(l.Size), int64(memory)), nil
		}
		return block.NewRamdisk(int64(l.Size)), nil
	}
	f, err := block.OpenFile(l.Path, block.Options{
		Size:      int64(l.Size),
		BlockSize: int(l.BlockSize),
		ReadOnly:  l.Options.ReadOnly,
		Shared:    l.Options.Shared,
	})
	if err != nil {
		return nil, err
	}
	if w := f.Warning(); w != "" {
		log.Warn(w, "lun", l.Name)
	}
	return f, nil
}

// describe tells what must be the same on every controller, in words that can
// be compared: what is usual is left out, the rest is named as in the
// configuration.
func describe(c lun.Config, size int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d bytes in blocks of %d, serial %s, naa %v", size, c.BlockSize, c.Identity.Serial, c.Identity.NAA)
	for _, o := range []struct {
		option       string
		value, usual any
	}{
		{"device-type", int(c.DeviceType), scsi.DeviceTypeDisk},
		{"device-id", quoted(c.DeviceID), quoted("")},
		{"eui", hex.EncodeToString(c.EUI64), ""},
		{"uuid", hex.EncodeToString(c.UUID), ""},
		{"scsiname", quoted(c.SCSIName), quoted("")},
		{"vendor", quoted(c.Vendor, lun.DefaultVendor), quoted("")},
		{"product", quoted(c.Product, lun.DefaultProduct), quoted("")},
		{"revision", quoted(c.Revision, lun.DefaultRevision), quoted("")},
		{"pblocksize", cmp.Or(c.PhysicalBlockSize, c.BlockSize), c.BlockSize},
		{"pblockoffset", c.PhysicalBlockOffset, 0},
		{"ublocksize", c.UnmapBlockSize, 0},
		{"ublockoffset", c.UnmapBlockOffset, 0},
		{"unmap_max_lba", cmp.Or(c.MaxUnmap, lun.DefaultMaxUnmap), uint32(lun.DefaultMaxUnmap)},
		{"unmap_max_descr", cmp.Or(c.MaxUnmapDescriptors, lun.DefaultMaxUnmapDescriptors), lun.DefaultMaxUnmapDescriptors},
		{"write_same_max_lba", cmp.Or(c.MaxWriteSame, lun.DefaultMaxWriteSame), uint64(lun.DefaultMaxWriteSame)},
		{"ident_info", hex.EncodeToString(c.IdentInfo), ""},
		{"text_ident_info", quoted(c.TextIdentInfo), quoted("")},
		{"temperature", c.Temperature, uint8(0)},
		{"reftemperature", c.ReferenceTemperature, uint8(0)},
		{"removable", c.Removable, false},
		{"readonly", c.ReadOnly, false},
		{"unmap", !c.NoUnmap, true},
		{"provisioning_type", c.Provisioning, scsi.ThinProvisioned},
		{"used-threshold", c.UsedThreshold, int64(0)},
		{"avail-threshold", c.AvailThreshold, int64(0)},
		{"writecache", !c.NoWriteCache, true},
		{"rpm", c.RotationRate, uint16(scsi.NonRotating)},
		{"formfactor", c.FormFactor, uint8(0)},
	} {
		if o.value != o.usual {
			fmt.Fprintf(&b, ", %s %v", o.option, word(o.value))
		}
	}
	return b.String()
}

// quoted is a text as describe shows it; one that is usual counts as none.
func quoted(s string, usual ...string) string {
	if slices.Contains(usual, s) {
		s = ""
	}
	return strconv.Quote(s)
}

// word is a value as it stands in a configuration.
func word(v any) any {
	switch v := v.(type) {
	case bool:
		if v {
			return "on"
		}
		return "off"
	case scsi.ProvisioningType:
		for name, t := range provisioningTypes {
			if t == v {
				return name
			}
		}
	}
	return v
}
