package scsi

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Mode page codes (SPC-5 table 437, SBC-4 table 224).
const (
	ModeReadWriteErrorRecovery  = 0x01
	ModeCaching                 = 0x08
	ModeControl                 = 0x0A
	ModeInformationalExceptions = 0x1C
	provisioningSubpage         = 0x02
	allModePages                = 0x3F
	allModeSubpages             = 0xFF
	controlExtensionSubpage     = 0x01
)

// PageControl is the PC field of MODE SENSE (SPC-5 table 163).
type PageControl uint8

// Page controls.
const (
	CurrentValues    PageControl = 0
	ChangeableValues PageControl = 1
	DefaultValues    PageControl = 2
	SavedValues      PageControl = 3
)

// Bits of mode pages: the offset in the page and the mask.
const (
	cachingByte = 2
	cachingWCE  = 0x04

	controlByte2  = 2
	controlDSense = 0x04
	controlByte4  = 4
	controlSWP    = 0x08
	controlByte5  = 5
	controlTAS    = 0x40
)

// modePage is a mode page with its values after a reset and the bits that MODE
// SELECT may change.
type modePage struct {
	code, subpage uint8
	defaults      []byte
	changeable    []byte
}

// modePages are the mode pages of a disk, in ascending order
// (SPC-5 §7.5, SBC-4 §6.5). The first two (or four) bytes are the page header.
var modePages = [...]modePage{
	{
		code:       ModeReadWriteErrorRecovery,
		defaults:   []byte{0x01, 0x0A, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, // AWRE, ARRE
		changeable: []byte{0x01, 0x0A, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	},
	{
		code:       ModeCaching,
		defaults:   []byte{0x08, 0x12, cachingWCE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		changeable: []byte{0x08, 0x12, cachingWCE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	},
	{
		code: ModeControl,
		// GLTSD; unrestricted reordering; busy timeout not limited
		defaults:   []byte{0x0A, 0x0A, 0x02, 0x10, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0},
		changeable: []byte{0x0A, 0x0A, controlDSense, 0, controlSWP, controlTAS, 0, 0, 0, 0, 0, 0},
	},
	{
		code: ModeControl, subpage: controlExtensionSubpage,
		defaults:   append([]byte{0x4A, 0x01, 0x00, 0x1C, 0x07}, make([]byte, 0x1C-1)...), // TCMOS, SCSIP, IALUAE
		changeable: append([]byte{0x4A, 0x01, 0x00, 0x1C}, make([]byte, 0x1C)...),
	},
	{
		code:       ModeInformationalExceptions,
		defaults:   []byte{0x1C, 0x0A, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0}, // DEXCPT
		changeable: []byte{0x1C, 0x0A, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	},
}

// ModeValues are the mode parameters that MODE SELECT can change. The zero
// value is not the default: see DefaultModeValues.
type ModeValues struct {
	WriteCache            bool `json:"write_cache"`            // WCE
	DescriptorSense       bool `json:"descriptor_sense"`       // D_SENSE
	SoftwareWriteProtect  bool `json:"software_write_protect"` // SWP
	TaskAbortedStatusSent bool `json:"task_aborted_status"`    // TAS
}

// DefaultModeValues are the values after a reset, unless the logical unit is
// configured otherwise.
func DefaultModeValues() ModeValues { return ModeValues{WriteCache: true} }

// apply puts the values into the bytes of page p.
func (v ModeValues) apply(p *modePage, d []byte) {
	set := func(i int, mask byte, on bool) {
		d[i] &^= mask
		if on {
			d[i] |= mask
		}
	}
	switch {
	case p.code == ModeCaching:
		set(cachingByte, cachingWCE, v.WriteCache)
	case p.code == ModeControl && p.subpage == 0:
		set(controlByte2, controlDSense, v.DescriptorSense)
		set(controlByte4, controlSWP, v.SoftwareWriteProtect)
		set(controlByte5, controlTAS, v.TaskAbortedStatusSent)
	}
}

// take reads the values out of the bytes of page p.
func (v *ModeValues) take(p *modePage, d []byte) {
	switch {
	case p.code == ModeCaching:
		v.WriteCache = d[cachingByte]&cachingWCE != 0
	case p.code == ModeControl && p.subpage == 0:
		v.DescriptorSense = d[controlByte2]&controlDSense != 0
		v.SoftwareWriteProtect = d[controlByte4]&controlSWP != 0
		v.TaskAbortedStatusSent = d[controlByte5]&controlTAS != 0
	}
}

// ModePage is a mode page of one logical unit that nothing can change. It comes
// after all that every logical unit has.
type ModePage struct {
	Code, Subpage uint8
	// Data is the whole page, with its header.
	Data []byte
}

// pagesWith are the mode pages with those of one logical unit.
func pagesWith(own []ModePage) []modePage {
	all := modePages[:]
	for _, p := range own {
		m := modePage{code: p.Code, subpage: p.Subpage, defaults: p.Data}
		m.changeable = make([]byte, len(p.Data))
		copy(m.changeable, p.Data[:m.header()])
		all = append(all[:len(all):len(all)], m)
	}
	return all
}

// Threshold is a threshold of the logical block provisioning mode page
// (SBC-4 §6.5.9): it is reached when a resource has so many threshold sets, or
// fewer when what is left counts.
type Threshold struct {
	Resource uint16
	Sets     uint32
}

// ThresholdExponent is the THRESHOLD EXPONENT: a threshold set is 2^11 logical
// blocks.
const ThresholdExponent = 11

// ProvisioningPage is the logical block provisioning mode page.
func ProvisioningPage(thresholds []Threshold) ModePage {
	const enabled, decreasing, increasing = 0x80, 0x02, 0x01
	d := make([]byte, 16)
	d[0], d[1] = 0x40|ModeInformationalExceptions, provisioningSubpage
	for _, t := range thresholds {
		arming := byte(increasing)
		if t.Resource == AvailableResource {
			arming = decreasing
		}
		d = append(d, enabled|arming, uint8(t.Resource), 0, 0)
		d = binary.BigEndian.AppendUint32(d, t.Sets)
	}
	binary.BigEndian.PutUint16(d[2:], uint16(len(d)-4))
	return ModePage{ModeInformationalExceptions, provisioningSubpage, d}
}

// AppendModePages appends the mode pages that MODE SENSE asks for with a page
// code, a subpage code and a page control: one page, the subpages of one, or
// all. v are the values that the page control asks for. It reports false when
// there is no such page (SPC-5 §6.13). own are those of the logical unit.
func AppendModePages(b []byte, code, subpage uint8, pc PageControl, v ModeValues, own ...ModePage) ([]byte, bool) {
	start := len(b)
	all := pagesWith(own)
	for i := range all {
		p := &all[i]
		if code != allModePages && code != p.code {
			continue
		}
		if subpage != allModeSubpages && subpage != p.subpage {
			continue
		}
		at := len(b)
		if pc == ChangeableValues {
			b = append(b, p.changeable...)
			continue
		}
		b = append(b, p.defaults...)
		v.apply(p, b[at:])
	}
	return b, len(b) > start
}

// MarkSavable sets the PS bit of those of the pages, as AppendModePages made
// them, whose parameters MODE SELECT can change and so save (SPC-5 §7.5.7).
func MarkSavable(pages []byte, own ...ModePage) {
	for at := 0; at < len(pages); {
		p, n, err := findSelected(pages, at, own)
		if err != nil {
			panic(fmt.Sprintf("scsi: mode pages end with %x, which is no page", pages[at:]))
		}
		if slices.ContainsFunc(p.changeable[p.header():], func(b byte) bool { return b != 0 }) {
			pages[at] |= 0x80
		}
		at += n
	}
}

// header is how many bytes precede the parameters.
func (p *modePage) header() int {
	if p.subpage != 0 {
		return 4
	}
	return 2
}

// ModeHeader is the mode parameter header and block descriptor of a disk
// (SPC-5 §7.5.5, SBC-4 §6.5.2).
type ModeHeader struct {
	WriteProtected bool
	// BlockDescriptor: a block descriptor with Blocks and BlockLength is there;
	// in the long form when Long (MODE SENSE (10) with LLBAA).
	BlockDescriptor bool
	Long            bool
	Blocks          uint64
	BlockLength     uint32
}

const dpofua = 0x10 // DPO and FUA are supported

func (h ModeHeader) deviceSpecific() byte {
	if h.WriteProtected {
		return 0x80 | dpofua
	}
	return dpofua
}

// AppendMode6 appends MODE SENSE (6) parameter data: the header, the block
// descriptor and pages.
func (h ModeHeader) AppendMode6(b, pages []byte) []byte {
	d := h.blockDescriptor()
	b = append(b, uint8(3+len(d)+len(pages)), 0, h.deviceSpecific(), uint8(len(d)))
	return append(append(b, d...), pages...)
}

// AppendMode10 appends MODE SENSE (10) parameter data.
func (h ModeHeader) AppendMode10(b, pages []byte) []byte {
	d := h.blockDescriptor()
	long := byte(0)
	if h.Long && h.BlockDescriptor {
		long = 1
	}
	b = binary.BigEndian.AppendUint16(b, uint16(6+len(d)+len(pages)))
	b = append(b, 0, h.deviceSpecific(), long, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(d)))
	return append(append(b, d...), pages...)
}

func (h ModeHeader) blockDescriptor() []byte {
	switch {
	case !h.BlockDescriptor:
		return nil
	case h.Long:
		d := binary.BigEndian.AppendUint64(make([]byte, 0, 16), h.Blocks)
		d = append(d, 0, 0, 0, 0)
		return binary.BigEndian.AppendUint32(d, h.BlockLength)
	}
	d := binary.BigEndian.AppendUint32(make([]byte, 0, 8), uint32(min(h.Blocks, math.MaxUint32)))
	return binary.BigEndian.AppendUint32(d, h.BlockLength&0xFFFFFF)
}

// ModeSelectHeader is what precedes the pages in a MODE SELECT parameter list.
type ModeSelectHeader struct {
	// BlockDescriptors is the list of block descriptors, long ones when Long.
	BlockDescriptors []byte
	Long             bool
	// Offset is where the pages start.
	Offset int
}

// SplitMode6 and SplitMode10 take the header off a mode parameter list. A list
// that ends inside the header or the block descriptors is PARAMETER LIST
// LENGTH ERROR (SPC-5 §6.11).
func SplitMode6(b []byte) (ModeSelectHeader, error) {
	if len(b) < 4 {
		return ModeSelectHeader{}, Illegal(ParameterListLengthError)
	}
	return splitMode(b, 4, int(b[3]), false)
}

// SplitMode10 is SplitMode6 for MODE SELECT (10).
func SplitMode10(b []byte) (ModeSelectHeader, error) {
	if len(b) < 8 {
		return ModeSelectHeader{}, Illegal(ParameterListLengthError)
	}
	return splitMode(b, 8, int(binary.BigEndian.Uint16(b[6:])), b[4]&1 != 0)
}

func splitMode(b []byte, header, descriptors int, long bool) (ModeSelectHeader, error) {
	if len(b) < header+descriptors {
		return ModeSelectHeader{}, Illegal(ParameterListLengthError)
	}
	return ModeSelectHeader{
		BlockDescriptors: b[header : header+descriptors],
		Long:             long,
		Offset:           header + descriptors,
	}, nil
}

// BlockLength reads the block length of the first block descriptor, 0 when
// there is none.
func (h ModeSelectHeader) BlockLength() uint32 {
	switch d := h.BlockDescriptors; {
	case h.Long && len(d) >= 16:
		return binary.BigEndian.Uint32(d[12:])
	case !h.Long && len(d) >= 8:
		return binary.BigEndian.Uint32(d[4:]) & 0xFFFFFF
	}
	return 0
}

// SelectModePages applies the pages of a MODE SELECT parameter list, which
// start at offset in b, to v. A page that is not known, of another length, or
// that differs from the current values in a bit that cannot be changed is
// INVALID FIELD IN PARAMETER LIST, and nothing is applied; a page cut short
// is PARAMETER LIST LENGTH ERROR (SPC-5 §6.11).
func SelectModePages(b []byte, offset int, v ModeValues, own ...ModePage) (ModeValues, error) {
	next := v
	for at := offset; at < len(b); {
		p, n, err := findSelected(b, at, own)
		if err != nil {
			return v, err
		}
		if at+n > len(b) {
			return v, Illegal(ParameterListLengthError)
		}
		page := b[at : at+n]
		current := make([]byte, n)
		copy(current, p.defaults)
		next.apply(p, current)
		for i := p.header(); i < n; i++ {
			if wrong := (page[i] ^ current[i]) &^ p.changeable[i]; wrong != 0 {
				s := InvalidParameterField(at + i)
				s.Bit, s.HasBit = highestBit(wrong), true
				return v, s
			}
		}
		next.take(p, page)
		at += n
	}
	return next, nil
}

// findSelected finds the page that starts at b[at] and its length.
func findSelected(b []byte, at int, own []ModePage) (*modePage, int, error) {
	if at+2 > len(b) {
		return nil, 0, Illegal(ParameterListLengthError)
	}
	code, subpage, n := b[at]&0x3F, uint8(0), 2+int(b[at+1])
	if b[at]&0x40 != 0 {
		if at+4 > len(b) {
			return nil, 0, Illegal(ParameterListLengthError)
		}
		subpage, n = b[at+1], 4+int(binary.BigEndian.Uint16(b[at+2:]))
	}
	all := pagesWith(own)
	for i := range all {
		p := &all[i]
		if p.code != code || p.subpage != subpage {
			continue
		}
		if n != len(p.defaults) {
			return nil, 0, InvalidParameterField(at + 1)
		}
		return p, n, nil
	}
	return nil, 0, InvalidParameterField(at)
}

// String tells the values by the names of their fields.
func (v ModeValues) String() string {
	return fmt.Sprintf("WCE=%t D_SENSE=%t SWP=%t TAS=%t", v.WriteCache, v.DescriptorSense, v.SoftwareWriteProtect, v.TaskAbortedStatusSent)
}
