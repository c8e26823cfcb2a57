package scsi

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
)

// NAA is a sixteen byte NAA IEEE Registered Extended name (SPC-5 §7.7.6.6.5).
type NAA [16]byte

// naaCompany is the IEEE company identifier in derived names: FreeBSD
// Foundation's 58-9C-FC, which the derived names of CTL carry too.
const naaCompany = 0x589CFC

// Identity is what tells a logical unit from every other one, the same through
// all controllers and for ever.
type Identity struct {
	NAA    NAA
	Serial string // printable ASCII
}

// Identify derives the identity of a logical unit from the names of the
// cluster and the target and from the LUN. The answer for given names never
// changes from one version to the next.
func Identify(cluster, target string, lun uint16) Identity {
	h := sha256.New()
	for _, s := range []string{"tandem identity 1", cluster, target} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	h.Write(binary.BigEndian.AppendUint16(nil, lun))
	sum := h.Sum(nil)
	return Identity{
		NAA:    naaFrom(sum),
		Serial: base32.StdEncoding.EncodeToString(sum[16:26]),
	}
}

// IdentifyBy derives the NAA name from a device identifier that the
// administrator chose, and takes the serial number as it is.
func IdentifyBy(deviceID, serial string) Identity {
	sum := sha256.Sum256([]byte("tandem device-id 1" + deviceID))
	return Identity{NAA: naaFrom(sum[:]), Serial: serial}
}

// naaFrom makes an NAA 6h name: four bits of type, the company, and 100 bits
// of hash.
func naaFrom(sum []byte) NAA {
	var n NAA
	copy(n[:], sum)
	n[0] = 0x6<<4 | naaCompany>>20&0xF
	n[1] = naaCompany >> 12 & 0xFF
	n[2] = naaCompany >> 4 & 0xFF
	n[3] = naaCompany&0xF<<4 | n[3]&0xF
	return n
}
