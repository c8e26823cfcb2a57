// Package forward ships the commands of a logical unit to the controller that
// serves it (mode 2): the secondary is a remote port of the primary's brain.
//
// On the secondary a Proxy stands for the unit (lun.Unit): it sends command
// and nexus over the data stream of the link, data-out when the primary asks
// for it, and hands back status, sense and data-in. On the primary the same
// Forward receives them, runs them on the unit and is their transport
// (lun.Transport). A controller is both at the same time, for different units.
//
// Where the secondary has the medium open too (mode 1) reads and writes are
// only admitted by the primary: it has the unit treat the command like any
// other up to where it would touch the medium, and then answers with a ticket,
// which holds the command's blocks (lun.Mover). The secondary moves the data,
// completes the task, and says so. That is one round trip, and no data crosses
// the link; data-out that must be asked for costs a second one. A ticket that
// has run out, or that the secondary cannot use, is given back, and the command
// is shipped. Until a ticket is used or given back, or the secondary is known to
// use it no more, its blocks stay held, whatever becomes of the link.
//
// Every command carries the epoch of the grant it was routed by, and is run
// only when the primary serves in that epoch. When the link is lost, each
// command that is outstanding ends on the secondary with NotServed, and with
// Uncertain when it had been sent: it may have taken effect, or may still,
// as long as the primary can serve in that epoch without a new link to here.
// Who routes must not answer the initiator, nor run it elsewhere, before that
// is over: before the epoch has changed, the promises given have run out, or
// the primary has answered on a new link. On the primary the tasks of the lost
// peer are aborted and its nexuses are lost before anything that comes over a
// new link is run.
//
// This package never decides who serves and never retries. It must never run a
// command twice, deliver data of one command to another, or hold memory
// beyond its pool and its limits.
package forward
