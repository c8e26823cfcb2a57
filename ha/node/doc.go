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
// # Who runs where
//
// One goroutine, the loop, owns the core; everything reaches it through
// events, and it never waits. Each unit has a goroutine that opens and closes
// the backend and moves the brain, one step after the other, always towards
// the newest route. Commands run on the goroutines of their sessions.
package node
