// Package initiator is the client side of iSCSI: it logs in to a target,
// sends SCSI tasks and task management functions, and moves their data.
// Package multipath, beside it, makes one disk of several sessions.
//
// A Session is one session of one connection at error recovery level 0
// (RFC 7143 §7.1.1): when the connection fails, the session is over and every
// task that has not ended ends with an error that is ErrSessionLost. Three
// goroutines serve it: a reader, a writer that gathers everything that may be
// sent into one write, and a watch that pings the target and ends tasks that
// take too long. Dial starts them; Close and Logout wait for them.
//
// # What the caller may rely on
//
// Whatever ends a task, the session does not touch the task's buffers
// afterwards. A task that ends with an error other than a *StatusError is no
// longer executing as far as the target can tell: either the target confirmed
// its abort, or the connection was reset, the session is dead and nothing more
// is sent for it. Its effect is unknown.
//
// # What the target may do
//
// Nothing the target sends is trusted: data outside a task's buffer, tags of no
// task, numbers out of sequence, segments longer than negotiated and PDUs that
// have no place end the session with a *ProtocolError. Memory stays within
// what Config allows.
//
// Rules: RFC 7143, with the values iSCSI takes from SAM-6.
package initiator
