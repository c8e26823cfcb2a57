package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/pidfile"
)

// Fence keeps a controller that lost its right from writing to a shared disk.
// The zero Fence is none: nothing is taken over by itself. In both fields %d
// stands for the id of the controller that is fenced.
type Fence struct {
	// PIDFile is the path of the pid file of a controller on this machine: it
	// is killed.
	PIDFile string
	// Command is a program and its arguments, apart by spaces, such as one for
	// a power switch. Its exit status 0 says that the controller cannot write
	// any more.
	Command string
	// Disk takes the key of the controller away from the disk; UnitConfig.Open
	// is not used then.
	Disk Reserved
}

// Reserved is a disk whose persistent reservations are the fence; package
// reserve has it.
type Reserved interface {
	// Open registers this controller and opens the disk. When its key is taken
	// away later, lost is called once, which does not wait.
	Open(lost func(error)) (block.Device, error)
	// Fence takes the key of another controller away.
	Fence(ctx context.Context, node uint8) error
}

// Automatic reports whether the fence can be relied on without an operator.
func (f Fence) Automatic() bool { return f.PIDFile != "" || f.Command != "" || f.Disk != nil }

// Path is the pid file of a controller.
func (f Fence) Path(node ha.NodeID) string { return forNode(f.PIDFile, node) }

func forNode(pattern string, node ha.NodeID) string {
	return strings.ReplaceAll(pattern, "%d", fmt.Sprint(node))
}

// Limits of a fence: how long it may take, a power switch being slow, and how
// much of what a command says is kept for the log.
const (
	fencePatience = 30 * time.Second
	maxFenceText  = 1024
)

var (
	errNoFence = errors.New("no fence is configured")
	// errStale: whom to fence was decided before a gap (vigil).
	errStale = errors.New("this process was stopped meanwhile")
)

// run fences a controller and returns nil only when it certainly cannot write
// any more.
func (f Fence) run(ctx context.Context, node ha.NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, fencePatience)
	defer cancel()
	switch {
	case f.Disk != nil:
		return f.Disk.Fence(ctx, uint8(node))
	case f.PIDFile != "":
		return pidfile.Kill(ctx, f.Path(node))
	case f.Command != "":
		return runFence(ctx, strings.Fields(forNode(f.Command, node)))
	}
	return errNoFence
}

// runFence runs a command and adds what it said to its error.
func runFence(ctx context.Context, words []string) error {
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err == nil {
		return nil
	}
	if len(out) > maxFenceText {
		out = out[:maxFenceText]
	}
	return fmt.Errorf("fence command %s: %w: %s", words[0], err, bytes.TrimSpace(out))
}

// fence carries out the action, by run unless none is needed, and tells the core
// what came of it.
func (n *Node) fence(ctx context.Context, u *Unit, a ha.Fence, run func() error) {
	if a.Kept && n.spares(ctx, u, a) {
		n.log.Info("no fence is needed: the controller writes nothing", "lun", a.LUN, "epoch", a.Epoch, "controller", a.Node)
		n.post(ha.Fenced{LUN: a.LUN, Epoch: a.Epoch, OK: true})
		return
	}
	if n.isQuiet(ctx, u, a) {
		n.log.Info("no fence is needed: the controller says that it writes nothing any more", "lun", a.LUN, "epoch", a.Epoch, "controller", a.Node)
		n.post(ha.Fenced{LUN: a.LUN, Epoch: a.Epoch, OK: true})
		return
	}
	err := run()
	n.post(ha.Fenced{LUN: a.LUN, Epoch: a.Epoch, OK: err == nil})
}

// fenceRun is what a run of a fence does, apart from the logical unit.
type fenceRun struct {
	pidFile, command string
	node             ha.NodeID
}

// fenceOf is the fence that an action asks for. Logical units that are to be
// fenced by the same means, in one step, share one run: a power switch is used
// once for a thousand. It begins after all of them asked.
func (n *Node) fenceOf(ctx context.Context, u *Unit, a ha.Fence) (run func() error) {
	f := u.cfg.Fence
	run = func() error {
		err := errStale
		if n.awake.holds() { // or it might be the new primary that is fenced
			err = f.run(ctx, a.Node)
		}
		if err != nil {
			n.log.Error("fencing failed", "lun", a.LUN, "epoch", a.Epoch, "controller", a.Node, "error", err)
		}
		return err
	}
	if f.Disk != nil {
		return run // each has a disk of its own
	}
	key := fenceRun{f.PIDFile, f.Command, a.Node}
	if n.fences[key] == nil {
		n.fences[key] = sync.OnceValue(run)
	}
	return n.fences[key]
}
