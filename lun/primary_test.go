package lun_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// buffer is a CDB of READ BUFFER or WRITE BUFFER.
func buffer(op byte, mode scsi.BufferMode, offset, length uint32) []byte {
	return []byte{op, byte(mode), 0, byte(offset >> 16), byte(offset >> 8), byte(offset), byte(length >> 16), byte(length >> 8), byte(length), 0}
}

const readBufferOp, writeBufferOp = 0x3C, 0x3B

func TestBuffersKeepWhatWasWritten(t *testing.T) {
	f := ready(t, testConfig())
	if got := f.good(t, alice, buffer(readBufferOp, scsi.BufferDescriptor, 0, 4), nil); !bytes.Equal(got, []byte{0, 1, 0, 0}) {
		t.Errorf("descriptor % X", got)
	}
	if got := f.good(t, alice, buffer(readBufferOp, scsi.BufferEchoDescriptor, 0, 4), nil); !bytes.Equal(got, []byte{0, 0, 0x10, 0}) {
		t.Errorf("echo descriptor % X", got)
	}
	if got := f.good(t, alice, buffer(readBufferOp, scsi.BufferData, 65534, 10), nil); !bytes.Equal(got, []byte{0, 0}) {
		t.Errorf("the end of the buffer reads as % X", got)
	}
	f.bad(t, alice, buffer(readBufferOp, scsi.BufferEcho, 0, 4), nil, scsi.IllegalRequest, scsi.CommandSequenceError)
	f.good(t, alice, buffer(writeBufferOp, scsi.BufferEcho, 0, 3), []byte("abc"))
	f.good(t, bob, buffer(writeBufferOp, scsi.BufferData, 65530, 6), []byte("defghi"))
	if got := f.good(t, bob, buffer(readBufferOp, scsi.BufferEcho, 0, 4), nil); string(got) != "abc" {
		t.Errorf("the echo is %q", got)
	}
	if got := f.good(t, alice, buffer(readBufferOp, scsi.BufferData, 65531, 4), nil); string(got) != "efgh" {
		t.Errorf("the buffer has %q", got)
	}
}

func TestWrongBufferCommandsPointAtTheField(t *testing.T) {
	f := ready(t, testConfig())
	id := buffer(readBufferOp, scsi.BufferData, 0, 4)
	id[2] = 1
	for _, tc := range []struct {
		cdb   []byte
		field uint16
	}{
		{id, 2},
		{buffer(readBufferOp, 0x1C, 0, 4), 1},
		{buffer(readBufferOp, scsi.BufferData, 65536, 1), 3},
		{buffer(writeBufferOp, 0x05, 0, 0), 1},
		{buffer(writeBufferOp, scsi.BufferData, 65537, 0), 3},
		{buffer(writeBufferOp, scsi.BufferData, 65530, 7), 6},
		{buffer(writeBufferOp, scsi.BufferEcho, 0, 4097), 6},
	} {
		s := f.bad(t, alice, tc.cdb, nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
		if s.Field != tc.field || s.FieldInData {
			t.Errorf("% X: the field pointer is at %d, want %d", tc.cdb, s.Field, tc.field)
		}
	}
}

func TestDiagnosticsAndDefects(t *testing.T) {
	f := ready(t, testConfig())
	for _, cdb := range [][]byte{
		{0x1D, 0x04, 0, 0, 0, 0}, // the default self-test
		{0x1D, 0xA0, 0, 0, 0, 0}, // foreground short
		{0x1D, 0x10, 0, 0, 0, 0},
	} {
		f.good(t, alice, cdb, nil)
	}
	f.good(t, alice, []byte{0x1D, 0x10, 0, 0, 4, 0}, make([]byte, 4))
	f.bad(t, alice, []byte{0x1D, 0x10, 0, 0, 4, 0}, []byte{0x3F, 0, 0, 0}, scsi.IllegalRequest, scsi.InvalidFieldInParameterList)
	f.bad(t, alice, []byte{0x1D, 0x20, 0, 0, 0, 0}, nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	f.bad(t, alice, []byte{0x1D, 0x14, 0, 0, 4, 0}, make([]byte, 4), scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	for _, cdb := range [][]byte{{0x1C, 1, 0, 0, 255, 0}, {0x1C, 0, 0, 0, 255, 0}} {
		if got := f.good(t, alice, cdb, nil); !bytes.Equal(got, []byte{0, 0, 0, 1, 0}) {
			t.Errorf("supported diagnostic pages % X", got)
		}
	}
	f.bad(t, alice, []byte{0x1C, 1, 0x40, 0, 255, 0}, nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	if got := f.good(t, alice, []byte{0x37, 0, 0x18, 0, 0, 0, 0, 0, 32, 0}, nil); !bytes.Equal(got, []byte{0, 0x18, 0, 0}) {
		t.Errorf("defects % X", got)
	}
}

func TestASelfTestFailsWithTheMedium(t *testing.T) {
	d := &faulty{Device: ramdisk(t, testBlocks*testBlock)}
	f := setup(t, testConfig(), d)
	f.clear(t, alice)
	d.set(errDisk, nil, nil)
	f.bad(t, alice, []byte{0x1D, 0x04, 0, 0, 0, 0}, nil, scsi.HardwareError, scsi.LogicalUnitFailedSelfTest)
}

// information is a CDB of REPORT (A3h) or SET (A4h) IDENTIFYING INFORMATION.
func information(op byte, kind scsi.InformationType, length byte) []byte {
	sa := byte(0x05)
	if op == 0xA4 {
		sa = 0x06
	}
	return []byte{op, sa, 0, 0, 0, 0, 0, 0, 2 * (length / 255), length, byte(kind) << 1, 0}
}

func identified(t *testing.T, f *fixture, n lun.Nexus, kind scsi.InformationType) string {
	t.Helper()
	got, err := scsi.DecodeIdentifyingInformation(f.good(t, n, information(0xA3, kind, 255), nil))
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestIdentifyingInformationIsKeptAndToldToOthers(t *testing.T) {
	var last lun.State
	c := stableConfig(&last)
	c.IdentInfo, c.TextIdentInfo = []byte{1, 2, 3}, "first"
	f := ready(t, c)
	if a, b := identified(t, f, alice, scsi.PeripheralInformation), identified(t, f, alice, scsi.TextInformation); a != "\x01\x02\x03" || b != "first\x00" {
		t.Errorf("configured %q and %q", a, b)
	}
	f.good(t, alice, information(0xA4, scsi.TextInformation, 7), []byte("second\x00"))
	f.bad(t, bob, testUnitReady(), nil, scsi.UnitAttention, scsi.DeviceIdentifierChanged)
	f.good(t, alice, testUnitReady(), nil)
	f.bad(t, alice, information(0xA4, scsi.TextInformation, 3), []byte("abc"), scsi.IllegalRequest, scsi.InvalidFieldInParameterList)
	f.bad(t, alice, information(0xA4, scsi.SupportedInformation, 3), []byte("abc"), scsi.IllegalRequest, scsi.InvalidFieldInCDB)

	state, err := lun.DecodeState(f.unit.PowerOn(last).Encode())
	if err != nil {
		t.Fatal(err)
	}
	f.unit.Deactivate()
	if err := f.unit.Activate(f.device, f.right, state); err != nil {
		t.Fatal(err)
	}
	f.clear(t, alice)
	if a, b := identified(t, f, alice, scsi.PeripheralInformation), identified(t, f, alice, scsi.TextInformation); a != "\x01\x02\x03" || b != "second\x00" {
		t.Errorf("after a loss of power %q and %q", a, b)
	}
	f.good(t, alice, information(0xA4, scsi.PeripheralInformation, 0), nil)
	if got := identified(t, f, alice, scsi.PeripheralInformation); got != "" {
		t.Errorf("what was deleted is %q", got)
	}
}

func timestamp(t *testing.T, f *fixture) scsi.Timestamp {
	t.Helper()
	got, err := scsi.DecodeTimestamp(f.good(t, alice, cdb12(0xA3, 0x0F, 0, 64), nil))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestATimestampGoesOnFromWhatWasSet(t *testing.T) {
	f := ready(t, testConfig())
	if s := timestamp(t, f); s.Origin != scsi.TimestampOutside || time.Since(time.UnixMilli(int64(s.Milliseconds))).Abs() > time.Minute {
		t.Errorf("at first %+v", s)
	}
	f.good(t, alice, cdb12(0xA4, 0x0F, 0, 12), scsi.AppendSetTimestamp(nil, 1000))
	f.bad(t, bob, testUnitReady(), nil, scsi.UnitAttention, scsi.TimestampChanged)
	if s := timestamp(t, f); s.Origin != scsi.TimestampSet || s.Milliseconds < 1000 || s.Milliseconds > 61000 {
		t.Errorf("after SET TIMESTAMP %+v", s)
	}
	moved := f.unit.Deactivate()
	if err := f.unit.Activate(f.device, f.right, moved); err != nil {
		t.Fatal(err)
	}
	f.clear(t, alice)
	if s := timestamp(t, f); s.Origin != scsi.TimestampSet || s.Milliseconds > 61000 {
		t.Errorf("at another controller %+v", s)
	}
	if s := f.unit.PowerOn(moved); s.Durable.Clock != nil {
		t.Error("a timestamp outlives the power")
	}
	f.bad(t, alice, cdb12(0xA4, 0x0F, 0, 11), make([]byte, 11), scsi.IllegalRequest, scsi.ParameterListLengthError)
}

func TestAStateWithTooMuchIdentifyingInformationIsRefused(t *testing.T) {
	s := lun.State{Version: 1, Durable: lun.Durable{Identifying: &lun.Identifying{Text: make([]byte, 257)}}}
	if _, err := lun.DecodeState(s.Encode()); err == nil {
		t.Error("it was taken")
	}
}

func TestStatisticsCountWhatWasReadAndWritten(t *testing.T) {
	f := ready(t, testConfig())
	f.good(t, alice, write10(0, 3), make([]byte, 3*testBlock))
	f.good(t, alice, write10(0, 1), make([]byte, testBlock))
	f.good(t, alice, read10(0, 5), nil)
	f.bad(t, alice, read10(testBlocks, 1), nil, scsi.IllegalRequest, scsi.LBAOutOfRange)
	f.good(t, alice, []byte{0x1B, 0, 0, 0, 0, 0}, nil)
	_, got, err := scsi.DecodeLogPage(f.good(t, alice, []byte{0x4D, 0, 0x40 | scsi.LogStatistics, 0, 0, 0, 0, 0, 255, 0}, nil))
	want := scsi.Statistics{Reads: 1, Writes: 2, BlocksRead: 5, BlocksWritten: 4}.Parameters()
	if err != nil || len(got) != 3 || !bytes.Equal(got[0].Value[:32], want[0].Value[:32]) {
		t.Errorf("statistics %v, %v; want %v", got, err, want)
	}
	_, from, err := scsi.DecodeLogPage(f.good(t, alice, []byte{0x4D, 0, 0x40 | scsi.LogStatistics, 0, 0, 0, 2, 0, 255, 0}, nil))
	if err != nil || len(from) != 2 || from[0].Code != 2 {
		t.Errorf("from the second parameter on %v, %v", from, err)
	}
	_, stops, err := scsi.DecodeLogPage(f.good(t, alice, []byte{0x4D, 0, 0x40 | scsi.LogStartStop, 0, 0, 0, 0, 0, 255, 0}, nil))
	if err != nil || !reflect.DeepEqual(stops, scsi.StartStopCycles(1, 0)) {
		t.Errorf("start-stop cycles %v, %v", stops, err)
	}
}

func TestORWriteSetsBits(t *testing.T) {
	f := ready(t, testConfig())
	f.good(t, alice, write10(7, 2), bytes.Repeat([]byte{0x0F}, 2*testBlock))
	f.good(t, alice, cdb16(0x8B, 0, 8, 2), bytes.Repeat([]byte{0x31}, 2*testBlock))
	want := append(append(bytes.Repeat([]byte{0x0F}, testBlock), bytes.Repeat([]byte{0x3F}, testBlock)...), bytes.Repeat([]byte{0x31}, testBlock)...)
	if got := f.good(t, alice, read10(7, 3), nil); !bytes.Equal(got, want) {
		t.Error("the bits are not those of both")
	}
	f.bad(t, alice, cdb16(0x8B, 0x20, 0, 1), make([]byte, testBlock), scsi.IllegalRequest, scsi.InvalidFieldInCDB) // ORPROTECT
	f.bad(t, alice, cdb16(0x8B, 0, testBlocks, 1), make([]byte, testBlock), scsi.IllegalRequest, scsi.LBAOutOfRange)
}
