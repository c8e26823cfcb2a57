package scsi

import "encoding/binary"

// Extent is a run of logical blocks.
type Extent struct {
	LBA   uint64
	Count uint32
}

const (
	unmapHeaderLength     = 8
	unmapDescriptorLength = 16
)

// DecodeUnmap reads an UNMAP parameter list of at most limit block descriptors
// (SBC-4 §5.36). An empty list names no extent; a partial descriptor at the
// end is ignored. What is wrong is answered as Sense.
func DecodeUnmap(b []byte, limit int) ([]Extent, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if len(b) < unmapHeaderLength {
		return nil, Illegal(ParameterListLengthError)
	}
	n := min(int(binary.BigEndian.Uint16(b[2:])), len(b)-unmapHeaderLength) / unmapDescriptorLength
	if n > limit {
		return nil, InvalidParameterField(2)
	}
	extents := make([]Extent, n)
	for i := range extents {
		d := b[unmapHeaderLength+i*unmapDescriptorLength:]
		extents[i] = Extent{LBA: binary.BigEndian.Uint64(d), Count: binary.BigEndian.Uint32(d[8:])}
	}
	return extents, nil
}

// AppendUnmap appends an UNMAP parameter list.
func AppendUnmap(b []byte, extents []Extent) []byte {
	n := unmapDescriptorLength * len(extents)
	b = binary.BigEndian.AppendUint16(b, uint16(unmapHeaderLength-2+n))
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, 0, 0, 0, 0)
	for _, e := range extents {
		b = binary.BigEndian.AppendUint64(b, e.LBA)
		b = binary.BigEndian.AppendUint32(b, e.Count)
		b = append(b, 0, 0, 0, 0)
	}
	return b
}

// LBAStatus is an LBA status descriptor (SBC-4 §5.6.2.2).
type LBAStatus struct {
	Extent
	Deallocated bool // else mapped
}

// AppendLBAStatus appends GET LBA STATUS parameter data.
func AppendLBAStatus(b []byte, status []LBAStatus) []byte {
	const descriptorLength = 16
	b = binary.BigEndian.AppendUint32(b, uint32(4+descriptorLength*len(status)))
	b = append(b, 0, 0, 0, 0)
	for _, s := range status {
		b = binary.BigEndian.AppendUint64(b, s.LBA)
		b = binary.BigEndian.AppendUint32(b, s.Count)
		provisioning := byte(0)
		if s.Deallocated {
			provisioning = 1
		}
		b = append(b, provisioning, 0, 0, 0)
	}
	return b
}
