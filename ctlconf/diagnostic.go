package ctlconf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a file. Lines and columns count from 1, columns in
// bytes. The zero Position is "nowhere": something that was not written down
// but is there by default.
type Position struct {
	Line, Column int
}

// IsValid reports whether p is a place in a file.
func (p Position) IsValid() bool { return p.Line > 0 }

// String gives line:column, or "-".
func (p Position) String() string {
	if !p.IsValid() {
		return "-"
	}
	return fmt.Sprintf("%d:%d", p.Line, p.Column)
}

// Diagnostic is one thing that is wrong with a file, or worth a warning.
type Diagnostic struct {
	File string
	Position
	// Message says what is wrong and what was expected. It holds no secret.
	Message string
}

// String gives file:line:column: message.
func (d Diagnostic) String() string {
	if !d.IsValid() {
		return d.File + ": " + d.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", d.File, d.Line, d.Column, d.Message)
}

// Error is String; a Diagnostic is an error.
func (d Diagnostic) Error() string { return d.String() }

// Diagnostics is everything found in one file, each list in the order of the
// file.
type Diagnostics struct {
	// Errors make the file unusable.
	Errors []Diagnostic
	// Warnings do not.
	Warnings []Diagnostic
}

// Err joins the errors, one to a line; nil when there are none.
func (d Diagnostics) Err() error {
	errs := make([]error, len(d.Errors))
	for i, e := range d.Errors {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// reporter collects diagnostics up to the limit.
type reporter struct {
	file string
	list Diagnostics
	full bool
}

func (r *reporter) errorf(at Position, format string, args ...any) {
	if r.full {
		return
	}
	if len(r.list.Errors) == MaxErrors {
		r.full = true
		format, args = "too many errors, the rest is not shown", nil
	}
	r.list.Errors = append(r.list.Errors, Diagnostic{File: r.file, Position: at, Message: fmt.Sprintf(format, args...)})
}

func (r *reporter) warnf(at Position, format string, args ...any) {
	if len(r.list.Warnings) >= MaxErrors {
		return
	}
	r.list.Warnings = append(r.list.Warnings, Diagnostic{File: r.file, Position: at, Message: fmt.Sprintf(format, args...)})
}

// result sorts both lists by place; what has none comes last.
func (r *reporter) result() Diagnostics {
	byPlace := func(a, b Diagnostic) int {
		switch {
		case !a.IsValid() && b.IsValid():
			return 1
		case a.IsValid() && !b.IsValid():
			return -1
		case a.Line != b.Line:
			return a.Line - b.Line
		}
		return a.Column - b.Column
	}
	last := len(r.list.Errors)
	if r.full {
		last-- // the note that there are more stays at the end
	}
	slices.SortStableFunc(r.list.Errors[:last], byPlace)
	slices.SortStableFunc(r.list.Warnings, byPlace)
	return r.list
}

// list writes words as "a, b or c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
