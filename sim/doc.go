// Package sim lives through the life of a whole cluster in one goroutine:
// controllers, each a real ha.Core with a small model of what ha/node and lun
// do around it, the arbiter, the network between all of them, the shared disk,
// fences, an operator, and clients. Faults come without mercy. Everything is
// drawn from one seed, so that a life that goes wrong can be lived again, event
// by event, as often as it takes to understand it.
//
// It must never read a clock, start a goroutine or draw a number from anywhere
// but the seed, and it must never look into a core: what it checks is what a
// client, the disk and the arbiter can see.
//
// # What is checked
//
// S1 whenever a right is given: nobody else has it, each by its own clock; and
// whoever answers a command has it. S2 and S3 by porcupine on the history of
// each block. S4 whenever a write reaches the disk: no later brain has started.
// S5 whenever a brain starts: its state is the last one acknowledged or newer;
// and by porcupine on the registrations. S6 after every step of a core. S7 on
// every answer to a client. Whoever is to be fenced is, before anybody serves.
// L1 at the end, when all is repaired: every client gets through, and every
// controller is a candidate again.
//
// # What is assumed
//
// Clocks differ by less than a tenth. A client that gives up a path without
// having been told that its session is closed waits longer than a command can
// be under way in the cluster: held, then stuck in the link. A process that was
// killed is only started anew, and only counts as fenced, when the writes it
// had given to the kernel have ended. Where the fence is in vain, which must
// not hurt the right to serve, a write lands at the instant it is issued.
//
// The rules are those of docs/ha.md and of the package comment of ha.
package sim
