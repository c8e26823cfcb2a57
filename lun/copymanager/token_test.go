package copymanager_test

import (
	"bytes"
	"testing"

	"github.com/tandem-san/tandem/scsi"
)

// populate makes a token and reads it.
func (a *array) populate(d *disk, list uint32, ranges ...scsi.Extent) []byte {
	a.t.Helper()
	out := scsi.PopulateToken{Ranges: ranges}.Append(nil)
	a.good(d, alice, third(0x83, 0x10, 6, list, len(out)), out)
	info := a.good(d, alice, third(0x84, 7, 2, list, 1024), nil)
	if len(info) != 32+4+2+scsi.RODTokenLength || info[5] != byte(scsi.CopyCompleted) {
		a.t.Fatalf("ROD token information % X", info[:min(len(info), 40)])
	}
	return info[38:]
}

func writeUsing(w scsi.WriteUsingToken) (cdb, out []byte) {
	out = w.Append(nil)
	return third(0x83, 0x11, 6, 9, len(out)), out
}

func TestATokenStandsForTheDataOfItsRanges(t *testing.T) {
	a := newArray(t, 512, 512, 512)
	from, to := a.disks[0], a.disks[1]
	a.fill(from, 0, 10, 1)
	a.fill(from, 100, 20, 2)
	token := a.populate(from, 7, scsi.Extent{LBA: 0, Count: 10}, scsi.Extent{LBA: 100, Count: 20})
	cdb, out := writeUsing(scsi.WriteUsingToken{Token: token, Offset: 5, Ranges: []scsi.Extent{{LBA: 1000, Count: 15}, {LBA: 2000, Count: 30}}})
	a.good(to, alice, cdb, out)
	a.holds(to, 1000, 5, 1)
	a.holds(to, 1005, 10, 2)
	a.holds(to, 2000, 10, 2)
	a.holds(to, 2010, 1, 0)
	info := a.good(to, alice, third(0x84, 7, 2, 9, 1024), nil)
	if info[15] != scsi.TransferBlocks || info[23] != 25 {
		t.Errorf("ROD token information % X", info[:32])
	}
	if all := a.good(to, bob, third(0x84, 8, 0, 0, 1024), nil); len(all) != 8+96 || !bytes.Equal(all[8:], token[:96]) {
		t.Errorf("all tokens % X", all)
	}
	cdb, out = writeUsing(scsi.WriteUsingToken{Token: token, Delete: true, Ranges: []scsi.Extent{{LBA: 0, Count: 1}}})
	a.good(to, alice, cdb, out)
	if all := a.good(to, bob, third(0x84, 8, 0, 0, 1024), nil); len(all) != 8 {
		t.Errorf("all tokens after it was deleted % X", all)
	}
}

func TestATokenCarriesNoRights(t *testing.T) {
	a := newArray(t, 512, 512, 512)
	to, hidden := a.disks[1], a.disks[2]
	token := a.populate(hidden, 7, scsi.Extent{LBA: 0, Count: 10})
	cdb, out := writeUsing(scsi.WriteUsingToken{Token: token, Ranges: []scsi.Extent{{LBA: 0, Count: 1}}})
	a.bad(to, alice, cdb, out, scsi.IllegalRequest, scsi.InvalidTokenUnknown)
}

func TestWrongTokensAreRefused(t *testing.T) {
	a := newArray(t, 512, 512, 512)
	to := a.disks[1]
	old := scsi.RODToken{ID: 1, Source: scsi.CSCD{Name: scsi.NAADesignator(to.id.NAA), BlockLength: blockSize}, Ranges: []scsi.Extent{{LBA: 0, Count: 1}}, Expires: 1}
	spoilt := a.populate(to, 1, scsi.Extent{LBA: 0, Count: 10})
	spoilt[280]++
	for _, tc := range []struct {
		token []byte
		asc   scsi.ASC
	}{{old.Append(nil), scsi.InvalidTokenExpired}, {spoilt, scsi.InvalidTokenUnknown}, {make([]byte, 512), scsi.InvalidTokenUnknown}} {
		cdb, out := writeUsing(scsi.WriteUsingToken{Token: tc.token, Ranges: []scsi.Extent{{LBA: 0, Count: 1}}})
		a.bad(to, alice, cdb, out, scsi.IllegalRequest, tc.asc)
	}
	good := a.populate(to, 2, scsi.Extent{LBA: 0, Count: 10})
	cdb, out := writeUsing(scsi.WriteUsingToken{Token: good, Ranges: []scsi.Extent{{LBA: blocks - 1, Count: 2}}})
	a.bad(to, alice, cdb, out, scsi.IllegalRequest, scsi.LBAOutOfRange)
	cdb, out = writeUsing(scsi.WriteUsingToken{Token: good, Offset: 10, Ranges: []scsi.Extent{{LBA: 0, Count: 1}}})
	a.bad(to, alice, cdb, out, scsi.IllegalRequest, scsi.InvalidFieldInParameterList)
	list := scsi.PopulateToken{Ranges: []scsi.Extent{{LBA: blocks, Count: 1}}}.Append(nil)
	a.bad(to, alice, third(0x83, 0x10, 6, 3, len(list)), list, scsi.IllegalRequest, scsi.LBAOutOfRange)
}

func TestTheTokenOfZeroesWritesZeroes(t *testing.T) {
	a := newArray(t, 512, 512, 512)
	to := a.disks[1]
	a.fill(to, 0, 100, 3)
	cdb, out := writeUsing(scsi.WriteUsingToken{Token: scsi.AppendZeroRODToken(nil), Ranges: []scsi.Extent{{LBA: 10, Count: 50}}})
	a.good(to, alice, cdb, out)
	a.holds(to, 0, 10, 3)
	a.holds(to, 10, 50, 0)
	a.holds(to, 60, 40, 3)
}

// FuzzParameterList sends anything as the parameter list of each command: it
// completes, and another logical unit is not touched.
func FuzzParameterList(f *testing.F) {
	f.Add(byte(0), []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	id := scsi.CSCD{Name: scsi.NAADesignator(scsi.Identify("beast", "disk", 0).NAA)}
	l := scsi.CopyList{ListID: 1, CSCDs: []scsi.CSCD{id}, Segments: []scsi.Segment{{Kind: scsi.SegmentBlocks, Blocks: 3, ToLBA: 9}}}
	f.Add(byte(0), l.Append(nil, false))
	f.Add(byte(1), l.Append(nil, true))
	f.Add(byte(2), scsi.PopulateToken{Ranges: []scsi.Extent{{LBA: 0, Count: 4}}}.Append(nil))
	token := scsi.RODToken{Source: scsi.CSCD{Name: id.Name, BlockLength: 512}, Ranges: []scsi.Extent{{LBA: 0, Count: 4}}, Expires: 1 << 40}.Append(nil)
	f.Add(byte(3), scsi.WriteUsingToken{Token: token, Ranges: []scsi.Extent{{LBA: 8, Count: 4}}}.Append(nil))
	f.Fuzz(func(t *testing.T, action byte, list []byte) {
		if len(list) > 8192 {
			return
		}
		a := newArray(t, 512, 512)
		a.do(a.disks[0], alice, third(0x83, []byte{0, 1, 0x10, 0x11}[action%4], 6, 1, len(list)), list)
		if n := a.disks[1].device.writes.Load(); n != 0 {
			t.Fatalf("%d writes to a logical unit that is not seen", n)
		}
	})
}
