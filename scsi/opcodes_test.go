package scsi

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func every(CommandID) bool { return true }

func supportedOpCodes(options byte, opcode byte, sa uint16) CDB {
	c := CDB{0xA3, 0x0C, options, opcode, byte(sa >> 8), byte(sa), 0, 0, 0xFF, 0xFF, 0, 0}
	return c
}

func TestAllSupportedOperationCodesAreTheTable(t *testing.T) {
	for _, timeouts := range []bool{false, true} {
		options, size := byte(0), 8
		if timeouts {
			options, size = 0x80, 20
		}
		b, err := AppendSupportedOperationCodes(nil, supportedOpCodes(options, 0, 0), every)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := int(binary.BigEndian.Uint32(b)), size*int(NumCommands-1); got != want || len(b) != 4+want {
			t.Fatalf("length %d in %d bytes, want %d", got, len(b), want)
		}
		b = b[4:]
		for id := NoCommand + 1; id < NumCommands; id++ {
			c, d := &Commands[id], b[:size]
			b = b[size:]
			if d[0] != c.OpCode || binary.BigEndian.Uint16(d[2:]) != c.ServiceAction || d[5]&1 != 0 != c.HasServiceAction ||
				int(binary.BigEndian.Uint16(d[6:])) != len(c.Usage) {
				t.Errorf("%s: descriptor % X", c.Name, d)
			}
			if timeouts && (d[5]&2 == 0 || binary.BigEndian.Uint16(d[8:]) != 10 || binary.BigEndian.Uint32(d[16:]) != c.Timeout) {
				t.Errorf("%s: timeouts descriptor % X", c.Name, d[8:])
			}
		}
	}
}

func TestOneSupportedCommandIsReportedWithItsUsage(t *testing.T) {
	for id := NoCommand + 1; id < NumCommands; id++ {
		c := &Commands[id]
		good, bad := byte(1), byte(2)
		if c.HasServiceAction {
			good, bad = bad, good
		}
		for _, option := range []byte{good, 3} {
			b, err := AppendSupportedOperationCodes(nil, supportedOpCodes(option, c.OpCode, c.ServiceAction), every)
			if err != nil || b[1] != 3 || !bytes.Equal(b[4:], c.Usage) {
				t.Errorf("%s, option %d: % X, %v", c.Name, option, b, err)
			}
		}
		b, err := AppendSupportedOperationCodes(nil, supportedOpCodes(good|0x80, c.OpCode, c.ServiceAction), every)
		if err != nil || b[1] != 0x83 || len(b) != 4+len(c.Usage)+12 {
			t.Errorf("%s with timeouts: % X, %v", c.Name, b, err)
		}
		if b, err := AppendSupportedOperationCodes(nil, supportedOpCodes(bad, c.OpCode, c.ServiceAction), every); err != InvalidCDBField(3) {
			t.Errorf("%s, option %d: % X, %v; want INVALID FIELD IN CDB", c.Name, bad, b, err)
		}
	}
}

func TestUnsupportedCommandsAreReportedAsSuch(t *testing.T) {
	none := []byte{0, 1, 0, 0}
	for _, cdb := range []CDB{
		supportedOpCodes(1, 0xC0, 0),
		supportedOpCodes(2, 0xC0, 0),
		supportedOpCodes(2, 0x5E, 9),
		supportedOpCodes(3, 0x5E, 9),
		supportedOpCodes(3, 0x28, 1),
	} {
		if b, err := AppendSupportedOperationCodes(nil, cdb, every); err != nil || !bytes.Equal(b, none) {
			t.Errorf("% X: % X, %v", []byte(cdb), b, err)
		}
	}
	if _, err := AppendSupportedOperationCodes(nil, supportedOpCodes(4, 0, 0), every); err != InvalidCDBBit(2, 2) {
		t.Errorf("a reserved reporting option: %v", err)
	}
}
