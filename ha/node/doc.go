// Package node makes a controller act on what package ha decides. It feeds
// ha.Core with time, messages and the arbiter's answers, carries out its
// actions, and gives the target ports a lun.Unit for each logical unit that
// leads a command to where the brain lives now: to the logical unit of this
// process, to that of the primary over the link, or into a short wait while
// nobody may serve.
//
// It decides nothing about who serves. It never lets a command start, nor its
// effect be acknowledged, without the right that the core gave (S1), and it
// never answers for a cluster's reason with anything but a wait, NOT READY
// 04h/0Ah or a closed session (S7).
//
// # State that outlives the controllers
//
// Reservations, registrations, mode parameters and pending unit attentions of
// a logical unit (lun.State) are on stable storage of every controller, each
// state with a ha.Stamp that orders it. Two rules keep one truth (S5):
//
// A change is acknowledged when it is on stable storage here and at every
// controller that is a candidate or can be reached. And when there is another
// controller that has not taken it, the arbiter's floor is first raised to its
// stamp. So whoever was not asked has a state that is before the floor.
//
// A controller serves only with a state that has no gap and is not before the
// floor. It asks the arbiter for grants and floors when it starts and each
// time it takes over.
//
// Who may serve with less, were it not for these? A candidate has acknowledged
// everything, on stable storage: it was made a candidate only after it had
// taken all states (PeerUp), and nothing was acknowledged without it since. If
// it restarts alone its file is therefore as new as any, whether the grant has
// it as primary or as candidate. One that is no candidate may still take over,
// when the primary was alone and its lease has lapsed. Its file may be old: the
// floor tells. If nothing was changed while it was away it serves; else it
// waits for the other controller, or for the operator's force. While a
// controller waits it does not show its states as complete, so that no other
// is told that it is up, and so none relies on its copy.
//
// A file that is damaged or missing is a gap. It does not matter where the
// grant, as the arbiter tells it at the start, does not have this controller:
// nobody relied on it. (Every logical unit has a file before the core hears of
// a grant, so one that is missing was lost.) Else the gap is closed by the
// state of a controller that was a candidate of that same grant, or that has
// been the brain since; both had everything.
//
// The brain begins with a stamp of its own epoch, above all earlier ones. So a
// change that a primary wrote to its file and could not get acknowledged is
// dropped when that controller returns after a takeover. Without arbiter
// there are no floors, and epochs begin again with each start: then the last
// brain that started is right.
//
// Power is lost when no controller has the state in memory: each one that shows
// a state says whether it, or one that showed it to it, has had it since it was
// served last (warm). The first brain after that begins as after power on
// (lun.LogicalUnit.PowerOn): only what was made with APTPL and what was saved is
// left. Until it begins nothing is dropped, so a controller that is still up
// somewhere keeps it all.
//
// # Who runs where
//
// One goroutine, the loop, owns the core; everything reaches it through
// events, and it never waits. Each unit has a goroutine that opens and closes
// the backend and moves the brain, one step after the other, always towards
// the newest route. Commands run on the goroutines of their sessions.
//
// A cluster has a thousand logical units and more, and what happens to one
// mostly happens to all. So the core takes all events that wait in one step;
// what it asks of the arbiter while an answer is awaited goes in one request;
// logical units that are fenced in one step by the same means share one run; the
// log gets one line; few units at a time take a step, and few states that nobody
// waits for are written at a time. Else the loop, which gives and asks for
// promises, would come too late for them.
package node
