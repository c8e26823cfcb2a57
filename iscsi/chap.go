package iscsi

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/subtle"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// Keys of the CHAP exchange (§12.1.3).
const (
	KeyCHAPA = "CHAP_A" // algorithm
	KeyCHAPI = "CHAP_I" // identifier
	KeyCHAPC = "CHAP_C" // challenge
	KeyCHAPN = "CHAP_N" // name
	KeyCHAPR = "CHAP_R" // response
)

// AuthCHAP is the value of AuthMethod that asks for CHAP; the other one known
// here is ValueNone.
const AuthCHAP = "CHAP"

// MaxCHAPChallenge is the longest challenge in bytes (§12.1.3).
const MaxCHAPChallenge = 1024

// CHAPAlgorithm is a hash used for CHAP, by its number in the IANA registry
// "PPP Authentication Algorithms".
type CHAPAlgorithm struct {
	ID   int
	Name string
	// Size of the response in bytes, and of the challenge this side makes.
	Size int
	hash func() hash.Hash
}

// CHAPAlgorithms are those offered and accepted, strongest first.
var CHAPAlgorithms = []CHAPAlgorithm{
	{8, "SHA3-256", 32, func() hash.Hash { return sha3.New256() }},
	{7, "SHA-256", sha256.Size, sha256.New},
	{6, "SHA-1", sha1.Size, sha1.New},
	{5, "MD5", md5.Size, md5.New},
}

// CHAPOffer is the value of CHAP_A that lists all algorithms.
func CHAPOffer() string {
	ids := make([]string, len(CHAPAlgorithms))
	for i, a := range CHAPAlgorithms {
		ids[i] = strconv.Itoa(a.ID)
	}
	return strings.Join(ids, ",")
}

// ChooseCHAP picks the strongest algorithm of a CHAP_A list that is known
// here. The target may take any of those proposed (§12.1.3), so that an
// initiator that proposes MD5 first does not weaken what both can do.
func ChooseCHAP(list string) (CHAPAlgorithm, error) {
	best := len(CHAPAlgorithms)
	for s := range strings.SplitSeq(list, ",") {
		id, err := parseNumber(s)
		if err != nil {
			return CHAPAlgorithm{}, fmt.Errorf("CHAP_A: %w", err)
		}
		for i, a := range CHAPAlgorithms[:best] {
			if uint32(a.ID) == id {
				best = i
				break
			}
		}
	}
	if best == len(CHAPAlgorithms) {
		return CHAPAlgorithm{}, fmt.Errorf("CHAP_A: none of %.60q is known, accepted are %s", list, CHAPOffer())
	}
	return CHAPAlgorithms[best], nil
}

// ParseCHAPAlgorithm reads the CHAP_A with which a target answers a list: one
// algorithm, which is known here.
func ParseCHAPAlgorithm(s string) (CHAPAlgorithm, error) {
	if strings.Contains(s, ",") {
		return CHAPAlgorithm{}, fmt.Errorf("CHAP_A: %.60q is a list, one algorithm is due", s)
	}
	return ChooseCHAP(s)
}

// ParseCHAPIdentifier reads CHAP_I: a number of one byte.
func ParseCHAPIdentifier(s string) (byte, error) {
	n, err := parseNumber(s)
	if err != nil {
		return 0, fmt.Errorf("CHAP_I: %w", err)
	}
	if n > 255 {
		return 0, fmt.Errorf("CHAP_I: %d is above 255", n)
	}
	return byte(n), nil
}

// Response computes the answer to a challenge: the hash of identifier, secret
// and challenge (RFC 1994 §4.1).
func (a CHAPAlgorithm) Response(identifier byte, secret, challenge []byte) []byte {
	h := a.hash()
	h.Write([]byte{identifier})
	h.Write(secret)
	h.Write(challenge)
	return h.Sum(nil)
}

// Verify tells whether response answers the challenge, in constant time.
func (a CHAPAlgorithm) Verify(response []byte, identifier byte, secret, challenge []byte) bool {
	return subtle.ConstantTimeCompare(response, a.Response(identifier, secret, challenge)) == 1
}

// Reflected tells whether a challenge received is the one sent: then the peer
// wants its own answer made for it, and the connection must be closed
// (§12.1.3).
func Reflected(sent, received []byte) bool {
	return subtle.ConstantTimeCompare(sent, received) == 1
}
