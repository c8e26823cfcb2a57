package target

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// portal is one address that is listened on.
type portal struct {
	server   *Server
	address  netip.AddrPort // as configured
	listener net.Listener
	group    atomic.Pointer[PortalGroup]
	usage    usage // guarded by Server.mu
}

// acceptPause is how long a portal waits when accepting fails, for instance
// because the process has no file descriptor left.
const acceptPause = 50 * time.Millisecond

// openPortals opens the portals of snap that are not among have. On an error
// those just opened are closed again.
func (s *Server) openPortals(snap *snapshot, have []*portal) (opened []*portal, err error) {
	for _, g := range snap.groups {
		if g.Foreign {
			continue
		}
		for _, a := range g.Portals {
			if findPortal(have, g.Name, a) != nil {
				continue
			}
			p := &portal{server: s, address: a}
			p.group.Store(g)
			if p.listener, err = listen(a); err != nil {
				closePortals(opened)
				return nil, fmt.Errorf("portal group %s: %w", g.Name, err)
			}
			opened = append(opened, p)
		}
	}
	return opened, nil
}

// listen opens one address, of its own IP version only, so that 0.0.0.0 and
// [::] can be listened on side by side.
func listen(a netip.AddrPort) (net.Listener, error) {
	network := "tcp4"
	if a.Addr().Is6() {
		network = "tcp6"
	}
	return net.Listen(network, a.String())
}

func findPortal(portals []*portal, group string, a netip.AddrPort) *portal {
	for _, p := range portals {
		if p.address == a && p.group.Load().Name == group {
			return p
		}
	}
	return nil
}

// splitPortals tells which portals snap has too.
func splitPortals(portals []*portal, snap *snapshot) (kept, gone []*portal) {
	for _, p := range portals {
		g := snap.groups[p.group.Load().Name]
		if g != nil && !g.Foreign && contains(g.Portals, p.address) {
			kept = append(kept, p)
		} else {
			gone = append(gone, p)
		}
	}
	return kept, gone
}

func contains(list []netip.AddrPort, a netip.AddrPort) bool {
	for _, p := range list {
		if p == a {
			return true
		}
	}
	return false
}

func closePortals(portals []*portal) {
	for _, p := range portals {
		_ = p.listener.Close() // an error leaves nothing to be done
	}
}

// serve accepts connections until the listener is closed.
func (p *portal) serve() {
	log := p.server.log.With("portal", p.listener.Addr().String())
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Error("cannot accept a connection", "error", err)
			select {
			case <-p.server.stop:
				return
			case <-time.After(acceptPause):
			}
			continue
		}
		c := newConnection(p, conn)
		if !p.server.admit(c) {
			log.Warn("connection refused, too many", "initiator", c.remote)
			_ = conn.Close()
			continue
		}
		if err := setDSCP(conn, p.group.Load().DSCP); err != nil {
			log.Warn("packets are sent without their DSCP", "initiator", c.remote, "error", err)
		}
		p.server.running.Go(c.serve)
	}
}

// Portals are the addresses that are listened on, by portal group. Where port
// 0 was asked for, it is the one that was taken.
func (s *Server) Portals() map[string][]netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[string][]netip.AddrPort{}
	for _, p := range s.portals {
		name := p.group.Load().Name
		m[name] = append(m[name], p.local())
	}
	return m
}

// local is the address that is really listened on.
func (p *portal) local() netip.AddrPort {
	a := p.listener.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(p.address.Addr(), a.Port())
}
