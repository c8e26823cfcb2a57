// Package demo shows on one machine what Tandem promises: it starts a witness
// and two controllers as real processes on loopback, gives them a disk, keeps
// it busy over both paths with a workload that would notice any lost, stale or
// invented data, breaks something in the middle, mends it, and verifies every
// byte that was ever acknowledged.
//
// It is what tandem demo runs, without flags. Everything it starts is gone
// when Run returns, whatever happened: processes, sockets, files. Should this
// process die without a chance to clean up, the operating system ends the
// others (on Linux); only the files stay behind.
//
// It must never report success it has not seen: Result.OK needs a complete
// verification and a service that came back.
package demo
