package target_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/target"
)

// discover asks for all targets with the library.
func (f *fixture) discover(adjust func(*initiator.Config)) ([]string, error) {
	f.t.Helper()
	c := initiator.Config{Portal: f.portal, InitiatorName: initiatorName}
	if adjust != nil {
		adjust(&c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found, err := initiator.Discover(ctx, c)
	var names []string
	for _, p := range found {
		names = append(names, fmt.Sprintf("%s %v", p.TargetName[strings.LastIndex(p.TargetName, ":")+1:], p.Address))
	}
	return names, err
}

func TestDiscoveryFindsTargetsWithTheirPortals(t *testing.T) {
	f := newFixture(t, func(c *target.Config, _ *target.Options) {
		c.PortalGroups[0].Portals = append(c.PortalGroups[0].Portals, netip.MustParseAddrPort("0.0.0.0:0"), netip.MustParseAddrPort("[::1]:0"), netip.MustParseAddrPort("[::]:0"))
		c.PortalGroups = append(c.PortalGroups,
			target.PortalGroup{Name: "other-node", Tag: 513, Foreign: true, Portals: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:3260")}})
		c.Targets[0].Ports = append(c.Targets[0].Ports, target.Port{PortalGroup: "other-node", Auth: anyone, RelativePort: 129})
	})
	portals := f.Portals()["pg0"]
	port := func(i int) string { return fmt.Sprint(portals[i].Port()) }
	v4 := []string{"127.0.0.1:" + port(0) + ",257", "127.0.0.1:" + port(1) + ",257", "[::1]:" + port(2) + ",257"}
	want := []string{"target0 " + v4[0], "target0 " + v4[1], "target0 " + v4[2], "target0 192.0.2.2:3260,513", "secret " + v4[0], "secret " + v4[1], "secret " + v4[2]}
	if got, err := f.discover(nil); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n got %v\nwant %v", err, got, want)
	}
	// Through IPv6 the wildcard of that version is told of, and the other not.
	got, err := f.discover(func(c *initiator.Config) { c.Portal = "[::1]:" + port(3) })
	if err != nil || !slices.Contains(got, "target0 [::1]:"+port(3)+",257") || slices.Contains(got, "target0 127.0.0.1:"+port(1)+",257") {
		t.Errorf("%v: %v", got, err)
	}
}

func TestDiscoveryFiltersTargets(t *testing.T) {
	const other = "iqn.2016-01.local.beast:other"
	for _, x := range []struct {
		filter target.DiscoveryFilter
		user   string
		want   string
	}{
		{target.FilterNone, "", "open portal name chap"},
		{target.FilterPortal, "", "open name chap"},
		{target.FilterPortalName, "", "open chap"},
		{target.FilterPortalNameAuth, "", "open"},
		{target.FilterPortalNameAuth, "one-way", "open chap"},
	} {
		f := newFixture(t, func(c *target.Config, _ *target.Options) {
			c.PortalGroups[0].DiscoveryFilter = x.filter
			if x.user != "" {
				c.PortalGroups[0].DiscoveryAuth = chap
			}
			c.Targets = nil
			for _, d := range []struct {
				name string
				auth target.AuthGroup
			}{
				{"open", anyone},
				{"portal", target.AuthGroup{Kind: target.AuthNone, InitiatorPortals: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}},
				{"name", target.AuthGroup{Kind: target.AuthNone, InitiatorNames: []string{other}}},
				{"chap", chap},
			} {
				c.Targets = append(c.Targets, target.Target{Name: "iqn.2016-01.local.beast:" + d.name,
					Ports: []target.Port{{PortalGroup: "pg0", Auth: d.auth, RelativePort: 1}}})
			}
		})
		found, err := f.discover(func(c *initiator.Config) {
			if x.user != "" {
				c.CHAP = &initiator.Credentials{Name: x.user, Secret: iscsi.NewSecret("iscsi0pass123456")}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range found {
			found[i], _, _ = strings.Cut(found[i], " ")
		}
		if got := strings.Join(found, " "); got != x.want {
			t.Errorf("filter %d, user %q: %q, want %q", x.filter, x.user, got, x.want)
		}
	}
}

func TestDiscoveryMustBeAllowed(t *testing.T) {
	f := newFixture(t, func(c *target.Config, _ *target.Options) { c.PortalGroups[0].DiscoveryAuth = chap })
	if got, err := f.discover(nil); err == nil {
		t.Errorf("found %v without a secret", got)
	}
	f = newFixture(t, func(c *target.Config, _ *target.Options) { c.PortalGroups[0].DiscoveryAuth = nobody })
	if got, err := f.discover(nil); err == nil {
		t.Errorf("found %v though nobody may", got)
	}
}

func TestALongListComesInPieces(t *testing.T) {
	const count = 500
	f := newFixture(t, func(c *target.Config, _ *target.Options) {
		c.Targets = nil
		for i := range count {
			c.Targets = append(c.Targets, target.Target{Name: fmt.Sprintf("iqn.2016-01.local.beast:t%d", i),
				Ports: []target.Port{{PortalGroup: "pg0", Auth: anyone, RelativePort: 1}}})
		}
	})
	got, err := f.discover(nil)
	if err != nil || len(got) != count {
		t.Fatalf("%d targets, %v", len(got), err)
	}
	c := f.connect()
	c.send(c.loginRequest(operational, fullFeature), pairs("InitiatorName", initiatorName, "SessionType", "Discovery", "MaxRecvDataSegmentLength", "512"))
	if p, _ := c.answer(); p.Status != 0 {
		t.Fatal(p.Status)
	}
	var text []byte
	r := c.textRequest()
	ask := pairs("SendTargets", "All")
	for pieces := 0; ; pieces++ {
		c.send(r, ask)
		h, part := c.expect(iscsi.OpTextResponse)
		var p iscsi.TextResponse
		p.Decode(h)
		if len(part) > 512 || p.Final == p.Continue || (p.TargetTransferTag == iscsi.NoTag) != p.Final {
			t.Fatalf("%d bytes, %+v", len(part), p)
		}
		text = append(text, part...)
		if p.Final {
			break
		}
		r.TargetTransferTag, r.CmdSN, ask = p.TargetTransferTag, c.nextCmdSN(), nil
	}
	if n := strings.Count(string(text), "TargetName="); n != count {
		t.Errorf("%d targets", n)
	}
}

func (c *client) textRequest() iscsi.TextRequest {
	return iscsi.TextRequest{Final: true, InitiatorTaskTag: c.nextITT(), TargetTransferTag: iscsi.NoTag, CmdSN: c.nextCmdSN(), ExpStatSN: c.statSN}
}

// ask sends text in full feature phase and reads the answer.
func (c *client) ask(kv ...string) map[string]string {
	c.t.Helper()
	c.send(c.textRequest(), pairs(kv...))
	_, data := c.expect(iscsi.OpTextResponse)
	return texts(c.t, data)
}

func TestSendTargetsByName(t *testing.T) {
	f := newFixture(t, nil)
	d := f.connect()
	d.send(d.loginRequest(operational, fullFeature), pairs("InitiatorName", initiatorName, "SessionType", "Discovery"))
	d.answer()
	if got := d.ask("SendTargets", secretName); got["TargetName"] != secretName || !strings.HasSuffix(got["TargetAddress"], ",257") {
		t.Error(got)
	}
	if got := d.ask("SendTargets", "iqn.2016-01.local.beast:unknown"); len(got) != 0 {
		t.Error(got)
	}
	if got := d.ask("SendTargets", "nonsense"); len(got) != 0 {
		t.Error(got)
	}

	n := f.connect()
	n.logIn()
	if got := n.ask("SendTargets", ""); got["TargetName"] != targetName {
		t.Error(got)
	}
	if got := n.ask("SendTargets", targetName); got["TargetName"] != targetName {
		t.Error(got)
	}
	for _, which := range []string{"All", secretName} {
		if got := n.ask("SendTargets", which); got["TargetName"] != "" || got["SendTargets"] != "Reject" {
			t.Errorf("%s: %v", which, got)
		}
	}
}

func TestTextMayNegotiateInFullFeaturePhase(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	c.ready()
	if got := c.ask("X-com.example", "y", "MaxRecvDataSegmentLength", "512"); got["X-com.example"] != "NotUnderstood" {
		t.Error(got)
	}
	p := c.command(read16(0, 2))
	p.Read, p.ExpectedDataTransferLength = true, 1024
	c.send(p, nil)
	if _, data := c.expect(iscsi.OpDataIn); len(data) != 512 {
		t.Errorf("a Data-In of %d bytes", len(data))
	}
	c.expect(iscsi.OpDataIn)

	// A key cut in two.
	r := c.textRequest()
	r.Final, r.Continue = false, true
	c.send(r, []byte("X-"))
	h, _ := c.expect(iscsi.OpTextResponse)
	var a iscsi.TextResponse
	a.Decode(h)
	r.Final, r.Continue, r.TargetTransferTag, r.CmdSN = true, false, a.TargetTransferTag, c.nextCmdSN()
	c.send(r, []byte("z=1\x00"))
	if _, data := c.expect(iscsi.OpTextResponse); texts(t, data)["X-z"] != "NotUnderstood" {
		t.Errorf("%q", data)
	}
}

func TestADiscoverySessionDoesNothingElse(t *testing.T) {
	f := newFixture(t, nil)
	for name, p := range map[string]encoder{
		"SCSI Command":    iscsi.SCSICommand{Final: true, InitiatorTaskTag: 1, CmdSN: 100},
		"task management": iscsi.TaskRequest{Function: 5, InitiatorTaskTag: 1, CmdSN: 100},
	} {
		c := f.connect()
		c.t = t
		c.send(c.loginRequest(operational, fullFeature), pairs("InitiatorName", initiatorName, "SessionType", "Discovery"))
		c.answer()
		c.send(p, nil)
		t.Log(name)
		c.expectClosed(iscsi.RejectProtocolError)
	}
}
