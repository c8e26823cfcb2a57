// Package multipath makes one disk of several iSCSI paths to the same logical
// unit, and keeps it going while paths fail and controllers hand over.
//
// A path is a session to one portal. Each is connected in the background and
// connected again when it is lost, and is used only after its Device
// Identification VPD page named the same logical unit as the others. The
// asymmetric access state of each path (SPC-5 §5.17) is read when it connects,
// every second, at once when the target says that it changed (UNIT ATTENTION
// 2Ah/06h) or refuses a command because of it, and several times a second
// while no path can be used. Commands go to paths that are active/optimized,
// else to active/non-optimized ones, never to others.
//
// A command that a path could not finish for a reason that will pass (the
// path is lost or silent, NOT READY, BUSY, TASK SET FULL, UNIT ATTENTION,
// ABORTED COMMAND) is sent again, on the same or another path, until it
// succeeds or Config.QueueTimeout is over. MEDIUM ERROR, HARDWARE ERROR and
// everything else is returned at once.
//
// # A write is never under way twice
//
// Before a write is sent again, what was sent before is over: the target
// answered it, or confirmed that it aborted it, or its session is dead, which
// means the connection was reset and nothing of the write is left on this
// machine to be sent. Otherwise an old write could surface after a newer one.
// What a target still does with a command it took from a connection that is
// dead is for the target to prevent: it must not let such a command take
// effect once another controller serves the logical unit.
package multipath
