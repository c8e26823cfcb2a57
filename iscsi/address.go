package iscsi

import (
	"fmt"
	"strconv"
	"strings"
)

// DefaultPort is the TCP port assigned to iSCSI (§13.8).
const DefaultPort = 3260

// TargetAddress is the value of the TargetAddress key (§13.8).
type TargetAddress struct {
	Host string // an IPv6 address without its brackets
	Port uint16
	Tag  uint16 // target portal group tag; 0 where none is stated
}

// String writes the value: host:port, and ",tag" when there is one.
func (a TargetAddress) String() string {
	s := a.Host + ":" + strconv.Itoa(int(a.Port))
	if strings.Contains(a.Host, ":") {
		s = "[" + a.Host + "]:" + strconv.Itoa(int(a.Port))
	}
	if a.Tag != 0 {
		s += "," + strconv.Itoa(int(a.Tag))
	}
	return s
}

// ParseTargetAddress reads host[:port][,tag], where an IPv6 address stands in
// brackets. Without a port it is DefaultPort.
func ParseTargetAddress(s string) (TargetAddress, error) {
	a := TargetAddress{Port: DefaultPort}
	bad := func(why string) (TargetAddress, error) {
		return TargetAddress{}, fmt.Errorf("TargetAddress %.80q: %s", s, why)
	}
	rest, tag, hasTag := strings.Cut(s, ",")
	if hasTag {
		n, err := strconv.ParseUint(tag, 10, 16)
		if err != nil {
			return bad("the portal group tag is not a number of 16 bits")
		}
		a.Tag = uint16(n)
	}
	port, hasPort := "", false
	if inner, ok := strings.CutPrefix(rest, "["); ok {
		host, after, closed := strings.Cut(inner, "]")
		if !closed {
			return bad("a bracket is not closed")
		}
		a.Host = host
		port, hasPort = strings.CutPrefix(after, ":")
		if !hasPort && after != "" {
			return bad("a port is separated by ':'")
		}
	} else {
		a.Host, port, hasPort = strings.Cut(rest, ":")
	}
	if a.Host == "" {
		return bad("the host is missing")
	}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return bad("the port is not a number from 1 to 65535")
		}
		a.Port = uint16(n)
	}
	return a, nil
}
