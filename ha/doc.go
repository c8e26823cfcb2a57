// Package ha decides, for one controller, which logical units it may serve,
// and what it must do so that at no instant two controllers serve the same
// one. It decides only: no goroutine, no clock, no socket, no disk. Events and
// the time go in through Core.Step, actions come out; package ha/node carries
// them out. The same events give the same actions, so a simulator can live
// through a day of cluster life in a second.
//
// # Grants
//
// The arbiter keeps a Grant per logical unit: {epoch, primary, candidates}.
// It is changed only by compare-and-set on the epoch, and every change adds
// one to it. The candidates are the controllers that may take over without
// asking whether the primary is still alive. The arbiter is asked only when
// that membership changes; a healthy pair needs it for nothing.
//
// # Promises
//
// Every Heartbeat the primary sends a heartbeat that names the logical units
// it serves. A candidate answers with a promise: "I will not ask the arbiter
// for these until Lease × 1.1 after I sent this answer." The primary may serve
// until Lease after it sent the heartbeat that was answered. Who promises
// counts from sending the promise, who is promised counts from sending what
// was answered, so the promised side always stops first, whatever the network
// does; the factor covers clocks that run at different rates. A primary needs
// a valid promise of every other candidate.
//
// A promise binds the sender for the logical unit, whoever holds it: it is
// not tied to an epoch. A controller that just started remembers no promise
// and so waits Lease × 1.1 before it may ask for anything.
//
// # Alone
//
// A primary that misses a candidate's promises asks the arbiter to shrink the
// grant to those it hears. When it is the only one left it is alone: no
// promise can be had, so it serves under the arbiter's lease instead, and
// others, which reach the same disk, wait for that lease to lapse (the
// arbiter checks this itself: Change.Lapsed).
//
// # Two rules that are easy to miss
//
// Widening: a primary asks for a new candidate only while it already has that
// candidate's promise, and from the moment the request is sent it serves only
// under it, whatever it still believes the grant to be.
//
// In doubt: from the moment a controller asks to take over until it knows the
// outcome it promises nothing for that logical unit. A request whose answer
// was lost is resolved by Settle: after it no earlier request can be applied,
// and then the grants are read. Each life of a controller begins with one, for
// what its earlier life may have sent, and serves nothing before it is answered.
//
// # Handover
//
// A primary that is asked to hand over first finishes what runs (Drain), then
// gives the grant up for its epoch (MessageRelease): it serves again only under
// a later one. So the successor need wait for no promise, and nobody is fenced.
// A controller that is drained for maintenance (Maintenance) hands over all that
// another candidate can serve and takes nothing by handover, but still promises,
// and takes over what would else be without service; it says so in each message.
//
// # Fencing
//
// A paused controller may have a write on its way to a shared disk; no lease
// calls that back. A takeover therefore records in the grant whom it was taken
// from (Grant.Unfenced), and the new primary serves only after that
// controller was fenced. The record outlives a restart of the new primary.
//
// Where secondaries write too (UnitConfig.SecondaryWrites) a takeover records
// all other candidates, and a primary that leaves a candidate out records that
// one. It goes on serving meanwhile, as long as it does so without a break:
// it knows which blocks the lost one was allowed to write and keeps them locked
// until Lapse says that this is over. A primary that has started anew knows
// nothing and fences first.
//
// # Duties of the caller
//
// Actions are carried out in order. Right comes before the request or message
// that relies on it, so a right must be withdrawn before the next action is
// looked at. Change, Settle, Fence and Drain are answered by an event,
// whatever became of them. Messages may be delayed, lost, doubled or
// reordered. PeerUp is told only when the peer holds the state of every
// logical unit served here.
package ha
