package etcd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestADiskIsSlowOrQuickOnlyAfterSeveralMeasurements(t *testing.T) {
	// q and s are quick and slow measurements; after each: L may lead, S slow, - neither.
	for measurements, want := range map[string]string{
		"qqq":                    "LLL",
		"sqqqqqqqqqq":            "SSSSSSSSSSL",
		"ssqqqqqqqqqsqqqqqqqqqq": "SSSSSSSSSSSSSSSSSSSSSL",
		"qsqq":                   "L-LL",
		"qsssqs":                 "L-SSSS",
	} {
		var d disk
		var got strings.Builder
		for _, m := range measurements {
			was := d.slow
			if told := d.note(map[rune]time.Duration{'q': time.Millisecond, 's': slowSync + 1}[m]); told != (was != d.slow) {
				t.Errorf("%s: told of a change: %v, was %v, is %v", measurements, told, was, d.slow)
			}
			switch {
			case d.slow:
				got.WriteByte('S')
			case d.mayLead():
				got.WriteByte('L')
			default:
				got.WriteByte('-')
			}
		}
		if got.String() != want {
			t.Errorf("%s: %s, want %s", measurements, &got, want)
		}
	}
	if (&disk{}).mayLead() {
		t.Error("a disk that was not measured leads")
	}
}

func TestTheDiskIsMeasuredWhereTheDataIs(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if took, err := measureSync(dir); err != nil || took <= 0 {
			t.Errorf("%v, %v", took, err)
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("left behind %v, %v", names, err)
	}
	if _, err := measureSync(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a directory that is not there was measured")
	}
}
