package scsi

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFixedSenseIsAsTheStandardHasIt(t *testing.T) {
	for _, tc := range []struct {
		s    Sense
		want []byte
	}{
		{unitAttention(PowerOnOccurred), []byte{0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x29, 0x01, 0, 0, 0, 0}},
		{BeyondEnd(0x12345678), []byte{0xF0, 0, 5, 0x12, 0x34, 0x56, 0x78, 10, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0}},
		{BeyondEnd(1 << 32), []byte{0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0}},
		{InvalidCDBBit(1, 4), []byte{0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0, 0, 0xCC, 0, 1}},
		{InvalidParameterField(0x102), []byte{0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x26, 0, 0, 0x80, 1, 2}},
	} {
		if got := AppendSense(nil, tc.s); !bytes.Equal(got, tc.want) {
			t.Errorf("%v:\n% X, want\n% X", tc.s, got, tc.want)
		}
	}
}

func unitAttention(a ASC) Sense { return Sense{Key: UnitAttention, ASC: a} }

func TestDescriptorSenseIsAsTheStandardHasIt(t *testing.T) {
	s := BeyondEnd(1 << 40)
	s.DescriptorFormat = true
	want := []byte{0x72, 5, 0x21, 0, 0, 0, 0, 12, 0, 10, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0}
	if got := AppendSense(nil, s); !bytes.Equal(got, want) {
		t.Errorf("got\n% X, want\n% X", got, want)
	}
	s = InvalidCDBField(6)
	s.DescriptorFormat = true
	want = []byte{0x72, 5, 0x24, 0, 0, 0, 0, 8, 2, 6, 0, 0, 0xC0, 0, 6, 0}
	if got := AppendSense(nil, s); !bytes.Equal(got, want) {
		t.Errorf("got\n% X, want\n% X", got, want)
	}
}

func genSense(t *rapid.T) Sense {
	s := Sense{
		Key:              SenseKey(rapid.IntRange(0, 15).Draw(t, "key")),
		ASC:              ASC(rapid.Uint16().Draw(t, "asc")),
		DescriptorFormat: rapid.Bool().Draw(t, "descriptor"),
	}
	if rapid.Bool().Draw(t, "information") {
		s.HasInformation = true
		s.Information = rapid.Uint64Max(math.MaxUint32).Draw(t, "lba")
		if s.DescriptorFormat {
			s.Information = rapid.Uint64().Draw(t, "long lba")
		}
	}
	switch {
	case s.Key == IllegalRequest && rapid.Bool().Draw(t, "field"):
		s.HasField, s.Field = true, rapid.Uint16().Draw(t, "pointer")
		s.FieldInData = rapid.Bool().Draw(t, "in data")
		if rapid.Bool().Draw(t, "has bit") {
			s.HasBit, s.Bit = true, uint8(rapid.IntRange(0, 7).Draw(t, "bit"))
		}
	case (s.Key == NotReady || s.Key == NoSense) && rapid.Bool().Draw(t, "progress"):
		s.HasProgress, s.Progress = true, rapid.Uint16().Draw(t, "value")
	}
	return s
}

func TestSenseSurvivesEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genSense(t)
		b := AppendSense(nil, s)
		if len(b) > MaxSenseLength {
			t.Fatalf("%d bytes of sense data, at most %d are promised", len(b), MaxSenseLength)
		}
		got, err := DecodeSense(b)
		if err != nil || got != s {
			t.Fatalf("decoded %+v, %v; encoded %+v", got, err, s)
		}
	})
}

func TestBytesThatAreNotSenseDataAreRefused(t *testing.T) {
	for _, b := range [][]byte{nil, {0x00}, {0x7F, 0, 0}, {0x72, 5, 0x24}} {
		if s, err := DecodeSense(b); !errors.Is(err, ErrSenseFormat) {
			t.Errorf("% X: decoded %v, %v", b, s, err)
		}
	}
}

func TestSenseIsTold(t *testing.T) {
	got := unitAttention(PowerOnOccurred).Error()
	if got != "UNIT ATTENTION, 29h/01h POWER ON OCCURRED" {
		t.Errorf("got %q", got)
	}
	if got := ASC(0xFEDC).String(); !strings.Contains(got, "FEh/DCh") {
		t.Errorf("got %q", got)
	}
}

func FuzzDecodeSense(f *testing.F) {
	f.Add(AppendSense(nil, InvalidCDBBit(1, 4)))
	f.Add(AppendSense(nil, Sense{Key: MediumError, ASC: UnrecoveredReadError, Information: 1 << 40, HasInformation: true, DescriptorFormat: true}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSense(b)
		if err != nil {
			return
		}
		again, err := DecodeSense(AppendSense(nil, s))
		if err != nil || again != s {
			t.Fatalf("%+v came back as %+v, %v", s, again, err)
		}
	})
}
