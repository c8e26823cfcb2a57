package ctlconf

import (
	"strings"
	"unicode/utf8"
)

type tokenKind int

const (
	tokenEOF tokenKind = iota
	tokenWord
	tokenOpen      // {
	tokenClose     // }
	tokenSemicolon // ;
)

// token is a word or a mark of punctuation and where it begins.
type token struct {
	kind   tokenKind
	text   string // of a word, without quotes and escapes
	quoted bool
	pos    Position
}

// is reports whether the token is the mark or end k.
func (t token) is(k tokenKind) bool { return t.kind == k }

// lexer cuts the source into tokens. Words end at white space, at punctuation,
// at a quote and at # (which begins a comment). It reports what cannot be a
// token and goes on behind it.
type lexer struct {
	src    string
	off    int
	line   int
	start  int // offset of the first byte of the line
	report *reporter
}

func newLexer(src []byte, report *reporter) *lexer {
	l := &lexer{src: string(src), line: 1, report: report}
	if strings.HasPrefix(l.src, "\uFEFF") { // byte order mark
		l.off = len("\uFEFF")
	}
	return l
}

func (l *lexer) position() Position { return Position{l.line, l.off - l.start + 1} }

// next returns the next token; at the end of the source always tokenEOF, which
// stands behind the last byte.
func (l *lexer) next() token {
	for l.off < len(l.src) {
		pos := l.position()
		switch c := l.src[l.off]; c {
		case '\n':
			l.off++
			l.line++
			l.start = l.off
		case ' ', '\t', '\r', '\f', '\v':
			l.off++
		case '#':
			l.skipComment()
		case '{', '}', ';':
			l.off++
			return token{kind: mark(c), pos: pos}
		case '"':
			return l.quoted(pos)
		default:
			if word, ok := l.word(); ok {
				return l.limited(token{kind: tokenWord, text: word, pos: pos})
			}
		}
	}
	return token{kind: tokenEOF, pos: l.position()}
}

func mark(c byte) tokenKind {
	switch c {
	case '{':
		return tokenOpen
	case '}':
		return tokenClose
	}
	return tokenSemicolon
}

func (l *lexer) skipComment() {
	if n := strings.IndexByte(l.src[l.off:], '\n'); n >= 0 {
		l.off += n
	} else {
		l.off = len(l.src)
	}
}

// word reads an unquoted word. It reports a byte that may not stand in a file
// and then answers false, having moved behind it.
func (l *lexer) word() (string, bool) {
	begin := l.off
	for l.off < len(l.src) {
		r, size := utf8.DecodeRuneInString(l.src[l.off:])
		if strings.ContainsRune(" \t\r\f\v\n#{};\"", r) {
			break
		}
		if (r == utf8.RuneError && size <= 1) || r < ' ' || r == 0x7f {
			if l.off > begin {
				break
			}
			l.report.errorf(l.position(), "control character or byte that is not UTF-8, expected UTF-8 text")
			l.off++
			return "", false
		}
		l.off += size
	}
	return l.src[begin:l.off], true
}

// quoted reads a string in double quotes, in which \" is a quote and \\ a
// backslash. A string that does not end on its line is reported and ends there.
func (l *lexer) quoted(pos Position) token {
	var text strings.Builder
	for l.off++; l.off < len(l.src); l.off++ {
		switch c := l.src[l.off]; {
		case c == '"':
			l.off++
			return l.limited(token{kind: tokenWord, text: text.String(), quoted: true, pos: pos})
		case c == '\n':
			l.report.errorf(pos, `string is not closed, expected " on the same line`)
			return l.limited(token{kind: tokenWord, text: text.String(), quoted: true, pos: pos})
		case c == '\\' && l.off+1 < len(l.src) && (l.src[l.off+1] == '"' || l.src[l.off+1] == '\\'):
			l.off++
			text.WriteByte(l.src[l.off])
		default:
			text.WriteByte(c)
		}
	}
	l.report.errorf(pos, `string is not closed, expected " on the same line`)
	return l.limited(token{kind: tokenWord, text: text.String(), quoted: true, pos: pos})
}

// limited reports a word that is too long or not text, and makes it harmless.
func (l *lexer) limited(t token) token {
	if len(t.text) > MaxWordLength {
		l.report.errorf(t.pos, "word of %d bytes, expected at most %d", len(t.text), MaxWordLength)
		t.text = ""
	}
	if t.quoted && (!utf8.ValidString(t.text) || strings.ContainsFunc(t.text, isControl)) {
		l.report.errorf(t.pos, "string holds a control character or is not UTF-8, expected UTF-8 text")
		t.text = ""
	}
	return t
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
