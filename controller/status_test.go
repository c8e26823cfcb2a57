package controller

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"testing"

	"github.com/tandem-san/tandem/api"
)

func TestStatusTellsOfLogicalUnitsAndSessions(t *testing.T) {
	s := newSite(t)
	s.start(s.text(fmt.Sprintf("lun a { path %%s/a size 1M }\ntarget %s { auth-group no-authentication portal-group pg0 lun 0 a lun 7 { backend ramdisk size 2M } }\n", disk)))
	s.login(s.portal, disk)
	got, err := s.Status(context.Background())
	if err != nil || len(got.Sessions) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	from := got.Sessions[0].Address
	want := api.Status{
		Version: "test", PID: os.Getpid(),
		LUNs: []api.LUN{
			{Name: "a", Mappings: []api.Mapping{{Target: disk, LUN: 0}}, Size: 1 << 20, Role: "primary", Access: "active/optimized", Serving: true},
			{Name: disk + ",lun,7", Mappings: []api.Mapping{{Target: disk, LUN: 7}}, Size: 2 << 20, Role: "primary", Access: "active/optimized", Serving: true},
		},
		Sessions: []api.Session{{Initiator: "iqn.2026-01.com.example:host", Address: from, Target: disk, Portal: s.portal}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if err := s.Promote(context.Background(), api.Promotion{LUN: "a"}); err == nil {
		t.Error("a controller without peers was promoted")
	}
}

func TestPortsAreListedInTheShapeOfCTL(t *testing.T) {
	s := newSite(t)
	s.start(s.text(fmt.Sprintf("portal-group pg1 { listen %s tag 9 }\ntarget %s { auth-group no-authentication portal-group pg0 portal-group pg1 }\n", free(t), disk)))
	got, err := s.Ports(context.Background())
	want := []api.Port{
		{Port: 3, Online: true, Frontend: "iscsi", Name: "iscsi", Physical: 257, Virtual: 1, Target: disk + ",t,0x0101"},
		{Port: 4, Online: true, Frontend: "iscsi", Name: "iscsi", Physical: 9, Virtual: 1, Target: disk + ",t,0x0009"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func TestStatusOfAClusterTellsOfPeersArbiterAndGrants(t *testing.T) {
	s := newSite(t)
	s.start(s.text(s.haSection() + fmt.Sprintf("lun x { path %%s/x size 1M option shared on }\ntarget %s { auth-group no-authentication portal-group pg0 lun 0 x }\n", disk)))
	got, err := s.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got.Cluster != "beast" || got.Node != 1 || got.Mode != "active-active-forward" || got.Arbiter == nil || got.Arbiter.Kind != "none" {
		t.Errorf("%+v", got)
	}
	if len(got.Nodes) != 1 || got.Nodes[0].ID != 2 || got.Nodes[0].Link != 1 {
		t.Errorf("nodes %+v", got.Nodes)
	}
	if len(got.LUNs) != 1 {
		t.Fatalf("logical units %+v", got.LUNs)
	}
	l := got.LUNs[0]
	if l.Name != "x" || l.Role != "primary" || l.Primary != 1 || !l.Serving || l.Epoch == 0 || l.Access != "active/optimized" || l.Size != 1<<20 ||
		!reflect.DeepEqual(l.Mappings, []api.Mapping{{Target: disk, LUN: 0}}) {
		t.Errorf("logical unit %+v", l)
	}
}
