package lun_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// cdConfig is that of a CD.
func cdConfig() lun.Config {
	c := testConfig()
	c.DeviceType, c.BlockSize = scsi.DeviceTypeMultimedia, scsi.MultimediaBlock
	return c
}

func TestACDIsOne(t *testing.T) {
	f := ready(t, cdConfig())
	q, err := scsi.DecodeStandardInquiry(f.good(t, alice, inquiry(false, 0, 96), nil))
	if err != nil || q.DeviceType != scsi.DeviceTypeMultimedia || !q.Removable || q.ThirdPartyCopy {
		t.Errorf("%+v, %v", q, err)
	}
	pages := f.good(t, alice, inquiry(true, 0, 255), nil)
	if pages[0] != scsi.DeviceTypeMultimedia || slices.Contains(pages[4:], scsi.VPDBlockLimits) {
		t.Errorf("VPD pages % X", pages)
	}
	const blocks = testBlocks * testBlock / scsi.MultimediaBlock
	c, err := scsi.DecodeCapacity10(f.good(t, alice, cdb10(0x25, 0, 0, 0), nil))
	if err != nil || c.BlockLength != scsi.MultimediaBlock || c.LastLBA != blocks-1 {
		t.Errorf("%+v, %v", c, err)
	}
	if got := f.good(t, alice, read10(3, 2), nil); len(got) != 2*scsi.MultimediaBlock {
		t.Errorf("%d bytes of two blocks", len(got))
	}
	f.bad(t, alice, write10(0, 1), make([]byte, scsi.MultimediaBlock), scsi.IllegalRequest, scsi.InvalidCommandOperationCode)
	if page := f.good(t, alice, []byte{0x5A, 8, 0x2A, 0, 0, 0, 0, 0, 255, 0}, nil); page[3]&0x80 == 0 || page[8] != 0x2A {
		t.Errorf("MODE SENSE % X", page)
	}
	toc := f.good(t, alice, []byte{0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0}, nil)
	if want := binary.BigEndian.AppendUint32([]byte{0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xAA, 0}, blocks); !bytes.Equal(toc, want) {
		t.Errorf("table of contents % X, want % X", toc, want)
	}
	f.bad(t, alice, []byte{0x43, 0, 0, 0, 0, 0, 2, 0, 255, 0}, nil, scsi.IllegalRequest, scsi.InvalidFieldInCDB)
	f.good(t, alice, eject, nil)
	f.bad(t, alice, []byte{0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0}, nil, scsi.NotReady, scsi.MediumNotPresent)
	for _, tc := range []struct {
		cdb  []byte
		want []byte
	}{
		{[]byte{0x4A, 1, 0, 0, 0x10, 0, 0, 0, 255, 0}, []byte{0, 6, 4, 0x10, 0, 1, 0, 0}},
		{[]byte{0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0}, []byte{0, 0x10, 0, 0, 0, 0, 0, 0}},
		{[]byte{0x46, 2, 0, 3, 0, 0, 0, 0, 255, 0}, []byte{0, 0, 0, 12, 0, 0, 0, 0, 0, 3, 3, 4, 0x29, 0, 0, 0}},
	} {
		if got := f.good(t, alice, tc.cdb, nil); !bytes.Equal(got, tc.want) {
			t.Errorf("%s: % X, want % X", name(tc.cdb), got, tc.want)
		}
	}
}

func TestADiskHasNoCommandsOfCDs(t *testing.T) {
	f := ready(t, testConfig())
	f.bad(t, alice, []byte{0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0}, nil, scsi.IllegalRequest, scsi.InvalidCommandOperationCode)
}
