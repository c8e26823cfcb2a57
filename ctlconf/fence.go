package ctlconf

import (
	"errors"
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
	// reservation), which must be a block device.
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

// ParseFence reads the value of option fence. Its errors do not repeat a
// command: it may hold a password.
func ParseFence(s string) (Fence, error) {
	word, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	rest = strings.TrimSpace(rest)
	switch {
	case word == "none" && rest == "":
		return Fence{}, nil
	case word == "pr" && rest == "":
		return Fence{Kind: FencePR}, nil
	case word == "exec" && strings.HasPrefix(rest, "/"):
		return Fence{Kind: FenceExec, Command: rest}, nil
	case word == "exec":
		return Fence{}, errors.New(`exec, expected a command that begins with the path of a program, such as "exec /usr/local/sbin/power-off"`)
	case word == "process" && strings.HasPrefix(rest, "/") && strings.Count(rest, "%") == 1 && strings.Contains(rest, "%d"):
		return Fence{Kind: FenceProcess, Path: rest}, nil
	case word == "process":
		return Fence{}, errors.New(`process, expected the path of a pid file with one %d for the controller's id, such as "process /run/tandem/%d.pid"`)
	}
	return Fence{}, errors.New(`expected pr, "exec COMMAND", "process PATH%d" or none`)
}

// String gives the value of option fence.
func (f Fence) String() string {
	switch f.Kind {
	case FenceExec:
		return "exec " + f.Command
	case FenceProcess:
		return "process " + f.Path
	}
	return f.Kind.String()
}

func (p *parser) fence(a arguments) Fence {
	f, err := ParseFence(a.text(0))
	if err != nil {
		p.errorf(a.pos(0), "%s: %v", a.key.text, err)
	}
	return f
}
