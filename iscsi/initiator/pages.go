package initiator

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/tandem-san/tandem/scsi"
)

// Lengths of parameter data, in bytes.
const (
	inquiryLength  = 96
	capacityLength = 32
	// parameterLength is what other commands that return a page are asked
	// for; none of those used here is longer.
	parameterLength = 4096
	// lunListLength holds the LUNs of a target with scsi.MaxLUN of them.
	lunListLength = 8 + 8*(scsi.MaxLUN+1)
)

// Capacity is the size of a logical unit.
type Capacity struct {
	Blocks      uint64 // logical blocks
	BlockLength uint32 // bytes, a power of two from 512 to 65536
}

// Bytes is the size in bytes.
func (c Capacity) Bytes() int64 { return int64(c.Blocks) * int64(c.BlockLength) }

// decodeCapacity reads READ CAPACITY (16) parameter data and refuses sizes
// nothing can be addressed with.
func decodeCapacity(p []byte) (Capacity, error) {
	const (
		minBlock, maxBlock = 512, 64 << 10
		maxBytes           = 1 << 62
	)
	c, err := scsi.DecodeCapacity16(p)
	if err != nil {
		return Capacity{}, err
	}
	if c.BlockLength < minBlock || c.BlockLength > maxBlock || bits.OnesCount32(c.BlockLength) != 1 {
		return Capacity{}, fmt.Errorf("READ CAPACITY (16) data: block length %d, want a power of two from %d to %d", c.BlockLength, minBlock, maxBlock)
	}
	if c.LastLBA >= maxBytes/uint64(c.BlockLength) {
		return Capacity{}, fmt.Errorf("READ CAPACITY (16) data: last block %d of %d bytes each is beyond what can be addressed", c.LastLBA, c.BlockLength)
	}
	return Capacity{c.LastLBA + 1, c.BlockLength}, nil
}

// DesignatedNumber is the number in a relative target port or target port
// group designator (SPC-5 §7.7.6.7, §7.7.6.8); ok is false for others.
func DesignatedNumber(d scsi.Designator) (n uint16, ok bool) {
	if d.Type != scsi.DesignatorRelativeTargetPort && d.Type != scsi.DesignatorTargetPortGroup || len(d.Value) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint16(d.Value[2:]), true
}
