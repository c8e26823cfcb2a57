package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scenarios is where the stories of package ha are, from this directory.
const scenarios = "../ha/testdata/scenarios/"

// faults are the rows of the tables in the section Faults of ha.md, cell by cell.
func faults(t *testing.T) (rows [][]string) {
	t.Helper()
	inside, head := false, true
	for _, line := range read(t, "ha.md").prose {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			inside = title == "Faults"
		}
		switch {
		case !inside:
		case !strings.HasPrefix(line, "|"):
			head = true
		case head:
			head = false
		case !strings.HasPrefix(line, "| ---"):
			cells := strings.Split(strings.Trim(line, "| "), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

func TestEveryFaultLinksItsStoryAndEveryStoryIsLinked(t *testing.T) {
	rows := faults(t)
	if len(rows) < 40 {
		t.Fatalf("the tables of faults have %d rows: they are not understood any more", len(rows))
	}
	linked := map[string]bool{}
	for _, cells := range rows {
		if len(cells) != 4 {
			t.Errorf("%q has %d cells, expected a fault, what happens, what clients see, and a story", cells[0], len(cells))
			continue
		}
		stories := 0
		for _, m := range link.FindAllStringSubmatch(cells[3], -1) {
			if name, ok := strings.CutPrefix(m[1], scenarios); ok {
				stories++
				linked[name] = true
			}
		}
		if stories == 0 || cells[0] == "" || cells[1] == "" || cells[2] == "" {
			t.Errorf("%q links %d stories and has an empty cell, or none to show it: %q", cells[0], stories, cells)
		}
	}
	files, err := os.ReadDir(scenarios)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !linked[f.Name()] {
			t.Errorf("no fault in ha.md links the story %s", f.Name())
		}
		delete(linked, f.Name())
	}
	for name := range linked {
		t.Errorf("ha.md links the story %s, which is not there", filepath.Join(scenarios, name))
	}
}
