//go:build !linux

package etcd

// tendSockets does nothing where a process cannot look at its own connections:
// after a network has been cut members hear each other when TCP tries again.
func (m *Member) tendSockets() {}
