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
// whoever answers a command has it, and lends it for no longer (mode 1). S2 and S3
// whenever a client is answered, of each block and registration, and again at the
// end by porcupine on the whole history. S4 whenever a write reaches the disk: no
// later brain has started, the block was not given to others, and no client was
// told of a newer value. S5 whenever a brain starts: its state is the last one
// acknowledged or newer. S6 after every step of a core. S7 on every answer to a
// client, and of what is held. Whoever is to be fenced is, before anybody serves.
// L1 when all is repaired: every client gets through, and every controller is a
// candidate again; and again with one last fault that stays.
//
// # What a life is like
//
// A plan is drawn first: 2 to 8 controllers, mode 0, 1 or 2, the fence, how fast
// clocks run, how nasty everything is. Most lives have a theme, because some
// troubles need several things together that seldom meet by chance; the others
// have any faults. Some faults are plots, of several steps. A life whose faults come too often tests little: nothing is
// served in it.
//
// # What is assumed
//
// Clocks differ by less than a tenth. A client that gives up a path without
// having been told that its session is closed waits longer than a command can
// be under way in the cluster: held, then stuck in the link. A process that was
// killed is only started anew, and only counts as fenced, when the writes it
// had given to the kernel have ended. Where the fence is in vain, which must
// not hurt the right to serve, a write lands at the instant it is issued; so it
// does where nothing fences secondaries that write. There is an arbiter, and
// stable storage is never lost.
//
// # Planted bugs
//
// With the build tag mutants the core and the model around it have switches that
// turn one rule off each. A test plants one after the other and demands that a
// life of the theme that belongs to it breaks a promise because of it.
//
// The rules are those of docs/ha.md and of the package comment of ha.
package sim
