package copymanager

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// populateToken carries out POPULATE TOKEN (SBC-4 §5.10). The token is a
// reference: nothing is copied, and all there is to know is in the token, so
// that every controller understands it.
func (u *Unit) populateToken(t *lun.Task) {
	n := int(scsi.CDB(t.CDB).AllocationLength())
	if n == 0 {
		t.Transport.CommandComplete(t)
		return
	}
	p, err := scsi.DecodePopulateToken(t.DataOut[:n])
	if err != nil {
		fail(t, err)
		return
	}
	o := u.newOperation(t, scsi.CDB(t.CDB).Uint32(6), true)
	o.status.Units = scsi.TransferBlocks
	o.start(p.Immediate, func() error {
		if err := o.onMedium(p.Ranges); err != nil {
			return err
		}
		if p.Timeout == 0 {
			p.Timeout = scsi.DefaultTokenSeconds
		}
		var id [8]byte
		rand.Read(id[:])
		token := scsi.RODToken{
			ID:      binary.BigEndian.Uint64(id[:]),
			Source:  scsi.CSCD{DeviceType: scsi.DeviceTypeDisk, Name: u.names[0], BlockLength: u.blockSize},
			Ranges:  p.Ranges,
			Expires: uint64(time.Now().Unix()) + uint64(p.Timeout),
		}
		o.made(token)
		return nil
	})
}

// made notes the token that the operation has made.
func (o *operation) made(r scsi.RODToken) {
	b := r.Append(nil)
	o.manager.keepToken(token{b, r.Expires})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.status.Token, o.status.Transferred = b, r.Blocks()
}

// onMedium reports an error unless all ranges are on the medium.
func (o *operation) onMedium(ranges []scsi.Extent) error {
	blocks, err := o.blocks(o.unit)
	if err != nil {
		return err
	}
	for _, e := range ranges {
		if e.LBA > blocks || uint64(e.Count) > blocks-e.LBA {
			return scsi.BeyondEnd(max(e.LBA, blocks))
		}
	}
	return nil
}

// writeUsingToken carries out WRITE USING TOKEN (SBC-4 §5.49).
func (u *Unit) writeUsingToken(t *lun.Task) {
	n := int(scsi.CDB(t.CDB).AllocationLength())
	if n == 0 {
		t.Transport.CommandComplete(t)
		return
	}
	w, err := scsi.DecodeWriteUsingToken(t.DataOut[:n])
	if err != nil {
		fail(t, err)
		return
	}
	w.Token = bytes.Clone(w.Token)
	o := u.newOperation(t, scsi.CDB(t.CDB).Uint32(6), true)
	o.status.Units = scsi.TransferBlocks
	o.start(w.Immediate, func() error {
		if err := o.onMedium(w.Ranges); err != nil {
			return err
		}
		if scsi.IsZeroRODToken(w.Token) {
			return o.writeZeroes(w.Ranges)
		}
		return o.writeToken(w)
	})
}

// writeToken writes what a token stands for, from its OFFSET INTO ROD on. Less
// than the ranges is written when the token has no more.
func (o *operation) writeToken(w scsi.WriteUsingToken) error {
	r, err := scsi.DecodeRODToken(w.Token)
	if err != nil {
		return scsi.Illegal(scsi.InvalidTokenUnknown)
	}
	if r.Expires <= uint64(time.Now().Unix()) {
		return scsi.Illegal(scsi.InvalidTokenExpired)
	}
	from := o.manager.find(o.nexus.TargetPort, r.Source.Name)
	if from == nil || from.blockSize != r.Source.BlockLength {
		return scsi.Illegal(scsi.InvalidTokenUnknown)
	}
	if from.blockSize != o.unit.blockSize {
		return failure(scsi.IncorrectCopyTargetDeviceType)
	}
	if w.Offset >= r.Blocks() {
		return scsi.InvalidParameterField(8)
	}
	source := skip(r.Ranges, w.Offset)
	bs := uint64(from.blockSize)
	for _, e := range w.Ranges {
		for to := e; to.Count > 0 && len(source) > 0; {
			n := min(source[0].Count, to.Count)
			size := uint64(n) * bs
			if err := o.copy(span{from, source[0].LBA * bs, size}, span{o.unit, to.LBA * bs, size}); err != nil {
				return err
			}
			to = scsi.Extent{LBA: to.LBA + uint64(n), Count: to.Count - n}
			source = skip(source, uint64(n))
		}
	}
	if w.Delete {
		o.manager.mu.Lock()
		o.manager.dropTokens(w.Token)
		o.manager.mu.Unlock()
	}
	return nil
}

// skip drops the first n logical blocks of a list of ranges.
func skip(ranges []scsi.Extent, n uint64) []scsi.Extent {
	for len(ranges) > 0 && n >= uint64(ranges[0].Count) {
		n -= uint64(ranges[0].Count)
		ranges = ranges[1:]
	}
	if n == 0 || len(ranges) == 0 {
		return ranges
	}
	first := scsi.Extent{LBA: ranges[0].LBA + n, Count: ranges[0].Count - uint32(n)}
	return append([]scsi.Extent{first}, ranges[1:]...)
}

// writeZeroes writes zeroes with WRITE SAME(16).
func (o *operation) writeZeroes(ranges []scsi.Extent) error {
	const ndob, most = 0x01, lun.DefaultMaxWriteSame
	for _, e := range ranges {
		for e.Count > 0 {
			n := min(e.Count, most)
			t, err := o.send(o.unit, cdb16(0x93, ndob, e.LBA, n), nil, 0)
			if err != nil {
				return err
			}
			t.Release()
			o.progress(uint64(n)*uint64(o.unit.blockSize), 0)
			e = scsi.Extent{LBA: e.LBA + uint64(n), Count: e.Count - n}
		}
	}
	return nil
}
