package scsi

import "encoding/binary"

// DeviceTypeMultimedia is the peripheral device type of CD and DVD devices
// (SPC-5 table 148).
const DeviceTypeMultimedia = 0x05

// MultimediaBlock is the logical block length of CDs and DVDs, in bytes.
const MultimediaBlock = 2048

// leadOut is the track number of the lead-out area (MMC-6 §6.25).
const leadOut = 0xAA

// minuteSecondFrame is the address of a logical block in MSF form, with the two
// seconds before the first one (MMC-6 §4.2.3.8).
func minuteSecondFrame(lba uint32) uint32 {
	const frames, seconds, gap = 75, 60, 150
	n := lba + gap
	return min(n/(frames*seconds), 255)<<16 | n/frames%seconds<<8 | n%frames
}

// AppendTOC appends READ TOC/PMA/ATIP parameter data of a medium with one data
// track of so many logical blocks: the table of contents or the session
// information (MMC-6 §6.25). It answers what to refuse the command with.
func AppendTOC(b []byte, cdb CDB, blocks uint32) ([]byte, error) {
	const data = 0x14 // a data track, uninterrupted
	address := func(lba uint32) uint32 {
		if cdb.Bit(1, 1) {
			return minuteSecondFrame(lba)
		}
		return lba
	}
	track := func(number byte, lba uint32) []byte {
		return binary.BigEndian.AppendUint32([]byte{0, data, number, 0}, address(lba))
	}
	var d []byte
	first := cdb.Byte(6)
	switch cdb.Byte(2) & 0xF {
	case 0:
		if first > 1 && first != leadOut {
			return nil, InvalidCDBField(6)
		}
		if first <= 1 {
			d = track(1, 0)
		}
		d = append(d, track(leadOut, blocks)...)
	case 1:
		d = track(1, 0)
	default:
		return nil, InvalidCDBBit(2, 3)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(2+len(d)))
	return append(append(b, 1, 1), d...), nil
}

// Profiles of media (MMC-6 table 88).
const (
	profileCDROM  = 0x0008
	profileDVDROM = 0x0010
	// mostCD is how many logical blocks a CD has at most; a larger medium is a
	// DVD.
	mostCD = 450000
)

// AppendConfiguration appends GET CONFIGURATION parameter data of a reader of
// CDs and DVDs (MMC-6 §6.5). blocks is the size of the medium, 0 for none.
func AppendConfiguration(b []byte, cdb CDB, blocks uint64) ([]byte, error) {
	profile := uint16(0)
	switch {
	case blocks > mostCD:
		profile = profileDVDROM
	case blocks > 0:
		profile = profileCDROM
	}
	here := func(p uint16) byte {
		if profile == p {
			return 1
		}
		return 0
	}
	readable := byte(min(profile, 1))
	features := []struct {
		code    uint16
		flags   byte // version, persistent, current
		current byte
		data    []byte
	}{
		{0x0000, 0x02, 1, []byte{0, profileDVDROM, here(profileDVDROM), 0, 0, profileCDROM, here(profileCDROM), 0}},
		{0x0001, 0x0A, 1, []byte{0, 0, 0, 1, 1, 0, 0, 0}},                                                // core: SCSI
		{0x0003, 0x02, 1, []byte{0x29, 0, 0, 0}},                                                         // removable medium: a tray
		{0x0010, 0x00, readable, []byte{0, 0, MultimediaBlock >> 8, MultimediaBlock & 0xFF, 0, 1, 0, 0}}, // random readable
		{0x001E, 0x08, here(profileCDROM), []byte{0, 0, 0, 0}},                                           // CD read
		{0x001F, 0x00, here(profileDVDROM), []byte{}},                                                    // DVD read
	}
	rt, start := cdb.Byte(1)&3, cdb.Uint16(2)
	if rt == 3 {
		return nil, InvalidCDBBit(1, 1)
	}
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, profile)
	for _, f := range features {
		if f.code < start || rt == 1 && f.current == 0 || rt == 2 && f.code != start {
			continue
		}
		b = binary.BigEndian.AppendUint16(b, f.code)
		b = append(b, f.flags|f.current, uint8(len(f.data)))
		b = append(b, f.data...)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b, nil
}

// AppendEventStatus appends GET EVENT STATUS NOTIFICATION parameter data: of
// the classes there is that of media, and no event in it (MMC-6 §6.6). Only
// polling is answered.
func AppendEventStatus(b []byte, cdb CDB, loaded bool) ([]byte, error) {
	const media, noEvent = 4, 0x80
	if !cdb.Bit(1, 0) {
		return nil, InvalidCDBBit(1, 0)
	}
	if cdb.Byte(4)&(1<<media) == 0 {
		return append(b, 0, 2, noEvent, 1<<media), nil
	}
	status := byte(1) // the tray is open
	if loaded {
		status = 2
	}
	return append(b, 0, 6, media, 1<<media, 0, status, 0, 0), nil
}

// AppendMechanismStatus appends MECHANISM STATUS parameter data (MMC-6 §6.10).
func AppendMechanismStatus(b []byte, loaded bool) []byte {
	open := byte(0)
	if !loaded {
		open = 0x10
	}
	return append(b, 0, open, 0, 0, 0, 0, 0, 0)
}

// CapabilitiesPage is the CD/DVD capabilities and mechanical status mode page
// of a reader with a tray that can be locked (MMC-3 §6.3.11).
func CapabilitiesPage() ModePage {
	d := make([]byte, 20)
	d[0], d[1] = 0x2A, 18
	d[2] = 0x08 | 0x03 // reads DVD-ROM, CD-RW and CD-R
	d[6] = 0x20 | 0x08 | 0x01
	return ModePage{Code: 0x2A, Data: d}
}
