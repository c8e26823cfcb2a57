package scsi

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Lengths of the identification fields of standard INQUIRY data
// (SPC-5 §6.7.2).
const (
	VendorLength   = 8
	ProductLength  = 16
	RevisionLength = 4
)

// Peripheral qualifiers and device types (SPC-5 §6.7.2).
const (
	QualifierConnected    = 0x0
	QualifierNotSupported = 0x3 // no logical unit can be here
	DeviceTypeDisk        = 0x00
	DeviceTypeUnknown     = 0x1F
)

// Asymmetric logical unit access support, the TPGS field (SPC-5 table 150).
const (
	TPGSNone     = 0x0
	TPGSImplicit = 0x1
	TPGSExplicit = 0x2
	TPGSBoth     = TPGSImplicit | TPGSExplicit
)

// versionDescriptors are the standards that standard INQUIRY data claims
// (SPC-5 table 152). The level before is claimed too, for initiators that
// only know that.
var versionDescriptors = [8]uint16{
	0x00C0, // SAM-6
	0x0960, // iSCSI
	0x0460, // SPC-4
	0x05C0, // SPC-5
	0x04C0, // SBC-3
	0x0600, // SBC-4
}

// versionSPC4 is the VERSION field. SPC-5's is 07h, which deployed initiators
// treat as unknown.
const versionSPC4 = 0x06

const standardInquiryLength = 96

// StandardInquiry is standard INQUIRY data (SPC-5 §6.7.2).
type StandardInquiry struct {
	Qualifier  uint8
	DeviceType uint8
	Removable  bool // RMB
	// Version is the VERSION field; read only, Append writes its own.
	Version uint8
	TPGS    uint8
	// ThirdPartyCopy (3PC): there is a copy manager.
	ThirdPartyCopy bool
	// Vendor, Product and Revision are printable ASCII, cut to VendorLength,
	// ProductLength and RevisionLength.
	Vendor, Product, Revision string
}

// Append appends the data, 96 bytes.
func (q StandardInquiry) Append(b []byte) []byte {
	var d [standardInquiryLength]byte
	d[0] = q.Qualifier<<5 | q.DeviceType&0x1F
	if q.Removable {
		d[1] = 0x80
	}
	d[2] = versionSPC4
	d[3] = 0x10 | 0x02 // HISUP; response data format 2
	d[4] = standardInquiryLength - 5
	d[5] = q.TPGS & 3 << 4
	if q.ThirdPartyCopy {
		d[5] |= 0x08
	}
	d[6] = 0x10 // MULTIP: more than one target port
	d[7] = 0x02 // CMDQUE
	putPadded(d[8:16], q.Vendor)
	putPadded(d[16:32], q.Product)
	putPadded(d[32:36], q.Revision)
	descriptors := versionDescriptors
	if q.DeviceType != DeviceTypeDisk {
		clear(descriptors[4:]) // those of block commands
	}
	for i, v := range descriptors {
		binary.BigEndian.PutUint16(d[58+2*i:], v)
	}
	return append(b, d[:]...)
}

// DecodeStandardInquiry reads standard INQUIRY data, of which at least 36
// bytes must be there.
func DecodeStandardInquiry(b []byte) (StandardInquiry, error) {
	if len(b) < 36 {
		return StandardInquiry{}, fmt.Errorf("standard INQUIRY data: %d bytes, want at least 36", len(b))
	}
	return StandardInquiry{
		Qualifier:      b[0] >> 5,
		DeviceType:     b[0] & 0x1F,
		Removable:      b[1]&0x80 != 0,
		Version:        b[2],
		TPGS:           b[5] >> 4 & 3,
		ThirdPartyCopy: b[5]&0x08 != 0,
		Vendor:         trimPadded(b[8:16]),
		Product:        trimPadded(b[16:32]),
		Revision:       trimPadded(b[32:36]),
	}, nil
}

// putPadded writes s left aligned and filled with spaces (SPC-5 §4.3.1).
func putPadded(d []byte, s string) {
	n := copy(d, s)
	for ; n < len(d); n++ {
		d[n] = ' '
	}
}

func trimPadded(b []byte) string { return strings.TrimRight(string(b), " \x00") }
