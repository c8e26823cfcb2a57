package ha

import "fmt"

// MessageKind says what a message between controllers is.
type MessageKind uint8

// Kinds of message.
const (
	// MessageHeartbeat: the sender is primary of Claims and asks for promises.
	MessageHeartbeat MessageKind = iota + 1
	// MessagePromise answers a heartbeat: the sender asks for none of its
	// claims for a lease, except those in Claims, with the grants it knows.
	MessagePromise
	// MessageHandover asks the primary to hand the claims over to the sender.
	MessageHandover
	// MessageRelease: the sender has stopped serving the claims and will not
	// serve them again in their epoch; the receiver may take them at once.
	MessageRelease
	// MessageRefuse answers MessageHandover: the claims stay where they are.
	MessageRefuse
	// MessageDrain and MessageUndrain pass an operator's wish on: the receiver
	// is to be drained, or not any more.
	MessageDrain
	MessageUndrain
	maxMessageKind = MessageUndrain
)

func (k MessageKind) String() string {
	switch k {
	case MessageHeartbeat:
		return "heartbeat"
	case MessagePromise:
		return "promise"
	case MessageHandover:
		return "handover"
	case MessageRelease:
		return "release"
	case MessageRefuse:
		return "refuse"
	case MessageDrain:
		return "drain"
	case MessageUndrain:
		return "undrain"
	}
	return fmt.Sprintf("message kind %d", uint8(k))
}

// Message is what controllers say to each other about who serves.
type Message struct {
	Kind MessageKind
	// Boot is the life of the controller that sent the heartbeat or the release; a
	// promise repeats it, so that an answer to an earlier life is not taken.
	Boot uint64
	// Seq numbers the heartbeats of a life; a promise repeats it.
	Seq    uint64
	Claims []Claim
	// Drained: the sender is, and takes over only what no other can serve.
	Drained bool
	// Reason explains a refusal to the operator.
	Reason string
}

// Claim is a logical unit with its grant as the sender knows it.
type Claim struct {
	LUN   string
	Grant Grant
}
