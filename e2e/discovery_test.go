package e2e

import (
	"fmt"
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
