package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestConformance runs every family of libiscsi's tests of targets, each on a
// logical unit of its own. Tests of commands that the logical unit does not
// have skip themselves.
func TestConformance(t *testing.T) {
	t.Parallel()
	families := conformanceFamilies(t)
	s := newSingle(t)
	var luns []string
	for i, f := range families {
		luns = append(luns, fmt.Sprintf("lun %d { path %s  size 256M }", i, s.disk(f)))
	}
	s.configure(t, open(target, luns...))
	s.start(t)
	var ran, skipped int
	for i, f := range families {
		t.Run(f, func(t *testing.T) {
			r, s := testsOf(t, f, s.url(i))
			ran, skipped = ran+r, skipped+s
		})
	}
	t.Logf("%d tests in %d families, %d skip messages", ran, len(families), skipped)
}

// conformanceFamilies lists the families that iscsi-test-cu has.
func conformanceFamilies(t *testing.T) (families []string) {
	t.Helper()
	for line := range strings.Lines(succeed(t, "iscsi-test-cu", "--list")) {
		parts := strings.Split(strings.TrimSpace(line), ".")
		if len(parts) == 2 && parts[0] == "ALL" && parts[1] != "ReadOnly" { // which wants a logical unit that is
			families = append(families, parts[1])
		}
	}
	if len(families) < 40 {
		t.Fatalf("iscsi-test-cu lists only the families %q", families)
	}
	return families
}
