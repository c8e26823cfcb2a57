package scsi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Sense data response codes (SPC-5 §4.4.1).
const (
	fixedCurrent      = 0x70
	fixedDeferred     = 0x71
	descriptorCurrent = 0x72
	descriptorDefer   = 0x73
)

// Sense data descriptor types (SPC-5 table 30) and the lengths of their
// descriptors.
const (
	informationDescriptor = 0x00
	senseKeyDescriptor    = 0x02

	informationDescriptorLength = 12
	senseKeyDescriptorLength    = 8
)

// FixedSenseLength is the length of fixed format sense data as this package
// writes it (SPC-5 §4.4.3).
const FixedSenseLength = 18

// MaxSenseLength is the most that AppendSense appends.
const MaxSenseLength = 8 + informationDescriptorLength + senseKeyDescriptorLength

// ErrSenseFormat is what DecodeSense answers to bytes that are not sense data.
var ErrSenseFormat = errors.New("malformed sense data")

// AppendSense appends s in the format it asks for, as current information.
func AppendSense(b []byte, s Sense) []byte {
	if s.DescriptorFormat {
		return appendDescriptorSense(b, s)
	}
	return appendFixedSense(b, s)
}

// appendFixedSense follows SPC-5 §4.4.3. An INFORMATION that does not fit in
// four bytes is left out, with VALID zero.
func appendFixedSense(b []byte, s Sense) []byte {
	var d [FixedSenseLength]byte
	d[0] = fixedCurrent
	if s.HasInformation && s.Information <= math.MaxUint32 {
		d[0] |= 0x80
		binary.BigEndian.PutUint32(d[3:], uint32(s.Information))
	}
	d[2] = uint8(s.Key) & 0xF
	d[7] = FixedSenseLength - 8
	binary.BigEndian.PutUint16(d[12:], uint16(s.ASC))
	putSenseKeySpecific(d[15:18], s)
	return append(b, d[:]...)
}

// appendDescriptorSense follows SPC-5 §4.4.2.
func appendDescriptorSense(b []byte, s Sense) []byte {
	start := len(b)
	b = append(b, descriptorCurrent, uint8(s.Key)&0xF, uint8(s.ASC>>8), uint8(s.ASC), 0, 0, 0, 0)
	if s.HasInformation {
		b = append(b, informationDescriptor, informationDescriptorLength-2, 0x80, 0)
		b = binary.BigEndian.AppendUint64(b, s.Information)
	}
	if s.HasField || s.HasProgress {
		b = append(b, senseKeyDescriptor, senseKeyDescriptorLength-2, 0, 0, 0, 0, 0, 0)
		putSenseKeySpecific(b[len(b)-4:len(b)-1], s)
	}
	b[start+7] = uint8(len(b) - start - 8)
	return b
}

// putSenseKeySpecific fills the three bytes of sense key specific data: a
// field pointer for ILLEGAL REQUEST or a progress indication
// (SPC-5 §4.4.2.4).
func putSenseKeySpecific(d []byte, s Sense) {
	switch {
	case s.HasField:
		d[0] = 0x80
		if !s.FieldInData {
			d[0] |= 0x40
		}
		if s.HasBit {
			d[0] |= 0x08 | s.Bit&7
		}
		binary.BigEndian.PutUint16(d[1:], s.Field)
	case s.HasProgress:
		d[0] = 0x80
		binary.BigEndian.PutUint16(d[1:], s.Progress)
	}
}

// DecodeSense reads sense data of either format. Bytes that sense data of its
// format may lack read as zero; unknown descriptors are skipped. It answers
// ErrSenseFormat, wrapped, when b is not sense data.
func DecodeSense(b []byte) (Sense, error) {
	if len(b) == 0 {
		return Sense{}, fmt.Errorf("%w: no bytes", ErrSenseFormat)
	}
	switch b[0] & 0x7F {
	case fixedCurrent, fixedDeferred:
		return decodeFixedSense(b), nil
	case descriptorCurrent, descriptorDefer:
		return decodeDescriptorSense(b)
	}
	return Sense{}, fmt.Errorf("%w: response code %02xh, want 70h to 73h", ErrSenseFormat, b[0]&0x7F)
}

func decodeFixedSense(b []byte) Sense {
	var d [FixedSenseLength]byte
	copy(d[:], b)
	s := Sense{
		Key: SenseKey(d[2] & 0xF),
		ASC: ASC(binary.BigEndian.Uint16(d[12:])),
	}
	if d[0]&0x80 != 0 {
		s.HasInformation, s.Information = true, uint64(binary.BigEndian.Uint32(d[3:]))
	}
	s.senseKeySpecific(d[15:18])
	return s
}

func decodeDescriptorSense(b []byte) (Sense, error) {
	if len(b) < 8 {
		return Sense{}, fmt.Errorf("%w: %d bytes of descriptor format, want at least 8", ErrSenseFormat, len(b))
	}
	s := Sense{
		Key:              SenseKey(b[1] & 0xF),
		ASC:              ASC(binary.BigEndian.Uint16(b[2:])),
		DescriptorFormat: true,
	}
	d := b[8:]
	if n := int(b[7]); n < len(d) {
		d = d[:n]
	}
	for len(d) >= 2 {
		n := 2 + int(d[1])
		if n > len(d) {
			break
		}
		switch {
		case d[0] == informationDescriptor && n >= informationDescriptorLength && d[2]&0x80 != 0:
			s.HasInformation, s.Information = true, binary.BigEndian.Uint64(d[4:])
		case d[0] == senseKeyDescriptor && n >= senseKeyDescriptorLength:
			s.senseKeySpecific(d[4:7])
		}
		d = d[n:]
	}
	return s, nil
}

// senseKeySpecific reads the three bytes that putSenseKeySpecific writes.
func (s *Sense) senseKeySpecific(d []byte) {
	if d[0]&0x80 == 0 {
		return
	}
	v := binary.BigEndian.Uint16(d[1:])
	switch s.Key {
	case IllegalRequest:
		s.HasField, s.Field, s.FieldInData = true, v, d[0]&0x40 == 0
		if d[0]&0x08 != 0 {
			s.HasBit, s.Bit = true, d[0]&7
		}
	case NoSense, NotReady:
		s.HasProgress, s.Progress = true, v
	}
}
