package ctlconf

import (
	"os"
	"path/filepath"
	"testing"
)

// parseFile parses a file of testdata/conf that has no errors.
func parseFile(t *testing.T, name string) (*Config, Diagnostics) {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("testdata", "conf", name))
	if err != nil {
		t.Fatal(err)
	}
	c, d := Parse(name, src)
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	return c, d
}

func TestTheExamplesOfExistingInstallationsParseUnchanged(t *testing.T) {
	for _, name := range []string{"pair.conf", "single.conf", "ha.conf"} {
		t.Run(name, func(t *testing.T) {
			if _, d := parseFile(t, name); len(d.Warnings) > 0 {
				t.Errorf("warnings: %v", d.Warnings)
			}
		})
	}
}
