package target

import (
	"errors"
	"fmt"

	"github.com/tandem-san/tandem/iscsi"
)

// Why connections end, apart from errors of the network.
var (
	errCrowdedOut       = errors.New("made room for another connection before it had logged in")
	errReinstated       = errors.New("reinstated by a new session of the same initiator port")
	errShutdown         = errors.New("the target shuts down")
	errReconfigured     = errors.New("the configuration no longer offers the target on these terms")
	errClosedByOperator = errors.New("closed by request")
	errTooManySessions  = errors.New("too many sessions")
	errPingTimeout      = errors.New("the initiator did not answer a ping in time")
	errLoggedOut        = errors.New("logged out")
	errHungUp           = errors.New("the initiator closed the connection")
	errNotLogin         = errors.New("the first PDU is no Login Request")
	errReset            = errors.New("target cold reset")
)

// protocolError is a rule of RFC 7143 that an initiator broke. Its connection
// cannot go on.
type protocolError struct {
	reason iscsi.RejectReason // of the Reject that is sent first; 0: none
	rule   string
}

func (e *protocolError) Error() string { return "protocol error: " + e.rule }

// violation makes a protocolError that is answered with Reject first.
func violation(reason iscsi.RejectReason, format string, args ...any) error {
	return &protocolError{reason, fmt.Sprintf(format, args...)}
}
