package iscsi

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// EncodeBinary writes b as a hex-constant, which every peer understands
// (§6.1).
func EncodeBinary(b []byte) string { return "0x" + hex.EncodeToString(b) }

// DecodeBinary reads a hex-constant (0x...) or base64-constant (0b...) of at
// most limit bytes (§6.1).
func DecodeBinary(s string, limit int) ([]byte, error) {
	if len(s) < 3 || s[0] != '0' {
		return nil, fmt.Errorf("binary value of %d characters begins neither with 0x nor with 0b", len(s))
	}
	digits := s[2:]
	var b []byte
	var err error
	switch s[1] {
	case 'x', 'X':
		if len(digits) > 2*limit {
			return nil, fmt.Errorf("binary value is longer than %d bytes", limit)
		}
		if len(digits)%2 == 1 {
			digits = "0" + digits
		}
		b, err = hex.DecodeString(digits)
	case 'b', 'B':
		if len(digits) > base64.StdEncoding.EncodedLen(limit) {
			return nil, fmt.Errorf("binary value is longer than %d bytes", limit)
		}
		// DecodeString would skip line breaks.
		if strings.ContainsAny(digits, "\r\n") {
			return nil, fmt.Errorf("line break in a base64-constant")
		}
		b, err = base64.StdEncoding.DecodeString(digits)
	default:
		return nil, fmt.Errorf("binary value of %d characters begins neither with 0x nor with 0b", len(s))
	}
	if err != nil {
		return nil, fmt.Errorf("binary value: %w", err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("binary value has %d bytes, at most %d", len(b), limit)
	}
	return b, nil
}
