package provision

import (
	"net/netip"
	"strings"
	"testing"
)

func TestLUNsAreReadFromOneArgument(t *testing.T) {
	for s, want := range map[string]LUN{
		"data=/srv/data.img":                                         {Name: "data", Path: "/srv/data.img"},
		"data=/srv/data.img,size=10G":                                {Name: "data", Path: "/srv/data.img", Size: 10 << 30},
		"a=b=c,size=1M,blocksize=4096,serial=S1,fence=exec /off a,b": {Name: "a", Path: "b=c", Size: 1 << 20, BlockSize: 4096, Serial: "S1", Fence: "exec /off a,b"},
		"data=/srv/data.img,home=8":                                  {Name: "data", Path: "/srv/data.img", Home: 8},
	} {
		if got, err := ParseLUN(s); err != nil || got != want {
			t.Errorf("%s is %+v, %v, expected %+v", s, got, err, want)
		}
	}
	for s, want := range map[string]string{
		"":                        "expected NAME=PATH",
		"data":                    "expected NAME=PATH",
		"data=":                   "expected NAME=PATH",
		"=/srv":                   "expected a name",
		"a b=/srv":                "expected a name",
		"data=/srv,size=":         "lun data: size",
		"data=/srv,size=10X":      `size "10X", expected a number of bytes`,
		"data=/srv,size=0":        "expected a number of bytes",
		"data=/srv,blocksize=8K":  "expected 512 or 4096",
		"data=/srv,fence=process": "fence: process, expected the path of a pid file",
		"data=/srv,home=9":        `home "9", expected the id of a controller, 1 to 8`,
		"data=/srv,home=a":        `home "a", expected the id`,
		"data=/srv,colour=red":    `unknown "colour"`,
		"data=/srv,":              "",
	} {
		if _, err := ParseLUN(s); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected one with %q", s, err, want)
		}
	}
}

func TestNodesAreReadFromOneArgument(t *testing.T) {
	for s, want := range map[string]Node{
		"1=192.0.2.1":     {1, netip.MustParseAddr("192.0.2.1")},
		"8=2001:db8::1":   {8, netip.MustParseAddr("2001:db8::1")},
		"2=[2001:db8::1]": {2, netip.MustParseAddr("2001:db8::1")},
	} {
		if got, err := ParseNode(s); err != nil || got != want {
			t.Errorf("%s is %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "1", "1=", "=192.0.2.1", "0=192.0.2.1", "9=192.0.2.1", "a=192.0.2.1", "1=host", "1=0.0.0.0", "1=224.0.0.1", "1=192.0.2.1:3260"} {
		if got, err := ParseNode(s); err == nil {
			t.Errorf("%s is %+v", s, got)
		}
	}
}

func TestSizesAreWrittenInTheLargestUnit(t *testing.T) {
	for n, want := range map[uint64]string{512: "512", 1 << 10: "1K", 1536: "1536", 10 << 30: "10G", 3 << 50: "3072T", 1<<40 + 1<<20: "1048577M"} {
		if got := size(n); got != want {
			t.Errorf("%d is written %s, expected %s", n, got, want)
		}
	}
}
