package iscsi

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Values with a meaning of their own in any negotiation (§6.2).
const (
	ValueNone          = "None"
	ValueYes           = "Yes"
	ValueNo            = "No"
	ValueReject        = "Reject"
	ValueIrrelevant    = "Irrelevant"
	ValueNotUnderstood = "NotUnderstood"
)

// KeyValue is one key=value pair of a text data segment (§6.1).
type KeyValue struct{ Key, Value string }

// TextLimits bounds what ParseText accepts.
type TextLimits struct {
	Pairs int // key=value pairs
	Value int // bytes of one value
}

// DefaultTextLimits holds every legal login: values are up to 255 bytes, large
// binary ones 1024 bytes, that is 2050 characters (§6.1).
var DefaultTextLimits = TextLimits{Pairs: 64, Value: 2050}

// maxKeyLength is the longest key name in bytes (§6.1).
const maxKeyLength = 63

// ErrText tells of text that is no list of key=value pairs within the limits.
var ErrText = errors.New("malformed text")

// ParseText splits a text data segment into its pairs. Each pair ends with a
// NUL; one missing at the very end is forgiven.
func ParseText(b []byte, limits TextLimits) ([]KeyValue, error) {
	var pairs []KeyValue
	for len(b) > 0 {
		pair, rest, _ := bytes.Cut(b, []byte{0})
		b = rest
		if len(pair) == 0 { // padding that was counted into the length
			continue
		}
		if len(pairs) == limits.Pairs {
			return nil, fmt.Errorf("%w: more than %d keys", ErrText, limits.Pairs)
		}
		key, value, found := bytes.Cut(pair, []byte{'='})
		if !found {
			return nil, fmt.Errorf("%w: no '=' in %.40q", ErrText, pair)
		}
		if !validKey(key) {
			return nil, fmt.Errorf("%w: key name %.70q", ErrText, key)
		}
		if len(value) > limits.Value {
			return nil, fmt.Errorf("%w: value of %s has %d bytes, at most %d", ErrText, key, len(value), limits.Value)
		}
		pairs = append(pairs, KeyValue{string(key), string(value)})
	}
	return pairs, nil
}

// validKey tells whether k is a key name: it begins with a capital letter and
// goes on with letters, digits and . - + @ _ # (§6.1).
func validKey(k []byte) bool {
	if len(k) == 0 || len(k) > maxKeyLength {
		return false
	}
	for i, c := range k {
		upper := 'A' <= c && c <= 'Z'
		if i == 0 && !upper {
			return false
		}
		if !upper && !('a' <= c && c <= 'z') && !('0' <= c && c <= '9') && !strings.ContainsRune(".-+@_#", rune(c)) {
			return false
		}
	}
	return true
}

// AppendText appends key=value and the NUL for each pair to b.
func AppendText(b []byte, pairs ...KeyValue) []byte {
	for _, p := range pairs {
		b = append(b, p.Key...)
		b = append(b, '=')
		b = append(b, p.Value...)
		b = append(b, 0)
	}
	return b
}

// parseNumber reads a decimal or hexadecimal constant of up to 32 bits (§6.1).
func parseNumber(s string) (uint32, error) {
	base := 10
	digits := s
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		base, digits = 16, s[2:]
	}
	if strings.ContainsAny(digits, "+-_") {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of 32 bits", s)
	}
	return uint32(n), nil
}
