package scsi

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
)

// NAA is the bytes of an NAA name: 16 of an IEEE Registered Extended name
// (6h), 8 of the others (SPC-5 §7.7.6.6).
type NAA string

// String gives the name in hexadecimal, with 0x in front.
func (n NAA) String() string { return "0x" + hex.EncodeToString([]byte(n)) }

// Identity is what tells a logical unit from every other one, the same through
// all controllers and for ever.
type Identity struct {
	NAA    NAA
	Serial string // printable ASCII
}

// Identify derives the identity of a logical unit from the names of the
// cluster and the target and from the LUN: a locally assigned NAA name (3h)
// and a serial number of sixteen letters and digits. The answer for given
// names never changes from one version to the next.
func Identify(cluster, target string, lun uint16) Identity {
	h := sha256.New()
	for _, s := range []string{"tandem identity 1", cluster, target} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		h.Write([]byte(s))
	}
	h.Write(binary.BigEndian.AppendUint16(nil, lun))
	return identityFrom(h.Sum(nil))
}

// IdentifyBy derives the identity from a device identifier that the
// administrator chose, in the same way.
func IdentifyBy(deviceID string) Identity {
	sum := sha256.Sum256([]byte("tandem device-id 1 " + deviceID))
	return identityFrom(sum[:])
}

func identityFrom(sum []byte) Identity {
	naa := [8]byte(sum)
	naa[0] = 0x30 | naa[0]&0xF
	return Identity{NAA: NAA(naa[:]), Serial: base32.StdEncoding.EncodeToString(sum[16:26])}
}
