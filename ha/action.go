package ha

import "fmt"

// Action is something the caller must do, in the order given.
type Action interface{ action() }

// Send is a message for a peer. It may be lost.
type Send struct {
	To      NodeID
	Message Message
}

// AskChange asks the arbiter for changes, as one transaction when it can be.
// It is answered by Changed or ChangeLost with the same ID.
type AskChange struct {
	ID      uint64
	Changes []Change
}

// Settle ends doubt about earlier changes (see Settled). It is answered by
// Settled, however long that takes.
type Settle struct{}

// Hold asks that the arbiter's lease of this controller be taken and renewed
// until a Hold with On false, which gives it up. Each success is told by Held.
type Hold struct {
	On         bool
	Generation uint64
}

// Fence asks that a controller be kept from writing to a logical unit.
// Answered by Fenced.
type Fence struct {
	LUN   string
	Epoch uint64
	Node  NodeID
	// Kept: this controller has served without a break since Node was a
	// candidate. It knows what Node may still write and need not fence it when
	// that is nothing.
	Kept bool
}

// Lapse says that what a secondary was allowed to write in epochs before this
// one is over: it is fenced, or the operator says so. With Wait nobody fences
// it, and it is over when the time that it was allowed for is.
type Lapse struct {
	LUN   string
	Epoch uint64
	Node  NodeID
	Wait  bool
}

// Drain asks that no new command start and those in flight be finished.
// Answered by Drained; a later Serve of the same epoch takes it back.
type Drain struct {
	LUN   string
	Epoch uint64
}

// Right is until when this controller may serve a logical unit, under the
// epoch. It replaces what was said before, also by an earlier instant.
type Right struct {
	LUN   string
	Epoch uint64
	Until Instant
}

// RouteKind says where the commands of a logical unit go.
type RouteKind uint8

// Kinds of route.
const (
	// RouteHold: nowhere now; they are held for a while.
	RouteHold RouteKind = iota
	// RouteServe: to the logical unit of this controller, while the Right lasts.
	RouteServe
	// RouteForward: to the primary.
	RouteForward
)

func (k RouteKind) String() string {
	return [...]string{"hold", "serve", "forward"}[k]
}

// Route says where the commands of a logical unit go from now on. Epoch and
// Primary are those of the grant; a hold has neither.
type Route struct {
	LUN     string
	Kind    RouteKind
	Epoch   uint64
	Primary NodeID
	// Takeover: the primary before was not asked. What was sent to it will
	// not be answered; what was sent to one that handed over will be.
	Takeover bool
	// Since is the first epoch of those, without one of another primary between,
	// in which Primary has been it.
	Since uint64
}

// Disconnect asks that the sessions which use the logical unit be closed: it
// has been without service for Config.Stall.
type Disconnect struct{ LUN string }

// Note is a line for the log; with Alarm one an operator must see.
type Note struct {
	LUN   string
	Text  string
	Alarm bool
	// Refused: the operator's wish cannot be granted, and waiting does not help.
	Refused bool
}

func (Send) action()       {}
func (AskChange) action()  {}
func (Settle) action()     {}
func (Hold) action()       {}
func (Fence) action()      {}
func (Lapse) action()      {}
func (Drain) action()      {}
func (Right) action()      {}
func (Route) action()      {}
func (Disconnect) action() {}
func (Note) action()       {}

// String tells the route as a short phrase.
func (r Route) String() string {
	switch r.Kind {
	case RouteServe:
		return fmt.Sprintf("serve in epoch %d", r.Epoch)
	case RouteForward:
		return fmt.Sprintf("forward to %d in epoch %d", r.Primary, r.Epoch)
	}
	return "hold"
}
