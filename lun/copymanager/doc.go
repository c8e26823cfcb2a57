// Package copymanager is the copy manager of a controller (SPC-5 §5.16): it
// carries out EXTENDED COPY, POPULATE TOKEN, WRITE USING TOKEN and the commands
// that tell of them.
//
// It stands between the target ports and the logical units. A third-party copy
// command goes to its logical unit first, which admits it as any other; then
// the copy manager reads and writes for it, with commands of its own that go
// the way of all others, to wherever the brains are. So a copy needs nothing
// that is replicated: the loss of a controller that has a brain only delays it,
// and when the controller of the port is lost its nexus is too, and with it the
// copy.
//
// A copy has the rights of the nexus that asked for it, and no more: it reaches
// the logical units that the nexus sees through its target port, its commands
// are those of the nexus, and reservations and access states hold for them. A
// ROD token carries no rights either.
//
// A copy must never go on after its task has ended, and its task must never end
// while a command of the copy may take effect.
package copymanager
