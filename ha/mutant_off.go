//go:build !mutants

package ha

// Planted bugs: each switches off one rule, so that a test of package sim can
// show that the simulator misses it. Here they are constants, and nothing of
// them is compiled; mutant_on.go says what each does.
const (
	mutantNoPromiseWait        = false
	mutantPromiseFromReceipt   = false
	mutantNoClockMargin        = false
	mutantNoBootWait           = false
	mutantPromiseInDoubt       = false
	mutantNoFirstSettle        = false
	mutantServeUnsettled       = false
	mutantServeAfterRelease    = false
	mutantWidenUnpromised      = false
	mutantWidenByOldGrant      = false
	mutantNoLapsed             = false
	mutantAloneWithoutLease    = false
	mutantPromiseOfEarlierBoot = false
	mutantStaleEpoch           = false
	mutantStaleLeases          = false
	mutantFenceSkipped         = false
	mutantUnfencedForgotten    = false
	mutantUnfencedLost         = false
	mutantEarlySettle          = false
	mutantUnclaimedPromise     = false
	mutantForceLingers         = false
	mutantSilentWitness        = false
	mutantReleaseUnanswered    = false
	mutantKeptUnserved         = false
	mutantFenceUnrecorded      = false
	mutantTicketsUnawaited     = false
	mutantOldRelease           = false
	mutantNeverShrinks         = false
)
