package controller

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/lun"
)

// someUnit is a lun.Unit that only has a name.
type someUnit struct {
	lun.Unit
	name string
}

func translate(t *testing.T, text string) target.Config {
	t.Helper()
	c, err := targetConfig(parse(t, text), newPortNumbers(2), func(name string) lun.Unit { return someUnit{name: name} })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTargetsAreTranslatedInFull(t *testing.T) {
	const a, b = "iqn.2026-01.com.example:a", "iqn.2026-01.com.example:b"
	got := translate(t, `
		auth-group one { chap user twelve-chars initiator-name iqn.1993-08.org.debian:01:h initiator-portal 10.1.0.0/16 }
		auth-group both { chap-mutual user twelve-chars storage chars-twelve }
		portal-group g { listen 10.0.0.1 listen [2001:db8::1]:3261 tag 5 discovery-auth-group one discovery-filter portal-name dscp ef option ping_timeout 7 option max_connections 4 }
		portal-group away { foreign listen 10.0.0.2 redirect 10.0.0.3 discovery-auth-group no-authentication option ping_timeout 0 }
		portal-group unused { listen 10.0.0.4 }
		lun y { path /y }
		target `+a+` { alias "a disk" auth-group both portal-group g portal-group away one lun 3 { path /x } lun 0 y }
		target `+b+` { auth-group no-access portal-group g redirect 10.0.0.9:3262 }`)
	one := target.AuthGroup{Name: "one", Kind: target.AuthCHAP, InitiatorNames: []string{"iqn.1993-08.org.debian:01:h"},
		InitiatorPortals: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
		Users:            []target.User{{Name: "user", Secret: iscsi.NewSecret("twelve-chars")}}}
	both := target.AuthGroup{Name: "both", Kind: target.AuthCHAP,
		Users: []target.User{{Name: "user", Secret: iscsi.NewSecret("twelve-chars"), MutualName: "storage", MutualSecret: iscsi.NewSecret("chars-twelve")}}}
	addr := netip.MustParseAddrPort
	want := target.Config{
		PortalGroups: []target.PortalGroup{
			{Name: "g", Tag: 5, Portals: []netip.AddrPort{addr("10.0.0.1:3260"), addr("[2001:db8::1]:3261")},
				DiscoveryAuth: one, DiscoveryFilter: target.FilterPortalName, DSCP: 46, MaxConnections: 4, PingTimeout: 7 * time.Second},
			{Name: "away", Tag: 258, Portals: []netip.AddrPort{addr("10.0.0.2:3260")}, Foreign: true, Redirect: addr("10.0.0.3:3260"),
				DiscoveryAuth: target.AuthGroup{Name: "no-authentication", Kind: target.AuthNone}, MaxConnections: 1},
		},
		Targets: []target.Target{
			{Name: a, Alias: "a disk", LUNs: map[uint16]lun.Unit{3: someUnit{name: a + ",lun,3"}, 0: someUnit{name: "y"}}, Ports: []target.Port{
				{PortalGroup: "g", Auth: both, RelativePort: 131}, {PortalGroup: "away", Auth: one, RelativePort: 132}}},
			{Name: b, LUNs: map[uint16]lun.Unit{}, Redirect: addr("10.0.0.9:3262"), Ports: []target.Port{
				{PortalGroup: "g", Auth: target.AuthGroup{Name: "no-access"}, RelativePort: 133}}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestWhatIsNotSaidOfAPortalGroupIsTheTargetsDefault(t *testing.T) {
	got := translate(t, `target iqn.2026-01.com.example:a { }`).PortalGroups
	want := []target.PortalGroup{{Name: "default", Tag: 256, MaxConnections: 1, PingTimeout: target.DefaultPingTimeout,
		Portals:       []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:3260"), netip.MustParseAddrPort("[::]:3260")},
		DiscoveryAuth: target.AuthGroup{Name: "default"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDiscoveryFiltersMeanTheSameOnBothSides(t *testing.T) {
	for conf, want := range map[ctlconf.DiscoveryFilter]target.DiscoveryFilter{
		ctlconf.FilterNone: target.FilterNone, ctlconf.FilterPortal: target.FilterPortal,
		ctlconf.FilterPortalName: target.FilterPortalName, ctlconf.FilterPortalNameAuth: target.FilterPortalNameAuth,
	} {
		if got := target.DiscoveryFilter(conf); got != want {
			t.Errorf("%v is %v, want %v", conf, got, want)
		}
	}
}

func TestATimeoutOfZeroIsForEver(t *testing.T) {
	for text, want := range map[string]time.Duration{"timeout 0": target.NoLoginTime, "timeout 7": 7 * time.Second, "": 60 * time.Second} {
		if got := loginTime(parse(t, text).LoginTimeout); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
