package isns

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestAMessageThatIsReadIsTheOneWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &Message{
			Function:    rapid.SampledFrom([]Function{DevAttrReg, DevAttrQry, DevDereg, DevAttrReg | answer}).Draw(t, "function"),
			Flags:       rapid.SampledFrom([]uint16{flagClient, flagServer, flagClient | flagReplace}).Draw(t, "flags"),
			Transaction: rapid.Uint16().Draw(t, "transaction"),
		}
		if m.Function&answer != 0 {
			m.Status = Status(rapid.Uint32().Draw(t, "status"))
		}
		for range rapid.IntRange(0, 20).Draw(t, "attributes") {
			v := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "value")
			v = append(v, make([]byte, pad(len(v)))...) // padding is part of what is read
			m.Attributes = append(m.Attributes, Attribute{Tag(rapid.Uint32().Draw(t, "tag")), v})
		}
		b := m.Append(nil)
		got, err := ReadMessage(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if again := got.Append(nil); !bytes.Equal(again, b) || len(got.Attributes) != len(m.Attributes) {
			t.Fatalf("% x\nbecame % x", b, again)
		}
	})
}

func TestBytesOfTheRFC(t *testing.T) {
	m := Message{Function: DevDereg, Flags: flagClient, Transaction: 7, Attributes: []Attribute{
		text(TagISCSIName, "iqn.x"), {Tag: TagDelimiter}, number(TagPortalPort, 3260), address(TagPortalAddress, netip.MustParseAddr("192.0.2.1")),
	}}
	want := []byte{
		0, 1, 0, 4, 0, 60, 0x8c, 0, 0, 7, 0, 0,
		0, 0, 0, 32, 0, 0, 0, 8, 'i', 'q', 'n', '.', 'x', 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 17, 0, 0, 0, 4, 0, 0, 0x0c, 0xbc,
		0, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1,
	}
	if got := m.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("% x\nwant % x", got, want)
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	good := (&Message{Function: DevAttrReg | answer, Attributes: []Attribute{number(TagEntityProtocol, 2)}}).Append(nil)
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	for name, b := range map[string][]byte{
		"version":                  change(1, 2),
		"length not of words":      change(5, 3),
		"not the first PDU":        change(6, 0x08),
		"sequence of PDUs":         change(11, 1),
		"no room for a status":     append(change(5, 0)[:12:12], 0),
		"attribute past the end":   change(23, 255),
		"attribute of three bytes": change(23, 3),
	} {
		if m, err := ReadMessage(bytes.NewReader(b)); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	for n := range len(good) {
		if _, err := ReadMessage(bytes.NewReader(good[:n])); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes of %d: %v", n, len(good), err)
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	e := Entity{ID: "host", Nodes: []Node{{Name: "iqn.2026-01.com.example:a", Groups: []Group{{257, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:3260")}}}}}}
	for _, m := range append(e.registration(60e9, true), e.query(), e.deregistration(), &Message{Function: DevDereg | answer, Status: NoSuchEntry}) {
		f.Add(m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ReadMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		_ = m.portals()
		again, err := ReadMessage(bytes.NewReader(m.Append(nil)))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}
