package lun_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// caching is the caching mode page with a page control (PC), in the data of
// MODE SENSE (6) without block descriptor.
func (f *fixture) caching(t *testing.T, pc scsi.PageControl) []byte {
	t.Helper()
	return f.good(t, alice, []byte{0x1A, 0x08, byte(pc)<<6 | 0x08, 0, 255, 0}, nil)[4:]
}

// selectCaching switches the write cache.
func (f *fixture) selectCaching(t *testing.T, wce byte) {
	t.Helper()
	list := append([]byte{0, 0, 0, 0, 0x08, 0x12, wce << 2}, make([]byte, 17)...)
	f.good(t, alice, []byte{0x15, 0x10, 0, 0, byte(len(list)), 0}, list)
}

func TestWithoutAWriteCacheEachWriteIsDurableBeforeItIsAcknowledged(t *testing.T) {
	c := testConfig()
	c.NoWriteCache = true
	disk := &faulty{Device: ramdisk(t, testBlocks*testBlock)}
	f := setup(t, c, disk)
	f.clear(t, alice, bob)
	list := scsi.AppendUnmap(nil, []scsi.Extent{{LBA: 8, Count: 8}})
	block := make([]byte, testBlock)
	writes := map[string]struct{ cdb, out []byte }{
		"WRITE (6)":         {[]byte{0x0A, 0, 0, 0, 1, 0}, block},
		"WRITE (10)":        {write10(0, 1), block},
		"WRITE (16)":        {write16(0, 1), block},
		"WRITE SAME (16)":   {cdb16(0x93, 0, 0, 4), block},
		"COMPARE AND WRITE": {[]byte{0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, make([]byte, 2*testBlock)},
		"UNMAP":             {unmap(len(list)), list},
	}
	for name, w := range writes {
		_, before := disk.counts()
		f.good(t, alice, w.cdb, w.out)
		if _, after := disk.counts(); after == before {
			t.Errorf("%s was acknowledged without a sync", name)
		}
	}
	disk.set(nil, nil, errDisk)
	f.bad(t, alice, write10(0, 1), block, scsi.MediumError, scsi.PeripheralDeviceWriteFault)
	disk.set(nil, nil, nil)
	f.selectCaching(t, 1)
	_, before := disk.counts()
	f.good(t, alice, write10(0, 1), block)
	if _, after := disk.counts(); after != before {
		t.Error("a write was synced after MODE SELECT had switched the write cache on")
	}
}

func TestTheWriteCacheIsAsConfiguredAfterAReset(t *testing.T) {
	for _, off := range []bool{false, true} {
		c := testConfig()
		c.NoWriteCache = off
		f := ready(t, c)
		want := byte(4)
		if off {
			want = 0
		}
		look := func(when string, current byte) {
			t.Helper()
			for pc, want := range map[scsi.PageControl]byte{scsi.CurrentValues: current, scsi.DefaultValues: want, scsi.ChangeableValues: 4} {
				if got := f.caching(t, pc)[2] & 4; got != want {
					t.Errorf("configured off %t, %s, page control %d: WCE %Xh, want %Xh", off, when, pc, got, want)
				}
			}
		}
		look("at first", want)
		f.selectCaching(t, want>>2^1)
		look("after MODE SELECT", want^4)
		manage(f.unit, scsi.LogicalUnitReset, alice, 0)
		f.clear(t, alice)
		look("after a reset", want)
	}
}

func TestMoreDesignatorsAreTold(t *testing.T) {
	c := testConfig()
	c.EUI64 = []byte{2, 0, 0, 0, 0, 0, 0, 1}
	c.UUID = bytes.Repeat([]byte{0xAB}, 16)
	c.SCSIName = "iqn.2016-01.local.beast:target0,L,0x0001"
	f := ready(t, c)
	got := f.good(t, alice, inquiry(true, 0x83, 1024), nil)
	for _, d := range []scsi.Designator{
		scsi.NAADesignator(c.Identity.NAA), scsi.EUI64Designator(c.EUI64), scsi.UUIDDesignator(c.UUID), scsi.LogicalUnitNameDesignator(c.SCSIName),
	} {
		if !bytes.Contains(got, d.Append(nil)) {
			t.Errorf("no designator %+v in % X", d, got)
		}
	}
}

func TestWhatIsConfiguredOfBlocksIsTold(t *testing.T) {
	c := testConfig()
	c.PhysicalBlockSize, c.PhysicalBlockOffset = 4096, 512
	c.UnmapBlockSize, c.UnmapBlockOffset = 3<<20, 1<<20
	c.MaxUnmap, c.MaxUnmapDescriptors, c.MaxWriteSame = 100, 2, 50
	c.Provisioning, c.RotationRate, c.FormFactor = scsi.ResourceProvisioned, 7200, 2
	f := ready(t, c)
	if got, err := scsi.DecodeCapacity16(f.good(t, alice, cdb16(0x9E, 0x10, 0, 32), nil)); err != nil || got.PhysicalExponent != 3 || got.LowestAlignedLBA != 7 {
		t.Errorf("capacity %+v, %v", got, err)
	}
	limits, err := scsi.DecodeBlockLimits(f.good(t, alice, inquiry(true, 0xB0, 255), nil))
	if err != nil || limits.MaxUnmap != 100 || limits.MaxUnmapDescriptors != 2 || limits.MaxWriteSame != 50 ||
		limits.OptimalUnmapGranularity != 6144 || !limits.UnmapAlignmentValid || limits.UnmapAlignment != 4096 {
		t.Errorf("block limits %+v, %v", limits, err)
	}
	if got := f.good(t, alice, inquiry(true, 0xB1, 255), nil); !bytes.Equal(got[4:8], []byte{0x1C, 0x20, 0, 0x42}) {
		t.Errorf("block device characteristics % X", got[:8])
	}
	if got := f.good(t, alice, inquiry(true, 0xB2, 255), nil); got[6] != 1 {
		t.Errorf("logical block provisioning % X", got)
	}
}

func TestCommandsAboveTheConfiguredLimitsAreRefused(t *testing.T) {
	c := testConfig()
	c.MaxUnmap, c.MaxUnmapDescriptors, c.MaxWriteSame = 100, 2, 50
	f := ready(t, c)
	list := func(counts ...uint32) []byte {
		var e []scsi.Extent
		for i, n := range counts {
			e = append(e, scsi.Extent{LBA: uint64(i) * 200, Count: n})
		}
		return scsi.AppendUnmap(nil, e)
	}
	for _, good := range [][]byte{list(100), list(60, 40)} {
		f.good(t, alice, unmap(len(good)), good)
	}
	for _, bad := range [][]byte{list(101), list(60, 41), list(1, 1, 1)} {
		f.bad(t, alice, unmap(len(bad)), bad, scsi.IllegalRequest, scsi.InvalidFieldInParameterList)
	}
	f.good(t, alice, cdb16(0x93, 0, 0, 50), make([]byte, testBlock))
	f.bad(t, alice, cdb16(0x93, 0, 0, 51), make([]byte, testBlock), scsi.IllegalRequest, scsi.InvalidFieldInCDB)
}

func TestNothingIsReportedThatIsNotConfigured(t *testing.T) {
	f := ready(t, testConfig())
	if got := f.good(t, alice, inquiry(true, 0xB1, 255), nil); !bytes.Equal(got[4:8], []byte{0, 0, 0, 0x40}) {
		t.Errorf("block device characteristics % X", got[:8])
	}
	if got := f.good(t, alice, inquiry(true, 0xB2, 255), nil); got[6] != 0 {
		t.Errorf("logical block provisioning % X", got)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for want, change := range map[string]func(*lun.Config){
		"EUI-64 name of 9 bytes":                             func(c *lun.Config) { c.EUI64 = make([]byte, 9) },
		"UUID of 8 bytes":                                    func(c *lun.Config) { c.UUID = make([]byte, 8) },
		"SCSI name of 224 bytes":                             func(c *lun.Config) { c.SCSIName = strings.Repeat("x", 224) },
		"physical block of 4096 bytes, offset 100":           func(c *lun.Config) { c.PhysicalBlockSize, c.PhysicalBlockOffset = 4096, 100 },
		"physical block of 4096 bytes, offset 4096":          func(c *lun.Config) { c.PhysicalBlockSize, c.PhysicalBlockOffset = 4096, 4096 },
		"the first physical block begins at LBA 16384":       func(c *lun.Config) { c.PhysicalBlockSize, c.PhysicalBlockOffset = 512<<15, 512<<14 },
		"unmap block of 1000 bytes":                          func(c *lun.Config) { c.UnmapBlockSize = 1000 },
		"unmap block of 0 bytes":                             func(c *lun.Config) { c.UnmapBlockOffset = 512 },
		"limit of UNMAP descriptors 4096, accepted is 1 to ": func(c *lun.Config) { c.MaxUnmapDescriptors = 4096 },
		"provisioning type 3":                                func(c *lun.Config) { c.Provisioning = 3 },
		"form factor 6":                                      func(c *lun.Config) { c.FormFactor = 6 },
	} {
		c := testConfig()
		change(&c)
		if _, err := lun.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
