package scsi

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestLogPagesAreAsTheStandardHasThem(t *testing.T) {
	for _, tc := range []struct {
		name string
		got  []byte
		want string
	}{
		{"supported pages", AppendSupportedLogPages(nil, false, []byte{0x0D, 0x2F}), "00000003" + "000d2f"},
		{"supported pages and subpages", AppendSupportedLogPages(nil, true, []byte{0x2F}), "40ff0006" + "000000ff2f00"},
		{"temperature", AppendLogPage(nil, LogTemperature, Temperature{30, 65}.Parameters()), "0d00000c" + "00000302001e" + "000103020041"},
		{"informational exceptions", AppendLogPage(nil, LogInformationalExceptions, Temperature{UnknownTemperature, 0}.InformationalExceptions()),
			"2f000008" + "000003040000ff00"},
		{"start-stop cycles", AppendLogPage(nil, LogStartStop, StartStopCycles(3, 4)), "0e000010" + "0004030400000003" + "0006030400000004"},
		{"provisioning", AppendLogPage(nil, LogProvisioning, []LogParameter{Resource{UsedResource, 7, false}.Parameter(), Resource{0x101, 9, true}.Parameter()}),
			"0c000018" + "000203080000000701000000" + "010103080000000902000000"},
		{"statistics", AppendLogPage(nil, LogStatistics, Statistics{1, 2, 3, 4, 5, 6, 7}.Parameters()), "1900005c" +
			"00010340" + "0000000000000001" + "0000000000000002" + "0000000000000003" + "0000000000000004" + "0000000000000005" + "0000000000000006" +
			"00000000000000000000000000000000" + "000203080000000000000007" + "000303080000000300000001"},
	} {
		if got := hex.EncodeToString(tc.got); got != tc.want {
			t.Errorf("%s:\n%s, want\n%s", tc.name, got, tc.want)
		}
	}
}

func TestLogPagesSurviveEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) LogParameter {
			return LogParameter{rapid.Uint16().Draw(t, "code"), rapid.SliceOfN(rapid.Byte(), 1, 255).Draw(t, "value")}
		}), 1, 8).Draw(t, "parameters")
		page := rapid.ByteRange(1, 0x3F).Draw(t, "page")
		code, got, err := DecodeLogPage(AppendLogPage(nil, page, want))
		if err != nil || code != page || !reflect.DeepEqual(got, want) {
			t.Fatalf("page %02Xh: %v came back as %02Xh, %v, %v", page, want, code, got, err)
		}
	})
}

func TestIdentifyingInformationSurvivesEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Byte(), 0, MaxPeripheralInformation).Draw(t, "information")
		if got, err := DecodeIdentifyingInformation(AppendIdentifyingInformation(nil, want)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%x came back as %x, %v", want, got, err)
		}
	})
	if got := hex.EncodeToString(AppendSupportedInformation(nil)); got != "00000008"+"00000200"+"04000100" {
		t.Errorf("supported types %s", got)
	}
}

func TestTextOfIdentifyingInformationIsTerminatedUTF8(t *testing.T) {
	for text, want := range map[string]error{
		"": nil, "disk\x00": nil, "Größe\x00": nil, "disk": InvalidParameterField(0), "a\x00b\x00": InvalidParameterField(1), "\xff\x00": InvalidParameterField(0),
	} {
		if err := CheckIdentifyingInformation(TextInformation, []byte(text)); err != want {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	if err := CheckIdentifyingInformation(PeripheralInformation, []byte{0, 0xFF}); err != nil {
		t.Errorf("what is not text: %v", err)
	}
}

func TestTimestampsSurviveEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Timestamp{TimestampOrigin(rapid.ByteRange(0, 7).Draw(t, "origin")), rapid.Uint64Range(0, 1<<48-1).Draw(t, "ms")}
		if got, err := DecodeTimestamp(want.Append(nil)); err != nil || got != want {
			t.Fatalf("%v came back as %v, %v", want, got, err)
		}
		if got, err := DecodeSetTimestamp(AppendSetTimestamp(nil, want.Milliseconds)); err != nil || got != want.Milliseconds {
			t.Fatalf("%d came back as %d, %v", want.Milliseconds, got, err)
		}
	})
	if got := hex.EncodeToString(Timestamp{TimestampSet, 0x010203040506}.Append(nil)); got != "000a02000102030405060000" {
		t.Errorf("timestamp %s", got)
	}
	if _, err := DecodeSetTimestamp(make([]byte, 11)); err != Illegal(ParameterListLengthError) {
		t.Errorf("11 bytes: %v", err)
	}
}

func TestAListWithoutDefectsHasTheFormatAskedFor(t *testing.T) {
	for _, tc := range []struct {
		cdb  CDB
		want string
		err  error
	}{
		{CDB{0x37, 0, 0x1D, 0, 0, 0, 0, 0, 32, 0}, "001d0000", nil},
		{CDB{0x37, 0, 0x06, 0, 0, 0, 0, 0, 32, 0}, "", InvalidCDBBit(2, 2)},
		{CDB{0xB7, 0x0B, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}, "000b000000000000", nil},
		{CDB{0xB7, 0x0B, 0, 0, 0, 1, 0, 0, 0, 32, 0, 0}, "", InvalidCDBField(2)},
	} {
		b, err := AppendDefectData(nil, tc.cdb)
		if hex.EncodeToString(b) != tc.want || err != tc.err {
			t.Errorf("% X: %x, %v", []byte(tc.cdb), b, err)
		}
	}
}

func FuzzDecodeLogPage(f *testing.F) {
	f.Add(AppendLogPage(nil, LogStatistics, Statistics{}.Parameters()))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, parameters, _ := DecodeLogPage(b)
		if n := len(parameters); 4*n > len(b) {
			t.Fatalf("%d parameters in %d bytes", n, len(b))
		}
		DecodeIdentifyingInformation(b)
		DecodeTimestamp(b)
		DecodeSetTimestamp(b)
		CheckDiagnosticPage(b)
		CheckIdentifyingInformation(TextInformation, b)
	})
}
