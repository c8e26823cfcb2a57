package lun_test

import (
	"bytes"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/scsi"
)

// thick is a device that does not know its space.
type thick struct{ block.Device }

func (thick) Space() (block.Space, error) { return block.Space{}, block.ErrNotSupported }

// spacious is a device of which so many bytes are available.
type spacious struct {
	block.Device
	available, used atomic.Int64
}

func (d *spacious) Space() (block.Space, error) {
	return block.Space{Used: d.used.Load(), Available: d.available.Load(), Shared: true}, nil
}

func logPage(page byte) []byte { return []byte{0x4D, 0, 0x40 | page, 0, 0, 0, 0, 0, 255, 0} }

func TestTheSpaceOfTheBackendIsTold(t *testing.T) {
	d := &spacious{Device: ramdisk(t, testBlocks*testBlock)}
	d.available.Store(5<<20 + 1)
	d.used.Store(3<<20 + 1)
	c := testConfig()
	c.Provisioning = scsi.ThinProvisioned
	f := setup(t, c, d)
	f.clear(t, alice)
	got := f.good(t, alice, logPage(scsi.LogProvisioning), nil)
	want := scsi.AppendLogPage(nil, scsi.LogProvisioning, []scsi.LogParameter{
		scsi.Resource{Code: scsi.AvailableResource, Sets: 5, Shared: true}.Parameter(), scsi.Resource{Code: scsi.UsedResource, Sets: 4}.Parameter(),
	})
	if !bytes.Equal(got, want) {
		t.Errorf("% X, want % X", got, want)
	}
	if pages := f.good(t, alice, logPage(0), nil); !slices.Contains(pages[4:], scsi.LogProvisioning) {
		t.Errorf("supported pages % X", pages)
	}
	f = setup(t, c, thick{ramdisk(t, testBlocks*testBlock)})
	f.clear(t, alice)
	f.bad(t, alice, logPage(scsi.LogProvisioning), nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
}

func TestAThresholdIsToldWhenItIsReached(t *testing.T) {
	d := &spacious{Device: ramdisk(t, testBlocks*testBlock)}
	d.available.Store(5 << 20)
	c := testConfig()
	c.Provisioning, c.AvailThreshold = scsi.ThinProvisioned, 5<<20
	f := setup(t, c, d)
	f.clear(t, alice, bob)
	f.good(t, alice, write10(0, 1), make([]byte, testBlock))
	eventually(t, "bob is told", func() bool {
		task, _ := f.do(t, bob, testUnitReady(), nil)
		if task.Status == scsi.StatusGood {
			return false
		}
		if task.Sense.ASC != scsi.ThinProvisioningSoftThresholdReached {
			t.Fatalf("told %v", task.Sense)
		}
		return true
	})
	f.bad(t, alice, testUnitReady(), nil, scsi.UnitAttention, scsi.ThinProvisioningSoftThresholdReached)
	f.good(t, alice, write10(0, 1), make([]byte, testBlock))
	f.good(t, bob, testUnitReady(), nil)
	page := f.good(t, alice, []byte{0x5A, 8, 0x1C, 2, 0, 0, 0, 0, 255, 0}, nil)
	if want := []byte{0x5C, 2, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x82, 1, 0, 0, 0, 0, 0, 5}; !bytes.Equal(page[8:], want) {
		t.Errorf("logical block provisioning mode page % X, want % X", page[8:], want)
	}
	if got := f.good(t, alice, inquiry(true, 0xB2, 255), nil); got[4] != scsi.ThresholdExponent {
		t.Errorf("threshold exponent %d", got[4])
	}
}
