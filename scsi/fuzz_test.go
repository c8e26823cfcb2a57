package scsi

import (
	"bytes"
	"reflect"
	"testing"
)

func FuzzDecodeReserveOut(f *testing.F) {
	f.Add(ReserveOut{Key: 1, ServiceActionKey: 2}.Append(nil))
	f.Add(ReserveOut{SpecifyPorts: true, InitiatorPorts: []string{port1, port2}}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := DecodeReserveOut(b)
		if err != nil {
			return
		}
		if again, err := DecodeReserveOut(o.Append(nil)); err != nil || !reflect.DeepEqual(again, o) {
			t.Fatalf("%+v came back as %+v, %v", o, again, err)
		}
	})
}

func FuzzDecodeReserveMove(f *testing.F) {
	f.Add(ReserveMove{Key: 1, ServiceActionKey: 2, RelativePort: 3, InitiatorPort: port1}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeReserveMove(b)
		if err != nil {
			return
		}
		if again, err := DecodeReserveMove(m.Append(nil)); err != nil || again != m {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}

func FuzzDecodeTransportID(f *testing.F) {
	f.Add(AppendTransportID(nil, port1))
	f.Fuzz(func(t *testing.T, b []byte) {
		name, n, err := DecodeTransportID(b)
		if err != nil {
			return
		}
		if again, _, err := DecodeTransportID(AppendTransportID(nil, name)); n > len(b) || err != nil || again != name {
			t.Fatalf("%q of %d bytes came back as %q, %v", name, n, again, err)
		}
	})
}

func FuzzDecodeUnmap(f *testing.F) {
	f.Add(AppendUnmap(nil, []Extent{{1, 2}, {3, 4}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		extents, err := DecodeUnmap(b, 16)
		if err == nil && len(extents) > 16 {
			t.Fatalf("%d extents", len(extents))
		}
	})
}

func FuzzSelectModePages(f *testing.F) {
	pages, _ := AppendModePages(nil, allModePages, allModeSubpages, CurrentValues, DefaultModeValues())
	f.Add(ModeHeader{BlockDescriptor: true, Blocks: 1, BlockLength: 512}.AppendMode6(nil, pages), false)
	f.Add(ModeHeader{BlockDescriptor: true, Long: true, Blocks: 1, BlockLength: 512}.AppendMode10(nil, pages), true)
	f.Fuzz(func(t *testing.T, b []byte, ten bool) {
		split := SplitMode6
		if ten {
			split = SplitMode10
		}
		h, err := split(b)
		if err != nil {
			return
		}
		h.BlockLength()
		v, err := SelectModePages(b, h.Offset, DefaultModeValues())
		if err != nil && v != DefaultModeValues() {
			t.Fatalf("refused with %v, and yet changed to %v", err, v)
		}
	})
}

// FuzzDecodeData reads data-in as an initiator does: none of it is trusted.
func FuzzDecodeData(f *testing.F) {
	f.Add(StandardInquiry{Vendor: "V"}.Append(nil))
	f.Add(BlockLimits{MaxUnmap: 1}.Append(nil))
	f.Add(NAADesignator(naa("3000000000000001")).Append(nil))
	f.Add(AppendLUNs(nil, []uint16{0, 300}))
	f.Add(AppendPortGroups(nil, []PortGroup{{ID: 1, Ports: []uint16{1}}}, true, 0))
	f.Add(AppendFullStatus(nil, 1, []FullStatus{{Key: 1, InitiatorPort: port1}}))
	f.Add(Capacity{LastLBA: 1}.Append16(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		was := bytes.Clone(b)
		DecodeStandardInquiry(b)
		DecodeBlockLimits(b)
		DecodeCapacity10(b)
		DecodeCapacity16(b)
		DecodeReservationKeys(b)
		DecodeFullStatus(b)
		DecodeLUNs(b)
		if groups, err := DecodePortGroups(b); err == nil && 4*len(groups) > len(b) {
			t.Fatalf("%d groups in %d bytes", len(groups), len(b))
		}
		if ds, err := DecodeDesignators(b); err == nil {
			var again []byte
			for _, d := range ds {
				again = d.Append(again)
			}
			if len(again) != len(b) {
				t.Fatalf("%d bytes of designators became %d", len(b), len(again))
			}
		}
		if !bytes.Equal(b, was) {
			t.Fatal("a decoder wrote to its input")
		}
	})
}
