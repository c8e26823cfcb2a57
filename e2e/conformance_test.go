package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// optionsFor are options of the logical unit that a family wants.
var optionsFor = map[string]string{
	"NoMedia": "option removable on", "PreventAllow": "option removable on", "StartStopUnit": "option removable on",
	"ReadOnly": "option readonly on",
}

// TestConformance runs every family of libiscsi's tests of targets, each on a
// logical unit of its own.
func TestConformance(t *testing.T) {
	t.Parallel()
	families := append(conformanceFamilies(t, sanitize), sanitizeTests(t)...)
	families = append(families, "ReadOnly")
	s := newSingle(t)
	var luns []string
	for i, f := range families {
		write(t, s.dir, f, "")
		if err := os.Truncate(s.disk(f), 256<<20); err != nil {
			t.Fatal(err)
		}
		luns = append(luns, fmt.Sprintf("lun %d { path %s  %s }", i, s.disk(f), optionsFor[f]))
	}
	s.configure(t, s.stable(t), open(target, luns...))
	s.start(t)
	var ran, skipped int
	for i, f := range families {
		t.Run(f, func(t *testing.T) {
			r, s := conforms(t, f, s.url(i))
			ran, skipped = ran+r, skipped+s
		})
	}
	t.Logf("%d tests in %d families, %d skip messages", ran, len(families), skipped)
}

// The test looks at a SANITIZE after four seconds, so that the logical unit is
// large. Then it sleeps for a minute at a time, and answers no ping.
func TestASanitizeOutlivesResets(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	portal := freeAddress(t, "127.0.0.1")
	patient := fmt.Sprintf("portal-group patient {\n\tdiscovery-auth-group no-authentication\n\tlisten %s\n\toption ping_timeout 0\n}\n", portal)
	disk := strings.Replace(open(target, fmt.Sprintf("lun 0 { path %s  size 2G }", s.disk("disk"))), "pg0", "patient", 1)
	s.configure(t, s.stable(t), patient, disk)
	s.start(t)
	conforms(t, sanitize+".Reset", url(portal, target, 0))
}

// stable is the statement that keeps the state of logical units on stable
// storage, without which there is no WRITE ATOMIC.
func (s *single) stable(t *testing.T) string {
	t.Helper()
	dir := s.disk("state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return "state " + dir
}

const sanitize = "Sanitize"

// sanitizeTests lists the tests of SANITIZE, one by one, but for that which
// wants a large logical unit.
func sanitizeTests(t *testing.T) (tests []string) {
	t.Helper()
	for line := range strings.Lines(succeed(t, "iscsi-test-cu", "--list")) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "ALL."+sanitize+".")
		if ok && name != "Reset" {
			tests = append(tests, sanitize+"."+name)
		}
	}
	if len(tests) < 10 {
		t.Fatalf("iscsi-test-cu lists only the tests %q of SANITIZE", tests)
	}
	return tests
}

// waiting families spend most of their time on waiting, and have nothing to do
// with sizes of blocks and ways to a logical unit.
var waiting = []string{"Reserve6", "iSCSIcmdsn", sanitize}

func TestConformanceOfOtherBlockSizes(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	s.configure(t, s.stable(t), open(target,
		"lun 0 { backend ramdisk  size 64M  option pblocksize 4096 }",
		"lun 1 { backend ramdisk  size 512M  blocksize 4096 }"))
	s.start(t)
	// GetLBAStatus asks for the status of block n+1 and wants it to begin at the
	// physical block after n.
	for _, f := range conformanceFamilies(t, append(slices.Clone(waiting), "GetLBAStatus")...) {
		t.Run(f+" with blocks of 512 bytes in 4096", func(t *testing.T) { conforms(t, f, s.url(0)) })
	}
	// ProutReserve writes 512 bytes whatever the size of a block is.
	for _, f := range conformanceFamilies(t, append(slices.Clone(waiting), "ProutReserve")...) {
		t.Run(f+" with blocks of 4096 bytes", func(t *testing.T) { conforms(t, f, s.url(1)) })
	}
}

func TestConformanceThroughTheSecondary(t *testing.T) {
	p := startPair(t)
	for _, f := range append(conformanceFamilies(t, waiting...), sanitizeTests(t)...) {
		t.Run(f, func(t *testing.T) { conforms(t, f, p.b.url()) })
	}
}

func TestConformanceThroughBothPathsAtOnce(t *testing.T) {
	p := startPair(t)
	if _, skipped := conforms(t, "MultipathIO", p.a.url(), p.b.url()); skipped != 0 {
		t.Errorf("%d tests were skipped, expected none: both paths must be seen to lead to one logical unit", skipped)
	}
}

// conformanceFamilies lists the families that iscsi-test-cu has, without some.
func conformanceFamilies(t *testing.T, without ...string) (families []string) {
	t.Helper()
	without = append(without, "ReadOnly") // which wants a logical unit that is
	for line := range strings.Lines(succeed(t, "iscsi-test-cu", "--list")) {
		parts := strings.Split(strings.TrimSpace(line), ".")
		if len(parts) == 2 && parts[0] == "ALL" && !slices.Contains(without, parts[1]) {
			families = append(families, parts[1])
		}
	}
	if len(families) < 40 {
		t.Fatalf("iscsi-test-cu lists only the families %q", families)
	}
	return families
}

// conformanceTime bounds a run of iscsi-test-cu.
const conformanceTime = 3 * time.Minute

var (
	summaryTests   = regexp.MustCompile(`(?m)^\s+tests\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)`)
	failedTest     = regexp.MustCompile(`(?m)^.*(FAILED|failed|CU_).*$`)
	skippedTest    = regexp.MustCompile(`(?m)^.*\[SKIPPED\].*$`)
	notImplemented = regexp.MustCompile(`\[SKIPPED\] ([\w ]+) is not implemented`)
)

// notThere are the commands that tests may skip because there are none.
var notThere = []string{"SANITIZE CRYPTO_ERASE"}

// conforms runs one family of iscsi-test-cu against a logical unit that is
// reached by one or two paths. It demands that no test fails and
// none is skipped for a command that must be there, and returns how many ran
// and how many skip messages there were.
func conforms(t *testing.T, family string, urls ...string) (ran, skipped int) {
	t.Helper()
	args := []string{"--dataloss", "--allow-sanitize", "--verbose", "--test", "ALL." + family}
	r := runFor(t, conformanceTime, "iscsi-test-cu", append(args, urls...)...)
	text := r.stdout + r.stderr
	found := summaryTests.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no summary:\n%s", tail(text, 60))
	}
	var total, passed, failed int
	if _, err := fmt.Sscan(strings.Join(found[1:], " "), &total, &ran, &passed, &failed); err != nil {
		t.Fatalf("summary %q: %v", found[0], err)
	}
	if failed != 0 || passed != ran || ran != total || ran == 0 {
		t.Errorf("%d tests, %d ran, %d passed, %d failed:\n%s\n\n%s", total, ran, passed, failed,
			strings.Join(failedTest.FindAllString(text, 40), "\n"), tail(text, 100))
	}
	for _, m := range notImplemented.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(notThere, m[1]) {
			t.Errorf("a test is skipped because %s is not implemented", m[1])
		}
	}
	for _, line := range skippedTest.FindAllString(text, -1) {
		t.Log(strings.TrimSpace(line))
	}
	return ran, strings.Count(text, "[SKIPPED]")
}
