package iscsi

import "hash/crc32"

// Outgoing is a PDU on its way out. It holds its own header, padding and
// digests, and refers to the data; it is meant to be embedded or pooled, and
// must not move or change between AppendTo and the end of the write.
type Outgoing struct {
	// AHS are additional header segments, as AdditionalHeader.AppendTo makes
	// them.
	AHS []byte
	// Data is the data segment, up to MaxDataSegmentLength bytes.
	Data []byte

	head [BHSLength + digestLength]byte
	tail [3 + digestLength]byte
}

// Header is the basic header, to be encoded into.
func (o *Outgoing) Header() *BHS { return (*BHS)(o.head[:BHSLength]) }

// AppendTo completes the PDU, lengths, digests and padding, and appends its
// slices to dst in the order in which they go over the wire.
func (o *Outgoing) AppendTo(dst [][]byte, d Digests) [][]byte {
	h := o.Header()
	h.SetLengths(len(o.AHS), len(o.Data))
	head := o.head[:BHSLength]
	if d.Header == CRC32C {
		crc := crc32.Checksum(h[:], castagnoli)
		crc = crc32.Update(crc, castagnoli, o.AHS)
		putDigest(o.head[BHSLength:], crc)
		if len(o.AHS) == 0 {
			head = o.head[:]
		}
	}
	dst = append(dst, head)
	if len(o.AHS) > 0 {
		dst = append(dst, o.AHS)
		if d.Header == CRC32C {
			dst = append(dst, o.head[BHSLength:])
		}
	}
	if len(o.Data) == 0 {
		return dst
	}
	dst = append(dst, o.Data)
	tail := o.tail[:padLength(len(o.Data))]
	clear(tail)
	if d.Data == CRC32C {
		crc := crc32.Checksum(o.Data, castagnoli)
		crc = crc32.Update(crc, castagnoli, tail)
		pad := len(tail)
		tail = tail[:pad+digestLength]
		putDigest(tail[pad:], crc)
	}
	if len(tail) > 0 {
		dst = append(dst, tail)
	}
	return dst
}
