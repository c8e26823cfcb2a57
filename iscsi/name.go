package iscsi

import (
	"fmt"
	"strings"
)

// MaxNameLength is the longest iSCSI name in bytes (§4.2.7.1).
const MaxNameLength = 223

// CanonicalName gives an iSCSI name in the form in which names are compared
// (ASCII letters in lower case, §4.2.7.2), or says why it is none. The types
// are iqn. (a date, a reversed domain name, and perhaps ":" and more), eui.
// with 16 and naa. with 16 or 32 hexadecimal digits. The underscore, which
// the RFC leaves out, is accepted because host names in the field have it.
func CanonicalName(name string) (string, error) {
	bad := func(why string) (string, error) {
		return "", fmt.Errorf("iSCSI name %.230q: %s", name, why)
	}
	if len(name) > MaxNameLength {
		return bad(fmt.Sprintf("%d bytes, at most %d", len(name), MaxNameLength))
	}
	n := strings.ToLower(name)
	kind, rest, _ := strings.Cut(n, ".")
	switch kind {
	case "iqn":
		if why := checkIQN(rest); why != "" {
			return bad(why)
		}
	case "eui":
		if len(rest) != 16 || !isHex(rest) {
			return bad("eui. is followed by 16 hexadecimal digits")
		}
	case "naa":
		if len(rest) != 16 && len(rest) != 32 || !isHex(rest) {
			return bad("naa. is followed by 16 or 32 hexadecimal digits")
		}
	default:
		return bad("begins with none of iqn. eui. naa.")
	}
	return n, nil
}

// checkIQN says what is wrong with the part of a name behind "iqn.".
func checkIQN(s string) string {
	if len(s) < len("2001-04.a") || s[7] != '.' || s[4] != '-' || !isDigits(s[:4]) || !isDigits(s[5:7]) {
		return "iqn. is followed by a date as yyyy-mm and a reversed domain name"
	}
	if m := s[5:7]; m < "01" || m > "12" {
		return "the month is not between 01 and 12"
	}
	if s[8] == ':' {
		return "the naming authority is empty"
	}
	for _, c := range s[8:] {
		// Beyond ASCII the stringprep profile decides (RFC 3722); what is
		// compared is bytes, so nothing can be confused with another name.
		if c < 0x80 && !('a' <= c && c <= 'z') && !('0' <= c && c <= '9') && !strings.ContainsRune("-.:_", c) {
			return fmt.Sprintf("character %q is not allowed", c)
		}
		if c == 0xfffd {
			return "not UTF-8"
		}
	}
	return ""
}

func isDigits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func isHex(s string) bool {
	for _, c := range s {
		if !('0' <= c && c <= '9') && !('a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}

// ISID is the initiator's part of the session identifier (§11.12.5).
type ISID [6]byte

// String gives twelve hexadecimal digits.
func (i ISID) String() string { return fmt.Sprintf("%012x", i[:]) }

// InitiatorPortName is the SCSI initiator port name of a session: the
// initiator name, ",i,0x" and the ISID (§4.2.7, SPC-5 §7.6.4.6).
func InitiatorPortName(initiator string, isid ISID) string {
	return initiator + ",i,0x" + isid.String()
}

// TargetPortName is the SCSI target port name of a portal group: the target
// name, ",t,0x" and the tag (§4.2.7).
func TargetPortName(target string, tag uint16) string {
	return fmt.Sprintf("%s,t,0x%04x", target, tag)
}
