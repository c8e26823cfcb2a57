package ctlconf

import (
	"net/netip"
	"path"
	"strconv"
)

// validateHA checks the ha section, and that each LUN can move between the
// controllers.
func validateHA(r *reporter, c *Config) {
	h := c.HA
	for _, keyword := range []string{"cluster", "id", "listen", "peer", "certificate", "key", "ca", "arbiter"} {
		if !h.Has(keyword) {
			r.errorf(h.Position, "ha has no %s, expected one", keyword)
		}
	}
	for _, p := range h.Peers {
		if p.ID == h.ID {
			r.errorf(p.Position, "peer %d has the id of this controller, expected another", p.ID)
		}
		if p.Address == h.Listen {
			r.errorf(p.Position, "peer %d has the address this controller listens on, expected another", p.ID)
		}
		if p.Address.Addr().IsUnspecified() {
			r.errorf(p.Position, "peer %d has the address %s, expected one that can be connected to", p.ID, p.Address)
		}
	}
	if e := h.Arbiter.Embedded; e != nil && e.Data != "" && path.Clean(e.Data) == path.Clean(c.State) {
		r.errorf(c.At("state"), "state %s is the data directory of the arbiter, expected a directory of its own", quote(c.State))
	}
	validateTimes(r, h)
	validateArbiter(r, h)
	for _, l := range c.LUNs {
		validateSharedLUN(r, l, h)
	}
}

// validateTimes checks heartbeat and lease, unless one was not understood.
func validateTimes(r *reporter, h *HA) {
	if h.Heartbeat == 0 || h.Lease == 0 {
		return
	}
	at := h.At("lease")
	if !h.Has("lease") {
		at = h.At("heartbeat")
	}
	if h.Lease < 3*h.Heartbeat {
		r.errorf(at, "lease %v with a heartbeat of %v, expected a lease of three heartbeats or more", h.Lease, h.Heartbeat)
	}
}

func validateArbiter(r *reporter, h *HA) {
	switch a := &h.Arbiter; a.Kind {
	case ArbiterNone:
		r.warnf(a.Position, "arbiter none: there is no automatic takeover, when the primary fails service stops until an operator promotes")
	case ArbiterEmbedded:
		validateEmbedded(r, a.Embedded, strconv.Itoa(int(h.ID)))
		for _, m := range a.Embedded.Members {
			if !isController(m.Name, h) {
				r.errorf(m.Position, "member %s is neither this controller nor a peer, expected the id of one or the name of a witness", m.Name)
			}
		}
	case ArbiterEtcd:
		validateEtcd(r, a.Etcd)
	}
}

// isController reports whether a member that is named by a number is one of
// the controllers; other names are those of witnesses.
func isController(name string, h *HA) bool {
	id, number := whole(name)
	if !number || id == uint64(h.ID) {
		return true
	}
	for _, p := range h.Peers {
		if uint64(p.ID) == id {
			return true
		}
	}
	return false
}

// validateEmbedded checks the member called self and the list it is in.
func validateEmbedded(r *reporter, e *EmbeddedArbiter, self string) {
	for _, keyword := range []string{"data", "listen", "member"} {
		if !e.Has(keyword) {
			r.errorf(e.Position, "arbiter embedded has no %s, expected one", keyword)
		}
	}
	for _, m := range e.Members {
		if m.Address.Addr().IsUnspecified() {
			r.errorf(m.Position, "member %s has the address %s, expected one that can be connected to", m.Name, m.Address)
		}
	}
	switch own := e.Member(self); {
	case len(e.Members) == 0 || self == "" || self == "0": // reported already
	case own == nil:
		r.errorf(e.Position, "arbiter has no member %s, expected one for this %s", self, whatIs(self))
	case e.Listen.IsValid() && !sameListener(e.Listen, own.Address):
		r.errorf(own.Position, "member %s has the address %s, expected %s, which this %s listens on", self, own.Address, e.Listen, whatIs(self))
	}
	if n := len(e.Members); n > 0 && (n == 1 || n%2 == 0) {
		r.warnf(e.Position, "arbiter has %d members, expected an odd number of at least 3: losing %d of them stops takeover", n, n-n/2)
	}
}

func whatIs(self string) string {
	if isDigits(self) {
		return "controller"
	}
	return "witness"
}

// sameListener reports whether a listener, perhaps a wildcard, is reached at
// an address.
func sameListener(listen, addr netip.AddrPort) bool {
	return listen == addr || listen.Addr().IsUnspecified() && listen.Port() == addr.Port()
}

func validateEtcd(r *reporter, e *EtcdArbiter) {
	if !e.Has("endpoint") {
		r.errorf(e.Position, "arbiter etcd has no endpoint, expected one such as https://192.0.2.1:2379")
	}
	if e.Has("certificate") != e.Has("key") {
		r.errorf(e.Position, "arbiter etcd has only one of certificate and key, expected both or neither")
	}
	for _, url := range e.Endpoints {
		if len(url) > 5 && url[:5] == "http:" {
			r.warnf(e.At("endpoint"), "endpoint without TLS: anybody on the network can move the right to serve")
			break
		}
	}
}

// validateSharedLUN checks that both controllers reach the disk.
func validateSharedLUN(r *reporter, l *LUN, h *HA) {
	switch {
	case l.Backend == BackendRAMDisk:
		r.errorf(l.Position, "lun %s is a ramdisk, which only this controller reaches, expected a path both controllers reach and option shared on", quote(l.Name))
		return
	case !l.Options.Shared:
		r.errorf(l.Position, "lun %s lacks option shared on: mirroring is not available, so both controllers must reach the disk at its path", quote(l.Name))
		return
	}
	if l.Options.Fence.Kind == FenceNone && h.Arbiter.Kind != ArbiterNone {
		at := l.Position
		if l.Has("option fence") {
			at = l.At("option fence")
		}
		r.warnf(at, "lun %s has no fence: there is no automatic takeover, when the primary fails service stops until an operator promotes", quote(l.Name))
	}
}

func validateWitness(r *reporter, w *Witness) {
	for _, keyword := range []string{"cluster", "name", "certificate", "key", "ca", "arbiter"} {
		if !w.Has(keyword) {
			r.errorf(w.Position, "witness has no %s, expected one", keyword)
		}
	}
	if isDigits(w.Name) {
		r.errorf(w.At("name"), "name %s, expected one that is no number: numbers are the ids of controllers", w.Name)
		return
	}
	if w.embedded {
		validateEmbedded(r, &w.Arbiter, w.Name)
	}
}
