package iscsi

import (
	"encoding/binary"
	"hash/crc32"
)

// Digest is an algorithm that protects a header or a data segment (§13.1).
type Digest uint8

// Digest algorithms.
const (
	NoDigest Digest = iota
	CRC32C
)

// String gives the value of the HeaderDigest and DataDigest keys.
func (d Digest) String() string {
	if d == CRC32C {
		return "CRC32C"
	}
	return "None"
}

// Digests says which parts of a PDU carry a digest.
type Digests struct {
	Header Digest
	Data   Digest
}

const digestLength = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// putDigest writes a digest as it goes over the wire: least significant byte
// first (§13.1 and appendix A.4 of RFC 3720).
func putDigest(b []byte, crc uint32) { binary.LittleEndian.PutUint32(b, crc) }

func getDigest(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

var padding [3]byte

// padLength is how many bytes pad n bytes to a multiple of four.
func padLength(n int) int { return -n & 3 }
