package lun

import "github.com/tandem-san/tandem/scsi"

// CopyLimits are those of the copy manager that stands before logical units.
func CopyLimits() scsi.CopyLimits {
	return scsi.CopyLimits{Copies: MaxCopies, Held: maxHeldCopyData}
}

const (
	// MaxCopies is how many third-party copies one controller runs at a time.
	MaxCopies = 16
	// maxHeldCopyData is how many bytes are held of a copy that is over.
	maxHeldCopyData = 1024
)

// prepareThirdParty is all the logical unit does for a third-party copy
// command: it admits it, as any other, and asks for its parameter list. The
// copy manager of the target port does the rest when this has ended with GOOD;
// without one there are no such commands.
func prepareThirdParty(_ *brain, t *Task) bool {
	if !t.CopyManager {
		t.check(scsi.Commands[t.state.cmd].Refusal())
		return false
	}
	if scsi.Commands[t.state.cmd].Direction != scsi.DataOut {
		return false
	}
	n := t.cdb().AllocationLength()
	if n > scsi.MaxCopyList {
		t.check(scsi.Illegal(scsi.ParameterListLengthError))
		return false
	}
	t.state.need, t.Transfer = int(n), int(n)
	return n > 0
}

func thirdParty(*brain, *Task) {}

// ThirdParty reports whether a CDB is one of a command that a copy manager
// carries out.
func ThirdParty(cdb []byte) bool {
	if op := scsi.CDB(cdb).OpCode(); op != scsi.OpThirdPartyCopyOut && op != scsi.OpThirdPartyCopyIn {
		return false
	}
	id, _ := scsi.Lookup(cdb)
	return isThirdParty(id)
}

func isThirdParty(id scsi.CommandID) bool {
	return id >= scsi.CmdExtendedCopy && id <= scsi.CmdReportAllRODTokens
}

func (u *LogicalUnit) vpdThirdPartyCopy(*Access, *Task) []byte {
	return CopyLimits().AppendThirdPartyCopy(nil)
}

// Designators names the logical unit, as the device identification page does.
func (c Config) Designators() []scsi.Designator {
	id, vendor := c.DeviceID, c.Vendor
	if id == "" {
		id = c.Identity.Serial
	}
	if vendor == "" {
		vendor = DefaultVendor
	}
	list := []scsi.Designator{scsi.NAADesignator(c.Identity.NAA), scsi.T10VendorDesignator(vendor, id)}
	if len(c.EUI64) > 0 {
		list = append(list, scsi.EUI64Designator(c.EUI64))
	}
	if len(c.UUID) > 0 {
		list = append(list, scsi.UUIDDesignator(c.UUID))
	}
	if c.SCSIName != "" {
		list = append(list, scsi.LogicalUnitNameDesignator(c.SCSIName))
	}
	return list
}
