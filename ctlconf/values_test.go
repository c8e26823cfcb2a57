package ctlconf

import (
	"math"
	"net/netip"
	"testing"
)

func TestNumbersExpandByPowersOf1024(t *testing.T) {
	for s, want := range map[string]uint64{
		"0": 0, "7": 7, "1k": 1 << 10, "2K": 2 << 10, "3M": 3 << 20, "4g": 4 << 30, "5T": 5 << 40, "6P": 6 << 50, "7E": 7 << 60,
		"0x10": 16, "0xe": 14, "0XfF": 255, "9223372036854775807": math.MaxInt64,
	} {
		if n, ok := expand(s); !ok || n != want {
			t.Errorf("%q is %d, %v, expected %d", s, n, ok, want)
		}
	}
	for _, s := range []string{"", "k", "-1", "+1", "1_000", "010", "1.5K", "1KB", "1Z", "0x", "0x1K", "0x_1", "8E", "9223372036854775808", "99999999999999999999", " 1"} {
		if n, ok := expand(s); ok {
			t.Errorf("%q is %d, expected to be refused", s, n)
		}
	}
}

func TestAddressesHaveADefaultPort(t *testing.T) {
	for s, want := range map[string]string{
		"10.0.0.1": "10.0.0.1:3260", "10.0.0.1:1": "10.0.0.1:1", "[::1]": "[::1]:3260", "[::1]:65535": "[::1]:65535", "::1": "[::1]:3260",
		"[fe80::1%eth0]:1": "[fe80::1%eth0]:1", "::ffff:10.0.0.1": "10.0.0.1:3260", "[::ffff:10.0.0.1]:1": "10.0.0.1:1",
	} {
		if got, ok := parseAddress(s, 3260); !ok || got != netip.MustParseAddrPort(want) {
			t.Errorf("%q is %v, %v, expected %s", s, got, ok, want)
		}
	}
	for _, s := range []string{"", ":", ":1", "[", "[]", "[::1", "[::1]1", "[::1]:", "[10.0.0.1]", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:01", "10.0.0.256", "host", "host:1", "*"} {
		if got, ok := parseAddress(s, 3260); ok {
			t.Errorf("%q is %v, expected to be refused", s, got)
		}
	}
}

func TestInitiatorPortalsAreNetworks(t *testing.T) {
	c, d := Parse("f", []byte(`auth-group a { auth-type none
		initiator-portal 192.168.1.1/16 initiator-portal 10.0.0.1 initiator-portal [2001:db8::de:ef]/32
		initiator-portal 2001:db8::1 initiator-portal ::ffff:10.0.0.1/104
		initiator-portal 10.0.0.1/33 initiator-portal 10.0.0.1/ initiator-portal fe80::1%eth0 }`))
	want := []string{"192.168.0.0/16", "10.0.0.1/32", "2001:db8::/32", "2001:db8::1/128", "10.0.0.0/8"}
	got := c.AuthGroup("a").InitiatorPortals
	if len(got) != len(want) || len(d.Errors) != 3 {
		t.Fatalf("%v, %v", got, d)
	}
	for i := range want {
		if got[i] != netip.MustParsePrefix(want[i]) {
			t.Errorf("%v, expected %s", got[i], want[i])
		}
	}
}
