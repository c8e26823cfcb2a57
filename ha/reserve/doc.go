// Package reserve keeps controllers that lost their right from writing to a
// shared disk, with persistent reservations (SPC-5 §5.14, NVMe "Reservations")
// through the reservation ioctls of Linux (linux/pr.h).
//
// # What is on the disk
//
// Each controller has a key of its own, made of the name of the cluster and its
// id (KeyOf). It registers it through its path to the disk each time it opens
// the disk, and establishes one reservation that all of them share: WRITE
// EXCLUSIVE - ALL REGISTRANTS. Whoever is registered may write, nobody else.
// The type is the same in every mode: in mode 1 several controllers write, and
// in all modes no controller is the one whose end, or whose leaving, would lift
// the reservation, so that one which was fenced before could write again.
//
// # Fencing
//
// PREEMPT AND ABORT removes the key of a controller and ends what it has under
// way at the disk; from then on its writes end with RESERVATION CONFLICT. That a
// key is not there is as good: the ioctls cannot read keys on most kernels, so a
// PREEMPT that ends with RESERVATION CONFLICT is believed if this controller can
// prove that its own key is there.
//
// # Two rules
//
// A registration belongs to one opening of the disk. Where the key was taken
// away, everything through that opening fails for ever with block.ErrClosed,
// whatever is registered later. Who wants to write again closes it, which waits
// for all that is under way, and opens the disk anew. So a write from before a
// fence never meets a registration from after it.
//
// And fencing somebody does not register this controller again while it has the
// disk open: one that was fenced itself finds that out instead.
//
// A key is never taken back when the disk is closed: it does no harm, since a
// controller that has closed the disk has nothing under way, and were the last
// one taken back, the reservation would end and whoever was fenced could write.
// So the disk stays reserved when the cluster stops.
package reserve
