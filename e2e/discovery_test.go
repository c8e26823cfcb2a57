package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// shownSize is how iscsi-ls shows 64 MiB: it multiplies the size of a block by
// the address of the last one, and rounds down.
const shownSize = "(Size:63M)"

func TestDiscoveryShowsTheTargetAndTheSizeOfItsLogicalUnit(t *testing.T) {
	t.Parallel()
	s := serveDisk(t)
	contains(t, succeed(t, "iscsi-ls", "-s", "iscsi://"+s.portal),
		fmt.Sprintf("Target:%s Portal:%s,257", target, s.portal), "Lun:0", "DIRECT_ACCESS", shownSize)
}

func TestDiscoveryThroughEitherControllerShowsTheLogicalUnit(t *testing.T) {
	p := startPair(t)
	for _, c := range []*controller{p.a, p.b} {
		contains(t, succeed(t, "iscsi-ls", "-s", "iscsi://"+c.portal), p.target, "Portal:"+c.portal, "Lun:0", shownSize)
	}
}

func TestDiscoveryTellsOfThePortalsOfBothControllersWithTheirTags(t *testing.T) {
	p := newPair(t)
	p.startWitness(t)
	for _, c := range []struct {
		*controller
		peer *controller
	}{{p.a, p.b}, {p.b, p.a}} {
		c.edit(t, "\nlun ", fmt.Sprintf("\nportal-group peer { foreign  tag %d  listen %s }\nlun ", 256*c.peer.id+1, c.peer.portal),
			"\tportal-group pg0", "\tportal-group pg0\n\tportal-group peer")
		c.launch(t)
	}
	p.a.awaitLine(t, "msg=ready")
	p.b.awaitLine(t, "msg=ready")
	for _, c := range []*controller{p.a, p.b} {
		contains(t, succeed(t, "iscsi-ls", "iscsi://"+c.portal), "Portal:"+p.a.portal+",257", "Portal:"+p.b.portal+",513")
	}
	// A portal of the other controller is no target port of this one.
	for _, c := range []*controller{p.a, p.b} {
		ports := succeed(t, tandem, "portlist", "--socket", c.socket)
		if n := strings.Count(ports, p.target); n != 2 {
			t.Errorf("%d target ports, expected one of each controller:\n%s", n, ports)
		}
	}
}
