package scsi

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The identities of these logical units never change: clients find their disks
// by them.
func TestIdentitiesAreForEver(t *testing.T) {
	for _, tc := range []struct {
		cluster, target string
		lun             uint16
		want            Identity
	}{
		{"beast", "iqn.2016-01.local.beast:target0", 0, Identity{naa("351e12d56cda9af3"), "O5G4FHRWRQPBTOUC"}},
		{"beast", "iqn.2016-01.local.beast:target0", 1, Identity{naa("378174843881902a"), "GXVZQRVJTQNM5EHC"}},
		{"", "", 0, Identity{naa("3e2917ca7eb272ae"), "5BEXPMHEHOGK3R32"}},
	} {
		if id := Identify(tc.cluster, tc.target, tc.lun); id != tc.want {
			t.Errorf("%s %s %d: %v %s, want %v %s", tc.cluster, tc.target, tc.lun, id.NAA, id.Serial, tc.want.NAA, tc.want.Serial)
		}
	}
	if id := IdentifyBy("disk-7"); id != (Identity{naa("37b4efaffd098b62"), "KDBPZIFIP7I3AL7T"}) {
		t.Errorf("device-id disk-7: %v %s", id.NAA, id.Serial)
	}
}

func naa(s string) NAA {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return NAA(b)
}

func TestIdentitiesDiffer(t *testing.T) {
	seen := map[Identity]string{}
	for _, cluster := range []string{"a", "ab", ""} {
		for _, target := range []string{"b", "ab", "", "bb"} {
			for lun := range uint16(4) {
				id := Identify(cluster, target, lun)
				if was, ok := seen[id]; ok {
					t.Errorf("%q %q %d has the identity of %s", cluster, target, lun, was)
				}
				seen[id] = cluster + "/" + target
			}
		}
	}
}

func TestStandardInquiryIsAsTheStandardHasIt(t *testing.T) {
	b := StandardInquiry{TPGS: TPGSImplicit, Vendor: "TANDEM", Product: "VIRTUAL DISK", Revision: "0001"}.Append(nil)
	want := append([]byte{0, 0, 6, 0x12, 91, 0x10, 0x10, 2}, "TANDEM  VIRTUAL DISK    0001"...)
	if len(b) != 96 || !bytes.Equal(b[:36], want) {
		t.Fatalf("got % X", b)
	}
	if got := hex.EncodeToString(b[58:74]); got != "00c00960046005c004c0060000000000" {
		t.Errorf("version descriptors %s", got)
	}
	q, err := DecodeStandardInquiry(b)
	if err != nil || q != (StandardInquiry{Version: 6, TPGS: TPGSImplicit, Vendor: "TANDEM", Product: "VIRTUAL DISK", Revision: "0001"}) {
		t.Errorf("decoded %+v, %v", q, err)
	}
}

func TestVPDPagesAreAsTheStandardHasThem(t *testing.T) {
	limits := BlockLimits{WriteSameNonZero: true, MaxCompareAndWrite: 255, TransferGranularity: 8, MaxTransfer: 16384,
		OptimalTransfer: 2048, MaxUnmap: 1 << 20, MaxUnmapDescriptors: 256, OptimalUnmapGranularity: 8,
		UnmapAlignment: 7, UnmapAlignmentValid: true, MaxWriteSame: 1 << 18, MaxAtomic: 256}
	for _, tc := range []struct {
		name string
		got  []byte
		want string
	}{
		{"86", AppendExtendedInquiry(nil)[:8], "0086003c00070101"},
		{"87", AppendModePagePolicy(nil), "008700043fff0000"},
		{"B0", limits.Append(nil), "00b0003c" + "01ff0008" + "00004000" + "00000800" + "00000000" + "00100000" + "00000100" +
			"00000008" + "80000007" + "0000000000040000" + "00000100" + strings.Repeat("00", 16)},
		{"B1", AppendBlockDeviceCharacteristics(nil, NonRotating, 3, true)[:8], "00b1003c00010043"},
		{"B2", AppendLogicalBlockProvisioning(nil, true, ThinProvisioned), "00b200040be40200"},
		{"B2, resource provisioned", AppendLogicalBlockProvisioning(nil, true, ResourceProvisioned), "00b2000400e40100"},
		{"B2 without", AppendLogicalBlockProvisioning(nil, false, ThinProvisioned), "00b2000400000000"},
		{"88", AppendSCSIPorts(nil, []PortDescriptor{{3, "iqn.a,t,0x0101"}}), "00880020" + "0000" + "0003" + "0000" + "0000" + "0000" +
			"0014" + "53980010" + hex.EncodeToString([]byte("iqn.a,t,0x0101\x00\x00"))},
	} {
		if got := hex.EncodeToString(tc.got); got != tc.want {
			t.Errorf("page %s:\n%s, want\n%s", tc.name, got, tc.want)
		}
	}
	if got, err := DecodeBlockLimits(limits.Append(nil)); err != nil || got != limits {
		t.Errorf("block limits came back as %+v, %v", got, err)
	}
}

func TestDesignatorsAreAsTheStandardHasThem(t *testing.T) {
	for _, tc := range []struct {
		d    Designator
		want string
	}{
		{NAADesignator(naa("3000000000000001")), "01030008" + "3000000000000001"},
		{T10VendorDesignator("TANDEM", "S1"), "0201000a" + hex.EncodeToString([]byte("TANDEM  S1"))},
		{EUI64Designator([]byte{2, 0, 0, 0, 0, 0, 0, 1}), "01020008" + "0200000000000001"},
		{UUIDDesignator(bytes.Repeat([]byte{0xAB}, 16)), "010a0012" + "1000" + strings.Repeat("ab", 16)},
		{LogicalUnitNameDesignator("iqn,L,0x1"), "0308000c" + hex.EncodeToString([]byte("iqn,L,0x1\x00\x00\x00"))},
		{RelativeTargetPortDesignator(131), "01140004" + "00000083"},
		{TargetPortGroupDesignator(3), "01150004" + "00000003"},
		{SCSINameDesignator(AssociationTargetPort, "iqn,t,0x1"), "5398000c" + hex.EncodeToString([]byte("iqn,t,0x1\x00\x00\x00"))},
		{SCSINameDesignator(AssociationTargetDevice, "iqn"), "53a80004" + hex.EncodeToString([]byte("iqn\x00"))},
	} {
		b := tc.d.Append(nil)
		if got := hex.EncodeToString(b); got != tc.want {
			t.Errorf("got %s, want %s", got, tc.want)
		}
		back, err := DecodeDesignators(b)
		if err != nil || len(back) != 1 || !reflect.DeepEqual(back[0], tc.d) {
			t.Errorf("%s came back as %+v, %v", tc.want, back, err)
		}
	}
}

func TestModeSelectOfWhatModeSenseAnswersChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := ModeValues{
			WriteCache: rapid.Bool().Draw(t, "WCE"), DescriptorSense: rapid.Bool().Draw(t, "D_SENSE"),
			SoftwareWriteProtect: rapid.Bool().Draw(t, "SWP"), TaskAbortedStatusSent: rapid.Bool().Draw(t, "TAS"),
		}
		from := ModeValues{WriteCache: rapid.Bool().Draw(t, "WCE before")}
		pages, ok := AppendModePages(nil, allModePages, allModeSubpages, CurrentValues, v)
		if !ok {
			t.Fatal("no mode pages")
		}
		h := ModeHeader{BlockDescriptor: rapid.Bool().Draw(t, "descriptor"), Long: rapid.Bool().Draw(t, "long"), Blocks: 100, BlockLength: 512}
		b := h.AppendMode10(nil, pages)
		s, err := SplitMode10(b)
		if err != nil {
			t.Fatal(err)
		}
		if want := uint32(512); h.BlockDescriptor && s.BlockLength() != want || !h.BlockDescriptor && s.BlockLength() != 0 {
			t.Fatalf("block length %d", s.BlockLength())
		}
		got, err := SelectModePages(b, s.Offset, from)
		if err != nil || got != v {
			t.Fatalf("selected %v, %v; want %v", got, err, v)
		}
	})
}

func TestModePagesAreAsTheStandardHasThem(t *testing.T) {
	for _, tc := range []struct {
		name          string
		page, subpage byte
		pc            PageControl
		v             ModeValues
		want          string
	}{
		{"caching", ModeCaching, 0, CurrentValues, DefaultModeValues(), "0812040000000000000000000000000000000000"},
		{"caching without WCE", ModeCaching, 0, CurrentValues, ModeValues{}, "0812000000000000000000000000000000000000"},
		{"caching, default", ModeCaching, 0, DefaultValues, DefaultModeValues(), "0812040000000000000000000000000000000000"},
		{"caching, default without WCE", ModeCaching, 0, DefaultValues, ModeValues{}, "0812000000000000000000000000000000000000"},
		{"control", ModeControl, 0, CurrentValues, DefaultModeValues(), "0a0a02100000000" + "0ffff0000"},
		{"control, all on", ModeControl, 0, CurrentValues, ModeValues{true, true, true, true}, "0a0a06100840" + "0000ffff0000"},
		{"control, changeable", ModeControl, 0, ChangeableValues, DefaultModeValues(), "0a0a04000840" + "000000000000"},
	} {
		b, ok := AppendModePages(nil, tc.page, tc.subpage, tc.pc, tc.v)
		if got := hex.EncodeToString(b); !ok || got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	all, _ := AppendModePages(nil, allModePages, 0, CurrentValues, DefaultModeValues())
	codes := []byte{}
	for b := all; len(b) > 0; b = b[2+int(b[1]):] {
		codes = append(codes, b[0])
	}
	if !bytes.Equal(codes, []byte{0x01, 0x08, 0x0A, 0x1C}) {
		t.Errorf("all pages are % X", codes)
	}
	if _, ok := AppendModePages(nil, 0x02, 0, CurrentValues, DefaultModeValues()); ok {
		t.Error("there is a page 02h")
	}
	if b, ok := AppendModePages(nil, ModeControl, 1, CurrentValues, DefaultModeValues()); !ok || hex.EncodeToString(b[:5]) != "4a01001c07" || len(b) != 32 {
		t.Errorf("control extension: % X", b)
	}
}

func TestWrongModeSelectListsAreRefused(t *testing.T) {
	v := DefaultModeValues()
	for _, tc := range []struct {
		name string
		list []byte
		want Sense
	}{
		{"unknown page", []byte{0x02, 0x02, 0, 0}, InvalidParameterField(0)},
		{"wrong length", []byte{0x08, 0x02, 0, 0}, InvalidParameterField(1)},
		{"cut short", []byte{0x08, 0x12, 0}, Illegal(ParameterListLengthError)},
		{"one byte", []byte{0x08}, Illegal(ParameterListLengthError)},
		{"a bit that cannot change", append([]byte{0x08, 0x12, 0x05}, make([]byte, 17)...),
			Sense{Key: IllegalRequest, ASC: InvalidFieldInParameterList, Field: 2, HasField: true, FieldInData: true, Bit: 0, HasBit: true}},
	} {
		got, err := SelectModePages(tc.list, 0, v)
		if err != tc.want || got != v {
			t.Errorf("%s: %v, %v; want %v", tc.name, got, err, tc.want)
		}
	}
	if _, err := SplitMode6([]byte{0, 0, 0, 8, 0}); err != Illegal(ParameterListLengthError) {
		t.Errorf("a block descriptor cut short: %v", err)
	}
}

func TestCapacitySurvivesEncoding(t *testing.T) {
	c := Capacity{LastLBA: 1<<40 - 1, BlockLength: 4096, PhysicalExponent: 3, LowestAlignedLBA: 7, Provisioned: true, ReadsZero: true}
	if got, err := DecodeCapacity16(c.Append16(nil)); err != nil || got != c {
		t.Errorf("READ CAPACITY (16): %+v, %v", got, err)
	}
	if got, err := DecodeCapacity10(c.Append10(nil)); err != nil || got.LastLBA != 0xFFFFFFFF || got.BlockLength != 4096 {
		t.Errorf("READ CAPACITY (10): %+v, %v", got, err)
	}
}

func TestLUNsSurviveEncoding(t *testing.T) {
	luns := []uint16{0, 1, 255, 256, 1000, MaxLUN}
	got, err := DecodeLUNs(AppendLUNs(nil, luns))
	if err != nil || !reflect.DeepEqual(got, luns) {
		t.Errorf("LUNs came back as %v, %v", got, err)
	}
	for v, want := range map[uint64]bool{0x0001 << 48: true, 0x4100 << 48: true, 0x0101 << 48: false, 0xC101 << 48: false, 1: false} {
		if _, ok := DecodeLUN(v); ok != want {
			t.Errorf("LUN %016X: known is %t", v, ok)
		}
	}
}

func TestPortGroupsSurviveEncoding(t *testing.T) {
	groups := []PortGroup{
		{ID: 2, State: ActiveOptimized, Preferred: true, Status: AlteredByImplicitALUA, Ports: []uint16{3, 4}},
		{ID: 3, State: Transitioning, Ports: []uint16{131}},
		{ID: 4, State: Standby},
	}
	for _, extended := range []bool{false, true} {
		b := AppendPortGroups(nil, groups, extended, 60)
		got, err := DecodePortGroups(b)
		if err != nil || !reflect.DeepEqual(got, groups) {
			t.Errorf("extended %t: %+v, %v", extended, got, err)
		}
	}
	b := AppendPortGroups(nil, groups[:1], false, 0)
	if got := hex.EncodeToString(b); got != "00000010"+"808f0002"+"00020002"+"00000003"+"00000004" {
		t.Errorf("got %s", got)
	}
}

func TestUnmapListsSurviveEncoding(t *testing.T) {
	extents := []Extent{{0, 1}, {1 << 40, 1 << 31}}
	b := AppendUnmap(nil, extents)
	got, err := DecodeUnmap(b, 2)
	if err != nil || !reflect.DeepEqual(got, extents) {
		t.Errorf("came back as %v, %v", got, err)
	}
	if got, err := DecodeUnmap(b[:len(b)-1], 2); err != nil || len(got) != 1 {
		t.Errorf("a list cut short: %v, %v", got, err)
	}
	if _, err := DecodeUnmap(b, 1); err != InvalidParameterField(2) {
		t.Errorf("too many descriptors: %v", err)
	}
	if _, err := DecodeUnmap(b[:7], 1); err != Illegal(ParameterListLengthError) {
		t.Errorf("a header cut short: %v", err)
	}
	if got, err := DecodeUnmap(nil, 1); err != nil || len(got) != 0 {
		t.Errorf("an empty list: %v, %v", got, err)
	}
}

const (
	port1 = "iqn.1994-05.com.example:a,i,0x00023d000001"
	port2 = "iqn.1994-05.com.example:b,i,0x00023d000002"
)

func TestReservationParameterListsSurviveEncoding(t *testing.T) {
	for _, o := range []ReserveOut{
		{Key: 1, ServiceActionKey: 2},
		{Key: 1<<64 - 1, AllPorts: true, PowerLoss: true},
		{ServiceActionKey: 9, SpecifyPorts: true, InitiatorPorts: []string{port1, port2}},
	} {
		got, err := DecodeReserveOut(o.Append(nil))
		if err != nil || !reflect.DeepEqual(got, o) {
			t.Errorf("%+v came back as %+v, %v", o, got, err)
		}
	}
	m := ReserveMove{Key: 1, ServiceActionKey: 2, Unregister: true, PowerLoss: true, RelativePort: 131, InitiatorPort: port1}
	if got, err := DecodeReserveMove(m.Append(nil)); err != nil || got != m {
		t.Errorf("%+v came back as %+v, %v", m, got, err)
	}
	list := []FullStatus{
		{Key: 1, RelativePort: 3, InitiatorPort: port1, Holder: true, Type: WriteExclusive},
		{Key: 2, RelativePort: 131, InitiatorPort: port2, AllPorts: true},
	}
	generation, got, err := DecodeFullStatus(AppendFullStatus(nil, 7, list))
	if err != nil || generation != 7 || !reflect.DeepEqual(got, list) {
		t.Errorf("full status came back as %d %+v, %v", generation, got, err)
	}
	generation, keys, err := DecodeReservationKeys(AppendReservationKeys(nil, 8, []uint64{1, 2}))
	if err != nil || generation != 8 || !reflect.DeepEqual(keys, []uint64{1, 2}) {
		t.Errorf("keys came back as %d %v, %v", generation, keys, err)
	}
}

func TestReservationListsOfWrongLengthAreRefused(t *testing.T) {
	good := ReserveOut{Key: 1}.Append(nil)
	for _, b := range [][]byte{nil, good[:23], append(bytes.Clone(good), 0)} {
		if _, err := DecodeReserveOut(b); err != Illegal(ParameterListLengthError) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	if _, err := DecodeReserveMove(ReserveMove{InitiatorPort: port1}.Append(nil)[:40]); err != Illegal(ParameterListLengthError) {
		t.Errorf("REGISTER AND MOVE cut short: %v", err)
	}
	if _, err := DecodeReserveMove(ReserveMove{InitiatorPort: "iqn.a"}.Append(nil)); !errors.As(err, new(Sense)) {
		t.Errorf("REGISTER AND MOVE to an initiator device: %v", err)
	}
}

func TestTransportIDsAreAsTheStandardHasThem(t *testing.T) {
	b := AppendTransportID(nil, port1)
	want := "4500002c" + hex.EncodeToString([]byte(port1)) + "0000"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if short := AppendTransportID(nil, "iqn.a,i,0x1"); len(short) != 24 {
		t.Errorf("the shortest TransportID has %d bytes, want 24", len(short))
	}
	for _, bad := range [][]byte{
		nil, b[:10], append([]byte{0x05}, b[1:]...), append([]byte{0x45, 0, 0, 19}, b[4:]...),
		append([]byte{0x45, 0, 0, 20}, bytes.Repeat([]byte{'a'}, 20)...),
	} {
		if name, _, err := DecodeTransportID(bad); !errors.Is(err, ErrTransportID) {
			t.Errorf("% X is taken for %q", bad, name)
		}
	}
}

func TestReservationDataIsAsTheStandardHasIt(t *testing.T) {
	for _, tc := range []struct {
		name string
		got  []byte
		want string
	}{
		{"READ RESERVATION without one", AppendReservation(nil, 5, false, 0, 0), "0000000500000000"},
		{"READ RESERVATION", AppendReservation(nil, 5, true, 0xABCD, ExclusiveAccess), "0000000500000010" + "000000000000abcd" + "00000000" + "00030000"},
		{"REPORT CAPABILITIES", AppendReservationCapabilities(nil, false, false), "00081c80ea010000"},
		{"REPORT CAPABILITIES with APTPL", AppendReservationCapabilities(nil, true, true), "00081d81ea010000"},
		{"GET LBA STATUS", AppendLBAStatus(nil, []LBAStatus{{Extent{5, 3}, true}}), "0000001400000000" + "0000000000000005" + "00000003" + "01000000"},
	} {
		if got := hex.EncodeToString(tc.got); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}
