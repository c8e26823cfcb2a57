// Package forward ships the commands of a logical unit to the controller that
// serves it (mode 2): the secondary is a remote port of the primary's brain.
//
// On the secondary a Proxy stands for the unit (lun.Unit): it sends command
// and nexus over the data stream of the link, data-out when the primary asks
// for it, and hands back status, sense and data-in. On the primary the same
// Forward receives them, runs them on the unit and is their transport
// (lun.Transport). A controller is both at the same time, for different units.
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
