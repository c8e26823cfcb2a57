package controller

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

func TestEveryOptionReachesTheLogicalUnit(t *testing.T) {
	c := parse(t, `lun a { path /a blocksize 4096 serial S1 device-id D1
		option vendor V option product P option revision R option eui 0x0200000000000001 option naa 0x3000000000000001
		option uuid 6ba7b810-9dad-11d1-80b4-00c04fd430c8 option scsiname iqn.2026-01.com.example:a,L,0x0
		option pblocksize 16384 option pblockoffset 4096 option ublocksize 1M option ublockoffset 8192
		option unmap_max_lba 11 option unmap_max_descr 12 option write_same_max_lba 13
		option ident_info 0x616263 option text_ident_info text option temperature 41 option reftemperature 70 option removable on option used-threshold 1M option avail-threshold 2M
		option readonly on option unmap off option provisioning_type resource option writecache off option rpm 7200 option formfactor 3 }`)
	want := lun.Config{
		Name: "a", Identity: scsi.Identity{NAA: "\x30\x00\x00\x00\x00\x00\x00\x01", Serial: "S1"}, DeviceID: "D1",
		EUI64: []byte{2, 0, 0, 0, 0, 0, 0, 1}, UUID: []byte("\x6b\xa7\xb8\x10\x9d\xad\x11\xd1\x80\xb4\x00\xc0\x4f\xd4\x30\xc8"),
		SCSIName: "iqn.2026-01.com.example:a,L,0x0", Vendor: "V", Product: "P", Revision: "R",
		BlockSize: 4096, PhysicalBlockSize: 16384, PhysicalBlockOffset: 4096, UnmapBlockSize: 1 << 20, UnmapBlockOffset: 8192,
		MaxUnmap: 11, MaxUnmapDescriptors: 12, MaxWriteSame: 13,
		IdentInfo: []byte("abc"), TextIdentInfo: "text", Temperature: 41, ReferenceTemperature: 70, Removable: true, UsedThreshold: 1 << 20, AvailThreshold: 2 << 20,
		ReadOnly: true, NoUnmap: true, Provisioning: scsi.ResourceProvisioned, NoWriteCache: true, RotationRate: 7200, FormFactor: 3,
	}
	if got := unitConfig(c, c.LUN("a")); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestWithoutOptionsALogicalUnitIsAThinDiskThatDoesNotTurn(t *testing.T) {
	c := parse(t, `lun a { path /a }`)
	want := lun.Config{Name: "a", Identity: scsi.Identify("", "a", 0), BlockSize: 512,
		Provisioning: scsi.ThinProvisioned, RotationRate: scsi.NonRotating}
	if got := unitConfig(c, c.LUN("a")); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestIdentityComesFromNamesUnlessItIsGiven(t *testing.T) {
	const target = "iqn.2026-01.com.example:a"
	c := parse(t, `
		lun x { path /x } lun s { path /s serial S } lun d { path /d device-id D } lun b { path /b serial T device-id E }
		lun n { path /n option naa 0x3000000000000001 }
		target `+target+` { auth-group no-authentication lun 5 { path /5 } lun 6 x }`)
	both := scsi.IdentifyBy("E")
	both.Serial = "T"
	serial := scsi.IdentifyBy("S")
	serial.Serial = "S"
	naa := scsi.Identify("", "n", 0)
	naa.NAA = "\x30\x00\x00\x00\x00\x00\x00\x01"
	for name, want := range map[string]scsi.Identity{
		target + ",lun,5": scsi.Identify("", target, 5),
		"x":               scsi.Identify("", "x", 0), "s": serial, "d": scsi.IdentifyBy("D"), "b": both, "n": naa,
	} {
		if got := identityOf(c, c.LUN(name)); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// usual is the configuration that describe says least about.
func usual() lun.Config {
	return lun.Config{Identity: scsi.Identify("beast", "a", 0), BlockSize: 512, Provisioning: scsi.ThinProvisioned, RotationRate: scsi.NonRotating}
}

func TestWhatPeersCompareTellsOfEveryFieldThatMustBeTheSame(t *testing.T) {
	// seen begins with the fields in which controllers may differ, or which no
	// configuration sets.
	seen := []string{"Name", "Pool", "Commit", "Log", "Stable", "HandOver", "MaxTasks", "MaxNexuses", "Workers", "MaxTransfer", "EraseRate", "ThirdPartyCopy"}
	for name, test := range map[string]struct {
		change func(*lun.Config)
		want   string
	}{
		"Identity":             {func(c *lun.Config) { c.Identity.Serial = "other" }, "serial other, naa"},
		"DeviceType":           {func(c *lun.Config) { c.DeviceType = scsi.DeviceTypeMultimedia }, "device-type 5"},
		"DeviceID":             {func(c *lun.Config) { c.DeviceID = "D 1" }, `device-id "D 1"`},
		"EUI64":                {func(c *lun.Config) { c.EUI64 = []byte{2, 1} }, "eui 0201"},
		"UUID":                 {func(c *lun.Config) { c.UUID = []byte{0xAB} }, "uuid ab"},
		"SCSIName":             {func(c *lun.Config) { c.SCSIName = "iqn" }, `scsiname "iqn"`},
		"Vendor":               {func(c *lun.Config) { c.Vendor = "ACME" }, `vendor "ACME"`},
		"Product":              {func(c *lun.Config) { c.Product = "DISK" }, `product "DISK"`},
		"Revision":             {func(c *lun.Config) { c.Revision = "2" }, `revision "2"`},
		"BlockSize":            {func(c *lun.Config) { c.BlockSize = 4096 }, "in blocks of 4096"},
		"PhysicalBlockSize":    {func(c *lun.Config) { c.PhysicalBlockSize = 4096 }, "pblocksize 4096"},
		"PhysicalBlockOffset":  {func(c *lun.Config) { c.PhysicalBlockOffset = 512 }, "pblockoffset 512"},
		"UnmapBlockSize":       {func(c *lun.Config) { c.UnmapBlockSize = 4096 }, "ublocksize 4096"},
		"UnmapBlockOffset":     {func(c *lun.Config) { c.UnmapBlockOffset = 512 }, "ublockoffset 512"},
		"MaxUnmap":             {func(c *lun.Config) { c.MaxUnmap = 5 }, "unmap_max_lba 5"},
		"MaxUnmapDescriptors":  {func(c *lun.Config) { c.MaxUnmapDescriptors = 6 }, "unmap_max_descr 6"},
		"MaxWriteSame":         {func(c *lun.Config) { c.MaxWriteSame = 7 }, "write_same_max_lba 7"},
		"IdentInfo":            {func(c *lun.Config) { c.IdentInfo = []byte{0xAB} }, "ident_info ab"},
		"TextIdentInfo":        {func(c *lun.Config) { c.TextIdentInfo = "disk" }, `text_ident_info "disk"`},
		"Temperature":          {func(c *lun.Config) { c.Temperature = 41 }, "temperature 41"},
		"ReferenceTemperature": {func(c *lun.Config) { c.ReferenceTemperature = 70 }, "reftemperature 70"},
		"Removable":            {func(c *lun.Config) { c.Removable = true }, "removable on"},
		"ReadOnly":             {func(c *lun.Config) { c.ReadOnly = true }, "readonly on"},
		"NoUnmap":              {func(c *lun.Config) { c.NoUnmap = true }, "unmap off"},
		"Provisioning":         {func(c *lun.Config) { c.Provisioning = scsi.ProvisioningNotReported }, "provisioning_type unknown"},
		"UsedThreshold":        {func(c *lun.Config) { c.UsedThreshold = 7 }, "used-threshold 7"},
		"AvailThreshold":       {func(c *lun.Config) { c.AvailThreshold = 8 }, "avail-threshold 8"},
		"NoWriteCache":         {func(c *lun.Config) { c.NoWriteCache = true }, "writecache off"},
		"RotationRate":         {func(c *lun.Config) { c.RotationRate = 0 }, "rpm 0"},
		"FormFactor":           {func(c *lun.Config) { c.FormFactor = 2 }, "formfactor 2"},
	} {
		c := usual()
		test.change(&c)
		if got := describe(c, 1<<20); got == describe(usual(), 1<<20) || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q does not tell %q", name, got, test.want)
		}
		seen = append(seen, name)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[lun.Config]()) {
		if !slices.Contains(seen, f.Name) {
			t.Errorf("controllers do not compare lun.Config.%s", f.Name)
		}
	}
}

func TestWhatIsUsualIsNotMentioned(t *testing.T) {
	id := usual().Identity
	want := "1048576 bytes in blocks of 512, serial " + id.Serial + ", naa " + id.NAA.String()
	spelt := usual()
	spelt.Vendor, spelt.Product, spelt.Revision = lun.DefaultVendor, lun.DefaultProduct, lun.DefaultRevision
	spelt.PhysicalBlockSize, spelt.MaxUnmap = 512, lun.DefaultMaxUnmap
	spelt.MaxUnmapDescriptors, spelt.MaxWriteSame = lun.DefaultMaxUnmapDescriptors, lun.DefaultMaxWriteSame
	for _, c := range []lun.Config{usual(), spelt} {
		if got := describe(c, 1<<20); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestARamdiskHasTheCapacityOfMemoryThatIsGiven(t *testing.T) {
	c := parse(t, `lun a { backend ramdisk size 1M option capacity 64K } lun b { backend ramdisk size 1M }`)
	for name, room := range map[string]bool{"a": false, "b": true} {
		d, err := openBackend(c.LUN(name), nil)
		if err != nil {
			t.Fatal(err)
		}
		first, second := d.WriteAt(bytes.Repeat([]byte{1}, 64<<10), 0), d.WriteAt([]byte{1}, 512<<10)
		if first != nil || (second == nil) != room {
			t.Errorf("%s: %v, then %v", name, first, second)
		}
		d.Close()
	}
}

func TestACDIsReadOnlyAndRemovable(t *testing.T) {
	c := parse(t, `lun a { path /a device-type cdrom }`)
	got := unitConfig(c, c.LUN("a"))
	if got.DeviceType != scsi.DeviceTypeMultimedia || got.BlockSize != scsi.MultimediaBlock || !got.ReadOnly || !got.Removable || !got.NoUnmap {
		t.Errorf("%+v", got)
	}
}
