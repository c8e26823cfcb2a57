package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// fenceRun is what a run of a fence does, apart from the logical unit.
type fenceRun struct {
	pidFile, command string
	disk             string // the logical unit, where each has a disk of its own
	node             ha.NodeID
}

// fenceRun is the run that an action asks for. Logical units that are to be fenced
// by the same means, in one step, share it: a power switch is used once for a
// thousand.
func (n *Node) fenceRun(a ha.Fence) fenceRun {
	f := n.named[a.LUN].cfg.Fence
	if f.Disk != nil {
		return fenceRun{disk: a.LUN, node: a.Node}
	}
	return fenceRun{pidFile: f.PIDFile, command: f.Command, node: a.Node}
}

// fence carries out actions of one run, unless none needs it, and tells the core
// what came of them.
func (n *Node) fence(ctx context.Context, actions []ha.Fence) {
	why := make([]string, len(actions)) // no fence is needed
	var all sync.WaitGroup
	for i, a := range actions {
		all.Go(func() { why[i] = n.needsNoFence(ctx, a) })
	}
	all.Wait()
	groups := map[string][]ha.Fence{}
	for i, a := range actions {
		groups[why[i]] = append(groups[why[i]], a)
	}
	for reason, spared := range groups {
		if reason != "" {
			n.sayOf(slog.LevelInfo, "no fence is needed: "+reason, lunsOf(spared), "controller", spared[0].Node)
			n.fenced(spared, true)
		}
	}
	needed := groups[""]
	if len(needed) == 0 {
		return
	}
	err := errStale
	if n.awake.holds() { // or it might be the new primary that is fenced
		err = n.named[needed[0].LUN].cfg.Fence.run(ctx, needed[0].Node)
	}
	if err != nil {
		n.sayOf(slog.LevelError, "fencing failed", lunsOf(needed), "controller", needed[0].Node, "error", err)
	}
	n.fenced(needed, err == nil)
}

// needsNoFence says why a controller need not be fenced; "" when it must be.
func (n *Node) needsNoFence(ctx context.Context, a ha.Fence) string {
	u := n.named[a.LUN]
	switch {
	case a.Kept && n.spares(ctx, u, a):
		return "the controller writes nothing"
	case n.isQuiet(ctx, u, a):
		return "the controller says that it writes nothing any more"
	}
	return ""
}

// fenced tells the core what came of fences.
func (n *Node) fenced(actions []ha.Fence, ok bool) {
	var events []ha.Event
	for _, a := range actions {
		events = append(events, ha.Fenced{LUN: a.LUN, Epoch: a.Epoch, OK: ok})
	}
	n.post(events...)
}

func lunsOf(actions []ha.Fence) []string {
	var luns []string
	for _, a := range actions {
		luns = append(luns, a.LUN)
	}
	return luns
}
