// Package etcd keeps the arbiter's grants in etcd: in members embedded in
// Tandem's own processes (Start), or in an existing cluster (Connect). It
// implements arbiter.Store; docs: the grants of the high-availability
// protocol. It decides nothing about who should serve, opens no port for
// clients, and talks to other members only over mutual TLS 1.3.
//
// # Keys
//
// All keys of a cluster start with /tandem/<cluster>/.
//
//	grant/<lun>     the grant, JSON {"epoch":4,"primary":1,"candidates":[1,2]}
//	alive/<node>    there while the controller holds the arbiter's lease; attached to an etcd lease
//	floor/<lun>     the floor of its states, JSON {"epoch":4,"version":2}
//	ticket/<node>   which process speaks for the controller, and in which revision of its right to
//
// # Tickets
//
// An answer of etcd can be lost: the call times out, and the transaction is
// applied a second later, or never. So each write of a Store compares, beside
// its own conditions, the modification revision of the ticket of its
// controller with the one this Store took. Settle rewrites the ticket first.
// Its new revision differs from the one that every earlier write carries, so
// whatever was lost on the way fails from then on, and the linearizable read
// that follows is the last word.
//
// The ticket is also rewritten by each process that starts to speak for the
// controller, but only when the presence of the one before is gone: a process
// keeps it under a lease of three seconds, takes it away when it ends in good
// order, and on the same machine is seen to be dead. So of two controllers that
// were given one node id the second gets no further (ErrAlive). Where the
// presence has lapsed the last one wins, at once and for good: the calls of the
// earlier process fail with ErrSuperseded, which names the later one. So a
// restarted controller need not wait for its previous life, no write of that
// life can be applied any more, and of two processes configured with one node
// id only one can change anything.
//
// # Leases
//
// etcd renews a lease without consensus: the member that believes it is the
// leader answers. A leader that was cut off and does not know it yet can thus
// renew a lease which its successor lets lapse. Hold does not rely on that:
// each call grants a new etcd lease and moves the alive key to it, both
// through consensus. The leader counts the time to live from when it applies
// the grant, a new leader from its election, so no member lets the key go
// before the time to live has passed since Hold was called. Leases left
// behind lapse without effect, as no key is attached to them.
package etcd
