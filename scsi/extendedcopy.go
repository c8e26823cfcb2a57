package scsi

import (
	"encoding/binary"
)

// Limits of EXTENDED COPY parameter lists.
const (
	MaxCSCDDescriptors    = 64
	MaxSegmentDescriptors = 64
	// MaxDescriptorList is the longest list of both together, in bytes.
	MaxDescriptorList = MaxCSCDDescriptors*cscdLength + MaxSegmentDescriptors*offsetSegmentLength
	// MaxSegment is the most that one segment copies, in bytes.
	MaxSegment = 64 << 20
)

const (
	lid1HeaderLength = 16
	lid4HeaderLength = 48
	cscdLength       = 32
	maxCSCDName      = 20

	// MaxCopyList is the longest parameter list, in bytes.
	MaxCopyList = lid4HeaderLength + MaxDescriptorList

	cscdIdentification = 0xE4

	blockSegmentLength  = 28
	offsetSegmentLength = 32
	verifySegmentLength = 12

	lid4Format         = 0x01
	headerCSCDTypeCode = 0xFF
)

// ThisCSCD is the CSCD descriptor ID of the logical unit that was sent the
// command (SPC-5 table 128).
const ThisCSCD = 0xFFFF

// Kinds of segment: their DESCRIPTOR TYPE CODEs (SPC-5 table 136).
const (
	SegmentBlocks = 0x02 // from blocks to blocks
	SegmentVerify = 0x07 // verify that a CSCD is there
	SegmentOffset = 0x0A // from blocks to blocks, in bytes
)

// ListIDUsage is the LIST ID USAGE field (SPC-5 table 117).
type ListIDUsage uint8

// Values of LIST ID USAGE.
const (
	ListIDHold   ListIDUsage = 0
	ListIDNoHold ListIDUsage = 2
	ListIDNone   ListIDUsage = 3 // there is no list identifier
)

// CSCD is a copy source or copy destination: an identification CSCD descriptor
// (SPC-5 §6.6.5.3). Name, at most 20 bytes, is its Value.
type CSCD struct {
	DeviceType  uint8
	Name        Designator
	BlockLength uint32 // 24 bits
}

// Segment is a segment descriptor: what to copy from where to where
// (SPC-5 §6.6.6).
type Segment struct {
	Kind uint8
	// From and To are indexes of CSCDs, or ThisCSCD. A verification has but
	// From, which is to be ready with Ready.
	From, To uint16
	Ready    bool
	// Blocks is the number of logical blocks of a SegmentBlocks: of the
	// destination when OfDestination (DC), else of the source.
	Blocks        uint16
	OfDestination bool
	// Bytes is the number of bytes of a SegmentOffset.
	Bytes       uint32
	FromLBA     uint64
	ToLBA       uint64
	FromOff     uint16 // bytes
	ToOff       uint16 // bytes
	Concatenate bool   // CAT
}

// CopyList is the parameter list of EXTENDED COPY, (LID1) or (LID4).
type CopyList struct {
	ListID    uint32 // 8 bits for (LID1)
	Usage     ListIDUsage
	Immediate bool // (LID4) only
	CSCDs     []CSCD
	Segments  []Segment
}

// DecodeCopyList reads the parameter list of EXTENDED COPY(LID1), or with long
// that of EXTENDED COPY(LID4) (SPC-5 §6.6.2, §6.6.3). It must not be empty.
// What is wrong is answered as Sense.
func DecodeCopyList(b []byte, long bool) (CopyList, error) {
	l, cscds, segments, err := decodeCopyHeader(b, long)
	if err != nil {
		return CopyList{}, err
	}
	header := lid1HeaderLength
	if long {
		header = lid4HeaderLength
	}
	switch {
	case cscds > MaxDescriptorList || segments > MaxDescriptorList || cscds+segments > MaxDescriptorList:
		return CopyList{}, Illegal(ParameterListLengthError)
	case cscds/cscdLength > MaxCSCDDescriptors:
		return CopyList{}, Illegal(TooManyTargetDescriptors)
	case cscds%cscdLength != 0:
		return CopyList{}, InvalidParameterField(cscdLengthField(long))
	case len(b) < header+cscds+segments:
		return CopyList{}, Illegal(ParameterListLengthError)
	}
	for at := header; at < header+cscds; at += cscdLength {
		c, err := decodeCSCD(b[at:at+cscdLength], at)
		if err != nil {
			return CopyList{}, err
		}
		l.CSCDs = append(l.CSCDs, c)
	}
	for at, end := header+cscds, header+cscds+segments; at < end; {
		if len(l.Segments) == MaxSegmentDescriptors {
			return CopyList{}, Illegal(TooManySegmentDescriptors)
		}
		s, n, err := decodeSegment(b[at:end], at)
		if err != nil {
			return CopyList{}, err
		}
		l.Segments = append(l.Segments, s)
		at += n
	}
	return l, nil
}

func cscdLengthField(long bool) int {
	if long {
		return 42
	}
	return 2
}

// decodeCopyHeader reads the header, and the lengths of both lists.
func decodeCopyHeader(b []byte, long bool) (l CopyList, cscds, segments int, err error) {
	if long {
		return decodeLongHeader(b)
	}
	if len(b) < lid1HeaderLength {
		return l, 0, 0, Illegal(ParameterListLengthError)
	}
	l.ListID, l.Usage = uint32(b[0]), ListIDUsage(b[1]>>3&3)
	if l.Usage == ListIDNone && l.ListID != 0 {
		return l, 0, 0, InvalidParameterField(0)
	}
	if l.Usage == 1 { // reserved
		return l, 0, 0, listUsageSense()
	}
	if binary.BigEndian.Uint32(b[12:]) != 0 { // inline data
		return l, 0, 0, InvalidParameterField(12)
	}
	n := binary.BigEndian.Uint32(b[8:])
	return l, int(binary.BigEndian.Uint16(b[2:])), int(min(n, MaxDescriptorList+1)), nil
}

func listUsageSense() Sense {
	s := InvalidParameterField(1)
	s.Bit, s.HasBit = 4, true
	return s
}

func decodeLongHeader(b []byte) (l CopyList, cscds, segments int, err error) {
	if len(b) < lid4HeaderLength {
		return l, 0, 0, Illegal(ParameterListLengthError)
	}
	l.ListID, l.Usage, l.Immediate = binary.BigEndian.Uint32(b[20:]), ListIDUsage(b[1]>>3&3), b[15]&1 != 0
	switch {
	case b[0] != lid4Format:
		err = InvalidParameterField(0)
	case l.Usage == 1 || l.Usage == ListIDNone:
		err = listUsageSense()
	case binary.BigEndian.Uint16(b[2:]) != cscdLength:
		err = InvalidParameterField(2)
	case b[16] != headerCSCDTypeCode:
		err = InvalidParameterField(16)
	case binary.BigEndian.Uint16(b[46:]) != 0: // inline data
		err = InvalidParameterField(46)
	}
	return l, int(binary.BigEndian.Uint16(b[42:])), int(binary.BigEndian.Uint16(b[44:])), err
}

// decodeCSCD reads a descriptor that stands at at in the list.
func decodeCSCD(d []byte, at int) (CSCD, error) {
	if d[0] != cscdIdentification {
		return CSCD{}, Illegal(UnsupportedTargetDescriptorTypeCode)
	}
	n := int(d[7])
	if n == 0 || n > maxCSCDName {
		return CSCD{}, InvalidParameterField(at + 7)
	}
	return CSCD{
		DeviceType: d[1] & 0x1F,
		Name: Designator{CodeSet: CodeSet(d[4] & 0xF), Association: Association(d[5] >> 4 & 3),
			Type: DesignatorType(d[5] & 0xF), Value: append([]byte(nil), d[8:8+n]...)},
		BlockLength: uint32(d[29])<<16 | uint32(d[30])<<8 | uint32(d[31]),
	}, nil
}

// Append appends the descriptor.
func (c CSCD) Append(b []byte) []byte {
	var d [cscdLength]byte
	d[0], d[1] = cscdIdentification, c.DeviceType&0x1F
	d[4] = uint8(c.Name.CodeSet) & 0xF
	d[5] = uint8(c.Name.Association)&3<<4 | uint8(c.Name.Type)&0xF
	d[7] = uint8(copy(d[8:8+maxCSCDName], c.Name.Value))
	d[29], d[30], d[31] = uint8(c.BlockLength>>16), uint8(c.BlockLength>>8), uint8(c.BlockLength)
	return append(b, d[:]...)
}

// decodeSegment reads the first descriptor of d, which stands at at in the list,
// and answers its length.
func decodeSegment(d []byte, at int) (Segment, int, error) {
	if len(d) < 4 {
		return Segment{}, 0, Illegal(ParameterListLengthError)
	}
	want := map[byte]int{SegmentBlocks: blockSegmentLength, SegmentVerify: verifySegmentLength, SegmentOffset: offsetSegmentLength}[d[0]]
	if want == 0 {
		return Segment{}, 0, Illegal(UnsupportedSegmentDescriptorTypeCode)
	}
	if int(binary.BigEndian.Uint16(d[2:])) != want-4 {
		return Segment{}, 0, InvalidParameterField(at + 2)
	}
	if len(d) < want {
		return Segment{}, 0, Illegal(ParameterListLengthError)
	}
	s := Segment{Kind: d[0], From: binary.BigEndian.Uint16(d[4:])}
	if s.Kind == SegmentVerify {
		s.Ready = d[8]&1 != 0
		return s, want, nil
	}
	s.To, s.Concatenate = binary.BigEndian.Uint16(d[6:]), d[1]&1 != 0
	s.FromLBA, s.ToLBA = binary.BigEndian.Uint64(d[12:]), binary.BigEndian.Uint64(d[20:])
	if s.Kind == SegmentOffset {
		s.Bytes = binary.BigEndian.Uint32(d[8:])
		s.FromOff, s.ToOff = binary.BigEndian.Uint16(d[28:]), binary.BigEndian.Uint16(d[30:])
		return s, want, nil
	}
	s.Blocks, s.OfDestination = binary.BigEndian.Uint16(d[10:]), d[1]&2 != 0
	return s, want, nil
}

// Append appends the descriptor.
func (s Segment) Append(b []byte) []byte {
	length := map[byte]int{SegmentBlocks: blockSegmentLength, SegmentVerify: verifySegmentLength, SegmentOffset: offsetSegmentLength}[s.Kind]
	d := make([]byte, length)
	d[0] = s.Kind
	binary.BigEndian.PutUint16(d[2:], uint16(length-4))
	binary.BigEndian.PutUint16(d[4:], s.From)
	if s.Kind == SegmentVerify {
		if s.Ready {
			d[8] = 1
		}
		return append(b, d...)
	}
	if s.Concatenate {
		d[1] |= 1
	}
	binary.BigEndian.PutUint16(d[6:], s.To)
	binary.BigEndian.PutUint64(d[12:], s.FromLBA)
	binary.BigEndian.PutUint64(d[20:], s.ToLBA)
	if s.Kind == SegmentOffset {
		binary.BigEndian.PutUint32(d[8:], s.Bytes)
		binary.BigEndian.PutUint16(d[28:], s.FromOff)
		binary.BigEndian.PutUint16(d[30:], s.ToOff)
		return append(b, d...)
	}
	if s.OfDestination {
		d[1] |= 2
	}
	binary.BigEndian.PutUint16(d[10:], s.Blocks)
	return append(b, d...)
}

// Append appends the parameter list of EXTENDED COPY(LID1), or with long that
// of EXTENDED COPY(LID4).
func (l CopyList) Append(b []byte, long bool) []byte {
	var cscds, segments []byte
	for _, c := range l.CSCDs {
		cscds = c.Append(cscds)
	}
	for _, s := range l.Segments {
		segments = s.Append(segments)
	}
	h := make([]byte, lid1HeaderLength)
	h[1] = uint8(l.Usage) << 3
	if long {
		h = make([]byte, lid4HeaderLength)
		h[0], h[1] = lid4Format, uint8(l.Usage)<<3
		binary.BigEndian.PutUint16(h[2:], cscdLength)
		if l.Immediate {
			h[15] = 1
		}
		h[16] = headerCSCDTypeCode
		binary.BigEndian.PutUint32(h[20:], l.ListID)
		binary.BigEndian.PutUint16(h[42:], uint16(len(cscds)))
		binary.BigEndian.PutUint16(h[44:], uint16(len(segments)))
	} else {
		h[0] = uint8(l.ListID)
		binary.BigEndian.PutUint16(h[2:], uint16(len(cscds)))
		binary.BigEndian.PutUint32(h[8:], uint32(len(segments)))
	}
	return append(append(append(b, h...), cscds...), segments...)
}
