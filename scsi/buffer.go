package scsi

import "encoding/binary"

// BufferMode is the MODE field of READ BUFFER and WRITE BUFFER (SPC-5 §6.18,
// §6.52).
type BufferMode uint8

// The modes there are.
const (
	BufferData           BufferMode = 0x02
	BufferDescriptor     BufferMode = 0x03 // READ BUFFER only
	BufferEcho           BufferMode = 0x0A
	BufferEchoDescriptor BufferMode = 0x0B // READ BUFFER only
)

// Buffer is what a READ BUFFER or WRITE BUFFER command asks for.
type Buffer struct {
	Mode   BufferMode
	ID     uint8
	Offset uint32 // 24 bits, in bytes
	Length uint32 // 24 bits, in bytes
}

// BufferOf reads the CDB of READ BUFFER or WRITE BUFFER.
func BufferOf(cdb CDB) Buffer {
	return Buffer{
		Mode:   BufferMode(cdb.Byte(1) & 0x1F),
		ID:     cdb.Byte(2),
		Offset: cdb.Uint32(2) & 0xFFFFFF,
		Length: cdb.AllocationLength(),
	}
}

// AppendBufferDescriptor appends the descriptor of a data buffer of so many
// bytes, less than 2^24, that takes any offset (SPC-5 §6.18.5).
func AppendBufferDescriptor(b []byte, capacity uint32) []byte {
	return binary.BigEndian.AppendUint32(b, capacity&0xFFFFFF)
}

// AppendEchoBufferDescriptor appends the descriptor of an echo buffer of so
// many bytes, at most 4096 (SPC-5 §6.18.7).
func AppendEchoBufferDescriptor(b []byte, capacity uint16) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(capacity&0x1FFF))
}
