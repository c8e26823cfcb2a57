// Package workload writes and reads a disk in a way that shows whether it
// lost, aged or invented anything, and how long it stood still.
//
// The disk is a row of registers, one per slot. Every write carries the run,
// the slot, the writer, a sequence number that grows by one with each write to
// that slot, and a checksum of the whole. A slot has at most one write under
// way and any number of reads, so the sequence number a read returns says
// which write it saw, and these rules decide whether it may have seen it:
//
//   - Not older than the last write acknowledged before the read started, and
//     not older than what an earlier read of the slot already returned.
//     Otherwise the read is stale.
//   - A write that was issued and not acknowledged (failed, or still under
//     way) is in doubt: it may be seen or not. Once a later write is
//     acknowledged it may not be seen any more: it would be a ghost.
//   - Nothing that was never written to that slot in this run. Otherwise the
//     read is corrupt.
//
// At the end Verify reads every slot: it must hold the last acknowledged
// write, or one in doubt that came after it. Otherwise that write is lost.
//
// The package knows nothing of SCSI, iSCSI or processes; it drives anything
// that implements Disk. It must never count an operation as good that it did
// not check.
//
// The rules are linearizability of single registers (Herlihy and Wing, 1990)
// for one writer at a time, with the pending-write rule above made stricter:
// a failed write must not take effect after a later one was acknowledged.
package workload
