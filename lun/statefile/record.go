package statefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
)

// The format.
const (
	magic      = "TANDEMLU"
	version    = 1
	headerSize = 48
	// MaxSize is the largest file, in bytes.
	MaxSize = 5 << 20
)

// ErrDamaged: the bytes are not a record that Encode made.
var ErrDamaged = errors.New("the state is damaged")

// Record is the state of one logical unit with its place in the order of its
// states.
type Record struct {
	// Owner is the controller that keeps it, in words.
	Owner string `json:"owner"`
	// LUN is the name of the logical unit.
	LUN string   `json:"lun"`
	At  ha.Stamp `json:"at"`
	// State is the zero State when there was none yet.
	State lun.State `json:"state,omitzero"`
}

// Encode gives the bytes of a file.
func (r Record) Encode() []byte {
	body, err := json.Marshal(r)
	if err != nil {
		panic("statefile: a record does not encode: " + err.Error())
	}
	return frame(body)
}

// frame puts the header before a record.
func frame(body []byte) []byte {
	b := make([]byte, 0, headerSize+len(body))
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, version)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	sum := sha256.Sum256(body)
	return append(append(b, sum[:]...), body...)
}

// Decode reads what Encode made. Every error is ErrDamaged, wrapped with what
// is wrong.
func Decode(b []byte) (Record, error) {
	damaged := func(format string, args ...any) (Record, error) {
		return Record{}, fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
	}
	switch {
	case len(b) > MaxSize:
		return damaged("more than %d bytes", MaxSize)
	case len(b) < headerSize:
		return damaged("%d bytes, which is no header", len(b))
	case string(b[:8]) != magic:
		return damaged("it begins with %q, expected %q", b[:8], magic)
	}
	if v := binary.BigEndian.Uint32(b[8:]); v != version {
		return damaged("version %d, expected %d", v, version)
	}
	body := b[headerSize:]
	if n := binary.BigEndian.Uint32(b[12:]); uint64(n) != uint64(len(body)) {
		return damaged("%d bytes after the header, expected %d", len(body), n)
	}
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], b[16:headerSize]) {
		return damaged("the checksum does not fit")
	}
	var raw struct {
		Record
		State json.RawMessage `json:"state"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return damaged("%v", err)
	}
	r := raw.Record
	if len(raw.State) > 0 {
		s, err := lun.DecodeState(raw.State)
		if err != nil {
			return damaged("%v", err)
		}
		r.State = s
	}
	return r, nil
}
