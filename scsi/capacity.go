package scsi

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Capacity is what READ CAPACITY reports.
type Capacity struct {
	// LastLBA is the address of the last logical block.
	LastLBA uint64
	// BlockLength is the length of a logical block in bytes.
	BlockLength uint32
	// PhysicalExponent: 2^PhysicalExponent logical blocks are a physical one.
	PhysicalExponent uint8
	// LowestAlignedLBA is the first logical block at which a physical one
	// begins, up to MaxLowestAlignedLBA.
	LowestAlignedLBA uint16
	// Provisioned (LBPME): logical block provisioning management is enabled;
	// ReadsZero (LBPRZ): unmapped blocks read as zeroes.
	Provisioned bool
	ReadsZero   bool
}

// MaxLowestAlignedLBA is the largest LOWEST ALIGNED LOGICAL BLOCK ADDRESS.
const MaxLowestAlignedLBA = 1<<14 - 1

const (
	capacity10Length = 8
	capacity16Length = 32
)

// Append10 appends READ CAPACITY (10) parameter data (SBC-4 §5.20.2). A last
// LBA that does not fit reads FFFF_FFFFh.
func (c Capacity) Append10(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(min(c.LastLBA, math.MaxUint32)))
	return binary.BigEndian.AppendUint32(b, c.BlockLength)
}

// Append16 appends READ CAPACITY (16) parameter data (SBC-4 §5.21.2).
func (c Capacity) Append16(b []byte) []byte {
	var d [capacity16Length]byte
	binary.BigEndian.PutUint64(d[0:], c.LastLBA)
	binary.BigEndian.PutUint32(d[8:], c.BlockLength)
	d[13] = c.PhysicalExponent & 0xF
	binary.BigEndian.PutUint16(d[14:], c.LowestAlignedLBA&MaxLowestAlignedLBA)
	if c.Provisioned {
		d[14] |= 0x80
	}
	if c.ReadsZero {
		d[14] |= 0x40
	}
	return append(b, d[:]...)
}

// DecodeCapacity10 reads READ CAPACITY (10) parameter data.
func DecodeCapacity10(b []byte) (Capacity, error) {
	if len(b) < capacity10Length {
		return Capacity{}, fmt.Errorf("READ CAPACITY (10) data: %d bytes, want %d", len(b), capacity10Length)
	}
	return Capacity{LastLBA: uint64(binary.BigEndian.Uint32(b)), BlockLength: binary.BigEndian.Uint32(b[4:])}, nil
}

// DecodeCapacity16 reads READ CAPACITY (16) parameter data, of which at least
// 12 bytes must be there.
func DecodeCapacity16(b []byte) (Capacity, error) {
	if len(b) < 12 {
		return Capacity{}, fmt.Errorf("READ CAPACITY (16) data: %d bytes, want at least 12", len(b))
	}
	var d [capacity16Length]byte
	copy(d[:], b)
	return Capacity{
		LastLBA:          binary.BigEndian.Uint64(d[0:]),
		BlockLength:      binary.BigEndian.Uint32(d[8:]),
		PhysicalExponent: d[13] & 0xF,
		LowestAlignedLBA: binary.BigEndian.Uint16(d[14:]) & MaxLowestAlignedLBA,
		Provisioned:      d[14]&0x80 != 0,
		ReadsZero:        d[14]&0x40 != 0,
	}, nil
}
