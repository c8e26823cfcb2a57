package ha

// Event is something that happened; Core.Step takes them.
type Event interface{ event() }

// Tick says that time has passed. It is due about ten times per heartbeat.
type Tick struct{}

// PeerUp says that messages reach a peer, and that it has the state of every
// logical unit served here.
type PeerUp struct{ Peer NodeID }

// PeerDown says that messages no longer reach a peer.
type PeerDown struct{ Peer NodeID }

// Received is a message from a peer. The caller vouches for From.
type Received struct {
	From    NodeID
	Message Message
}

// Observed is the arbiter's state, read or watched. An old one does no harm.
type Observed struct{ State State }

// Changed answers the action Change: the grant of each logical unit after the
// attempt, in the order of Change.Changes.
type Changed struct {
	ID     uint64
	Grants []Grant
}

// ChangeLost answers the action Change when it is not known whether it was
// applied.
type ChangeLost struct{ ID uint64 }

// Settled answers the action Settle: no Change sent before it can be applied
// any more, and this is the state after.
type Settled struct{ State State }

// Held says that the arbiter's lease asked for with Hold of the same
// generation is held until Until. When the lease had lapsed before, or is
// new, the caller first reads the arbiter and tells Observed.
type Held struct {
	Generation uint64
	Until      Instant
}

// Fenced answers the action Fence. With OK false the controller must be
// assumed to be able to write.
type Fenced struct {
	LUN   string
	Epoch uint64
	OK    bool
}

// Drained answers the action Drain: no command of the logical unit is in
// flight here and none will start in this epoch.
type Drained struct {
	LUN   string
	Epoch uint64
}

// Promote is the operator's wish that this controller serve a logical unit.
// Force takes it although its primary may be alive and is not fenced.
type Promote struct {
	LUN   string
	Force bool
}

// HandOver is the wish that this controller, the primary of a logical unit,
// hand it over to another one. It does nothing where Core.Refusal says why
// not.
type HandOver struct {
	LUN string
	To  NodeID
}

// Maintenance is the operator's wish that a controller be drained, or not any
// more: a drained one hands over every logical unit that another can serve, and
// takes one only when no other can. For another Node the wish is passed on.
// A controller that starts is not drained.
type Maintenance struct {
	Node NodeID
	On   bool
}

// Shutdown says that this controller is about to leave: it hands over what it
// can and takes nothing more.
type Shutdown struct{}

func (Tick) event()        {}
func (PeerUp) event()      {}
func (PeerDown) event()    {}
func (Received) event()    {}
func (Observed) event()    {}
func (Changed) event()     {}
func (ChangeLost) event()  {}
func (Settled) event()     {}
func (Held) event()        {}
func (Fenced) event()      {}
func (Drained) event()     {}
func (Promote) event()     {}
func (HandOver) event()    {}
func (Maintenance) event() {}
func (Shutdown) event()    {}
