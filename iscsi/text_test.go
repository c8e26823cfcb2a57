package iscsi

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTextIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pairs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) KeyValue {
			return KeyValue{
				rapid.StringMatching(`[A-Z][A-Za-z0-9.+@_#-]{0,62}`).Draw(t, "key"),
				rapid.StringMatching(`[ -~]{0,255}`).Draw(t, "value"),
			}
		}), 0, 64).Draw(t, "pairs")
		got, err := ParseText(AppendText(nil, pairs...), DefaultTextLimits)
		if err != nil || !slices.Equal(got, pairs) {
			t.Fatalf("%v became %v, %v", pairs, got, err)
		}
	})
}

func TestMalformedTextIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no equals sign":       "InitiatorName\x00",
		"no key":               "=x\x00",
		"key of small letters": "initiatorName=x\x00",
		"key with a space":     "Initiator Name=x\x00",
		"long key":             strings.Repeat("K", 64) + "=x\x00",
		"long value":           "K=" + strings.Repeat("x", 2051) + "\x00",
		"too many keys":        strings.Repeat("K=x\x00", 65),
	} {
		if _, err := ParseText([]byte(text), DefaultTextLimits); !errors.Is(err, ErrText) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseText(f *testing.F) {
	f.Add([]byte("InitiatorName=iqn.2001-04.a:b\x00SessionType=Discovery\x00"))
	f.Add([]byte("HeaderDigest=CRC32C,None\x00MaxBurstLength=0x40000\x00CHAP_C=0bQUJD\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		pairs, err := ParseText(b, DefaultTextLimits)
		if err != nil {
			return
		}
		again, err := ParseText(AppendText(nil, pairs...), DefaultTextLimits)
		if err != nil || !slices.Equal(again, pairs) {
			t.Fatalf("%q became %q, %v", pairs, again, err)
		}
		// Whatever the pairs are, neither side of a negotiation panics.
		for _, role := range []Role{Initiator, Target} {
			for _, s := range []Stage{SecurityNegotiation, LoginOperationalNegotiation, FullFeaturePhase} {
				n := NewNegotiator(role, FastWanted(), DefaultParameters())
				n.Offer(nil, OperationalKeys...)
				for _, kv := range pairs {
					if _, err := n.Receive(s, kv); err != nil {
						break
					}
				}
				if p := n.Result(); p.FirstBurstLength > p.MaxBurstLength || p.MaxConnections != 1 {
					t.Fatalf("result %+v", p)
				}
			}
		}
	})
}

func FuzzDecodeBinary(f *testing.F) {
	for _, s := range []string{"0x0123", "0X1", "0bQUJD", "0BQQ==", "0x", "12"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseCHAPIdentifier(s); err == nil {
			if again, err := ParseCHAPIdentifier(fmt.Sprint(id)); err != nil || again != id {
				t.Fatalf("identifier %q is %d, then %d, %v", s, id, again, err)
			}
		}
		if a, err := ChooseCHAP(s); err == nil && a.ID == 0 {
			t.Fatal("an algorithm without a number")
		}
		b, err := DecodeBinary(s, 64)
		if err != nil {
			return
		}
		if len(b) > 64 {
			t.Fatalf("%d bytes", len(b))
		}
		again, err := DecodeBinary(EncodeBinary(b), 64)
		if err != nil && len(b) > 0 || !bytes.Equal(again, b) {
			t.Fatalf("%x became %x, %v", b, again, err)
		}
	})
}

func TestBinaryValuesAreReadInBothNotations(t *testing.T) {
	for s, want := range map[string]string{"0x616263": "abc", "0X6a": "j", "0x161": "\x01a", "0bYWJj": "abc", "0BYQ==": "a"} {
		if b, err := DecodeBinary(s, 8); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", s, b, err)
		}
	}
	for _, s := range []string{"", "0", "0x", "0b", "616263", "0xzz", "0b!!!!", "0x" + strings.Repeat("00", 9), "0b" + strings.Repeat("AAAA", 4)} {
		if b, err := DecodeBinary(s, 8); err == nil {
			t.Errorf("%s: %q", s, b)
		}
	}
}

func TestTargetAddressesAreReadAsTheyWereWritten(t *testing.T) {
	for s, want := range map[string]TargetAddress{
		"192.0.2.1:3260,257":   {"192.0.2.1", 3260, 257},
		"[2001:db8::1]:3261,1": {"2001:db8::1", 3261, 1},
		"host:860":             {"host", 860, 0},
	} {
		got, err := ParseTargetAddress(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	if got, err := ParseTargetAddress("host"); err != nil || got.Port != DefaultPort {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ParseTargetAddress("[::1]"); err != nil || got.Host != "::1" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range []string{"", ":3260", "[::1", "[::1]3260", "host:0", "host:70000", "host:1,70000", "host:1,"} {
		if got, err := ParseTargetAddress(s); err == nil {
			t.Errorf("%q: %+v", s, got)
		}
	}
}

func TestNamesAreCheckedAndComparedInLowerCase(t *testing.T) {
	for name, want := range map[string]string{
		"iqn.2016-01.local.beast:target0":      "iqn.2016-01.local.beast:target0",
		"IQN.1991-05.com.Microsoft:WIN-01":     "iqn.1991-05.com.microsoft:win-01",
		"eui.02004567A425678D":                 "eui.02004567a425678d",
		"naa.52004567BA64678D":                 "naa.52004567ba64678d",
		"naa.62004567BA64678D0123456789ABCDEF": "naa.62004567ba64678d0123456789abcdef",
	} {
		if got, err := CanonicalName(name); err != nil || got != want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	for _, name := range []string{
		"", "iqn", "iqn.", "iqn.2016-01", "iqn.2016-13.a.b", "iqn.2016-00.a.b", "iqn.20x6-01.a.b", "iqn.2016-01.:x",
		"iqn.2016-01.a b", "iqn.2016-01.a/b", "iqn.2016-01.a,b", "iqn.2016-01.\xff\xfe", "eui.1", "naa.0123456789abcdeg", "host",
		"iqn.2016-01.a:" + strings.Repeat("x", 223),
	} {
		if got, err := CanonicalName(name); err == nil {
			t.Errorf("%q is taken as %q", name, got)
		}
	}
	isid := ISID{0x80, 0, 0, 0x12, 0x34, 0xff}
	if got := InitiatorPortName("iqn.2016-01.a.b", isid); got != "iqn.2016-01.a.b,i,0x8000001234ff" {
		t.Error(got)
	}
	if got := TargetPortName("iqn.2016-01.a.b", 257); got != "iqn.2016-01.a.b,t,0x0101" {
		t.Error(got)
	}
}
