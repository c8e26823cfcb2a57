//go:build !mutants

package sim

// Planted bugs of what stands around the core; see mutant_on.go. Here they are
// constants, so that nothing of them is compiled.
const (
	mutantStartUnchecked  = false
	mutantWriteUnchecked  = false
	mutantAckUnchecked    = false
	mutantForwardAnyEpoch = false
	mutantPeerUpEarly     = false
	mutantCommitEarly     = false
	mutantLeaseFromAnswer = false
	mutantLeaseNoMargin   = false
	mutantHeldUnread      = false
	mutantBrainKept       = false
	mutantOustedCopies    = false
	mutantStateNotAdopted = false
	mutantWitnessesBefore = false
	mutantLossForgotten   = false
	mutantFloorNotRaised  = false
	mutantFloorUnchecked  = false
	mutantLateDrop        = false
	mutantDrainForgets    = false
	mutantNoVigil         = false
	mutantDrainedEarly    = false
	mutantImpatientClient = false
)
