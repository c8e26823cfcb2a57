package scsi

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// RODTokenLength is the length of a ROD token, in bytes.
const RODTokenLength = 512

// Limits of tokens.
const (
	// MaxRODRanges is how many ranges of logical blocks a token stands for, or is
	// written to.
	MaxRODRanges = 16
	// DefaultTokenSeconds and MaxTokenSeconds are the INACTIVITY TIMEOUTs.
	DefaultTokenSeconds = 60
	MaxTokenSeconds     = 600
)

// RODType is the type of a ROD (SPC-5 table 111).
type RODType uint32

// Types of ROD.
const (
	// RODAccessUponReference: the data is read when the token is used, and is
	// what it is then.
	RODAccessUponReference RODType = 0x00010000
	// RODZero stands for zeroes, however many are asked for (SBC-4 §4.28.3).
	RODZero RODType = 0xFFFF0001
)

// RODToken is a representation of data (SPC-5 §5.16.6). It carries all there is
// to know, so that every controller understands it, and no rights: whoever uses
// it must be able to read the data.
type RODToken struct {
	ID uint64
	// Source is the logical unit; Ranges are its logical blocks.
	Source CSCD
	Ranges []Extent
	// Expires is in seconds since 1970-01-01 UTC.
	Expires uint64
}

// Places in a token. What follows tokenOwn is our own.
const (
	tokenBody   = 8 // ROD TOKEN LENGTH counts from here
	tokenSource = 16
	tokenBytes  = 48
	tokenDevice = 96
	tokenTarget = 128
	tokenOwn    = 256
	tokenRanges = tokenOwn + 16
	tokenSum    = RODTokenLength - sha256.Size
)

// tokenVersion is that of what is our own in a token.
const tokenVersion = 1

// ErrToken is what decoding a token answers that was not made by Append.
var ErrToken = errors.New("not a ROD token of this copy manager")

// Blocks is how many logical blocks the token stands for.
func (t RODToken) Blocks() (n uint64) {
	for _, e := range t.Ranges {
		n += uint64(e.Count)
	}
	return n
}

// Append appends the token. Ranges are at most MaxRODRanges.
func (t RODToken) Append(b []byte) []byte {
	var d [RODTokenLength]byte
	binary.BigEndian.PutUint32(d[0:], uint32(RODAccessUponReference))
	binary.BigEndian.PutUint16(d[6:], RODTokenLength-tokenBody)
	binary.BigEndian.PutUint64(d[8:], t.ID)
	copy(d[tokenSource:], t.Source.Append(nil))
	binary.BigEndian.PutUint64(d[tokenBytes+8:], t.Blocks()*uint64(t.Source.BlockLength))
	binary.BigEndian.PutUint32(d[tokenDevice:], t.Source.BlockLength)
	copy(d[tokenTarget:], t.Source.Name.Append(nil))
	d[tokenOwn], d[tokenOwn+1] = tokenVersion, uint8(len(t.Ranges))
	binary.BigEndian.PutUint64(d[tokenOwn+8:], t.Expires)
	at := tokenRanges
	for _, e := range t.Ranges {
		binary.BigEndian.PutUint64(d[at:], e.LBA)
		binary.BigEndian.PutUint32(d[at+8:], e.Count)
		at += 12
	}
	sum := sha256.Sum256(d[:tokenSum])
	copy(d[tokenSum:], sum[:])
	return append(b, d[:]...)
}

// DecodeRODToken reads a token that Append made.
func DecodeRODToken(b []byte) (RODToken, error) {
	if len(b) != RODTokenLength {
		return RODToken{}, ErrToken
	}
	sum := sha256.Sum256(b[:tokenSum])
	n := int(b[tokenOwn+1])
	if !bytes.Equal(sum[:], b[tokenSum:]) || b[tokenOwn] != tokenVersion || n == 0 || n > MaxRODRanges {
		return RODToken{}, ErrToken
	}
	source, err := decodeCSCD(b[tokenSource:tokenSource+cscdLength], tokenSource)
	if err != nil || source.BlockLength == 0 {
		return RODToken{}, ErrToken
	}
	t := RODToken{ID: binary.BigEndian.Uint64(b[8:]), Source: source, Expires: binary.BigEndian.Uint64(b[tokenOwn+8:])}
	for at := tokenRanges; n > 0; n, at = n-1, at+12 {
		t.Ranges = append(t.Ranges, Extent{LBA: binary.BigEndian.Uint64(b[at:]), Count: binary.BigEndian.Uint32(b[at+8:])})
	}
	return t, nil
}

// AppendZeroRODToken appends the token that stands for zeroes.
func AppendZeroRODToken(b []byte) []byte {
	var d [RODTokenLength]byte
	binary.BigEndian.PutUint32(d[0:], uint32(RODZero))
	binary.BigEndian.PutUint16(d[6:], RODTokenLength-tokenBody)
	return append(b, d[:]...)
}

// IsZeroRODToken reports whether a token stands for zeroes.
func IsZeroRODToken(b []byte) bool {
	return len(b) >= 4 && RODType(binary.BigEndian.Uint32(b)) == RODZero
}

const (
	populateHeaderLength   = 16
	writeTokenHeaderLength = 536
	rangeLength            = 16

	// MaxTokenList is the longest parameter list of POPULATE TOKEN and WRITE
	// USING TOKEN, in bytes.
	MaxTokenList = writeTokenHeaderLength + MaxRODRanges*rangeLength
)

// PopulateToken is the parameter list of POPULATE TOKEN (SBC-4 §5.10).
type PopulateToken struct {
	Immediate bool
	// Timeout is the INACTIVITY TIMEOUT in seconds, 0 for the default.
	Timeout uint32
	Ranges  []Extent
}

// DecodePopulateToken reads the parameter list; what is wrong is answered as
// Sense.
func DecodePopulateToken(b []byte) (PopulateToken, error) {
	if len(b) < populateHeaderLength {
		return PopulateToken{}, Illegal(ParameterListLengthError)
	}
	p := PopulateToken{Immediate: b[2]&1 != 0, Timeout: binary.BigEndian.Uint32(b[4:])}
	if p.Timeout > MaxTokenSeconds {
		return PopulateToken{}, InvalidParameterField(4)
	}
	if rtv := b[2]&2 != 0; rtv && RODType(binary.BigEndian.Uint32(b[8:])) != RODAccessUponReference {
		return PopulateToken{}, InvalidParameterField(8)
	}
	var err error
	p.Ranges, err = decodeRanges(b, populateHeaderLength)
	return p, err
}

// Append appends the parameter list.
func (p PopulateToken) Append(b []byte) []byte {
	h := make([]byte, populateHeaderLength)
	if p.Immediate {
		h[2] = 1
	}
	binary.BigEndian.PutUint32(h[4:], p.Timeout)
	return append(b, appendRanges(h, p.Ranges)...)
}

// WriteUsingToken is the parameter list of WRITE USING TOKEN (SBC-4 §5.49).
type WriteUsingToken struct {
	Immediate bool
	Delete    bool   // DEL_TKN
	Offset    uint64 // OFFSET INTO ROD, in logical blocks
	Token     []byte // RODTokenLength bytes
	Ranges    []Extent
}

// DecodeWriteUsingToken reads the parameter list; what is wrong is answered as
// Sense. Token is a part of b.
func DecodeWriteUsingToken(b []byte) (WriteUsingToken, error) {
	if len(b) < writeTokenHeaderLength {
		return WriteUsingToken{}, Illegal(ParameterListLengthError)
	}
	ranges, err := decodeRanges(b, writeTokenHeaderLength)
	return WriteUsingToken{
		Immediate: b[2]&1 != 0, Delete: b[2]&2 != 0,
		Offset: binary.BigEndian.Uint64(b[8:]), Token: b[16 : 16+RODTokenLength], Ranges: ranges,
	}, err
}

// Append appends the parameter list.
func (w WriteUsingToken) Append(b []byte) []byte {
	h := make([]byte, writeTokenHeaderLength)
	if w.Immediate {
		h[2] |= 1
	}
	if w.Delete {
		h[2] |= 2
	}
	binary.BigEndian.PutUint64(h[8:], w.Offset)
	copy(h[16:16+RODTokenLength], w.Token)
	return append(b, appendRanges(h, w.Ranges)...)
}

// decodeRanges reads the block device range descriptors behind a header, whose
// first field is the length of what follows it, and whose last is that of the
// descriptors. They must not overlap.
func decodeRanges(b []byte, header int) ([]Extent, error) {
	n := int(binary.BigEndian.Uint16(b[header-2:]))
	switch {
	case int(binary.BigEndian.Uint16(b)) < header-2+n:
		return nil, InvalidParameterField(0)
	case n == 0 || n%rangeLength != 0:
		return nil, InvalidParameterField(header - 2)
	case n/rangeLength > MaxRODRanges:
		return nil, Illegal(TooManySegmentDescriptors)
	case len(b) < header+n:
		return nil, Illegal(ParameterListLengthError)
	}
	var ranges []Extent
	for at := header; at < header+n; at += rangeLength {
		e := Extent{LBA: binary.BigEndian.Uint64(b[at:]), Count: binary.BigEndian.Uint32(b[at+8:])}
		if e.LBA+uint64(e.Count) < e.LBA {
			return nil, BeyondEnd(e.LBA)
		}
		for _, o := range ranges {
			if e.LBA < o.LBA+uint64(o.Count) && o.LBA < e.LBA+uint64(e.Count) {
				return nil, InvalidParameterField(at)
			}
		}
		ranges = append(ranges, e)
	}
	return ranges, nil
}

func appendRanges(h []byte, ranges []Extent) []byte {
	binary.BigEndian.PutUint16(h, uint16(len(h)-2+rangeLength*len(ranges)))
	binary.BigEndian.PutUint16(h[len(h)-2:], uint16(rangeLength*len(ranges)))
	for _, e := range ranges {
		h = binary.BigEndian.AppendUint64(h, e.LBA)
		h = binary.BigEndian.AppendUint32(h, e.Count)
		h = append(h, 0, 0, 0, 0)
	}
	return h
}

// managementTokenLength is how much of a token REPORT ALL ROD TOKENS tells.
const managementTokenLength = 96

// AppendAllRODTokens appends REPORT ALL ROD TOKENS parameter data
// (SPC-5 §6.31).
func AppendAllRODTokens(b []byte, tokens [][]byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(4+managementTokenLength*len(tokens)))
	b = append(b, 0, 0, 0, 0)
	for _, t := range tokens {
		b = append(b, t[:managementTokenLength]...)
	}
	return b
}

// blockRODLimits is the block device ROD token limits descriptor of the
// third-party copy page.
func blockRODLimits() []byte {
	d := make([]byte, 32)
	binary.BigEndian.PutUint16(d[6:], MaxRODRanges)
	binary.BigEndian.PutUint32(d[8:], MaxTokenSeconds)
	binary.BigEndian.PutUint32(d[12:], DefaultTokenSeconds)
	return d
}

// rodTokenFeatures is the ROD token features descriptor, with those of block
// devices.
func rodTokenFeatures() []byte {
	const block = 48
	d := make([]byte, 44+block)
	binary.BigEndian.PutUint32(d[12:], 1)
	binary.BigEndian.PutUint32(d[16:], MaxTokenSeconds)
	binary.BigEndian.PutUint32(d[20:], MaxTokenSeconds)
	binary.BigEndian.PutUint16(d[42:], block)
	binary.BigEndian.PutUint16(d[44+2:], block-4)
	return d
}

// rodTypes is the supported ROD token and ROD types descriptor.
func rodTypes() []byte {
	const in, out, length = 0x02, 0x01, 64
	d := []byte{0, 0, 0, 2 * length}
	for _, t := range []struct {
		kind  RODType
		flags byte
	}{{RODAccessUponReference, in | out}, {RODZero, in}} {
		e := make([]byte, length)
		binary.BigEndian.PutUint32(e, uint32(t.kind))
		e[4] = t.flags
		d = append(d, e...)
	}
	return d
}
