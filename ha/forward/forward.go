package forward

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/link"
	"github.com/tandem-san/tandem/lun"
)

// Limits of Config.
const (
	DefaultMaxTasks = 4096
	// maxManaging is how many task management functions may be outstanding to
	// each peer, beyond the commands.
	maxManaging = 256
	// chunk is how much data-out one frame carries, so that other frames get
	// in between.
	chunk = 512 << 10
)

// Sender is the link as this package uses it; *link.Link is one.
type Sender interface {
	SendData(to ha.NodeID, f link.Frame) error
	Reset(to ha.NodeID)
}

// Config is what a Forward needs.
type Config struct {
	// Node is this controller.
	Node ha.NodeID
	// Pool lends the memory for data in both directions.
	Pool *block.Pool
	// Serving answers the logical unit when this controller serves it in that
	// epoch, else an error. It is called for every command that arrives and
	// must not wait. It must answer the same value for a unit each time.
	Serving func(unit string, epoch uint64) (lun.Unit, error)
	// MaxTasks is how many commands may be outstanding to each peer, and from
	// each; one more ends with TASK SET FULL. 0 means DefaultMaxTasks.
	MaxTasks int
	// Lease answers for how long, from now, a peer may move data of the unit
	// in the right of an epoch: not longer than this controller's own right
	// lasts, and 0 when it may not. It must not wait. nil means that no peer
	// ever may.
	Lease func(unit string, to ha.NodeID, epoch uint64) time.Duration
	// Log gets a line per event; nil means slog.Default.
	Log *slog.Logger
}

// Forward is both ends, on this controller, of the commands shipped between
// controllers. Its PeerUp, PeerDown, Place and Data are to be called as
// link.Handler says, for frames of a Kind below Kinds.
type Forward struct {
	config Config
	link   Sender
	peers  [ha.MaxNodes + 1]*peer
	// working counts the goroutines that run what may wait.
	working sync.WaitGroup
}

// New makes a Forward over a link that may not run yet.
func New(l Sender, c Config) *Forward {
	if c.MaxTasks == 0 {
		c.MaxTasks = DefaultMaxTasks
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	f := &Forward{config: c, link: l}
	for id := range f.peers {
		f.peers[id] = newPeer(f, ha.NodeID(id))
	}
	return f
}

// Close waits until everything that came from peers has ended. The link must
// have ended before.
func (f *Forward) Close() { f.working.Wait() }

// PeerUp tells that frames reach the peer; see link.Handler.
func (f *Forward) PeerUp(id ha.NodeID) { f.peers[id].linkUp() }

// PeerDown tells that the link to the peer is lost: commands outstanding
// there end with NotServed, those from there are aborted; see link.Handler.
func (f *Forward) PeerDown(id ha.NodeID) { f.peers[id].linkDown() }

// Place says where the body of a frame goes; see link.Handler.
func (f *Forward) Place(id ha.NodeID, frame link.Frame, n int) []byte {
	p := f.peers[id]
	var memory []byte
	var err error
	switch frame.Kind {
	case kindSubmit:
		memory, err = p.placeCommand(frame, n)
	case kindDataOut:
		memory, err = p.placeDataOut(frame, n)
	case kindComplete:
		memory, err = p.placeDataIn(frame, n)
	default:
		err = fmt.Errorf("%w: kind %d has a body", errFrame, frame.Kind)
	}
	p.check(err)
	return memory
}

// Data takes a frame; see link.Handler.
func (f *Forward) Data(id ha.NodeID, frame link.Frame) {
	p := f.peers[id]
	var err error
	switch frame.Kind {
	case kindSubmit:
		err = p.commandCame(frame)
	case kindDataOut:
		err = p.dataOutCame(frame)
	case kindAdmit:
		err = p.admitCame(frame)
	case kindGathered:
		err = p.gatheredCame(frame)
	case kindMoved:
		p.movedCame(frame)
	case kindTicket:
		err = p.ticketCame(frame)
	case kindManage, kindNexusLost:
		err = p.managementCame(frame)
	case kindReceive:
		err = p.receiveCame(frame)
	case kindComplete:
		err = p.completeCame(frame)
	case kindManaged:
		p.managedCame(frame)
	default:
		err = fmt.Errorf("%w: kind %d", errFrame, frame.Kind)
	}
	p.check(err)
}

// check resets the link to a peer that breaks the protocol.
func (p *peer) check(err error) {
	if err == nil {
		return
	}
	p.forward.config.Log.Error("HA peer broke the protocol of forwarded commands", "node", p.forward.config.Node, "peer", p.id, "reason", err)
	p.forward.link.Reset(p.id)
}
