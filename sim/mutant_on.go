//go:build mutants

package sim

// Planted bugs, off until a test plants them.
var (
	mutantWriteUnchecked    bool // the right is not looked at before the disk is written
	mutantAckUnchecked      bool // nor before the answer
	mutantForwardAnyEpoch   bool // commands of an earlier epoch are run
	mutantStatesNotShown    bool // a new peer is not shown the states there are
	mutantCommitEarly       bool // a change is acknowledged before a peer has it
	mutantFloorNotRaised    bool // and without telling the arbiter
	mutantFloorUnchecked    bool // a brain starts with a state that is out of date
	mutantFloorUntold       bool // a brain starts before the arbiter was asked for the floor
	mutantStateNotStored    bool // the state is gone with the process
	mutantOustedCopies      bool // a primary that is one no more still marks and sends its state
	mutantBrainKept         bool // the brain runs on although another was primary meanwhile
	mutantDrainedEarly      bool // a handover does not wait for commands in flight
	mutantDrainForgets      bool // a brain that was to move turns commands away though it is to serve on
	mutantLeaseFromAnswer   bool // the arbiter's lease counts from the answer
	mutantLeaseNoMargin     bool // and for its whole time, whatever the clocks
	mutantHeldUnread        bool // a lease that had lapsed counts before the grants were read
	mutantLateDrop          bool // a lease that was given up and taken again can still be dropped
	mutantLossForgotten     bool // commands of a lost session are run again
	mutantClosedEarly       bool // sessions are closed while their commands are on their way to the primary
	mutantHeldForever       bool // a command that comes back again and again is never given up
	mutantNoVigil           bool // a process that was stopped starts old commands
	mutantNoWithdrawal      bool // what a lost primary does not answer is waited for
	mutantImpatientClient   bool // a client gives up before the cluster has
	mutantFenceNotAwaited   bool // a fence counts as soon as it was started
	mutantRestartUnawaited  bool // a process starts before the writes of the last one have ended
	mutantTicketBeyondRight bool // a ticket lasts longer than the right of who gives it
	mutantTicketFromReceipt bool // a ticket counts from when it came
	mutantTicketUnchecked   bool // the ticket is not looked at before the medium is touched
	mutantLapseUnawaited    bool // the tickets of a lost secondary are not waited out
	mutantSparesWriter      bool // a lost secondary that writes is not fenced
	mutantLocalUnawaited    bool // a secondary becomes the primary while it moves data for the one before
	mutantSettledEarly      bool // a secondary says that it moves nothing of earlier links, and does
)

// Mutants are the planted bugs by name.
var Mutants = map[string]*bool{
	"write-unchecked":     &mutantWriteUnchecked,
	"ack-unchecked":       &mutantAckUnchecked,
	"forward-any-epoch":   &mutantForwardAnyEpoch,
	"states-not-shown":    &mutantStatesNotShown,
	"commit-early":        &mutantCommitEarly,
	"floor-not-raised":    &mutantFloorNotRaised,
	"floor-unchecked":     &mutantFloorUnchecked,
	"floor-untold":        &mutantFloorUntold,
	"state-not-stored":    &mutantStateNotStored,
	"ousted-copies":       &mutantOustedCopies,
	"brain-kept":          &mutantBrainKept,
	"drained-early":       &mutantDrainedEarly,
	"drain-forgets":       &mutantDrainForgets,
	"lease-from-answer":   &mutantLeaseFromAnswer,
	"lease-no-margin":     &mutantLeaseNoMargin,
	"held-unread":         &mutantHeldUnread,
	"late-drop":           &mutantLateDrop,
	"loss-forgotten":      &mutantLossForgotten,
	"closed-early":        &mutantClosedEarly,
	"held-forever":        &mutantHeldForever,
	"no-vigil":            &mutantNoVigil,
	"no-withdrawal":       &mutantNoWithdrawal,
	"impatient-client":    &mutantImpatientClient,
	"fence-not-awaited":   &mutantFenceNotAwaited,
	"restart-unawaited":   &mutantRestartUnawaited,
	"ticket-beyond-right": &mutantTicketBeyondRight,
	"ticket-from-receipt": &mutantTicketFromReceipt,
	"ticket-unchecked":    &mutantTicketUnchecked,
	"lapse-unawaited":     &mutantLapseUnawaited,
	"spares-writer":       &mutantSparesWriter,
	"local-unawaited":     &mutantLocalUnawaited,
	"settled-early":       &mutantSettledEarly,
}
