package iscsi

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// What a Reader finds wrong with a PDU, apart from errors of its source; test
// with errors.Is.
var (
	// ErrHeaderDigest: the stream can no longer be trusted (§7.7).
	ErrHeaderDigest = errors.New("header digest error")
	// ErrDataDigest: the data segment is spoilt, the stream goes on (§7.8).
	ErrDataDigest = errors.New("data digest error")
	// ErrTooLong: the data segment is longer than this side accepts.
	ErrTooLong = errors.New("data segment longer than MaxRecvDataSegmentLength")
)

// Reader takes PDUs off a stream through one buffer. It is for one goroutine.
type Reader struct {
	src     io.Reader
	buf     []byte
	r, w    int // buf[r:w] has been read and not been used
	digests Digests
	maxData int

	header  BHS
	ahs     []byte
	pending bool // the data segment of header is still to come
}

// NewReader reads from src with a buffer of size bytes, at least 2 KiB, and
// accepts data segments up to maxData bytes. No digests are expected.
func NewReader(src io.Reader, size, maxData int) *Reader {
	return &Reader{src: src, buf: make([]byte, max(size, 2<<10)), maxData: maxData}
}

// Resize makes the buffer size bytes, or as large as what it holds.
func (r *Reader) Resize(size int) {
	b := make([]byte, max(size, 2<<10, r.w-r.r))
	r.w = copy(b, r.buf[r.r:r.w])
	r.r = 0
	r.buf = b
}

// SetDigests says which digests the PDUs to come carry. The data segment of
// the PDU at hand must have been taken.
func (r *Reader) SetDigests(d Digests) { r.digests = d }

// SetMaxDataSegmentLength changes how long a data segment may be, in bytes.
func (r *Reader) SetMaxDataSegmentLength(n int) { r.maxData = n }

// Ready tells whether the whole next PDU is in the buffer, so that it can be
// taken without waiting for the source.
func (r *Reader) Ready() bool {
	next := r.r
	if r.pending {
		next += r.segment(&r.header)
	}
	have := r.w - next
	if have < BHSLength {
		return false
	}
	h := (*BHS)(r.buf[next:])
	n := BHSLength + h.AHSLength()
	if r.digests.Header == CRC32C {
		n += digestLength
	}
	return have >= n+r.segment(h)
}

// Whole tells whether the data segment of the PDU at hand, if it has one, is in
// the buffer.
func (r *Reader) Whole() bool { return !r.pending || r.w-r.r >= r.segment(&r.header) }

// segment is how many bytes follow the header h and its AHS: data, padding
// and digest.
func (r *Reader) segment(h *BHS) int {
	n := h.DataSegmentLength()
	if n == 0 {
		return 0
	}
	n += padLength(n)
	if r.digests.Data == CRC32C {
		n += digestLength
	}
	return n
}

// PeekHeader gives the next header without taking it, and before its AHS and
// data segment have come, so that a PDU can be refused by its opcode. It is
// good until the next call of any method; digests are not looked at. A data
// segment that was not taken is discarded.
func (r *Reader) PeekHeader() (*BHS, error) {
	if err := r.Discard(); err != nil {
		return nil, err
	}
	if err := r.need(BHSLength); err != nil {
		return nil, err
	}
	return (*BHS)(r.buf[r.r:]), nil
}

// ReadHeader reads the next header and its AHS; both are good until the next
// ReadHeader. A data segment that was not taken is discarded. io.EOF means
// that the stream ended between PDUs. With ErrHeaderDigest the stream cannot
// be read on; with ErrTooLong it is not worth it, but the header is returned
// so that it can be rejected.
func (r *Reader) ReadHeader() (h *BHS, ahs []byte, err error) {
	if err := r.Discard(); err != nil && !errors.Is(err, ErrDataDigest) {
		return nil, nil, err
	}
	if err := r.need(BHSLength); err != nil {
		return nil, nil, err
	}
	h = &r.header
	copy(h[:], r.buf[r.r:])
	n := BHSLength + h.AHSLength()
	total := n
	if r.digests.Header == CRC32C {
		total += digestLength
	}
	if err := r.need(total); err != nil {
		return nil, nil, noEOF(err)
	}
	part := r.buf[r.r : r.r+total]
	if r.digests.Header == CRC32C && crc32.Checksum(part[:n], castagnoli) != getDigest(part[n:]) {
		return nil, nil, ErrHeaderDigest
	}
	r.ahs = append(r.ahs[:0], part[BHSLength:n]...)
	r.r += total
	if h.DataSegmentLength() > r.maxData {
		return h, r.ahs, fmt.Errorf("%w: %s of %d bytes, at most %d", ErrTooLong, h.Opcode(), h.DataSegmentLength(), r.maxData)
	}
	r.pending = h.DataSegmentLength() > 0
	return h, r.ahs, nil
}

// ReadData reads the data segment into dst, whose length is
// DataSegmentLength. What is not in the buffer yet is read straight into dst.
func (r *Reader) ReadData(dst []byte) error {
	if !r.pending {
		return nil
	}
	r.pending = false
	n := copy(dst, r.buf[r.r:r.w])
	r.r += n
	if n < len(dst) {
		if _, err := io.ReadFull(r.src, dst[n:]); err != nil {
			return noEOF(err)
		}
	}
	return r.trailer(dst)
}

// trailer takes padding and digest of the data segment b and checks them.
func (r *Reader) trailer(b []byte) error {
	pad := padLength(len(b))
	total := pad
	if r.digests.Data == CRC32C {
		total += digestLength
	}
	if err := r.need(total); err != nil {
		return noEOF(err)
	}
	part := r.buf[r.r : r.r+total]
	r.r += total
	if r.digests.Data != CRC32C {
		return nil
	}
	crc := crc32.Checksum(b, castagnoli)
	if crc32.Update(crc, castagnoli, part[:pad]) != getDigest(part[pad:]) {
		return ErrDataDigest
	}
	return nil
}

// Data reads the data segment and gives it in place, good until the next call
// of any method; nil when there is none. One that is larger than the buffer
// is allocated.
func (r *Reader) Data() ([]byte, error) {
	if !r.pending {
		return nil, nil
	}
	n := r.header.DataSegmentLength()
	total := r.segment(&r.header)
	if total > len(r.buf) {
		b := make([]byte, n)
		return b, r.ReadData(b)
	}
	r.pending = false
	// The trailer is made sure of first: reading it later could move the data.
	if err := r.need(total); err != nil {
		return nil, noEOF(err)
	}
	b := r.buf[r.r : r.r+n : r.r+n]
	r.r += n
	return b, r.trailer(b)
}

// Discard skips the data segment of the PDU at hand, if it was not taken. Its
// digest is not looked at.
func (r *Reader) Discard() error {
	if !r.pending {
		return nil
	}
	r.pending = false
	n := r.segment(&r.header)
	for n > 0 {
		if r.r == r.w {
			if err := r.need(1); err != nil {
				return noEOF(err)
			}
		}
		k := min(n, r.w-r.r)
		r.r += k
		n -= k
	}
	return nil
}

// need makes buf[r:] hold at least n bytes, n <= len(buf). io.EOF means that
// there was nothing at all.
func (r *Reader) need(n int) error {
	if r.w-r.r >= n {
		return nil
	}
	if r.r == r.w {
		r.r, r.w = 0, 0
	} else if r.r+n > len(r.buf) {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	for r.w-r.r < n {
		k, err := r.src.Read(r.buf[r.w:])
		r.w += k
		if err != nil && r.w-r.r < n {
			if err == io.EOF && r.w > r.r {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// noEOF turns an end of the stream inside a PDU into io.ErrUnexpectedEOF.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
