package provision

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
)

// ports hands out TCP ports that nobody listens on, each once.
type ports map[uint16]bool

// Ports come from below the range from which systems take ports for outgoing
// connections (32768 and up on Linux), so that none of those gets in the way
// before the port is listened on.
const (
	firstPort = 20000
	lastPort  = 32767
	tries     = 1000
)

// next finds a free port by listening on it for a moment.
func (p ports) next(addr netip.Addr) (netip.AddrPort, error) {
	var last error
	for range tries {
		port := uint16(firstPort + rand.IntN(lastPort-firstPort+1))
		if p[port] {
			continue
		}
		at := netip.AddrPortFrom(addr, port)
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		if err != nil {
			last = err
			continue
		}
		if err := l.Close(); err != nil {
			return netip.AddrPort{}, fmt.Errorf("looking for a free port of %s: %w", addr, err)
		}
		p[port] = true
		return at, nil
	}
	return netip.AddrPort{}, fmt.Errorf("no free port of %s from %d to %d: %w", addr, firstPort, lastPort, last)
}
