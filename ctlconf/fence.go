package ctlconf

import (
	"strconv"
	"strings"
)

// FenceKind is how a controller that lost its right is kept away from a shared
// disk.
type FenceKind int

// The kinds.
const (
	// FenceNone: not at all, so that only an operator can move the right. It
	// is the default.
	FenceNone FenceKind = iota
	// FencePR takes the old primary's key from the disk (persistent
	// reservation).
	FencePR
	// FenceExec runs a command, such as one for a power switch.
	FenceExec
	// FenceProcess kills the old primary on this same machine.
	FenceProcess
)

// String gives the word of option fence.
func (k FenceKind) String() string {
	return [...]string{"none", "pr", "exec", "process"}[k]
}

// Fence is the value of option fence: "process PATH%d", "exec COMMAND", pr or
// none.
type Fence struct {
	Kind FenceKind
	// Command of FenceExec: a program and its arguments, apart by spaces.
	Command string
	// Path of FenceProcess is a pid file's, with %d where the id of the
	// controller stands.
	Path string
}

// PIDFile is the pid file of a controller, for FenceProcess.
func (f Fence) PIDFile(id uint8) string {
	return strings.Replace(f.Path, "%d", strconv.Itoa(int(id)), 1)
}

// fence reads the value of option fence. A command is not repeated in
// messages: it may hold a password.
func (p *parser) fence(a arguments) Fence {
	word, rest, _ := strings.Cut(strings.TrimSpace(a.text(0)), " ")
	rest = strings.TrimSpace(rest)
	switch {
	case word == "none" && rest == "":
		return Fence{}
	case word == "pr" && rest == "":
		return Fence{Kind: FencePR}
	case word == "exec" && strings.HasPrefix(rest, "/"):
		return Fence{Kind: FenceExec, Command: rest}
	case word == "exec":
		p.errorf(a.pos(0), "%s exec, expected a command that begins with the path of a program, such as \"exec /usr/local/sbin/power-off\"", a.key.text)
	case word == "process" && strings.HasPrefix(rest, "/") && strings.Count(rest, "%") == 1 && strings.Contains(rest, "%d"):
		return Fence{Kind: FenceProcess, Path: rest}
	case word == "process":
		p.errorf(a.pos(0), "%s process, expected the path of a pid file with one %%d for the controller's id, such as \"process /run/tandem/%%d.pid\"", a.key.text)
	default:
		p.errorf(a.pos(0), "%s, expected \"process PATH%%d\", \"exec COMMAND\", pr or none", a.key.text)
	}
	return Fence{}
}
