package scsi

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestOverwritesSurviveEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Overwrite{rapid.Bool().Draw(t, "invert"), rapid.ByteRange(1, 31).Draw(t, "count"), rapid.SliceOfN(rapid.Byte(), 1, 512).Draw(t, "pattern")}
		if got, err := DecodeOverwrite(want.Append(nil), 512); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v came back as %v, %v", want, got, err)
		}
	})
}

func TestWrongOverwritesAreRefusedAtTheField(t *testing.T) {
	bit := func(b uint8) Sense {
		s := InvalidParameterField(0)
		s.Bit, s.HasBit = b, true
		return s
	}
	for _, tc := range []struct {
		list []byte
		want error
	}{
		{[]byte{1, 0, 0, 0}, InvalidCDBField(7)},
		{[]byte{0, 0, 0, 1, 0}, bit(4)},
		{[]byte{0x21, 0, 0, 1, 0}, bit(6)},
		{[]byte{1, 0, 0, 2, 0}, InvalidParameterField(2)},
		{[]byte{1, 0, 0, 0, 0}, InvalidParameterField(2)},
	} {
		if _, err := DecodeOverwrite(tc.list, 512); err != tc.want {
			t.Errorf("% X: %v, want %v", tc.list, err, tc.want)
		}
	}
}

func FuzzDecodeOverwrite(f *testing.F) {
	f.Add(Overwrite{Count: 1, Pattern: []byte{1}}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		DecodeFormat(b)
		o, err := DecodeOverwrite(b, 512)
		if err != nil {
			return
		}
		if again, err := DecodeOverwrite(o.Append(nil), 512); err != nil || !reflect.DeepEqual(again, o) {
			t.Fatalf("%v came back as %v, %v", o, again, err)
		}
	})
}
