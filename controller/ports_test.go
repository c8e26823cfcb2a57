package controller

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tandem-san/tandem/lun"
)

// numbers gives each target port of a configuration its number.
func numbers(t *testing.T, p *portNumbers, text string) map[string]uint16 {
	t.Helper()
	c := parse(t, text)
	out := map[string]uint16{}
	for _, target := range c.Targets {
		for _, tp := range target.Ports {
			n, err := p.number(portKey{target.Name, tp.PortalGroup.Name})
			if err != nil {
				t.Fatal(err)
			}
			out[strings.TrimPrefix(target.Name, "iqn.2026-01.com.example:")+"/"+tp.PortalGroup.Name] = n
		}
	}
	return out
}

const twoGroups = "portal-group g { listen 10.0.0.1 } portal-group h { listen 10.0.0.2 }\n"

// portsOfTargets are targets in both groups.
func portsOfTargets(names ...string) string {
	text := twoGroups
	for _, n := range names {
		text += fmt.Sprintf("target iqn.2026-01.com.example:%s { auth-group no-authentication portal-group g portal-group h }\n", n)
	}
	return text
}

func TestPortNumbersBeginWhereCTLBeginsThoseOfTheController(t *testing.T) {
	for node, first := range map[int]uint16{1: 3, 2: 131, 8: 899} {
		got := numbers(t, newPortNumbers(node), portsOfTargets("a", "b"))
		want := map[string]uint16{"a/g": first, "a/h": first + 1, "b/g": first + 2, "b/h": first + 3}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("controller %d: %v, want %v", node, got, want)
		}
	}
}

func TestAPortKeepsItsNumberWhateverElseIsConfigured(t *testing.T) {
	p := newPortNumbers(1)
	numbers(t, p, portsOfTargets("a", "b"))
	next := portsOfTargets("c", "b")
	p.keep(parse(t, next))
	got := numbers(t, p, next)
	want := map[string]uint16{"b/g": 5, "b/h": 6, "c/g": 3, "c/h": 4}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestAControllerHasSoManyPortsAndNoMore(t *testing.T) {
	p := newPortNumbers(2)
	for i := range portsPerNode - firstPort {
		if n, err := p.number(portKey{fmt.Sprint(i), "g"}); err != nil || int(n) != portsPerNode+firstPort+i {
			t.Fatalf("port %d: %d, %v", i, n, err)
		}
	}
	if n, err := p.number(portKey{"more", "g"}); err == nil || !strings.Contains(err.Error(), "at most 125") {
		t.Errorf("one more port has number %d: %v", n, err)
	}
}

func TestALogicalUnitIsReachedThroughThePortsOfItsTargets(t *testing.T) {
	c := parse(t, twoGroups+`
		target iqn.2026-01.com.example:a { auth-group no-authentication portal-group g lun 0 x }
		target iqn.2026-01.com.example:b { auth-group no-authentication portal-group g portal-group h lun 7 x lun 1 y }
		lun x { path /x } lun y { path /y }`)
	p := newPortNumbers(1)
	numbers(t, p, portsOfTargets("other")) // 3 and 4
	got, err := p.portsOf(c, c.LUN("x"))
	want := []lun.Port{
		{Relative: 5, Name: "iqn.2026-01.com.example:a,t,0x0101"},
		{Relative: 6, Name: "iqn.2026-01.com.example:b,t,0x0101"},
		{Relative: 7, Name: "iqn.2026-01.com.example:b,t,0x0102"},
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}
