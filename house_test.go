// Package tandem_test holds the house rules that no compiler checks: which way
// the arrows between packages run, what the pure packages may use, and what no
// file may say.
package tandem_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tandem-san/tandem/"

// floors are the rooms of the house from the roof down. A package imports only
// packages of lower floors.
var floors = [][]string{
	{"cmd/tandem", "cmd/tandem-sim"},
	{"demo", "sim"},
	{"controller"},
	{"ha/node", "iscsi/target", "iscsi/initiator/multipath", "provision"},
	{"ha/forward", "ha/arbiter/arbitertest", "lun/statefile", "lun/copymanager"},
	{"ha/arbiter/etcd", "ha/arbiter/manual", "ha/link", "ha/reserve", "lun", "iscsi/initiator"},
	{"ha/arbiter", "iscsi", "iscsi/isns"},
	{"api", "block", "ctlconf", "ha", "identity", "pidfile", "scsi", "workload"},
}

// roofless are the directories that hold tests of the whole house and no room.
var roofless = []string{".", "docs", "e2e", "e2e/nemesis", "e2e/guest"}

// pure packages get bytes and events and give bytes and decisions: they have
// no clock, no goroutine, no socket and no disk.
var pure = []string{"ctlconf", "ha", "iscsi", "scsi"}

// impure are the imports, with all below them, that a pure package must not
// have, and clocks what it must not use of package time.
var (
	impure = []string{"net", "os", "sync", "syscall", "io/ioutil", "golang.org/x/sys"}
	clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}
)

func TestPackagesImportOnlyPackagesBelowThem(t *testing.T) {
	floor := map[string]int{}
	for i, rooms := range floors {
		for _, r := range rooms {
			floor[r] = i
		}
	}
	seen := map[string]bool{}
	for _, f := range sources(t) {
		room := path.Dir(f.name)
		if seen[room] = true; slices.Contains(roofless, room) {
			continue
		}
		from, known := floor[room]
		if !known {
			t.Errorf("package %s has no floor: enter it in the table of house_test.go, below all that import it", room)
			floor[room] = len(floors)
			continue
		}
		for _, i := range f.imports() {
			to, ours := strings.CutPrefix(i, module)
			if !ours || f.isTest() {
				continue
			}
			if below, known := floor[to]; known && below <= from {
				t.Errorf("%s imports %s, which is not below it (see the table of house_test.go)", f.name, to)
			}
		}
	}
	for r := range floor {
		if !seen[r] {
			t.Errorf("the table of house_test.go has the package %s, which is not there", r)
		}
	}
}

func TestPurePackagesHaveNoClockGoroutineSocketOrDisk(t *testing.T) {
	for _, f := range sources(t) {
		if f.isTest() || !slices.Contains(pure, path.Dir(f.name)) {
			continue
		}
		for _, i := range f.imports() {
			if i != "net/netip" && slices.ContainsFunc(impure, func(p string) bool { return i == p || strings.HasPrefix(i, p+"/") }) {
				t.Errorf("%s imports %s, which a pure package must not", f.name, i)
			}
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine, which a pure package must not", f.at(n))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocks, n.Sel.Name) {
					t.Errorf("%s uses time.%s, which a pure package must not", f.at(n), n.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := map[string]bool{}
	for _, f := range sources(t) {
		room := path.Dir(f.name)
		said[room] = said[room] || f.Doc.Text() != ""
	}
	for room, ok := range said {
		if !ok {
			t.Errorf("package %s has no package comment", room)
		}
	}
}

// loose is what must not stay behind in a comment.
var loose = regexp.MustCompile(`\b(` + strings.Join([]string{"TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"}, "|") + `)\b`)

func TestNoCommentLeavesWorkBehind(t *testing.T) {
	for _, f := range sources(t) {
		for _, group := range f.Comments {
			for _, c := range group.List {
				if word := loose.FindString(c.Text); word != "" {
					t.Errorf("%s: a comment says %q: do it, or leave it out", f.at(c), word)
				}
			}
		}
	}
}

func TestNoPackageIsNamedAfterNothing(t *testing.T) {
	nameless := []string{"util", "utils", "helper", "helpers", "common", "misc", "manager", "base", "shared"}
	for _, f := range sources(t) {
		if room := path.Base(path.Dir(f.name)); slices.Contains(nameless, room) {
			t.Errorf("%s: package %s is named after no concept of the field", f.name, room)
		}
	}
}

// source is one Go file.
type source struct {
	*ast.File
	name  string // below the module, with slashes
	lines *token.FileSet
}

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

// at is where a node stands.
func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.name, s.lines.Position(n.Pos()).Line)
}

func (s source) imports() (paths []string) {
	for _, i := range s.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

// sources reads every Go file of the module, of all platforms.
func sources(t *testing.T) (all []source) {
	t.Helper()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(p) != ".go":
			return nil
		}
		lines := token.NewFileSet()
		f, err := parser.ParseFile(lines, p, nil, parser.ParseComments)
		all = append(all, source{f, filepath.ToSlash(p), lines})
		return err
	})
	if err != nil {
		t.Fatalf("reading the sources: %v", err)
	}
	return all
}
