//go:build mutants

package ha

// Planted bugs, off until Plant; for tests only.
var (
	mutantNoPromiseWait        bool // takes over in spite of its own promise
	mutantPromiseFromReceipt   bool // counts a promise from when it came
	mutantNoClockMargin        bool // waits just a lease: neither the tenth nor the delay by rank
	mutantNoBootWait           bool // takes over at once after a start
	mutantPromiseInDoubt       bool // promises while its own request is under way
	mutantNoFirstSettle        bool // begins its life without a Settle
	mutantServeUnsettled       bool // serves before that is answered
	mutantServeAfterRelease    bool // serves what it has given up
	mutantWidenUnpromised      bool // asks for a candidate that promises nothing
	mutantWidenByOldGrant      bool // serves by the old grant while a wider one is asked for
	mutantNoLapsed             bool // takes over from one that is alone and holds its lease
	mutantAloneWithoutLease    bool // serves alone without the arbiter's lease
	mutantPromiseOfEarlierBoot bool // takes a promise made to an earlier life
	mutantStaleEpoch           bool // learns an older grant
	mutantStaleLeases          bool // believes an older state of the leases
	mutantFenceSkipped         bool // serves before the fence has worked
	mutantUnfencedForgotten    bool // takes a fence for done after a restart
	mutantUnfencedLost         bool // forgets whom the one it takes over from had not fenced
	mutantEarlySettle          bool // ends doubt by a Settle that was sent before the request
	mutantUnclaimedPromise     bool // counts a promise for what the heartbeat did not claim
	mutantForceLingers         bool // takes by force what the primary that was off serves again
	mutantSilentWitness        bool // waits for a peer that is silent
	mutantReleaseUnanswered    bool // gives up what it hands over while the arbiter is away
	mutantKeptUnserved         bool // a primary that has just started counts as having served all along
	mutantFenceUnrecorded      bool // does not tell the arbiter whom it has fenced
	mutantTicketsUnawaited     bool // serves at once after a start, where nothing fences secondaries that write
	mutantOldRelease           bool // takes over by a release of an older epoch
	mutantNeverShrinks         bool // goes on waiting for a candidate that is gone
)

// Mutants are the planted bugs by name.
var Mutants = map[string]*bool{
	"no-promise-wait":         &mutantNoPromiseWait,
	"promise-from-receipt":    &mutantPromiseFromReceipt,
	"no-clock-margin":         &mutantNoClockMargin,
	"no-boot-wait":            &mutantNoBootWait,
	"promise-in-doubt":        &mutantPromiseInDoubt,
	"no-first-settle":         &mutantNoFirstSettle,
	"serve-unsettled":         &mutantServeUnsettled,
	"serve-after-release":     &mutantServeAfterRelease,
	"widen-unpromised":        &mutantWidenUnpromised,
	"widen-by-old-grant":      &mutantWidenByOldGrant,
	"no-lapsed":               &mutantNoLapsed,
	"alone-without-lease":     &mutantAloneWithoutLease,
	"promise-of-earlier-boot": &mutantPromiseOfEarlierBoot,
	"stale-epoch":             &mutantStaleEpoch,
	"stale-leases":            &mutantStaleLeases,
	"fence-skipped":           &mutantFenceSkipped,
	"unfenced-forgotten":      &mutantUnfencedForgotten,
	"unfenced-lost":           &mutantUnfencedLost,
	"early-settle":            &mutantEarlySettle,
	"unclaimed-promise":       &mutantUnclaimedPromise,
	"force-lingers":           &mutantForceLingers,
	"silent-witness":          &mutantSilentWitness,
	"release-unanswered":      &mutantReleaseUnanswered,
	"kept-unserved":           &mutantKeptUnserved,
	"fence-unrecorded":        &mutantFenceUnrecorded,
	"tickets-unawaited":       &mutantTicketsUnawaited,
	"old-release":             &mutantOldRelease,
	"never-shrinks":           &mutantNeverShrinks,
}
