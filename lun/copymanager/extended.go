package copymanager

import (
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// extendedCopy carries out EXTENDED COPY(LID1) or (LID4).
func (u *Unit) extendedCopy(t *lun.Task, long bool) {
	n := int(scsi.CDB(t.CDB).AllocationLength())
	if n == 0 {
		t.Transport.CommandComplete(t)
		return
	}
	l, err := scsi.DecodeCopyList(t.DataOut[:n], long)
	if err != nil {
		fail(t, err)
		return
	}
	o := u.newOperation(t, l.ListID, l.Usage != scsi.ListIDNone)
	o.start(l.Immediate, func() error {
		for _, s := range l.Segments {
			if err := o.segment(l, s); err != nil {
				return err
			}
			o.progress(0, 1)
		}
		return nil
	})
}

// member finds the logical unit that an index of a segment means: one that the
// nexus sees through its port.
func (o *operation) member(l scsi.CopyList, index uint16) (*Unit, error) {
	if index == scsi.ThisCSCD {
		return o.unit, nil
	}
	if int(index) >= len(l.CSCDs) {
		return nil, failure(scsi.UnreachableCopyTarget)
	}
	c := l.CSCDs[index]
	u := o.manager.find(o.nexus.TargetPort, c.Name)
	if u == nil {
		return nil, failure(scsi.CopyTargetDeviceNotReachable)
	}
	if c.DeviceType != scsi.DeviceTypeDisk || c.BlockLength != 0 && c.BlockLength != u.blockSize {
		return nil, failure(scsi.IncorrectCopyTargetDeviceType)
	}
	return u, nil
}

// segment carries out a segment.
func (o *operation) segment(l scsi.CopyList, s scsi.Segment) error {
	from, err := o.member(l, s.From)
	if err != nil {
		return err
	}
	if s.Kind == scsi.SegmentVerify {
		return o.verify(from, s.Ready)
	}
	to, err := o.member(l, s.To)
	if err != nil {
		return err
	}
	fbs, tbs := uint64(from.blockSize), uint64(to.blockSize)
	size := uint64(s.Blocks) * fbs
	switch {
	case s.Kind == scsi.SegmentOffset:
		size = uint64(s.Bytes)
	case s.OfDestination:
		size = uint64(s.Blocks) * tbs
	}
	if size > scsi.MaxSegment {
		return failure(scsi.CopySegmentGranularityViolation)
	}
	if err := o.inside(from, s.FromLBA, uint64(s.FromOff), size); err != nil {
		return err
	}
	if err := o.inside(to, s.ToLBA, uint64(s.ToOff), size); err != nil {
		return err
	}
	src := span{from, s.FromLBA*fbs + uint64(s.FromOff), size}
	dst := span{to, s.ToLBA*tbs + uint64(s.ToOff), size}
	// Parts of logical blocks are not copied.
	if src.at%fbs != 0 || dst.at%tbs != 0 || size%fbs != 0 || size%tbs != 0 {
		return failure(scsi.CopySegmentGranularityViolation)
	}
	return o.copy(src, dst)
}

// inside reports an error unless so many bytes, off bytes into a logical block,
// are on the medium: nothing is copied of a segment that is not.
func (o *operation) inside(u *Unit, lba, off, size uint64) error {
	blocks, err := o.blocks(u)
	if err != nil {
		return err
	}
	bs := uint64(u.blockSize)
	if lba > blocks || (blocks-lba)*bs < off+size {
		return failure(scsi.NoAdditionalSenseInformation)
	}
	return nil
}

// verify is a segment that asks whether a CSCD is there, and ready.
func (o *operation) verify(u *Unit, ready bool) error {
	if !ready {
		return nil
	}
	t, err := o.send(u, make([]byte, 6), nil, 0)
	if err == nil {
		t.Release()
	}
	return err
}

// fail ends a task with sense data.
func fail(t *lun.Task, err error) {
	t.Status, t.Sense = scsi.StatusCheckCondition, err.(scsi.Sense)
	t.Transport.CommandComplete(t)
}
