package iscsi

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// stream writes PDUs one after another as they would go over the wire.
func stream(d Digests, pdus ...*Outgoing) []byte {
	var b []byte
	for _, p := range pdus {
		b = append(b, slices.Concat(p.AppendTo(nil, d)...)...)
	}
	return b
}

func outgoing(p codec, ahs, data []byte) *Outgoing {
	o := &Outgoing{AHS: ahs, Data: data}
	p.Encode(o.Header())
	return o
}

var everyDigests = []Digests{{}, {Header: CRC32C}, {Data: CRC32C}, {CRC32C, CRC32C}}

func TestWhatIsSentIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom(everyDigests).Draw(t, "digests")
		bufferSize := rapid.IntRange(0, 9000).Draw(t, "buffer")
		var sent []*Outgoing
		for range rapid.IntRange(1, 8).Draw(t, "pdus") {
			ahs := make([]byte, 4*rapid.IntRange(0, 255).Draw(t, "ahs"))
			data := rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(t, "data")
			sent = append(sent, outgoing(NOPOut{CmdSN: rapid.Uint32().Draw(t, "sn")}, ahs, data))
		}
		src := io.Reader(bytes.NewReader(stream(d, sent...)))
		if rapid.Bool().Draw(t, "byte by byte") {
			src = iotest.OneByteReader(src)
		}
		r := NewReader(src, bufferSize, 1<<20)
		r.SetDigests(d)
		for _, o := range sent {
			h, ahs, err := r.ReadHeader()
			if err != nil {
				t.Fatal(err)
			}
			if *h != *o.Header() || !bytes.Equal(ahs, o.AHS) {
				t.Fatalf("header %x, want %x", h[:], o.Header()[:])
			}
			var got []byte
			switch rapid.IntRange(0, 2).Draw(t, "way") {
			case 0:
				got = make([]byte, h.DataSegmentLength())
				err = r.ReadData(got)
			case 1:
				got, err = r.Data()
			case 2:
				got, err = o.Data, r.Discard()
			}
			if err != nil || !bytes.Equal(got, o.Data) {
				t.Fatalf("%d bytes of data, %v", len(got), err)
			}
		}
		if _, _, err := r.ReadHeader(); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
	})
}

func TestASpoiltDigestIsSeen(t *testing.T) {
	both := Digests{CRC32C, CRC32C}
	good := stream(both, outgoing(NOPOut{}, nil, []byte("12345")), outgoing(NOPOut{CmdSN: 7}, nil, nil))

	spoil := func(at int) *Reader {
		b := bytes.Clone(good)
		b[at] ^= 0x10
		r := NewReader(bytes.NewReader(b), 0, 100)
		r.SetDigests(both)
		return r
	}
	if _, _, err := spoil(9).ReadHeader(); !errors.Is(err, ErrHeaderDigest) {
		t.Errorf("header: %v", err)
	}
	for _, at := range []int{52, 56, 57, 59, 63} { // data, padding and the digest itself
		r := spoil(at)
		if _, _, err := r.ReadHeader(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Data(); !errors.Is(err, ErrDataDigest) {
			t.Errorf("byte %d: %v", at, err)
		}
		if h, _, err := r.ReadHeader(); err != nil || h.CmdSN() != 7 {
			t.Errorf("the stream does not go on: %v", err)
		}
	}
}

// The values are those of RFC 7143 §13.1 (as in RFC 3720 appendix B.4).
func TestCRC32CMatchesTheExamplesOfTheRFC(t *testing.T) {
	incrementing := make([]byte, 32)
	for i := range incrementing {
		incrementing[i] = byte(i)
	}
	for _, c := range []struct {
		data []byte
		want string
	}{
		{make([]byte, 32), "aa36918a"},
		{bytes.Repeat([]byte{0xff}, 32), "43aba862"},
		{incrementing, "4e79dd46"},
	} {
		o := outgoing(NOPOut{}, nil, c.data)
		b := stream(Digests{Data: CRC32C}, o)
		if got := hex.EncodeToString(b[len(b)-4:]); got != c.want {
			t.Errorf("digest %s, want %s", got, c.want)
		}
	}
}

func TestATooLongDataSegmentIsRefusedBeforeItIsRead(t *testing.T) {
	b := stream(Digests{}, outgoing(NOPOut{}, nil, make([]byte, 513)))
	r := NewReader(bytes.NewReader(b), 0, 512)
	if h, _, err := r.ReadHeader(); !errors.Is(err, ErrTooLong) || h == nil {
		t.Errorf("%v", err)
	}
}

func TestAStreamThatEndsInsideAPDUIsNoCleanEnd(t *testing.T) {
	b := stream(Digests{CRC32C, CRC32C}, outgoing(NOPOut{}, make([]byte, 8), make([]byte, 5)))
	for n := 1; n < len(b); n++ {
		r := NewReader(bytes.NewReader(b[:n]), 0, 512)
		r.SetDigests(Digests{CRC32C, CRC32C})
		_, _, err := r.ReadHeader()
		if err == nil {
			_, err = r.Data()
		}
		if err != io.ErrUnexpectedEOF {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestReadyAndWholeTellWhatIsInTheBuffer(t *testing.T) {
	for _, d := range everyDigests {
		one := outgoing(NOPOut{}, make([]byte, 8), []byte("12345"))
		length := len(stream(d, one))
		b := stream(d, one, one)
		for n := length - 6; n < 2*length; n++ { // of the first all but data may be there
			r := NewReader(&chunks{b[:length-12], b[length-12 : n]}, 0, 100)
			r.SetDigests(d)
			if r.Ready() {
				t.Error("ready before anything was read")
			}
			if _, _, err := r.ReadHeader(); err != nil {
				t.Fatal(err)
			}
			_ = r.need(min(n, 2*length) - r.r) // all there is, in the buffer
			if want := n >= length; r.Whole() != want {
				t.Errorf("%+v, %d of %d bytes: Whole is %v", d, n, length, !want)
			}
			if r.Ready() {
				t.Errorf("%+v, %d of %d bytes: ready for the second", d, n, 2*length)
			}
		}
		r := NewReader(bytes.NewReader(b), 0, 100)
		r.SetDigests(d)
		if _, _, err := r.ReadHeader(); err != nil || !r.Ready() {
			t.Errorf("%+v: not ready for the second, behind data not taken", d)
		}
		if _, err := r.Data(); err != nil || !r.Ready() {
			t.Errorf("%+v: not ready for the second", d)
		}
	}
}

// chunks is a source that gives one piece at a time.
type chunks [][]byte

func (c *chunks) Read(p []byte) (int, error) {
	if len(*c) == 0 {
		return 0, io.EOF
	}
	n := copy(p, (*c)[0])
	if (*c)[0] = (*c)[0][n:]; len((*c)[0]) == 0 {
		*c = (*c)[1:]
	}
	return n, nil
}

func TestAHSAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a AdditionalHeader
		if rapid.Bool().Draw(t, "long") {
			a.ExtendedCDB = rapid.SliceOfN(rapid.Byte(), 1, MaxCDBLength-CDBLength).Draw(t, "cdb")
		}
		if a.HasReadDataLength = rapid.Bool().Draw(t, "bidi"); a.HasReadDataLength {
			a.ReadDataLength = rapid.Uint32().Draw(t, "length")
		}
		b := a.AppendTo(nil)
		got, err := ParseAHS(b)
		if err != nil || len(b)%4 != 0 {
			t.Fatalf("%x: %v", b, err)
		}
		if !bytes.Equal(got.ExtendedCDB, a.ExtendedCDB) || got.ReadDataLength != a.ReadDataLength || got.HasReadDataLength != a.HasReadDataLength {
			t.Fatalf("%+v became %+v", a, got)
		}
	})
	for _, bad := range []string{
		"0001", "00000100", "00050100", "00ff010000000000", // truncated
		"0005030000000000",                 // unknown type
		"0004020000000000",                 // wrong length
		"00050200000000000005020000000000", // twice
	} {
		b, err := hex.DecodeString(bad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseAHS(b); !errors.Is(err, ErrAHS) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(stream(Digests{}, outgoing(NOPOut{}, nil, []byte("ping"))), false)
	f.Add(stream(Digests{CRC32C, CRC32C}, outgoing(SCSICommand{CDB: [16]byte{0x2a}}, AdditionalHeader{ExtendedCDB: make([]byte, 20)}.AppendTo(nil), make([]byte, 600))), true)
	f.Fuzz(func(t *testing.T, b []byte, digests bool) {
		r := NewReader(bytes.NewReader(b), 0, 8192)
		if digests {
			r.SetDigests(Digests{CRC32C, CRC32C})
		}
		for {
			h, ahs, err := r.ReadHeader()
			if err != nil {
				return
			}
			if p := decodeAs(h); p != nil {
				var again BHS
				p.Encode(&again)
				if decodeAs(&again) != p {
					t.Fatalf("%+v is not encoded as it was decoded", p)
				}
			}
			if a, err := ParseAHS(ahs); err == nil {
				if got, err := ParseAHS(a.AppendTo(nil)); err != nil || !bytes.Equal(got.ExtendedCDB, a.ExtendedCDB) {
					t.Fatalf("AHS %x became %+v, %v", ahs, got, err)
				}
			}
			if data, err := r.Data(); err == nil && len(data) != h.DataSegmentLength() {
				t.Fatalf("%d bytes of data, want %d", len(data), h.DataSegmentLength())
			}
		}
	})
}
