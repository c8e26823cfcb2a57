//go:build !mutants

package sim

// Planted bugs of what stands around the core; mutant_on.go says what each
// does. Here they are constants, and nothing of them is compiled.
const (
	mutantWriteUnchecked    = false
	mutantAckUnchecked      = false
	mutantForwardAnyEpoch   = false
	mutantStatesNotShown    = false
	mutantCommitEarly       = false
	mutantFloorNotRaised    = false
	mutantFloorUnchecked    = false
	mutantFloorUntold       = false
	mutantStateNotStored    = false
	mutantOustedCopies      = false
	mutantBrainKept         = false
	mutantDrainedEarly      = false
	mutantDrainForgets      = false
	mutantLeaseFromAnswer   = false
	mutantLeaseNoMargin     = false
	mutantHeldUnread        = false
	mutantLateDrop          = false
	mutantLossForgotten     = false
	mutantClosedEarly       = false
	mutantHeldForever       = false
	mutantNoVigil           = false
	mutantNoWithdrawal      = false
	mutantImpatientClient   = false
	mutantFenceNotAwaited   = false
	mutantRestartUnawaited  = false
	mutantTicketBeyondRight = false
	mutantTicketFromReceipt = false
	mutantTicketUnchecked   = false
	mutantLapseUnawaited    = false
	mutantSparesWriter      = false
	mutantLocalUnawaited    = false
	mutantSettledEarly      = false
)
