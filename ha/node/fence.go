package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/pidfile"
)

// Fence keeps a controller that lost its right from writing to a shared disk.
// The zero Fence is none: nothing is taken over by itself.
type Fence struct {
	// PIDFile is the path of the pid file of a controller on this machine,
	// with %d in place of its id: it is killed.
	PIDFile string
}

// Automatic reports whether the fence can be relied on without an operator.
func (f Fence) Automatic() bool { return f.PIDFile != "" }

// Path is the pid file of a controller.
func (f Fence) Path(node ha.NodeID) string {
	return strings.ReplaceAll(f.PIDFile, "%d", fmt.Sprint(node))
}

// fencePatience is how long a fence may take.
const fencePatience = 5 * time.Second

var errNoFence = errors.New("no fence is configured")

// run fences a controller and returns nil only when it certainly cannot write
// any more.
func (f Fence) run(ctx context.Context, node ha.NodeID) error {
	if !f.Automatic() {
		return errNoFence
	}
	ctx, cancel := context.WithTimeout(ctx, fencePatience)
	defer cancel()
	return pidfile.Kill(ctx, f.Path(node))
}

// fence carries out the action and tells the core what came of it.
func (n *Node) fence(ctx context.Context, u *Unit, a ha.Fence) {
	err := u.cfg.Fence.run(ctx, a.Node)
	if err != nil {
		n.log.Error("fencing failed", "lun", a.LUN, "epoch", a.Epoch, "controller", a.Node, "error", err)
	}
	n.post(ha.Fenced{LUN: a.LUN, Epoch: a.Epoch, OK: err == nil})
}
