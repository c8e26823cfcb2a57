package ctlconf

import (
	"fmt"
	"math"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The methods here read argument i of a statement as a value of some kind. They
// report what is wrong at the argument and then return a zero value.

// expand reads a whole number, decimal or 0x hexadecimal, that may end in K, M,
// G, T, P or E, powers of 1024 (expand_number(3)).
func expand(s string) (uint64, bool) {
	shift := 0
	if s != "" && !strings.HasPrefix(strings.ToLower(s), "0x") {
		if n := strings.IndexByte("kmgtpe", s[len(s)-1]|0x20); n >= 0 {
			shift = 10 * (n + 1)
			s = s[:len(s)-1]
		}
	}
	n, ok := whole(s)
	if !ok || n > math.MaxInt64>>shift {
		return 0, false
	}
	return n << shift, true
}

// whole reads a whole number without a unit. Octal is not read: 010 is refused.
func whole(s string) (uint64, bool) {
	base, digits := 10, s
	if strings.HasPrefix(strings.ToLower(s), "0x") {
		base, digits = 16, s[2:]
	} else if len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	if strings.ContainsAny(digits, "_+-") {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, base, 64)
	return n, err == nil
}

func (p *parser) number(a arguments, i int, least, most uint64) uint64 {
	n, ok := expand(a.text(i))
	if !ok || n < least || n > most {
		p.errorf(a.pos(i), "%s %s, expected a number from %d to %d", a.key.text, quote(a.text(i)), least, most)
		return 0
	}
	return n
}

// ParseSize reads a number of bytes, at least 1 and less than 8 EiB, that may
// end in K, M, G, T, P or E (powers of 1024).
func ParseSize(s string) (uint64, error) {
	n, ok := expand(s)
	if !ok || n == 0 {
		return 0, fmt.Errorf("%s, expected a number of bytes of at least 1, perhaps with K, M, G, T or P behind it", quote(s))
	}
	return n, nil
}

func (p *parser) size(a arguments, i int) uint64 {
	n, err := ParseSize(a.text(i))
	if err != nil {
		p.errorf(a.pos(i), "%s %v", a.key.text, err)
	}
	return n
}

func (p *parser) seconds(a arguments, i int, least, most uint64) time.Duration {
	return time.Duration(p.number(a, i, least, most)) * time.Second
}

// duration reads a whole number of ms or s.
func (p *parser) duration(a arguments, i int, least, most time.Duration) time.Duration {
	s := a.text(i)
	unit := time.Duration(0)
	switch {
	case strings.HasSuffix(s, "ms"):
		s, unit = strings.TrimSuffix(s, "ms"), time.Millisecond
	case strings.HasSuffix(s, "s"):
		s, unit = strings.TrimSuffix(s, "s"), time.Second
	}
	n, ok := whole(s)
	if !ok || unit == 0 || n > uint64(most/unit) || time.Duration(n)*unit < least {
		p.errorf(a.pos(i), "%s %s, expected a time from %v to %v such as 100ms or 2s", a.key.text, quote(a.text(i)), least, most)
		return 0
	}
	return time.Duration(n) * unit
}

// word reads text that must not be empty, of at most max bytes.
func (p *parser) word(a arguments, i, max int) string {
	s := a.text(i)
	if s == "" || len(s) > max {
		p.errorf(a.pos(i), "%s of %d bytes, expected 1 to %d", a.key.text, len(s), max)
		return ""
	}
	return s
}

// path reads a path that begins at the root: a relative one would depend on
// where the process was started.
func (p *parser) path(a arguments, i int) string {
	s := a.text(i)
	if !strings.HasPrefix(s, "/") {
		p.errorf(a.pos(i), "%s %s, expected a path that begins with /", a.key.text, quote(s))
		return ""
	}
	return s
}

// near reads a path that, when relative, begins at the directory of the file it
// stands in: a directory with a file and its certificates can be moved.
func (p *parser) near(a arguments, i int) string {
	s := a.text(i)
	if s == "" {
		p.errorf(a.pos(i), "%s is empty, expected a path", a.key.text)
		return ""
	}
	if strings.HasPrefix(s, "/") {
		return s
	}
	return path.Join(path.Dir(p.file), s)
}

// choice reads one of some words.
func (p *parser) choice(a arguments, i int, what string, words ...string) string {
	if s := a.text(i); slices.Contains(words, s) {
		return s
	}
	p.errorf(a.pos(i), "%s %s, expected %s", what, quote(a.text(i)), list(words))
	return ""
}

// address reads address, address:port, [address] or [address]:port.
func (p *parser) address(a arguments, i int, port uint16) (netip.AddrPort, bool) {
	ap, ok := parseAddress(a.text(i), port)
	if !ok {
		p.errorf(a.pos(i), "%s %s, expected an address such as 192.0.2.1, 192.0.2.1:%d, [2001:db8::1] or [2001:db8::1]:%d", a.key.text, quote(a.text(i)), port, port)
	}
	return ap, ok
}

func parseAddress(s string, port uint16) (netip.AddrPort, bool) {
	addr, rest := s, ""
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if addr, rest, ok = strings.Cut(inner, "]"); !ok || !strings.Contains(addr, ":") {
			return netip.AddrPort{}, false
		}
	} else if n := strings.IndexByte(s, ':'); n >= 0 && strings.Count(s, ":") == 1 {
		addr, rest = s[:n], s[n:]
	}
	if rest != "" {
		n, ok := whole(strings.TrimPrefix(rest, ":"))
		if rest[0] != ':' || !ok || n == 0 || n > math.MaxUint16 {
			return netip.AddrPort{}, false
		}
		port = uint16(n)
	}
	ip, err := netip.ParseAddr(addr)
	return netip.AddrPortFrom(ip.Unmap(), port), err == nil
}

// prefix reads address or address/length, IPv6 with or without brackets.
func (p *parser) prefix(a arguments, i int) (netip.Prefix, bool) {
	addr, length, cut := strings.Cut(a.text(i), "/")
	if inner, ok := strings.CutPrefix(addr, "["); ok {
		addr = strings.TrimSuffix(inner, "]")
	}
	ip, err := netip.ParseAddr(addr)
	bits := uint64(ip.BitLen())
	ok := err == nil && ip.Zone() == ""
	if cut && ok {
		bits, ok = whole(length)
		ok = ok && bits <= uint64(ip.BitLen())
	}
	if !ok {
		p.errorf(a.pos(i), "%s %s, expected an address such as 192.0.2.1, 192.0.2.0/24 or [2001:db8::]/32", a.key.text, quote(a.text(i)))
		return netip.Prefix{}, false
	}
	prefix := netip.PrefixFrom(ip, int(bits))
	if ip.Is4In6() && bits >= 96 {
		prefix = netip.PrefixFrom(ip.Unmap(), int(bits)-96)
	}
	return prefix.Masked(), true
}

// room reports whether a list of n entries may grow by the one a describes.
func (p *parser) room(n, most int, a arguments) bool {
	if n < most {
		return true
	}
	p.errorf(a.key.pos, "%s: more than %d of them", a.key.text, most)
	return false
}

func decimals(numbers []int) []string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	return words
}
