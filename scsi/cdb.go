package scsi

import "encoding/binary"

// CDB is a command descriptor block as received. Its methods read fields at
// the places SPC-5 §4.2 gives them for the length of the command; a field that
// lies past the end of the block reads as zero.
type CDB []byte

// OpCode is the operation code; 0 for an empty block.
func (c CDB) OpCode() byte { return c.at(0) }

// Length is the length in bytes that the group code of the operation code
// calls for (SPC-5 §4.2.5.1), the additional length for a variable length CDB,
// or 0 for a vendor specific group.
func (c CDB) Length() int { return cdbLength(c.OpCode(), c.at(7)) }

const variableLengthCDB = 0x7F

func cdbLength(opcode, additional byte) int {
	switch opcode >> 5 {
	case 0:
		return 6
	case 1, 2:
		return 10
	case 3:
		if opcode == variableLengthCDB {
			return 8 + int(additional)
		}
	case 4:
		return 16
	case 5:
		return 12
	}
	return 0
}

// ServiceAction is the SERVICE ACTION field: five bits of byte 1, or bytes 8
// and 9 of a variable length CDB.
func (c CDB) ServiceAction() uint16 {
	if c.OpCode() == variableLengthCDB {
		return c.Uint16(8)
	}
	return uint16(c.at(1) & 0x1F)
}

// LBA is the LOGICAL BLOCK ADDRESS field: 21, 32 or 64 bits by the length of
// the command.
func (c CDB) LBA() uint64 {
	switch c.Length() {
	case 6:
		return uint64(c.at(1)&0x1F)<<16 | uint64(c.Uint16(2))
	case 10, 12:
		return uint64(c.Uint32(2))
	case 16:
		return c.Uint64(2)
	case 32:
		return c.Uint64(12)
	}
	return 0
}

// TransferLength is the TRANSFER LENGTH, VERIFICATION LENGTH or NUMBER OF
// LOGICAL BLOCKS field, in logical blocks. In the six byte commands 0 means
// 256 (SBC-4 §5.11).
func (c CDB) TransferLength() uint32 {
	switch c.Length() {
	case 6:
		if c.at(4) == 0 {
			return 256
		}
		return uint32(c.at(4))
	case 10:
		return uint32(c.Uint16(7))
	case 12:
		return c.Uint32(6)
	case 16:
		if c.OpCode() == opWriteAtomic16 {
			return uint32(c.Uint16(12))
		}
		return c.Uint32(10)
	case 32:
		return c.Uint32(28)
	}
	return 0
}

// AllocationLength is the ALLOCATION LENGTH or PARAMETER LIST LENGTH field, in
// bytes, where SPC-5 §4.2.5.6 puts it for the length of the command. Commands
// that put it elsewhere are known.
func (c CDB) AllocationLength() uint32 {
	switch c.OpCode() {
	case opInquiry, opReceiveDiagnosticResults, opSendDiagnostic:
		return uint32(c.Uint16(3))
	case opPersistentReserveOut:
		return c.Uint32(5)
	case opMechanismStatus:
		return uint32(c.Uint16(8))
	case opReadBuffer, opWriteBuffer:
		return c.Uint32(5) & 0xFFFFFF
	}
	switch c.Length() {
	case 6:
		return uint32(c.at(4))
	case 10:
		return uint32(c.Uint16(7))
	case 12:
		return c.Uint32(6)
	case 16:
		return c.Uint32(10)
	case 32:
		return c.Uint32(28)
	}
	return 0
}

// GroupNumber is the GROUP NUMBER field of block commands; 0 in six byte
// commands, which have none (SBC-4 §4.23).
func (c CDB) GroupNumber() uint8 {
	switch c.Length() {
	case 10, 32:
		return c.at(6) & 0x3F
	case 12:
		return c.at(10) & 0x3F
	case 16:
		return c.at(14) & 0x3F
	}
	return 0
}

// Control is the CONTROL byte (SAM-6 §5.2).
func (c CDB) Control() byte {
	if c.OpCode() == variableLengthCDB {
		return c.at(1)
	}
	if n := c.Length(); n > 0 {
		return c.at(n - 1)
	}
	return 0
}

// Byte is byte i.
func (c CDB) Byte(i int) byte { return c.at(i) }

// Bit reports whether bit b of byte i is one.
func (c CDB) Bit(i int, b uint) bool { return c.at(i)>>b&1 != 0 }

func (c CDB) at(i int) byte {
	if i < len(c) {
		return c[i]
	}
	return 0
}

// Uint16 is the two byte field at i.
func (c CDB) Uint16(i int) uint16 {
	if i+2 > len(c) {
		return 0
	}
	return binary.BigEndian.Uint16(c[i:])
}

// Uint32 is the four byte field at i.
func (c CDB) Uint32(i int) uint32 {
	if i+4 > len(c) {
		return 0
	}
	return binary.BigEndian.Uint32(c[i:])
}

// Uint64 is the eight byte field at i.
func (c CDB) Uint64(i int) uint64 {
	if i+8 > len(c) {
		return 0
	}
	return binary.BigEndian.Uint64(c[i:])
}
