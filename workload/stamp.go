package workload

import (
	"encoding/binary"
	"hash/crc32"
)

// Layout of a slot, big endian: magic, run, slot, sequence number (8 bytes
// each), writer (4), CRC32C of everything else (4), then filling that depends
// on all of those, so that no two writes put the same bytes down.
const (
	stampMagic  = 0x54616e64656d5731
	stampSize   = 40
	checksumOff = 36
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stamp is what a slot's content says about itself.
type stamp struct {
	run    uint64
	slot   uint64
	seq    uint64
	writer uint32
}

// put fills p, which is a multiple of 8 and at least stampSize bytes long.
func (s stamp) put(p []byte) {
	binary.BigEndian.PutUint64(p[0:], stampMagic)
	binary.BigEndian.PutUint64(p[8:], s.run)
	binary.BigEndian.PutUint64(p[16:], s.slot)
	binary.BigEndian.PutUint64(p[24:], s.seq)
	binary.BigEndian.PutUint32(p[32:], s.writer)
	x := s.run ^ s.slot*0x9e3779b97f4a7c15 ^ s.seq<<32 ^ uint64(s.writer)
	for q := p[stampSize:]; len(q) >= 8; q = q[8:] {
		x = x*6364136223846793005 + 1442695040888963407 // Knuth, MMIX
		binary.BigEndian.PutUint64(q, x)
	}
	binary.BigEndian.PutUint32(p[checksumOff:], checksum(p))
}

// parseStamp reads the stamp of p; ok is false when p is not what put made.
func parseStamp(p []byte) (s stamp, ok bool) {
	if len(p) < stampSize || binary.BigEndian.Uint64(p) != stampMagic ||
		binary.BigEndian.Uint32(p[checksumOff:]) != checksum(p) {
		return stamp{}, false
	}
	return stamp{
		run:    binary.BigEndian.Uint64(p[8:]),
		slot:   binary.BigEndian.Uint64(p[16:]),
		seq:    binary.BigEndian.Uint64(p[24:]),
		writer: binary.BigEndian.Uint32(p[32:]),
	}, true
}

func checksum(p []byte) uint32 {
	sum := crc32.Update(0, castagnoli, p[:checksumOff])
	return crc32.Update(sum, castagnoli, p[stampSize:])
}
