// Package target is the iSCSI target node of RFC 7143: portals that listen,
// the login phase, sessions and their full feature phase, discovery. Behind it
// stand lun.Units, which it knows by their number only.
//
// It must never acknowledge what a unit has not completed, never let one
// client's slowness or malice hold up another, and never use memory or time
// that its Limits do not name. It knows nothing of roles, clusters or disks.
//
// # The way of a PDU through the room
//
// A portal accepts a connection and counts it (portal.go, limits.go). From
// then on one goroutine, the reader, owns the connection: it conducts the
// login (login.go, auth.go) with small buffers and one deadline, and once the
// initiator is in, registers the session (session.go), which first ends an old
// session of the same initiator port.
//
// In the full feature phase the reader takes PDUs out of one large buffer
// (reader.go). A SCSI Command becomes a task (command.go): a pooled struct
// that is both the lun.Task and its lun.Transport. Immediate data goes into a
// buffer of the pool, and Submit hands the task to its unit, which may
// complete it before Submit returns. Data-Out PDUs are copied off the socket
// into the task's buffer, and R2Ts ask for the rest (dataout.go).
//
// CommandComplete, on whatever goroutine, turns a task into Data-In and
// Response PDUs that refer to the unit's memory (response.go) and queues them.
// The connection's second goroutine, the writer (writer.go), takes everything
// queued, stamps sequence numbers, gathers it into one writev, and afterwards
// gives memory back and recycles the tasks. It alone owns StatSN and the
// command window: a slot opens when the response is on its way, so a client
// that does not read cannot make the target hold more than one window.
// While the reader has whole PDUs in its buffer the writer is left asleep, so
// that a burst of commands is answered by one system call.
//
// Everything else hangs on these two goroutines: task management runs on
// goroutines of its own, since a unit answers when the effect is complete
// (management.go); text and discovery are answered by the reader (text.go,
// discovery.go); the server's ticker pings initiators that have gone quiet
// (ping.go).
//
// A session may have several connections, where its portal group allows that
// (members.go). Each has its reader, its writer, its StatSN and the tasks that
// came on it; the session has the nexus, the command window, and the order in
// which commands are handed to units (order.go). A connection that ends takes
// its tasks with it.
//
// A session ends in the reader of its last connection: the socket is closed,
// the writer has gone, every unit hears NexusLost, and when the last task has
// come back the session is forgotten. Only then may its initiator port return.
//
// The error recovery level is 0: what cannot be trusted any more is answered
// with a Reject where the RFC says so, and the connection is closed (§7.1.4.1).
package target
