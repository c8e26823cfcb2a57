package scsi

import (
	"encoding/binary"
	"fmt"
)

// VPD page codes (SPC-5 table 614, SBC-4 table 247).
const (
	VPDSupportedPages              = 0x00
	VPDUnitSerialNumber            = 0x80
	VPDDeviceIdentification        = 0x83
	VPDManagementNetworkAddresses  = 0x85
	VPDExtendedInquiry             = 0x86
	VPDModePagePolicy              = 0x87
	VPDSCSIPorts                   = 0x88
	VPDThirdPartyCopy              = 0x8F
	VPDBlockLimits                 = 0xB0
	VPDBlockDeviceCharacteristics  = 0xB1
	VPDLogicalBlockProvisioning    = 0xB2
	vpdHeaderLength                = 4
	blockLimitsLength              = 64
	blockCharacteristicsLength     = 64
	logicalBlockProvisioningLength = 8
	extendedInquiryLength          = 64
)

// AppendVPD appends a VPD page of a disk: the header with the page code and
// length, and body.
func AppendVPD(b []byte, page byte, body []byte) []byte {
	b = append(b, DeviceTypeDisk, page)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

// SplitVPD checks the header of VPD page and returns its body, no longer than
// what is there.
func SplitVPD(b []byte, page byte) ([]byte, error) {
	if len(b) < vpdHeaderLength {
		return nil, fmt.Errorf("VPD page %02Xh: %d bytes, want at least %d", page, len(b), vpdHeaderLength)
	}
	if b[1] != page {
		return nil, fmt.Errorf("VPD page %02Xh: data of page %02Xh", page, b[1])
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	b = b[vpdHeaderLength:]
	if n < len(b) {
		b = b[:n]
	}
	return b, nil
}

// AppendExtendedInquiry appends the extended INQUIRY data page: simple,
// ordered and head of queue tasks, a volatile cache, unit attentions kept per
// nexus (SPC-5 §7.7.7).
func AppendExtendedInquiry(b []byte) []byte {
	var d [extendedInquiryLength - vpdHeaderLength]byte
	d[1] = 0x04 | 0x02 | 0x01 // HEADSUP, ORDSUP, SIMPSUP
	d[2] = 0x01               // V_SUP
	d[3] = 0x01               // LUICLR
	return AppendVPD(b, VPDExtendedInquiry, d[:])
}

// AppendModePagePolicy appends the mode page policy page: every mode page is
// shared by all I_T nexuses (SPC-5 §7.7.11).
func AppendModePagePolicy(b []byte) []byte {
	return AppendVPD(b, VPDModePagePolicy, []byte{allModePages, allModeSubpages, 0, 0})
}

// BlockLimits is the block limits page (SBC-4 §6.6.4). Lengths are in logical
// blocks.
type BlockLimits struct {
	// WriteSameNonZero (WSNZ): WRITE SAME of zero blocks is refused.
	WriteSameNonZero        bool
	MaxCompareAndWrite      uint8
	TransferGranularity     uint16
	MaxTransfer             uint32
	OptimalTransfer         uint32
	MaxUnmap                uint32
	MaxUnmapDescriptors     uint32
	OptimalUnmapGranularity uint32
	// UnmapAlignment is the LBA of the first block that unmapping goes well
	// from, when UnmapAlignmentValid (UGAVALID).
	UnmapAlignment      uint32
	UnmapAlignmentValid bool
	MaxWriteSame        uint64
	// MaxAtomic is the longest WRITE ATOMIC, of any alignment and granularity;
	// 0 when there is none. There are no atomic boundaries.
	MaxAtomic uint32
}

const unmapAlignmentValid = 1 << 31

// Append appends the page.
func (l BlockLimits) Append(b []byte) []byte {
	var d [blockLimitsLength - vpdHeaderLength]byte
	if l.WriteSameNonZero {
		d[0] = 0x01
	}
	d[1] = l.MaxCompareAndWrite
	binary.BigEndian.PutUint16(d[2:], l.TransferGranularity)
	binary.BigEndian.PutUint32(d[4:], l.MaxTransfer)
	binary.BigEndian.PutUint32(d[8:], l.OptimalTransfer)
	binary.BigEndian.PutUint32(d[16:], l.MaxUnmap)
	binary.BigEndian.PutUint32(d[20:], l.MaxUnmapDescriptors)
	binary.BigEndian.PutUint32(d[24:], l.OptimalUnmapGranularity)
	if l.UnmapAlignmentValid {
		binary.BigEndian.PutUint32(d[28:], unmapAlignmentValid|l.UnmapAlignment)
	}
	binary.BigEndian.PutUint64(d[32:], l.MaxWriteSame)
	binary.BigEndian.PutUint32(d[40:], l.MaxAtomic)
	return AppendVPD(b, VPDBlockLimits, d[:])
}

// DecodeBlockLimits reads the page; what is missing at its end is zero.
func DecodeBlockLimits(b []byte) (BlockLimits, error) {
	body, err := SplitVPD(b, VPDBlockLimits)
	if err != nil {
		return BlockLimits{}, err
	}
	var d [blockLimitsLength - vpdHeaderLength]byte
	copy(d[:], body)
	return BlockLimits{
		WriteSameNonZero:        d[0]&1 != 0,
		MaxCompareAndWrite:      d[1],
		TransferGranularity:     binary.BigEndian.Uint16(d[2:]),
		MaxTransfer:             binary.BigEndian.Uint32(d[4:]),
		OptimalTransfer:         binary.BigEndian.Uint32(d[8:]),
		MaxUnmap:                binary.BigEndian.Uint32(d[16:]),
		MaxUnmapDescriptors:     binary.BigEndian.Uint32(d[20:]),
		OptimalUnmapGranularity: binary.BigEndian.Uint32(d[24:]),
		UnmapAlignment:          binary.BigEndian.Uint32(d[28:]) &^ unmapAlignmentValid,
		UnmapAlignmentValid:     binary.BigEndian.Uint32(d[28:])&unmapAlignmentValid != 0,
		MaxWriteSame:            binary.BigEndian.Uint64(d[32:]),
		MaxAtomic:               binary.BigEndian.Uint32(d[40:]),
	}, nil
}

// NonRotating is the MEDIUM ROTATION RATE of a medium that does not turn
// (SBC-4 §6.6.2).
const NonRotating = 0x0001

// AppendBlockDeviceCharacteristics appends the block device characteristics
// page (SBC-4 §6.6.2). rotationRate is in revolutions per minute and formFactor
// one of the NOMINAL FORM FACTOR codes, up to 5h; 0 when not reported. With
// blockErase logical blocks can be read after SANITIZE, BLOCK ERASE (WABEREQ).
func AppendBlockDeviceCharacteristics(b []byte, rotationRate uint16, formFactor uint8, blockErase bool) []byte {
	var d [blockCharacteristicsLength - vpdHeaderLength]byte
	binary.BigEndian.PutUint16(d[0:], rotationRate)
	d[3] = formFactor & 0xF
	if blockErase {
		d[3] |= 0x40
	}
	return AppendVPD(b, VPDBlockDeviceCharacteristics, d[:])
}

// ProvisioningType says how space is provided for logical blocks
// (SBC-4 table 278).
type ProvisioningType uint8

// Provisioning types.
const (
	ProvisioningNotReported ProvisioningType = 0
	ResourceProvisioned     ProvisioningType = 1
	ThinProvisioned         ProvisioningType = 2
)

// AppendLogicalBlockProvisioning appends the logical block provisioning page
// (SBC-4 §6.6.6). With unmap the logical unit is provisioned as t says, takes
// UNMAP and WRITE SAME with the UNMAP bit, and reads unmapped blocks as zeroes.
func AppendLogicalBlockProvisioning(b []byte, unmap bool, t ProvisioningType) []byte {
	var d [logicalBlockProvisioningLength - vpdHeaderLength]byte
	if unmap {
		d[1] = 0x80 | 0x40 | 0x20 | 0x01<<2 // LBPU, LBPWS, LBPWS10, LBPRZ
		d[2] = uint8(t)
		if t == ThinProvisioned {
			d[0] = ThresholdExponent
		}
	}
	return AppendVPD(b, VPDLogicalBlockProvisioning, d[:])
}
