package ctlconf

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// parser walks over the tokens, one ahead.
type parser struct {
	*reporter
	lex  *lexer
	tok  token // the next token
	last token // the one taken before
	// luns counts sections of logical units.
	luns int
	// hidden is a line on which words may be part of a secret: none of them is
	// repeated in a message.
	hidden int
}

func newParser(file string, src []byte) *parser {
	r := &reporter{file: file}
	p := &parser{reporter: r}
	if len(src) > MaxFileSize {
		r.errorf(Position{}, "file of %d bytes, expected at most %d", len(src), MaxFileSize)
		src = nil
	}
	p.lex = newLexer(src, r)
	p.tok = p.lex.next()
	return p
}

// take returns the next token and moves on. After too many errors there is
// nothing more to take.
func (p *parser) take() token {
	p.last = p.tok
	if p.tok.text == "chap" || p.tok.text == "chap-mutual" {
		p.hidden = p.tok.pos.Line
	}
	if p.full {
		p.tok = token{kind: tokenEOF, pos: p.tok.pos}
	} else {
		p.tok = p.lex.next()
	}
	return p.last
}

// statement is the grammar of one keyword in a section: what follows it, and
// what it does.
type statement[T any] struct {
	// params names the arguments, for counting and for messages. Those in
	// brackets may be left out and come last.
	params string
	// many: the statement may be repeated in one section.
	many bool
	// secret: arguments are never repeated in a message.
	secret bool
	// set carries the statement out.
	set func(p *parser, item T, a arguments)
	// open reads the section that follows in braces. When set is nil the
	// section must follow; when both are there it may.
	open func(p *parser, item T, a arguments)
}

func (s statement[T]) bounds() (least, most int) {
	for _, name := range strings.Fields(s.params) {
		most++
		if !strings.HasPrefix(name, "[") {
			least++
		}
	}
	return least, most
}

// usage writes the statement as a user would.
func (s statement[T]) usage(keyword string) string {
	u := strings.TrimSpace(keyword + " " + s.params)
	if s.open != nil && s.set == nil {
		u += " { ... }"
	}
	return u
}

// arguments are the words of one statement.
type arguments struct {
	key   token
	words []token
}

// text returns argument i, "" when it was left out.
func (a arguments) text(i int) string {
	if i < len(a.words) {
		return a.words[i].text
	}
	return ""
}

// pos returns where argument i stands.
func (a arguments) pos(i int) Position {
	if i < len(a.words) {
		return a.words[i].pos
	}
	return a.key.pos
}

// section is the grammar between a pair of braces, or of a whole file: its
// keywords. Sections are tables and never change.
type section[T marker] struct {
	name       string
	statements map[string]statement[T]
}

// marker is an item of the configuration that remembers where each of its
// statements stands.
type marker interface {
	mark(keyword string, at Position)
}

func (s *section[T]) keywords() string {
	return list(slices.Sorted(maps.Keys(s.statements)))
}

func (s *section[T]) has(t token) bool {
	_, ok := s.statements[t.text]
	return ok && t.is(tokenWord) && !t.quoted
}

// file parses to the end of the source.
func (s *section[T]) file(p *parser, item T) {
	seen := make(map[string]Position)
	for !p.tok.is(tokenEOF) {
		if p.tok.is(tokenClose) {
			p.errorf(p.tok.pos, "} closes nothing, expected %s", s.keywords())
			p.take()
			continue
		}
		s.statement(p, item, seen)
	}
}

// braces parses what follows an opening brace, which is the token taken last,
// up to and including the closing one.
func (s *section[T]) braces(p *parser, item T) {
	opened := p.last.pos
	seen := make(map[string]Position)
	for !p.tok.is(tokenClose) {
		if p.tok.is(tokenEOF) {
			p.errorf(opened, "%s is not closed, expected } before the end of the file", s.name)
			return
		}
		s.statement(p, item, seen)
	}
	p.take()
}

// statement parses one statement and carries it out, or reports what is wrong
// with it and moves to where the next one may begin.
func (s *section[T]) statement(p *parser, item T, seen map[string]Position) {
	if p.tok.is(tokenSemicolon) {
		p.take()
		return
	}
	if p.tok.is(tokenOpen) {
		p.errorf(p.tok.pos, "{ does not belong here, expected %s", s.keywords())
		p.take()
		p.skipBraces()
		return
	}
	if !s.has(p.tok) {
		s.unknown(p)
		return
	}
	key := p.take()
	st := s.statements[key.text]
	a, ok := s.arguments(p, key, st)
	if st.secret {
		p.hidden = p.last.pos.Line
	}
	if !ok {
		s.recover(p)
		return
	}
	if at, twice := seen[key.text]; twice && !st.many {
		p.errorf(key.pos, "%s is given a second time, expected once in %s (first on line %d)", key.text, s.name, at.Line)
	}
	seen[key.text] = key.pos
	item.mark(key.text, key.pos)
	switch {
	case p.tok.is(tokenOpen) && st.open != nil:
		p.take()
		st.open(p, item, a)
	case st.set != nil:
		st.set(p, item, a)
	default:
		p.errorf(p.tok.pos, "%s needs a section, expected {", key.text)
		s.recover(p)
	}
}

// arguments reads the words of a statement. Those it needs may stand on
// following lines, unless a keyword does.
func (s *section[T]) arguments(p *parser, key token, st statement[T]) (arguments, bool) {
	a := arguments{key: key}
	least, most := st.bounds()
	for len(a.words) < most && p.tok.is(tokenWord) {
		sameLine := p.tok.pos.Line == p.last.pos.Line
		if len(a.words) >= least && (!sameLine || s.has(p.tok)) {
			break
		}
		if !sameLine && s.has(p.tok) {
			break
		}
		a.words = append(a.words, p.take())
	}
	if len(a.words) < least {
		p.errorf(key.pos, "%s has too few arguments, expected %q", key.text, st.usage(key.text))
		return a, false
	}
	return a, true
}

// unknown reports a word that is no keyword of the section.
func (s *section[T]) unknown(p *parser) {
	t := p.tok
	switch {
	case t.pos.Line == p.hidden:
		p.errorf(t.pos, "unexpected word, expected %s in %s", s.keywords(), s.name)
	case t.pos.Line == p.last.pos.Line && p.last.is(tokenWord):
		p.errorf(t.pos, "unexpected %s after %s, expected %s in %s", quote(t.text), quote(p.last.text), s.keywords(), s.name)
	default:
		p.errorf(t.pos, "unknown keyword %s in %s, expected %s", quote(t.text), s.name, s.keywords())
	}
	p.take()
	s.recover(p)
}

// recover moves to where a statement may begin: a keyword, another line, or
// behind a semicolon or a section.
func (s *section[T]) recover(p *parser) {
	line := p.last.pos.Line
	for {
		switch {
		case p.tok.is(tokenEOF), p.tok.is(tokenClose), p.tok.is(tokenSemicolon):
			return
		case p.tok.is(tokenOpen):
			p.take()
			p.skipBraces()
			return
		case p.tok.pos.Line != line, s.has(p.tok):
			return
		}
		p.take()
	}
}

// skipBraces moves behind the brace that closes the one taken last.
func (p *parser) skipBraces() {
	for open := 1; open > 0 && !p.tok.is(tokenEOF); {
		switch p.take().kind {
		case tokenOpen:
			open++
		case tokenClose:
			open--
		}
	}
}

// quote shows a word of the file in a message, shortened.
func quote(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "..."
	}
	return fmt.Sprintf("%q", s)
}
