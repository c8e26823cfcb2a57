package scsi

import (
	"encoding/hex"
	"testing"
)

func TestMultimediaDataIsAsTheStandardHasIt(t *testing.T) {
	toc := func(flags, format, track byte) ([]byte, error) {
		return AppendTOC(nil, CDB{0x43, flags, format, 0, 0, 0, track, 0, 255, 0}, 300000)
	}
	configuration := func(rt byte, start uint16, blocks uint64) ([]byte, error) {
		return AppendConfiguration(nil, CDB{0x46, rt, byte(start >> 8), byte(start), 0, 0, 0, 0, 255, 0}, blocks)
	}
	events := func(polled, classes byte) ([]byte, error) {
		return AppendEventStatus(nil, CDB{0x4A, polled, 0, 0, classes, 0, 0, 0, 255, 0}, true)
	}
	for _, tc := range []struct {
		name string
		got  func() ([]byte, error)
		want string
		err  error
	}{
		{"TOC", func() ([]byte, error) { return toc(0, 0, 0) }, "00120101" + "0014010000000000" + "0014aa00000493e0", nil},
		{"TOC, MSF", func() ([]byte, error) { return toc(2, 0, 1) }, "00120101" + "0014010000000200" + "0014aa0000422a00", nil},
		{"TOC, lead-out", func() ([]byte, error) { return toc(0, 0, 0xAA) }, "000a0101" + "0014aa00000493e0", nil},
		{"TOC, sessions", func() ([]byte, error) { return toc(0, 1, 0) }, "000a0101" + "0014010000000000", nil},
		{"TOC, track 2", func() ([]byte, error) { return toc(0, 0, 2) }, "", InvalidCDBField(6)},
		{"TOC, format 2", func() ([]byte, error) { return toc(0, 2, 0) }, "", InvalidCDBBit(2, 3)},
		{"configuration of a CD", func() ([]byte, error) { return configuration(1, 0x10, 1000) },
			"0000001800000008" + "0010010800000800" + "00010000" + "001e090400000000", nil},
		{"configuration of a DVD", func() ([]byte, error) { return configuration(0, 0x1E, 1000000) }, "0000001000000010" + "001e080400000000" + "001f0100", nil},
		{"profiles without a medium", func() ([]byte, error) { return configuration(2, 0, 0) }, "0000001000000000" + "00000308" + "0010000000080000", nil},
		{"configuration, RT 3", func() ([]byte, error) { return configuration(3, 0, 0) }, "", InvalidCDBBit(1, 1)},
		{"events", func() ([]byte, error) { return events(1, 0x10) }, "0006041000020000", nil},
		{"events of no class there is", func() ([]byte, error) { return events(1, 0x02) }, "00028010", nil},
		{"events, not polled", func() ([]byte, error) { return events(0, 0x10) }, "", InvalidCDBBit(1, 0)},
	} {
		b, err := tc.got()
		if hex.EncodeToString(b) != tc.want || err != tc.err {
			t.Errorf("%s: %x, %v; want %s, %v", tc.name, b, err, tc.want, tc.err)
		}
	}
}
