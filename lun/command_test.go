package lun_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

func TestABitTheTableDoesNotKnowIsRefused(t *testing.T) {
	f, cd := ready(t, fullConfig()), ready(t, cdConfig())
	for id := scsi.NoCommand + 1; id < scsi.NumCommands; id++ {
		c := &scsi.Commands[id]
		if !there(t, f, c) {
			if !there(t, cd, c) {
				t.Errorf("%s is not there", c.Name)
			}
			continue
		}
		cdb := plain(c)
		last := len(cdb) - 1
		cdb[last] |= 0x04 // NACA
		s := f.bad(t, alice, cdb, nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
		if !s.HasField || int(s.Field) != last || s.FieldInData || s.Bit != 2 {
			t.Errorf("%s: the field pointer is at byte %d bit %d", c.Name, s.Field, s.Bit)
		}
	}
}

// there asks REPORT SUPPORTED OPERATION CODES for a command.
func there(t *testing.T, f *fixture, c *scsi.Command) bool {
	t.Helper()
	b := f.good(t, alice, []byte{0xA3, 0x0C, 3, c.OpCode, byte(c.ServiceAction >> 8), byte(c.ServiceAction), 0, 0, 0, 64, 0, 0}, nil)
	return b[1]&7 == 3
}

// plain is the CDB of a command with every field zero.
func plain(c *scsi.Command) []byte {
	cdb := make([]byte, len(c.Usage))
	cdb[0] = c.OpCode
	if c.HasServiceAction {
		cdb[1] = byte(c.ServiceAction)
	}
	return cdb
}

func TestCommandsOutsideTheTableAreRefused(t *testing.T) {
	f := ready(t, testConfig())
	f.bad(t, alice, []byte{0xC1, 0, 0, 0, 0, 0}, nil, scsi.IllegalRequest, scsi.InvalidCommandOperationCode)
	f.bad(t, alice, []byte{0xA3, 0x1F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
}

func TestEveryPageOfInquiryIsThere(t *testing.T) {
	f := setup(t, testConfig(), nil)
	q, err := scsi.DecodeStandardInquiry(f.good(t, alice, inquiry(false, 0, 255), nil))
	if err != nil || q.Vendor != "TANDEM" || q.Product != "VIRTUAL DISK" || q.Revision != "0001" || q.TPGS != scsi.TPGSBoth {
		t.Fatalf("standard INQUIRY data %+v, %v", q, err)
	}
	pages, err := scsi.SplitVPD(f.good(t, alice, inquiry(true, 0, 255), nil), 0)
	if err != nil || !bytes.Equal(pages, []byte{0x00, 0x80, 0x83, 0x85, 0x86, 0x87, 0x88, 0xB0, 0xB1, 0xB2}) {
		t.Fatalf("supported pages % X, %v", pages, err)
	}
	for _, p := range pages {
		if _, err := scsi.SplitVPD(f.good(t, alice, inquiry(true, p, 1024), nil), p); err != nil {
			t.Error(err)
		}
	}
	f.bad(t, alice, inquiry(false, 0x80, 255), nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	f.bad(t, alice, inquiry(true, 0x81, 255), nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	if got := f.good(t, alice, inquiry(false, 0, 5), nil); len(got) != 5 {
		t.Errorf("%d bytes for an allocation length of 5", len(got))
	}
}

func TestDeviceIdentificationNamesThePortOfTheCommand(t *testing.T) {
	f := setup(t, testConfig(), nil)
	for _, tc := range []struct {
		n     lun.Nexus
		port  string
		group byte
	}{{alice, "iqn.2016-01.local.beast:target0,t,0x0101", 2}, {carol, "iqn.2016-01.local.beast:target0,t,0x0201", 3}} {
		body, err := scsi.SplitVPD(f.good(t, tc.n, inquiry(true, 0x83, 1024), nil), 0x83)
		if err != nil {
			t.Fatal(err)
		}
		ds, err := scsi.DecodeDesignators(body)
		if err != nil {
			t.Fatal(err)
		}
		id := scsi.Identify("beast", "iqn.2016-01.local.beast:target0", 1)
		want := []scsi.Designator{
			scsi.NAADesignator(id.NAA),
			scsi.T10VendorDesignator("TANDEM", id.Serial),
			scsi.SCSINameDesignator(scsi.AssociationTargetPort, tc.port),
			scsi.RelativeTargetPortDesignator(tc.n.TargetPort),
			scsi.TargetPortGroupDesignator(uint16(tc.group)),
			scsi.SCSINameDesignator(scsi.AssociationTargetDevice, "iqn.2016-01.local.beast:target0"),
		}
		if !slices.EqualFunc(ds, want, func(a, b scsi.Designator) bool {
			return a.Type == b.Type && a.Association == b.Association && bytes.Equal(a.Value, b.Value)
		}) {
			t.Errorf("through port %d: %+v", tc.n.TargetPort, ds)
		}
	}
}

func TestCapacityIsReported(t *testing.T) {
	c := testConfig()
	c.PhysicalBlockSize = 4096
	f := ready(t, c)
	want := scsi.Capacity{LastLBA: testBlocks - 1, BlockLength: testBlock, PhysicalExponent: 3, Provisioned: true, ReadsZero: true}
	if got, err := scsi.DecodeCapacity16(f.good(t, alice, cdb16(0x9E, 0x10, 0, 32), nil)); err != nil || got != want {
		t.Errorf("READ CAPACITY (16): %+v, %v", got, err)
	}
	if got, err := scsi.DecodeCapacity10(f.good(t, alice, cdb10(0x25, 0, 0, 0), nil)); err != nil || got.LastLBA != testBlocks-1 {
		t.Errorf("READ CAPACITY (10): %+v, %v", got, err)
	}
	for n := range uint32(16) {
		if got := f.good(t, alice, cdb16(0x9E, 0x10, 0, n), nil); len(got) != int(n) {
			t.Errorf("%d bytes for an allocation length of %d", len(got), n)
		}
	}
}

func TestAResizeIsToldToEveryNexus(t *testing.T) {
	f := ready(t, testConfig())
	if err := f.device.Resize(4096 * testBlock); err != nil {
		t.Fatal(err)
	}
	if err := f.unit.Resized(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []lun.Nexus{alice, bob} {
		f.bad(t, n, testUnitReady(), nil, scsi.UnitAttention, scsi.CapacityDataHasChanged)
	}
	if got, err := scsi.DecodeCapacity10(f.good(t, alice, cdb10(0x25, 0, 0, 0), nil)); err != nil || got.LastLBA != 4095 {
		t.Errorf("capacity %+v, %v", got, err)
	}
	f.good(t, alice, write10(4095, 1), make([]byte, testBlock))
}

func TestTargetPortGroupsAreReportedInBothFormats(t *testing.T) {
	f := ready(t, testConfig())
	for _, format := range []byte{0x0A, 0x2A} {
		got, err := scsi.DecodePortGroups(f.good(t, alice, cdb12(0xA3, format, 0, 1024), nil))
		if err != nil || len(got) != 2 || got[0].ID != 2 || !got[0].Preferred || got[1].State != scsi.ActiveNonOptimized || got[1].Ports[0] != 131 {
			t.Errorf("format %02Xh: %+v, %v", format, got, err)
		}
	}
}

func TestRequestSenseTakesAUnitAttentionAsData(t *testing.T) {
	f := setup(t, testConfig(), nil)
	for _, tc := range []struct {
		descriptor byte
		want       scsi.Sense
	}{
		{0, scsi.Sense{Key: scsi.UnitAttention, ASC: scsi.PowerOnOccurred}},
		{0, scsi.Sense{}},
		{1, scsi.Sense{DescriptorFormat: true}},
	} {
		got, err := scsi.DecodeSense(f.good(t, alice, []byte{0x03, tc.descriptor, 0, 0, 252, 0}, nil))
		if err != nil || got != tc.want {
			t.Errorf("sense data %v, %v; want %v", got, err, tc.want)
		}
	}
	f.good(t, alice, testUnitReady(), nil)
}

func TestModeParametersAreChangedAndToldToOthers(t *testing.T) {
	f := ready(t, testConfig())
	control := []byte{0x0A, 0x0A, 0x06, 0x10, 0x08, 0x40, 0, 0, 0xFF, 0xFF, 0, 0} // D_SENSE, SWP, TAS
	list := append([]byte{0, 0, 0, 0}, control...)
	f.good(t, alice, []byte{0x15, 0x10, 0, 0, byte(len(list)), 0}, list)
	f.bad(t, bob, testUnitReady(), nil, scsi.UnitAttention, scsi.ModeParametersChanged)
	f.good(t, alice, testUnitReady(), nil)

	got := f.good(t, bob, []byte{0x1A, 0x08, 0x0A, 0, 255, 0}, nil)
	if !bytes.Equal(got[4:], control) {
		t.Errorf("control mode page % X", got[4:])
	}
	if got[2]&0x80 == 0 {
		t.Error("the WP bit is zero under SWP")
	}
	s := f.bad(t, bob, write10(0, 1), make([]byte, testBlock), scsi.DataProtect, scsi.SoftwareWriteProtected)
	if !s.DescriptorFormat {
		t.Error("sense data is not in descriptor format under D_SENSE")
	}
	f.good(t, bob, read10(0, 1), nil)
}

func TestModeSenseFormsAreRight(t *testing.T) {
	f := ready(t, testConfig())
	six := f.good(t, alice, []byte{0x1A, 0, 0x3F, 0, 255, 0}, nil)
	if int(six[0]) != len(six)-1 || six[2] != 0x10 || six[3] != 8 || binary.BigEndian.Uint32(six[4:]) != testBlocks {
		t.Errorf("MODE SENSE (6): % X", six[:12])
	}
	ten := f.good(t, alice, []byte{0x5A, 0x10, 0x3F, 0xFF, 0, 0, 0, 0x10, 0, 0}, nil)
	if int(binary.BigEndian.Uint16(ten)) != len(ten)-2 || ten[4] != 1 || ten[7] != 16 || binary.BigEndian.Uint64(ten[8:]) != testBlocks {
		t.Errorf("MODE SENSE (10): % X", ten[:24])
	}
	f.bad(t, alice, []byte{0x1A, 0, 0xC8, 0, 255, 0}, nil, scsi.IllegalRequest, scsi.SavingParametersNotSupported)
	f.bad(t, alice, []byte{0x1A, 0, 0x02, 0, 255, 0}, nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	f.bad(t, alice, []byte{0x15, 0x11, 0, 0, 4, 0}, make([]byte, 4), scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	f.bad(t, alice, []byte{0x15, 0x10, 0, 0, 3, 0}, make([]byte, 3), scsi.IllegalRequest, scsi.ParameterListLengthError)
	f.good(t, alice, []byte{0x15, 0x10, 0, 0, 0, 0}, nil)
	wrong := []byte{0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 16, 0}
	f.bad(t, alice, []byte{0x15, 0x10, 0, 0, 12, 0}, wrong, scsi.IllegalRequest, scsi.InvalidFieldInParameterList)
}

func TestLogPagesAreAnswered(t *testing.T) {
	f := ready(t, testConfig())
	if got := f.good(t, alice, []byte{0x4D, 0, 0x40, 0, 0, 0, 0, 0, 255, 0}, nil); !bytes.Equal(got, []byte{0, 0, 0, 5, 0, 0x0D, 0x0E, 0x19, 0x2F}) {
		t.Errorf("supported log pages % X", got)
	}
	f.bad(t, alice, []byte{0x4D, 0, 0x7E, 0, 0, 0, 0, 0, 255, 0}, nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	f.bad(t, alice, []byte{0x4D, 0, 0x40, 0, 0, 0, 1, 0, 255, 0}, nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
}

func TestSupportedCommandsAndFunctionsAreReported(t *testing.T) {
	f := ready(t, testConfig())
	all := f.good(t, alice, []byte{0xA3, 0x0C, 0x80, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0}, nil)
	if n := (len(all) - 4) / 20; n < 60 || (len(all)-4)%20 != 0 {
		t.Errorf("%d supported operation codes in %d bytes", n, len(all))
	}
	f.bad(t, alice, []byte{0xA3, 0x0C, 0x01, 0x5E, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0}, nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	if got := f.good(t, alice, []byte{0xA3, 0x0D, 0x80, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0}, nil); len(got) != 16 {
		t.Errorf("supported task management functions % X", got)
	}
}

func TestStartStopUnitLeavesTheLogicalUnitReady(t *testing.T) {
	f := ready(t, testConfig())
	f.good(t, alice, []byte{0x1B, 0, 0, 0, 0, 0}, nil)
	f.good(t, alice, testUnitReady(), nil)
	f.good(t, alice, []byte{0x1B, 0, 0, 0, 1, 0}, nil)
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	for _, tc := range []struct {
		want   string
		change func(*lun.Config)
	}{
		{"block size 1024", func(c *lun.Config) { c.BlockSize = 1024 }},
		{"physical block size 100", func(c *lun.Config) { c.PhysicalBlockSize = 100 }},
		{"9 characters", func(c *lun.Config) { c.Vendor = "123456789" }},
		{"not printable", func(c *lun.Config) { c.Product = "a\tb" }},
		{"task limit -1", func(c *lun.Config) { c.MaxTasks = -1 }},
		{"no buffer pool", func(c *lun.Config) { c.Pool = nil }},
	} {
		c := testConfig()
		tc.change(&c)
		if _, err := lun.New(c); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.want, err)
		}
	}
}
