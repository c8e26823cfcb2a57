package controller

import (
	"net/netip"
	"os"
	"reflect"
	"testing"

	"github.com/tandem-san/tandem/iscsi/isns"
)

func TestAControllerRegistersItsTargetsAndPortals(t *testing.T) {
	const a, b = "iqn.2026-01.com.example:a", "iqn.2026-01.com.example:b"
	e, err := networkEntity(parse(t, `
		portal-group g { listen 192.0.2.1 listen [2001:db8::1]:3261 tag 5 }
		portal-group away { foreign listen 192.0.2.2 }
		portal-group unused { listen 192.0.2.4 }
		target `+a+` { alias "a disk" auth-group no-authentication portal-group g portal-group away lun 0 { path /x } }
		target `+b+` { auth-group no-authentication portal-group g }`))
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	groups := []isns.Group{{Tag: 5, Portals: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:3260"), netip.MustParseAddrPort("[2001:db8::1]:3261")}}}
	want := isns.Entity{ID: host, Nodes: []isns.Node{{Name: a, Alias: "a disk", Groups: groups}, {Name: b, Groups: groups}}}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("got %+v\nwant %+v", e, want)
	}
}

func TestAPortalOnAllAddressesIsRegisteredWithThoseOfTheMachine(t *testing.T) {
	local := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.2")}
	for portal, want := range map[string][]netip.AddrPort{
		"0.0.0.0:3260":   {netip.MustParseAddrPort("192.0.2.1:3260"), netip.MustParseAddrPort("192.0.2.2:3260")},
		"[::]:3261":      {netip.MustParseAddrPort("[2001:db8::1]:3261")},
		"127.0.0.1:3260": {netip.MustParseAddrPort("127.0.0.1:3260")},
	} {
		if got := reachable(netip.MustParseAddrPort(portal), local); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", portal, got, want)
		}
	}
}
