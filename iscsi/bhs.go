package iscsi

import "encoding/binary"

// BHSLength is the size of a basic header segment in bytes (§11.2.1).
const BHSLength = 48

// NoTag is the reserved value of an initiator or target transfer tag: the PDU
// belongs to no task (§11.2.1.8).
const NoTag uint32 = 0xffffffff

// MaxDataSegmentLength is the most a data segment can hold, in bytes: the
// field has 24 bits (§11.2.1.6).
const MaxDataSegmentLength = 1<<24 - 1

// BHS is a basic header segment as it is on the wire (§11.2.1).
type BHS [BHSLength]byte

// Where fields common to several PDUs stand in the header.
const (
	immediateBit = 0x40
	finalBit     = 0x80
	opcodeMask   = 0x3f

	offFlags       = 1
	offAHSLength   = 4
	offDataLength  = 4 // three bytes behind TotalAHSLength
	offLUN         = 8
	offITT         = 16
	offTTT         = 20
	offCmdSN       = 24 // initiator
	offStatSN      = 24 // target
	offExpStatSN   = 28 // initiator
	offExpCmdSN    = 28 // target
	offMaxCmdSN    = 32
	offDataSN      = 36
	offBufferOff   = 40
	offResidual    = 44
	dataLengthMask = 0x00ffffff
)

// Opcode is the kind of PDU.
func (h *BHS) Opcode() Opcode { return Opcode(h[0] & opcodeMask) }

// Immediate is the I bit: the command is for immediate delivery (§11.2.1.1).
func (h *BHS) Immediate() bool { return h[0]&immediateBit != 0 }

// Final is the F bit, whose meaning depends on the PDU.
func (h *BHS) Final() bool { return h[offFlags]&finalBit != 0 }

// AHSLength is the length in bytes of the additional header segments
// (TotalAHSLength counts words of four bytes): 0 to 1020.
func (h *BHS) AHSLength() int { return int(h[offAHSLength]) * 4 }

// DataSegmentLength is the length of the data segment in bytes, without
// padding.
func (h *BHS) DataSegmentLength() int {
	return int(binary.BigEndian.Uint32(h[offDataLength:]) & dataLengthMask)
}

// SetLengths sets TotalAHSLength, from a length in bytes that is a multiple
// of four up to 1020, and DataSegmentLength.
func (h *BHS) SetLengths(ahs, data int) {
	binary.BigEndian.PutUint32(h[offAHSLength:], uint32(ahs/4)<<24|uint32(data)&dataLengthMask)
}

// LUN is the logical unit number field.
func (h *BHS) LUN() LUN { return LUN(binary.BigEndian.Uint64(h[offLUN:])) }

// InitiatorTaskTag identifies the task within the session.
func (h *BHS) InitiatorTaskTag() uint32 { return h.get32(offITT) }

// CmdSN is the command sequence number of a PDU of an initiator.
func (h *BHS) CmdSN() uint32 { return h.get32(offCmdSN) }

// ExpStatSN acknowledges status; it is in every PDU of an initiator.
func (h *BHS) ExpStatSN() uint32 { return h.get32(offExpStatSN) }

// StatSN is the status sequence number of a PDU of a target.
func (h *BHS) StatSN() uint32 { return h.get32(offStatSN) }

// ExpCmdSN acknowledges commands; it is in every PDU of a target.
func (h *BHS) ExpCmdSN() uint32 { return h.get32(offExpCmdSN) }

// MaxCmdSN is the end of the command window; it is in every PDU of a target.
func (h *BHS) MaxCmdSN() uint32 { return h.get32(offMaxCmdSN) }

// SetSequence stamps the numbers every PDU of a target carries. Who sends
// PDUs calls it last, in the order of sending.
func (h *BHS) SetSequence(statSN, expCmdSN, maxCmdSN uint32) {
	h.put32(offStatSN, statSN)
	h.put32(offExpCmdSN, expCmdSN)
	h.put32(offMaxCmdSN, maxCmdSN)
}

// SetExpStatSN stamps the acknowledgement every PDU of an initiator carries.
func (h *BHS) SetExpStatSN(n uint32) { h.put32(offExpStatSN, n) }

func (h *BHS) get16(off int) uint16    { return binary.BigEndian.Uint16(h[off:]) }
func (h *BHS) get32(off int) uint32    { return binary.BigEndian.Uint32(h[off:]) }
func (h *BHS) put16(off int, v uint16) { binary.BigEndian.PutUint16(h[off:], v) }
func (h *BHS) put32(off int, v uint32) { binary.BigEndian.PutUint32(h[off:], v) }
func (h *BHS) putLUN(l LUN)            { binary.BigEndian.PutUint64(h[offLUN:], uint64(l)) }

// start clears the header and writes the first byte.
func (h *BHS) start(op Opcode, immediate bool) {
	*h = BHS{}
	h[0] = byte(op)
	if immediate {
		h[0] |= immediateBit
	}
}

// flag sets bit in the flags byte when on.
func (h *BHS) flag(bit byte, on bool) {
	if on {
		h[offFlags] |= bit
	}
}

// has tells whether bit is set in the flags byte.
func (h *BHS) has(bit byte) bool { return h[offFlags]&bit != 0 }
