package ctlconf

import (
	"net/netip"
)

// validate checks what can be wrong with a file whose statements are right one
// by one.
func validate(r *reporter, c *Config) {
	validatePortals(r, c)
	validateTags(r, c)
	for _, g := range c.AuthGroups {
		validateAuthGroup(r, g)
	}
	for _, t := range c.Targets {
		if t.own != nil {
			validateAuthGroup(r, t.own)
		}
	}
	for _, l := range c.LUNs {
		validateLUN(r, l)
	}
	validateIdentities(r, c)
	if len(c.ISNS.Servers) > 0 {
		r.warnf(c.At("isns-server"), "isns-server has no effect: iSNS registration is not supported yet")
	}
	if c.HA != nil {
		validateHA(r, c)
	} else {
		validateAlone(r, c)
	}
}

// validateAuthGroup warns of a group that looks as if it let someone in.
func validateAuthGroup(r *reporter, g *AuthGroup) {
	if !g.typed && g.IsValid() {
		r.warnf(g.Position, "no auth-type and no chap given, so all access is denied, expected auth-type none to let in without authentication")
	}
	if (g.Type == AuthCHAP || g.Type == AuthCHAPMutual) && len(g.CHAP) == 0 {
		r.errorf(g.Position, "auth-type %s without credentials, expected %s", g.Type, g.Type)
	}
}

// listener is an address that this process would listen on.
type listener struct {
	Position
	addr netip.AddrPort
	what string
}

// validatePortals finds listeners that get in each other's way: the same port
// of the same address, or of a wildcard that covers it.
func validatePortals(r *reporter, c *Config) {
	var all []listener
	for _, g := range c.PortalGroups {
		if g.IsValid() && !g.Foreign && len(g.Portals) == 0 {
			r.errorf(g.Position, "portal-group %s has no address, expected listen", quote(g.Name))
		}
		if g.IsValid() && !g.Used {
			r.warnf(g.Position, "portal-group %s is not used by any target", quote(g.Name))
		}
		if g.Foreign || !g.IsValid() && !g.Used {
			continue
		}
		for _, p := range g.Portals {
			all = append(all, listener{p.Position, p.Address, "portal-group " + quote(g.Name)})
		}
	}
	if c.HA != nil {
		all = append(all, listener{c.HA.At("listen"), c.HA.Listen, "the ha section"})
		if e := c.HA.Arbiter.Embedded; e != nil {
			all = append(all, listener{e.At("listen"), e.Listen, "the arbiter"})
		}
	}
	reportOverlaps(r, all)
}

// reportOverlaps reports each listener that overlaps one before it, once.
func reportOverlaps(r *reporter, all []listener) {
	first := make(map[netip.AddrPort]listener) // by address
	byPort := make(map[portOf]listener)        // any address of a family
	for _, l := range all {
		if !l.addr.IsValid() {
			continue
		}
		family := portOf{l.addr.Port(), l.addr.Addr().Is4()}
		old, taken := first[l.addr]
		if wildcard := wildcardOf(l.addr); !taken && l.addr == wildcard {
			old, taken = byPort[family]
		} else if !taken {
			old, taken = first[wildcard]
		}
		if taken {
			at, other := l, old
			if !at.IsValid() { // the group that is there by default
				at, other = old, l
			}
			r.errorf(at.Position, "%s and %s of %s overlap, expected addresses and ports that differ", at.addr, other.addr, other.what)
			continue
		}
		first[l.addr] = l
		if _, ok := byPort[family]; !ok {
			byPort[family] = l
		}
	}
}

type portOf struct {
	port uint16
	ipv4 bool
}

// wildcardOf is the address that stands for all of the family.
func wildcardOf(a netip.AddrPort) netip.AddrPort {
	if a.Addr().Is4() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port())
}

func validateTags(r *reporter, c *Config) {
	byTag := make(map[uint16]*PortalGroup)
	for _, g := range c.PortalGroups {
		if !g.IsValid() && !g.Used {
			continue
		}
		old := byTag[g.Tag]
		if old == nil {
			byTag[g.Tag] = g
			continue
		}
		if !g.Has("tag") && !g.Has("option tag") {
			g, old = old, g // point at the one that chose the number
		}
		at := g.At("tag")
		if g.Has("option tag") {
			at = g.At("option tag")
		}
		r.errorf(at, "tag %d of portal-group %s is that of portal-group %s too, expected another", g.Tag, quote(g.Name), quote(old.Name))
	}
}

func validateLUN(r *reporter, l *LUN) {
	o := &l.Options
	switch {
	case l.Backend == BackendBlock && !l.Has("path"):
		r.errorf(l.Position, "lun %s has no path, expected one, or backend ramdisk", quote(l.Name))
	case l.Backend == BackendRAMDisk && !l.Has("size"):
		r.errorf(l.Position, "lun %s has no size, expected one for a ramdisk", quote(l.Name))
	case l.Backend == BackendRAMDisk && l.Has("path"):
		r.errorf(l.At("path"), "path of a ramdisk, expected backend block or no path")
	}
	if l.Size%uint64(l.BlockSize) != 0 {
		r.errorf(l.At("size"), "size %d is not a multiple of the blocksize, expected a multiple of %d", l.Size, l.BlockSize)
	}
	if o.Capacity != 0 && l.Backend != BackendRAMDisk {
		r.errorf(l.At("option capacity"), "option capacity is for a ramdisk, expected size")
	} else if o.Capacity != 0 && o.Capacity < l.Size {
		r.errorf(l.At("option capacity"), "option capacity %d is less than the size %d, expected at least that: what is written is kept", o.Capacity, l.Size)
	}
	if o.PhysicalBlockSize != 0 && o.PhysicalBlockSize < uint64(l.BlockSize) {
		r.errorf(l.At("option pblocksize"), "option pblocksize %d is less than the blocksize, expected at least %d", o.PhysicalBlockSize, l.BlockSize)
	}
	if o.PhysicalBlockOffset%uint64(l.BlockSize) != 0 || o.PhysicalBlockOffset != 0 && o.PhysicalBlockOffset >= o.PhysicalBlockSize {
		r.errorf(l.At("option pblockoffset"), "option pblockoffset %d, expected a multiple of the blocksize %d that is less than pblocksize", o.PhysicalBlockOffset, l.BlockSize)
	}
	if o.UnmapBlockSize%uint64(l.BlockSize) != 0 || o.UnmapBlockOffset%uint64(l.BlockSize) != 0 {
		r.errorf(l.At("option ublocksize"), "option ublocksize or ublockoffset, expected multiples of the blocksize %d", l.BlockSize)
	}
}

// validateIdentities finds what must tell logical units apart and does not: a
// path under two of them is two writers that know nothing of each other, and
// initiators take two disks with one identity for two paths to the same disk.
func validateIdentities(r *reporter, c *Config) {
	type identity struct{ keyword, value string }
	first := make(map[identity]*LUN)
	for _, l := range c.LUNs {
		for _, i := range []identity{
			{"path", l.Path},
			{"serial", l.Serial},
			{"device-id", l.DeviceID},
			{"option scsiname", l.Options.SCSIName},
			{"option eui", string(l.Options.EUI)},
			{"option naa", string(l.Options.NAA)},
			{"option uuid", string(l.Options.UUID)},
		} {
			old, taken := first[i]
			switch {
			case i.value == "":
			case taken:
				r.errorf(l.At(i.keyword), "%s of lun %s is that of lun %s too (line %d), expected another", i.keyword, quote(l.Name), quote(old.Name), old.At(i.keyword).Line)
			default:
				first[i] = l
			}
		}
	}
}

// validateAlone checks a controller without a peer.
func validateAlone(r *reporter, c *Config) {
	for _, l := range c.LUNs {
		for _, option := range []string{"shared", "fence", "failback"} {
			if l.Has("option " + option) {
				r.warnf(l.At("option "+option), "option %s has no effect without an ha section", option)
			}
		}
	}
}
