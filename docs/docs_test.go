// Package docs_test keeps the documentation true: it runs what the pages say can
// be run, parses what they say is a configuration, and compares them with the
// program. It must never need what a reader does not have.
//
// Fenced blocks are told apart by their info string:
//
//	conf             a ctl.conf that has no errors, or exactly those that its
//	                 comment lines "# error: TEXT" name
//	conf witness     the same of a witness.conf
//	sh               commands that succeed, one block after the other, in a copy
//	                 of the repository with the program in bin
//	sh alone         the same in a copy of its own
//	sh norun         commands that are not run
//
// When commands ask the reader to run others, each in its own terminal, those
// run until the page ends.
package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-san/tandem/ctlconf"
)

// binary is the program, built by TestMain.
var binary string

func TestMain(m *testing.M) {
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "docs")
	if err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	// As make build does, so that all that is built here is built once.
	os.Setenv("CGO_ENABLED", "0")
	os.Setenv("GOFLAGS", "-trimpath")
	binary = filepath.Join(dir, "tandem")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/tandem").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "docs: building the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// page is a file of the documentation.
type page struct {
	path     string // from this directory
	blocks   []block
	prose    []string // the lines outside blocks
	headings []string
}

// block is what stands between two fences.
type block struct {
	at   string // file:line
	info string
	text string
}

func read(t *testing.T, path string) page {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := page{path: path}
	open := false
	for i, line := range strings.Split(string(src), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open:
			open = false
		case isFence:
			open = true
			p.blocks = append(p.blocks, block{at: fmt.Sprintf("%s:%d", path, i+1), info: fence})
		case open:
			p.blocks[len(p.blocks)-1].text += line + "\n"
		default:
			p.prose = append(p.prose, line)
			if h := strings.TrimLeft(line, "#"); h != line && strings.HasPrefix(h, " ") {
				p.headings = append(p.headings, strings.TrimSpace(h))
			}
		}
	}
	if open {
		t.Errorf("%s: a block is not closed", p.blocks[len(p.blocks)-1].at)
	}
	return p
}

// pages are README.md and all of docs.
func pages(t *testing.T) (all []page) {
	t.Helper()
	paths, err := filepath.Glob("*.md")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	for _, path := range append([]string{"../README.md"}, paths...) {
		all = append(all, read(t, path))
	}
	return all
}

func TestEveryBlockIsOfAKnownKind(t *testing.T) {
	known := []string{"", "conf", "conf witness", "sh", "sh alone", "sh norun"}
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if !slices.Contains(known, b.info) {
				t.Errorf("%s: a block of kind %q, known are %q", b.at, b.info, known)
			}
		}
	}
}

func TestConfigurationsParse(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			var found ctlconf.Diagnostics
			switch b.info {
			case "conf":
				_, found = ctlconf.Parse(b.at, []byte(b.text))
			case "conf witness":
				_, found = ctlconf.ParseWitness(b.at, []byte(b.text))
			default:
				continue
			}
			compareErrors(t, b, found.Errors)
		}
	}
}

// compareErrors demands the errors that a block announces, in their order.
func compareErrors(t *testing.T, b block, found []ctlconf.Diagnostic) {
	t.Helper()
	var want []string
	for line := range strings.Lines(b.text) {
		if text, ok := strings.CutPrefix(line, "# error: "); ok {
			want = append(want, strings.TrimSpace(text))
		}
	}
	for i, e := range found {
		if i >= len(want) {
			t.Errorf("%s: an error that is not announced: %s", b.at, e)
		} else if !strings.Contains(e.String(), want[i]) {
			t.Errorf("%s: the error is %q, announced is %q", b.at, e, want[i])
		}
	}
	for _, text := range want[min(len(found), len(want)):] {
		t.Errorf("%s: there is no error %q", b.at, text)
	}
}

// nonsense has an unknown keyword in each section: the errors list those that
// are known.
var nonsense = map[string]func(string, []byte) ctlconf.Diagnostics{
	`nope auth-group a { nope } portal-group p { nope option nope 1 } target iqn.2026-01.com.example:a { nope }
	lun a { nope option nope 1 } ha { nope arbiter embedded { nope } } `: parseController,
	`ha { arbiter etcd { nope } }`: parseController,
	`nope witness { nope }`:        parseWitness,
}

func parseController(file string, src []byte) ctlconf.Diagnostics {
	_, found := ctlconf.Parse(file, src)
	return found
}

func parseWitness(file string, src []byte) ctlconf.Diagnostics {
	_, found := ctlconf.ParseWitness(file, src)
	return found
}

func TestEveryStatementAndOptionIsDocumentedAndNoOther(t *testing.T) {
	known := map[string]bool{}
	for src, parse := range nonsense {
		for _, e := range parse("f", []byte(src)).Errors {
			if _, words, ok := strings.Cut(e.Message, "expected "); ok && strings.Contains(e.Message, `"nope"`) {
				for _, w := range strings.Split(strings.ReplaceAll(words, " or ", ", "), ", ") {
					word, _, _ := strings.Cut(w, " ") // "tag in portal-group"
					known[word] = true
				}
			}
		}
	}
	if !known["fence"] || !known["portal-group"] || !known["endpoint"] || !known["ping_timeout"] || !known["name"] {
		t.Fatalf("the errors of ctlconf are not understood any more: %v", known)
	}
	documented := map[string]bool{}
	p := read(t, "configuration.md")
	for _, row := range rows(p, "statement", "option") {
		for _, code := range codes(row) {
			word, rest, _ := strings.Cut(code, " ")
			documented[word] = true
			if word == "option" {
				name, _, _ := strings.Cut(rest, " ")
				documented[name] = true
			}
		}
	}
	delete(documented, "NAME") // of option NAME VALUE
	difference(t, "configuration.md", known, documented)
}

// difference demands that a page names what is known and nothing else.
func difference(t *testing.T, where string, known, documented map[string]bool) {
	t.Helper()
	for word := range known {
		if !documented[word] {
			t.Errorf("%s does not tell of %s", where, word)
		}
	}
	for word := range documented {
		if !known[word] {
			t.Errorf("%s tells of %s, which is not known", where, word)
		}
	}
}

// rows are the first cells of the tables whose first column has such a title.
func rows(p page, titles ...string) (cells []string) {
	in, title := false, true
	for _, line := range p.prose {
		if !strings.HasPrefix(line, "|") {
			in, title = false, true
			continue
		}
		cell := strings.TrimSpace(strings.Split(strings.ReplaceAll(line, `\|`, "/"), "|")[1])
		switch {
		case title:
			in, title = slices.Contains(titles, cell), false
		case in && !strings.HasPrefix(cell, "---"):
			cells = append(cells, cell)
		}
	}
	return cells
}

var code = regexp.MustCompile("`([^`]+)`")

// codes are the parts of a text that are set as code.
func codes(text string) (all []string) {
	for _, m := range code.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// help is what the program says of itself.
func help(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, append(args, "--help")...).CombinedOutput()
	if err != nil {
		t.Fatalf("tandem %v --help: %v\n%s", args, err, out)
	}
	return string(out)
}

var (
	subcommand = regexp.MustCompile(`(?m)^  ([a-z]+)  +[A-Z]`)
	helpFlags  = regexp.MustCompile(`(?m)^ +(?:(-\w), )?(--[\w-]+)`)
	flag       = regexp.MustCompile(`--?[a-z][\w-]*`)
)

func TestEveryCommandAndFlagIsDocumentedAndNoOther(t *testing.T) {
	sections := map[string]page{}
	current := ""
	for _, line := range read(t, "commands.md").prose {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			current, _ = strings.CutPrefix(heading, "tandem ")
			if current == heading {
				current = ""
			}
		}
		if current != "" {
			s := sections[current]
			s.prose = append(s.prose, line)
			sections[current] = s
		}
	}
	commands, documented := map[string]bool{}, map[string]bool{}
	for _, m := range subcommand.FindAllStringSubmatch(help(t), -1) {
		commands[m[1]] = m[1] != "help"
	}
	delete(commands, "help")
	for name := range sections {
		documented[name] = true
	}
	difference(t, "commands.md", commands, documented)
	for name := range commands {
		has, told := map[string]bool{}, map[string]bool{}
		for _, m := range helpFlags.FindAllStringSubmatch(help(t, name), -1) {
			has[m[1]], has[m[2]] = true, true
		}
		for _, none := range []string{"", "-h", "--help"} {
			delete(has, none)
		}
		for _, row := range rows(sections[name], "flag") {
			for _, c := range codes(row) {
				told[flag.FindString(c)] = true
			}
		}
		difference(t, "commands.md, tandem "+name, has, told)
	}
}

func TestEveryMessageThatIsExplainedExists(t *testing.T) {
	var sources strings.Builder
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		sources.Write(src)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	messages := rows(read(t, "commands.md"), "message")
	if len(messages) == 0 {
		t.Error("commands.md explains no message")
	}
	for _, cell := range messages {
		for _, text := range codes(cell) {
			for part := range strings.SplitSeq(text, "…") {
				if !strings.Contains(sources.String(), part) {
					t.Errorf("commands.md explains %q, but no source has %q", text, part)
				}
			}
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(strings.Join(p.prose, "\n"), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			to := p.path
			if file != "" {
				to = filepath.Join(filepath.Dir(p.path), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s: %v", p.path, m[1], err)
			} else if anchor != "" && !slices.ContainsFunc(read(t, to).headings, func(h string) bool { return slug(h) == anchor }) {
				t.Errorf("%s links to %s: %s has no such heading", p.path, m[1], to)
			}
		}
	}
}

// slug is the anchor of a heading, as GitHub makes it.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
			return r
		}
		return -1
	}, strings.ToLower(heading))
}
