package scsi

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// NAA is the bytes of an NAA name: 16 of an IEEE Registered Extended name
// (6h), 8 of the others (SPC-5 §7.7.6.6).
type NAA string

// String gives the name in hexadecimal, with 0x in front.
func (n NAA) String() string { return "0x" + hex.EncodeToString([]byte(n)) }

// ParseNAA reads a name that the administrator chose: 16 or 32 hexadecimal
// digits, as its type has, with or without 0x in front.
func ParseNAA(s string) (NAA, error) {
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil || len(b) == 0 {
		return "", fmt.Errorf("NAA %q: not hexadecimal, want 16 or 32 digits", s)
	}
	want := 0
	switch b[0] >> 4 {
	case 0x2, 0x3, 0x5:
		want = 8
	case 0x6:
		want = 16
	default:
		return "", fmt.Errorf("NAA %q: type %Xh, accepted are 2, 3, 5 and 6", s, b[0]>>4)
	}
	if len(b) != want {
		return "", fmt.Errorf("NAA %q: %d digits, type %Xh has %d", s, 2*len(b), b[0]>>4, 2*want)
	}
	return NAA(b), nil
}

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
