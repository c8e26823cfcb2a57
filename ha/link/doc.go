// Package link is the transport between controllers: for each pair of
// controllers a control stream and a data stream, each a TCP connection under
// mutual TLS 1.3, so that a heartbeat is never stuck behind bulk data.
//
// A peer is who its certificate says it is, never who its address says. The
// controller with the higher id dials. On each stream both sides first say
// hello: protocol version, cluster, node, the life of the process (boot), and
// the configuration both must agree on. Who does not fit is refused with a
// reason that both sides log, once per reason. A peer is up when both streams
// are; when either is lost both are closed, the peer is down, and the dialer
// starts again.
//
// The link moves bytes and knows nothing of grants, logical units or
// commands. It promises order within a stream and nothing else: what was
// queued or under way when a stream was lost may have arrived or not. It is
// not what notices a dead peer in time, the promises of package ha are; it
// only replaces streams that TCP gave up. It must never deliver a byte from
// somebody whose certificate is not of this cluster's authority, and never
// hold more than its queues allow.
//
// The callbacks of one peer never overlap with PeerUp or PeerDown: between
// PeerUp and the next PeerDown lies everything that one pair of streams
// delivered.
package link
