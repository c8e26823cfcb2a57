package ctlconf

import (
	"net/netip"
)

// validate checks what can be wrong with a file whose statements are right one
// by one.
func validate(r *reporter, c *Config) {
	validatePortals(r, c)
	validateTags(r, c)
	validateTargetPorts(r, c)
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
	}
	if l.CD != (l.BlockSize == cdBlockSize) {
		r.errorf(l.At("blocksize"), "blocksize %d, expected %d of a CD, and 512 or 4096 of a disk", l.BlockSize, cdBlockSize)
	}
	validateBlocks(r, l)
	if !o.Unmap && !l.CD {
		for _, option := range []string{"provisioning_type", "ublocksize", "ublockoffset", "unmap_max_lba", "unmap_max_descr"} {
			if l.Has("option " + option) {
				r.warnf(l.At("option "+option), "option %s has no effect with option unmap off", option)
			}
		}
	}
}

// Limits of READ CAPACITY (16) (SBC-4 §5.21.2): the logical blocks in a
// physical one, and where the first physical one may begin.
const (
	maxBlocksPerPhysical = 1 << 15
	maxAlignedLBA        = 1<<14 - 1
)

// validateBlocks checks the larger blocks that logical blocks stand in.
func validateBlocks(r *reporter, l *LUN) {
	o, bs := &l.Options, uint64(l.BlockSize)
	p, po, u, uo := o.PhysicalBlockSize, o.PhysicalBlockOffset, o.UnmapBlockSize, o.UnmapBlockOffset
	switch {
	case p != 0 && (p < bs || p > bs*maxBlocksPerPhysical):
		r.errorf(l.At("option pblocksize"), "option pblocksize %d, expected %d to %d with this blocksize", p, bs, bs*maxBlocksPerPhysical)
	case po%bs != 0 || po != 0 && po >= p:
		r.errorf(l.At("option pblockoffset"), "option pblockoffset %d, expected a multiple of the blocksize %d that is less than pblocksize", po, bs)
	case po != 0 && (p-po)/bs > maxAlignedLBA:
		r.errorf(l.At("option pblockoffset"), "option pblockoffset %d, expected at least %d with this pblocksize", po, p-bs*maxAlignedLBA)
	}
	switch {
	case u%bs != 0:
		r.errorf(l.At("option ublocksize"), "option ublocksize %d, expected a multiple of the blocksize %d", u, bs)
	case uo%bs != 0 || uo != 0 && uo >= u:
		r.errorf(l.At("option ublockoffset"), "option ublockoffset %d, expected a multiple of the blocksize %d that is less than ublocksize", uo, bs)
	}
}

// validateTargetPorts counts the targets in each of their portal groups: each
// is a target port, of which a controller has MaxTargetPorts.
func validateTargetPorts(r *reporter, c *Config) {
	n := 0
	for _, t := range c.Targets {
		for _, port := range t.Ports {
			if n++; n == MaxTargetPorts+1 {
				r.errorf(port.Position, "more than %d target ports (each portal-group of each target is one)", MaxTargetPorts)
			}
		}
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
		for _, option := range []string{"shared", "fence", "failback", "failback_hold"} {
			if l.Has("option " + option) {
				r.warnf(l.At("option "+option), "option %s has no effect without an ha section", option)
			}
		}
	}
}
