package controller

import (
	"fmt"
	"log/slog"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/lun"
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
func openLocal(c *ctlconf.Config, l *ctlconf.LUN, pool *block.Pool, log *slog.Logger, access lun.Access) (*localUnit, error) {
	device, err := openBackend(l, log)
	if err != nil {
		return nil, err
	}
	lu, err := newLogicalUnit(c, l, pool, log, nil)
	if err == nil {
		lu.SetAccess(access)
		err = lu.Activate(device, always{}, lun.State{})
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

// newLogicalUnit makes a logical unit that is not active.
func newLogicalUnit(c *ctlconf.Config, l *ctlconf.LUN, pool *block.Pool, log *slog.Logger, commit func(lun.State) error) (*lun.LogicalUnit, error) {
	o := l.Options
	rpm := o.RPM
	return lun.New(lun.Config{
		Name:              l.Name,
		Identity:          identityOf(c, l),
		DeviceID:          l.DeviceID,
		Vendor:            o.Vendor,
		Product:           o.Product,
		Revision:          o.Revision,
		BlockSize:         int(l.BlockSize),
		PhysicalBlockSize: int(o.PhysicalBlockSize),
		ReadOnly:          o.ReadOnly,
		NoUnmap:           !o.Unmap,
		RotationRate:      rpm,
		Pool:              pool,
		Commit:            commit,
		Log:               log,
	})
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
		size := l.Size
		if size == 0 {
			size = l.Options.Capacity
		}
		return block.NewRamdisk(int64(size)), nil
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

// describe tells what must be the same on every controller.
func describe(c *ctlconf.Config, l *ctlconf.LUN, size int64) string {
	id := identityOf(c, l)
	return fmt.Sprintf("%d bytes in blocks of %d, serial %s, naa %v", size, l.BlockSize, id.Serial, id.NAA)
}
