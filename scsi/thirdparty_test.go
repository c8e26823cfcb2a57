package scsi

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawCSCD(t *rapid.T) CSCD {
	return CSCD{
		DeviceType: rapid.ByteRange(0, 31).Draw(t, "type"),
		Name: Designator{CodeSet: CodeSet(rapid.ByteRange(0, 15).Draw(t, "code set")), Association: Association(rapid.ByteRange(0, 3).Draw(t, "association")),
			Type: DesignatorType(rapid.ByteRange(0, 15).Draw(t, "designator")), Value: rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "name")},
		BlockLength: rapid.Uint32Range(0, 1<<24-1).Draw(t, "block length"),
	}
}

func drawSegment(t *rapid.T) Segment {
	s := Segment{Kind: rapid.SampledFrom(segmentKinds).Draw(t, "kind"), From: rapid.Uint16().Draw(t, "from")}
	if s.Kind == SegmentVerify {
		s.Ready = rapid.Bool().Draw(t, "ready")
		return s
	}
	s.To, s.Concatenate = rapid.Uint16().Draw(t, "to"), rapid.Bool().Draw(t, "cat")
	s.FromLBA, s.ToLBA = rapid.Uint64().Draw(t, "from LBA"), rapid.Uint64().Draw(t, "to LBA")
	if s.Kind == SegmentOffset {
		s.Bytes, s.FromOff, s.ToOff = rapid.Uint32().Draw(t, "bytes"), rapid.Uint16().Draw(t, "from offset"), rapid.Uint16().Draw(t, "to offset")
		return s
	}
	s.Blocks, s.OfDestination = rapid.Uint16().Draw(t, "blocks"), rapid.Bool().Draw(t, "dc")
	return s
}

func drawRanges(t *rapid.T) []Extent {
	var ranges []Extent
	lba := uint64(0)
	for range rapid.IntRange(1, MaxRODRanges).Draw(t, "ranges") {
		lba += rapid.Uint64Range(0, 1<<40).Draw(t, "gap")
		e := Extent{LBA: lba, Count: rapid.Uint32().Draw(t, "count")}
		ranges = append(ranges, e)
		lba += uint64(e.Count)
	}
	return ranges
}

func TestCopyListsSurviveEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := CopyList{
			ListID: uint32(rapid.Byte().Draw(t, "list")), Usage: rapid.SampledFrom([]ListIDUsage{ListIDHold, ListIDNoHold}).Draw(t, "usage"),
			CSCDs:    rapid.SliceOfN(rapid.Custom(drawCSCD), 1, MaxCSCDDescriptors).Draw(t, "CSCDs"),
			Segments: rapid.SliceOfN(rapid.Custom(drawSegment), 1, MaxSegmentDescriptors).Draw(t, "segments"),
		}
		long := rapid.Bool().Draw(t, "long")
		want.Immediate = long && rapid.Bool().Draw(t, "immediate")
		if got, err := DecodeCopyList(want.Append(nil, long), long); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v came back as %+v, %v", want, got, err)
		}
	})
}

func TestTokenListsSurviveEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := PopulateToken{rapid.Bool().Draw(t, "immediate"), rapid.Uint32Range(0, MaxTokenSeconds).Draw(t, "timeout"), drawRanges(t)}
		if got, err := DecodePopulateToken(p.Append(nil)); err != nil || !reflect.DeepEqual(got, p) {
			t.Fatalf("%+v came back as %+v, %v", p, got, err)
		}
		r := RODToken{ID: rapid.Uint64().Draw(t, "id"), Source: drawCSCD(t), Ranges: drawRanges(t), Expires: rapid.Uint64().Draw(t, "expires")}
		r.Source.BlockLength |= 1
		token := r.Append(nil)
		if got, err := DecodeRODToken(token); err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("%+v came back as %+v, %v", r, got, err)
		}
		w := WriteUsingToken{rapid.Bool().Draw(t, "immediate"), rapid.Bool().Draw(t, "delete"), rapid.Uint64().Draw(t, "offset"), token, drawRanges(t)}
		if got, err := DecodeWriteUsingToken(w.Append(nil)); err != nil || !reflect.DeepEqual(got, w) {
			t.Fatalf("%+v came back as %+v, %v", w, got, err)
		}
		token[rapid.IntRange(0, len(token)-1).Draw(t, "spoilt")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := DecodeRODToken(token); err == nil {
			t.Fatal("a spoilt token was taken")
		}
	})
}

func TestWrongCopyListsAreRefused(t *testing.T) {
	c := CSCD{Name: NAADesignator(naa("3000000000000001"))}
	s := Segment{Kind: SegmentBlocks, Blocks: 1}
	list := func(cscds, segments int) []byte {
		l := CopyList{}
		for range cscds {
			l.CSCDs = append(l.CSCDs, c)
		}
		for range segments {
			l.Segments = append(l.Segments, s)
		}
		return l.Append(nil, false)
	}
	spoil := func(at int, with byte) []byte {
		b := list(1, 1)
		b[at] = with
		return b
	}
	good := list(1, 1)
	for _, tc := range []struct {
		name string
		list []byte
		want error
	}{
		{"no header", good[:15], Illegal(ParameterListLengthError)},
		{"cut in a CSCD", good[:47], Illegal(ParameterListLengthError)},
		{"cut in a segment", good[:len(good)-1], Illegal(ParameterListLengthError)},
		{"too many CSCDs", list(MaxCSCDDescriptors+1, 1), Illegal(TooManyTargetDescriptors)},
		{"too many segments", list(1, MaxSegmentDescriptors+1), Illegal(TooManySegmentDescriptors)},
		{"too long", list(MaxCSCDDescriptors+1, MaxSegmentDescriptors+20), Illegal(ParameterListLengthError)},
		{"an unknown CSCD", spoil(16, 0xE0), Illegal(UnsupportedTargetDescriptorTypeCode)},
		{"a CSCD without a name", spoil(16+7, 0), InvalidParameterField(16 + 7)},
		{"a name that is too long", spoil(16+7, 21), InvalidParameterField(16 + 7)},
		{"an unknown segment", spoil(48, 0x03), Illegal(UnsupportedSegmentDescriptorTypeCode)},
		{"a segment of another length", spoil(48+3, 23), InvalidParameterField(48 + 2)},
		{"inline data", spoil(15, 1), InvalidParameterField(12)},
		{"part of a CSCD", spoil(3, 31), InvalidParameterField(2)},
		{"a list identifier that is none", append([]byte{1, 3 << 3}, good[2:]...), InvalidParameterField(0)},
	} {
		if _, err := DecodeCopyList(tc.list, false); err != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestWhatCopyManagersTellIsAsTheStandardHasIt(t *testing.T) {
	s := CopyStatus{Action: 0x10, State: CopyFailed, Segments: 2, Transferred: 0x1234, Units: TransferBlocks, Sense: Illegal(InvalidTokenExpired)}
	sense := hex.EncodeToString(AppendSense(nil, s.Sense))
	l := CopyLimits{Copies: 16, Held: 1024}
	for _, tc := range []struct {
		name string
		got  []byte
		want string
	}{
		{"status (LID1)", s.AppendShort(nil), "00000008" + "02" + "0002" + "f1" + "00001234"},
		{"failure details", s.AppendFailure(nil), "0000004a" + strings.Repeat("00", 52) + "0200" + "0012" + sense},
		{"status (LID4)", s.Append(nil, false), "0000002e" + "10020001" + "fffffffe" + "021212f1" + "0000000000001234" + "0002" + "000000000000" + sense},
		{"token information", CopyStatus{Action: 0x10, State: CopyCompleted, Token: []byte{1, 2, 3}}.Append(nil, true)[:44-3],
			"00000025" + "10010001" + "fffffffe" + "00000000" + "0000000000000000" + "0000" + "000000000000" + "00000005" + "0000" + "010203"},
		{"operating parameters", l.AppendOperatingParameters(nil), "0000002c" + "01000000" + "0040" + "0040" + "00001000" + "04000000" + "00000000" + "00000400" +
			"00000000" + "0000" + "0010" + "10" + "000000" + "000000" + "04" + "02070ae4"},
		{"third-party copy page", l.AppendThirdPartyCopy(nil)[:52], "008f" + "0178" + "0000" + "0020" + "000000000000" + "0010" + "00000258" + "0000003c" + strings.Repeat("00", 16) +
			"0001" + "0010" + "0f" + "83050001" + "10111c"},
	} {
		if got := hex.EncodeToString(tc.got); got != tc.want {
			t.Errorf("%s:\n%s, want\n%s", tc.name, got, tc.want)
		}
	}
	page, err := SplitVPD(l.AppendThirdPartyCopy(nil), VPDThirdPartyCopy)
	for err == nil && len(page) > 0 {
		n := 4 + int(page[2])<<8 + int(page[3])
		if len(page) < n || n%4 != 0 {
			t.Fatalf("a descriptor of %d bytes in %d", n, len(page))
		}
		page = page[n:]
	}
	if !bytes.Equal(AppendAllRODTokens(nil, [][]byte{AppendZeroRODToken(nil)})[:12], []byte{0, 0, 0, 100, 0, 0, 0, 0, 0xFF, 0xFF, 0, 1}) {
		t.Error("all tokens are not as the standard has them")
	}
}

func FuzzDecodeCopyList(f *testing.F) {
	l := CopyList{CSCDs: []CSCD{{Name: NAADesignator(naa("3000000000000001"))}}, Segments: []Segment{{Kind: SegmentBlocks}, {Kind: SegmentOffset}, {Kind: SegmentVerify}}}
	f.Add(l.Append(nil, false), false)
	f.Add(l.Append(nil, true), true)
	f.Fuzz(func(t *testing.T, b []byte, long bool) {
		l, err := DecodeCopyList(b, long)
		if err != nil {
			return
		}
		if again, err := DecodeCopyList(l.Append(nil, long), long); err != nil || !reflect.DeepEqual(again, l) {
			t.Fatalf("%+v came back as %+v, %v", l, again, err)
		}
	})
}

func FuzzDecodeTokenLists(f *testing.F) {
	token := RODToken{Source: CSCD{Name: NAADesignator(naa("3000000000000001")), BlockLength: 512}, Ranges: []Extent{{1, 2}}}.Append(nil)
	f.Add(token)
	f.Add(PopulateToken{Ranges: []Extent{{1, 2}}}.Append(nil))
	f.Add(WriteUsingToken{Token: token, Ranges: []Extent{{1, 2}}}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		DecodeRODToken(b)
		if p, err := DecodePopulateToken(b); err == nil {
			if again, err := DecodePopulateToken(p.Append(nil)); err != nil || !reflect.DeepEqual(again, p) {
				t.Fatalf("%+v came back as %+v, %v", p, again, err)
			}
		}
		if w, err := DecodeWriteUsingToken(b); err == nil {
			if again, err := DecodeWriteUsingToken(w.Append(nil)); err != nil || !reflect.DeepEqual(again, w) {
				t.Fatalf("%+v came back as %+v, %v", w, again, err)
			}
		}
	})
}
