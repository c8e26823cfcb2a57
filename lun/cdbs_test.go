package lun_test

import "encoding/binary"

// CDBs of the commands the tests use.

func testUnitReady() []byte { return make([]byte, 6) }

func inquiry(evpd bool, page byte, allocation uint16) []byte {
	c := []byte{0x12, 0, page, byte(allocation >> 8), byte(allocation), 0}
	if evpd {
		c[1] = 1
	}
	return c
}

func cdb10(op byte, flags byte, lba uint32, count uint16) []byte {
	c := make([]byte, 10)
	c[0], c[1] = op, flags
	binary.BigEndian.PutUint32(c[2:], lba)
	binary.BigEndian.PutUint16(c[7:], count)
	return c
}

func cdb12(op byte, flags byte, lba uint32, count uint32) []byte {
	c := make([]byte, 12)
	c[0], c[1] = op, flags
	binary.BigEndian.PutUint32(c[2:], lba)
	binary.BigEndian.PutUint32(c[6:], count)
	return c
}

func cdb16(op byte, flags byte, lba uint64, count uint32) []byte {
	c := make([]byte, 16)
	c[0], c[1] = op, flags
	binary.BigEndian.PutUint64(c[2:], lba)
	binary.BigEndian.PutUint32(c[10:], count)
	return c
}

func read10(lba uint32, count uint16) []byte  { return cdb10(0x28, 0, lba, count) }
func write10(lba uint32, count uint16) []byte { return cdb10(0x2A, 0, lba, count) }
func read16(lba uint64, count uint32) []byte  { return cdb16(0x88, 0, lba, count) }
func write16(lba uint64, count uint32) []byte { return cdb16(0x8A, 0, lba, count) }
