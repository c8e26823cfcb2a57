package reserve

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Key is a reservation key (SPC-5 §5.14.7); never 0, which is no key.
type Key uint64

// KeyOf is the key of a controller: 7 bytes that the name of its cluster gives,
// and its id, 1 to 255, as the last one.
func KeyOf(cluster string, node uint8) Key {
	if node == 0 {
		panic("reserve: controller 0 has no key")
	}
	sum := sha256.Sum256([]byte("tandem reservation key\x00" + cluster))
	return Key(binary.BigEndian.Uint64(sum[:8])&^0xff | uint64(node))
}

// String gives the key as sg_persist takes it.
func (k Key) String() string { return fmt.Sprintf("%#016x", uint64(k)) }
