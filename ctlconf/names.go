package ctlconf

import (
	"fmt"
	"strings"
)

// maxName is the longest iSCSI name in bytes (RFC 7143 §4.2.7.1).
const maxName = 223

// targetName checks the name of a target (RFC 7143 §4.2.7) and returns it in
// lower case, as names compare without regard to case. problem says what is
// wrong and what was expected.
func targetName(s string) (name, problem string) {
	name = strings.ToLower(s)
	if i := strings.IndexFunc(name, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-.:", r)
	}); i >= 0 {
		return "", fmt.Sprintf("holds %q, expected only letters, digits, -, . and :", []rune(name[i:])[0])
	}
	return name, checkName(name)
}

// initiatorName checks the name of an initiator. What others call their
// initiators is not for us to judge beyond the form, so it allows characters
// that targetName does not.
func initiatorName(s string) (name, problem string) {
	name = strings.ToLower(s)
	if strings.ContainsAny(name, " \t") {
		return "", "holds a space, expected an iSCSI name without"
	}
	return name, checkName(name)
}

func checkName(s string) (problem string) {
	if len(s) > maxName {
		return fmt.Sprintf("has %d bytes, expected at most %d", len(s), maxName)
	}
	kind, rest, _ := strings.Cut(s, ".")
	switch kind {
	case "iqn":
		return checkIQN(rest)
	case "eui":
		if len(rest) == 16 && isHex(rest) {
			return ""
		}
		return "is no EUI-64 name, expected eui. and 16 hexadecimal digits"
	case "naa":
		if (len(rest) == 16 || len(rest) == 32) && isHex(rest) {
			return ""
		}
		return "is no NAA name, expected naa. and 16 or 32 hexadecimal digits"
	}
	return "is no iSCSI name, expected one that begins with iqn., eui. or naa."
}

// checkIQN checks what follows "iqn.": a date, the naming authority's reversed
// domain name, and perhaps a colon and a string of its own (RFC 7143 §4.2.7.4).
func checkIQN(s string) (problem string) {
	const form = "expected a form such as iqn.2026-01.com.example:name"
	date, rest, _ := strings.Cut(s, ".")
	year, month, ok := strings.Cut(date, "-")
	if !ok || len(year) != 4 || len(month) != 2 || !isDigits(year) || month < "01" || month > "12" || !isDigits(month) {
		return "has no date behind iqn., " + form
	}
	authority, _, _ := strings.Cut(rest, ":")
	for label := range strings.SplitSeq(authority, ".") {
		if label == "" {
			return "has no reversed domain name behind the date, " + form
		}
	}
	return ""
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
