package lun

import (
	"github.com/tandem-san/tandem/scsi"
)

// Limits of block commands that are the same for every logical unit.
const (
	maxCompareAndWrite = 255     // logical blocks
	optimalTransfer    = 1 << 20 // bytes
)

// vpdPages lists the VPD pages, in ascending order, with what writes them.
var vpdPages = [...]struct {
	code  byte
	write func(*LogicalUnit, *Access, *Task) []byte
}{
	{scsi.VPDSupportedPages, nil},
	{scsi.VPDUnitSerialNumber, (*LogicalUnit).vpdSerial},
	{scsi.VPDDeviceIdentification, (*LogicalUnit).vpdDeviceIdentification},
	{scsi.VPDManagementNetworkAddresses, (*LogicalUnit).vpdManagementNetworkAddresses},
	{scsi.VPDExtendedInquiry, (*LogicalUnit).vpdExtendedInquiry},
	{scsi.VPDModePagePolicy, (*LogicalUnit).vpdModePagePolicy},
	{scsi.VPDSCSIPorts, (*LogicalUnit).vpdSCSIPorts},
	{scsi.VPDThirdPartyCopy, (*LogicalUnit).vpdThirdPartyCopy},
	{scsi.VPDBlockLimits, (*LogicalUnit).vpdBlockLimits},
	{scsi.VPDBlockDeviceCharacteristics, (*LogicalUnit).vpdBlockDeviceCharacteristics},
	{scsi.VPDLogicalBlockProvisioning, (*LogicalUnit).vpdLogicalBlockProvisioning},
}

// inquiry answers INQUIRY (SPC-5 §6.7).
func (u *LogicalUnit) inquiry(a *Access, t *Task) {
	cdb := t.cdb()
	page := cdb.Byte(2)
	if !cdb.Bit(1, 0) {
		if page != 0 {
			t.check(scsi.InvalidCDBField(2))
			return
		}
		q := scsi.StandardInquiry{
			DeviceType: u.config.DeviceType,
			Removable:  u.config.Removable, ThirdPartyCopy: u.config.ThirdPartyCopy, TPGS: scsi.TPGSBoth,
			Vendor: u.config.Vendor, Product: u.config.Product, Revision: u.config.Revision,
		}
		u.reply(t, q.Append(nil), cdb.AllocationLength())
		return
	}
	for i := range vpdPages {
		p := &vpdPages[i]
		if p.code != page || !u.hasVPD(page) {
			continue
		}
		if p.write == nil {
			u.replyVPD(t, u.supportedVPDPages())
		} else {
			u.replyVPD(t, p.write(u, a, t))
		}
		return
	}
	t.check(scsi.InvalidCDBField(2))
}

// replyVPD answers a page, which was made for a disk.
func (u *LogicalUnit) replyVPD(t *Task, page []byte) {
	page[0] = u.config.DeviceType
	u.reply(t, page, t.cdb().AllocationLength())
}

// hasVPD reports whether the logical unit has a page of vpdPages.
func (u *LogicalUnit) hasVPD(page byte) bool {
	switch page {
	case scsi.VPDThirdPartyCopy:
		return u.config.ThirdPartyCopy
	case scsi.VPDBlockLimits, scsi.VPDBlockDeviceCharacteristics, scsi.VPDLogicalBlockProvisioning:
		return !u.config.multimedia()
	}
	return true
}

func (u *LogicalUnit) supportedVPDPages() []byte {
	var codes []byte
	for i := range vpdPages {
		if u.hasVPD(vpdPages[i].code) {
			codes = append(codes, vpdPages[i].code)
		}
	}
	return scsi.AppendVPD(nil, scsi.VPDSupportedPages, codes)
}

func (u *LogicalUnit) vpdSerial(*Access, *Task) []byte {
	return scsi.AppendVPD(nil, scsi.VPDUnitSerialNumber, []byte(u.config.Identity.Serial))
}

// vpdDeviceIdentification names the logical unit, the port the command came in
// through, and the target (SPC-5 §7.7.6).
func (u *LogicalUnit) vpdDeviceIdentification(a *Access, t *Task) []byte {
	var body []byte
	for _, d := range u.config.Designators() {
		body = d.Append(body)
	}
	if g, p := a.find(t.Nexus.TargetPort); p != nil {
		body = scsi.SCSINameDesignator(scsi.AssociationTargetPort, p.Name).Append(body)
		body = scsi.RelativeTargetPortDesignator(p.Relative).Append(body)
		body = scsi.TargetPortGroupDesignator(g.ID).Append(body)
		body = scsi.SCSINameDesignator(scsi.AssociationTargetDevice, p.device()).Append(body)
	}
	return scsi.AppendVPD(nil, scsi.VPDDeviceIdentification, body)
}

func (u *LogicalUnit) vpdManagementNetworkAddresses(*Access, *Task) []byte {
	return scsi.AppendVPD(nil, scsi.VPDManagementNetworkAddresses, nil)
}

func (u *LogicalUnit) vpdExtendedInquiry(*Access, *Task) []byte {
	return scsi.AppendExtendedInquiry(nil)
}

func (u *LogicalUnit) vpdModePagePolicy(*Access, *Task) []byte {
	return scsi.AppendModePagePolicy(nil)
}

func (u *LogicalUnit) vpdSCSIPorts(a *Access, _ *Task) []byte {
	var ports []scsi.PortDescriptor
	for _, g := range a.Groups {
		for _, p := range g.Ports {
			ports = append(ports, scsi.PortDescriptor{RelativePort: p.Relative, Name: p.Name})
		}
	}
	return scsi.AppendSCSIPorts(nil, ports)
}

func (u *LogicalUnit) vpdBlockLimits(*Access, *Task) []byte {
	c := &u.config
	l := scsi.BlockLimits{
		WriteSameNonZero:    true,
		MaxCompareAndWrite:  maxCompareAndWrite,
		TransferGranularity: uint16(min(c.PhysicalBlockSize/c.BlockSize, 0xFFFF)),
		MaxTransfer:         uint32(c.MaxTransfer / c.BlockSize),
		OptimalTransfer:     uint32(min(optimalTransfer, c.MaxTransfer) / c.BlockSize),
		MaxWriteSame:        c.MaxWriteSame,
		MaxAtomic:           c.maxAtomic(),
	}
	if !c.NoUnmap {
		l.MaxUnmap = c.MaxUnmap
		l.MaxUnmapDescriptors = uint32(c.MaxUnmapDescriptors)
		l.OptimalUnmapGranularity = uint32(c.UnmapBlockSize / c.BlockSize)
		l.UnmapAlignment = uint32(alignedLBA(c.UnmapBlockSize, c.UnmapBlockOffset, c.BlockSize))
		l.UnmapAlignmentValid = true
	}
	return l.Append(nil)
}

func (u *LogicalUnit) vpdBlockDeviceCharacteristics(*Access, *Task) []byte {
	return scsi.AppendBlockDeviceCharacteristics(nil, u.config.RotationRate, u.config.FormFactor, u.has(scsi.CmdSanitizeBlockErase))
}

func (u *LogicalUnit) vpdLogicalBlockProvisioning(*Access, *Task) []byte {
	return scsi.AppendLogicalBlockProvisioning(nil, !u.config.NoUnmap, u.config.Provisioning)
}
