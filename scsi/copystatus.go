package scsi

import "encoding/binary"

// CopyState is how a copy operation stands: the COPY OPERATION STATUS field of
// the commands with a four byte list identifier (SPC-5 table 218). The first
// three are also those of the commands with one byte.
type CopyState uint8

// States of a copy operation.
const (
	CopyCompleted  CopyState = 0x01
	CopyFailed     CopyState = 0x02
	CopyForeground CopyState = 0x11
	CopyBackground CopyState = 0x12
	CopyTerminated CopyState = 0x60 // by COPY OPERATION ABORT, or with its I_T nexus
)

// Units of a TRANSFER COUNT (SPC-5 table 219).
const (
	TransferKiB    = 0x01
	TransferBlocks = 0xF1
)

// CopyStatus is what the RECEIVE COPY commands tell of a copy operation.
type CopyStatus struct {
	// Action is the service action that began it.
	Action   uint8
	State    CopyState
	Segments uint16 // processed
	// Transferred is in Units.
	Transferred uint64
	Units       uint8
	// Sense is that of a failure.
	Sense Sense
	// Token is the ROD token that POPULATE TOKEN made, nil when there is none.
	Token []byte
}

// AppendShort appends RECEIVE COPY STATUS(LID1) parameter data (SPC-5 §6.25).
func (s CopyStatus) AppendShort(b []byte) []byte {
	state := byte(0) // in progress
	switch s.State {
	case CopyCompleted:
		state = 1
	case CopyFailed, CopyTerminated:
		state = 2
	}
	b = append(b, 0, 0, 0, 8, state)
	b = binary.BigEndian.AppendUint16(b, s.Segments)
	b = append(b, s.Units)
	return binary.BigEndian.AppendUint32(b, uint32(min(s.Transferred, 1<<32-1)))
}

// AppendFailure appends RECEIVE COPY FAILURE DETAILS(LID1) parameter data: no
// more than the length when the copy operation has not failed (SPC-5 §6.22).
func (s CopyStatus) AppendFailure(b []byte) []byte {
	if s.State != CopyFailed {
		return append(b, 0, 0, 0, 0)
	}
	sense := AppendSense(nil, s.Sense)
	at := len(b)
	b = append(b, make([]byte, 60)...)
	binary.BigEndian.PutUint32(b[at:], uint32(56+len(sense)))
	b[at+56] = 2
	binary.BigEndian.PutUint16(b[at+58:], uint16(len(sense)))
	return append(b, sense...)
}

// Append appends RECEIVE COPY STATUS(LID4) parameter data (SPC-5 §6.26), and
// with tokens RECEIVE ROD TOKEN INFORMATION parameter data (SPC-5 §6.28).
func (s CopyStatus) Append(b []byte, tokens bool) []byte {
	at := len(b)
	b = append(b, make([]byte, 32)...)
	d := b[at:]
	d[4], d[5] = s.Action&0x1F, uint8(s.State)
	binary.BigEndian.PutUint16(d[6:], 1)
	binary.BigEndian.PutUint32(d[8:], 1000) // look again in a second
	if s.State == CopyCompleted || s.State == CopyFailed || s.State == CopyTerminated {
		binary.BigEndian.PutUint32(d[8:], 0xFFFFFFFE) // it is over
	}
	d[15] = s.Units
	binary.BigEndian.PutUint64(d[16:], s.Transferred)
	binary.BigEndian.PutUint16(d[24:], s.Segments)
	if s.State == CopyFailed {
		sense := AppendSense(nil, s.Sense)
		d[12], d[13], d[14] = uint8(StatusCheckCondition), uint8(len(sense)), uint8(len(sense))
		b = append(b, sense...)
	}
	if tokens {
		if s.Token == nil {
			b = append(b, 0, 0, 0, 0)
		} else {
			b = binary.BigEndian.AppendUint32(b, uint32(2+len(s.Token)))
			b = append(append(b, 0, 0), s.Token...)
		}
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// CopyLimits are the limits of a copy manager, beside those of package scsi.
type CopyLimits struct {
	// Copies is how many run at a time.
	Copies uint8
	// Held is how many bytes of status and tokens are held of each.
	Held uint32
}

// segmentKinds are the segment descriptors there are, in ascending order.
var segmentKinds = []byte{SegmentBlocks, SegmentVerify, SegmentOffset}

// AppendOperatingParameters appends RECEIVE COPY OPERATING PARAMETERS parameter
// data (SPC-5 §6.24).
func (l CopyLimits) AppendOperatingParameters(b []byte) []byte {
	var d [44]byte
	codes := append(append([]byte(nil), segmentKinds...), cscdIdentification)
	binary.BigEndian.PutUint32(d[0:], uint32(len(d)-4+len(codes)))
	d[4] = 1 // SNLID
	binary.BigEndian.PutUint16(d[8:], MaxCSCDDescriptors)
	binary.BigEndian.PutUint16(d[10:], MaxSegmentDescriptors)
	binary.BigEndian.PutUint32(d[12:], MaxDescriptorList)
	binary.BigEndian.PutUint32(d[16:], MaxSegment)
	binary.BigEndian.PutUint32(d[24:], l.Held)
	binary.BigEndian.PutUint16(d[34:], uint16(l.Copies))
	d[36] = l.Copies
	d[43] = uint8(len(codes))
	return append(append(b, d[:]...), codes...)
}

// AppendThirdPartyCopy appends the third-party copy VPD page: commands, limits
// and descriptors (SPC-5 §7.7.18).
func (l CopyLimits) AppendThirdPartyCopy(b []byte) []byte {
	var d []byte
	add := func(code uint16, body []byte) {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		d = binary.BigEndian.AppendUint16(d, code)
		d = binary.BigEndian.AppendUint16(d, uint16(len(body)))
		d = append(d, body...)
	}
	add(0x0000, blockRODLimits())
	add(0x0001, copyCommands())
	parameters := make([]byte, 28)
	binary.BigEndian.PutUint16(parameters[4:], MaxCSCDDescriptors)
	binary.BigEndian.PutUint16(parameters[6:], MaxSegmentDescriptors)
	binary.BigEndian.PutUint32(parameters[8:], MaxDescriptorList)
	add(0x0004, parameters)
	codes := append(append([]byte{uint8(len(segmentKinds) + 1)}, segmentKinds...), cscdIdentification)
	add(0x0008, codes)
	add(0x000C, []byte{0, 2, ThisCSCD >> 8, ThisCSCD & 0xFF})
	add(0x0106, rodTokenFeatures())
	add(0x0108, rodTypes())
	general := make([]byte, 32)
	binary.BigEndian.PutUint32(general[0:], uint32(l.Copies))
	binary.BigEndian.PutUint32(general[4:], uint32(l.Copies))
	binary.BigEndian.PutUint32(general[8:], MaxSegment)
	add(0x8001, general)
	return AppendVPD(b, VPDThirdPartyCopy, d)
}

// copyCommands is the supported commands descriptor, from the command table.
func copyCommands() []byte {
	list := []byte{0}
	for _, op := range []byte{OpThirdPartyCopyOut, OpThirdPartyCopyIn} {
		e := &opcodes[op]
		list = append(list, op, uint8(e.last-e.first+1))
		for id := e.first; id <= e.last; id++ {
			list = append(list, uint8(Commands[id].ServiceAction))
		}
	}
	list[0] = uint8(len(list) - 1)
	return list
}
