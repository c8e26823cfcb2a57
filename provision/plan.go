package provision

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"github.com/tandem-san/tandem/ctlconf"
)

// plan is the cluster to be, with every address and path decided.
type plan struct {
	Options
	abs       string // Dir, absolute
	nodes     []place
	witnesses []place
}

// place is where one member lives.
type place struct {
	Name    string // id of a controller, or name of a witness
	ID      uint8  // of a controller
	Dir     string // directory as the user named it
	Portal  netip.AddrPort
	Link    netip.AddrPort
	Arbiter netip.AddrPort
	Data    string // of the arbiter
	PIDFile string // "" where none is wanted
	State   string // "" for the default
	Socket  string // "" for the default
}

// witnessName names the witnesses: w, w2.
func witnessName(i int) string {
	if i == 0 {
		return "w"
	}
	return "w" + strconv.Itoa(i+1)
}

func newPlan(o Options) (*plan, error) {
	abs, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("finding directory %s: %w", o.Dir, err)
	}
	p := &plan{Options: o, abs: abs}
	if p.LUNs, err = p.placeLUNs(); err != nil {
		return nil, err
	}
	free := ports{}
	for _, n := range o.Nodes {
		m := p.member(strconv.Itoa(int(n.ID)), n.Address)
		m.ID = n.ID
		m.Portal = netip.AddrPortFrom(n.Address, ctlconf.ISCSIPort)
		m.Link = netip.AddrPortFrom(n.Address, ctlconf.LinkPort)
		p.nodes = append(p.nodes, m)
	}
	for i, w := range o.Witnesses {
		p.witnesses = append(p.witnesses, p.member(witnessName(i), w))
	}
	if !o.Loopback {
		return p, nil
	}
	for i := range p.nodes {
		m := &p.nodes[i]
		m.Socket = filepath.Join(abs, "run", m.Name+".sock")
		m.State = filepath.Join(abs, m.Name, "state")
		for _, addr := range []*netip.AddrPort{&m.Portal, &m.Link, &m.Arbiter} {
			if *addr, err = free.next(addr.Addr()); err != nil {
				return nil, err
			}
		}
	}
	for i := range p.witnesses {
		m := &p.witnesses[i]
		if m.Arbiter, err = free.next(m.Arbiter.Addr()); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// member places what controllers and witnesses have in common.
func (p *plan) member(name string, addr netip.Addr) place {
	m := place{
		Name:    name,
		Dir:     filepath.Join(p.Dir, name),
		Arbiter: netip.AddrPortFrom(addr, ctlconf.ArbiterPort),
		Data:    "/var/lib/tandem/arbiter",
	}
	if p.Loopback {
		m.Data = filepath.Join(p.abs, name, "arbiter")
		m.PIDFile = filepath.Join(p.abs, "run", name+".pid")
	}
	return m
}

// placeLUNs makes paths absolute and chooses the fence.
func (p *plan) placeLUNs() ([]LUN, error) {
	luns := make([]LUN, len(p.LUNs))
	for i, l := range p.LUNs {
		path, err := filepath.Abs(l.Path)
		if err != nil {
			return nil, fmt.Errorf("finding path %s of lun %s: %w", l.Path, l.Name, err)
		}
		l.Path = path
		if p.Loopback && l.Size == 0 {
			if _, err := os.Stat(path); err != nil {
				return nil, fmt.Errorf("lun %s has no size, so its file must exist: %w", l.Name, err)
			}
		}
		if l.Fence == "" {
			l.Fence = "none"
			if p.Loopback {
				l.Fence = "process " + filepath.Join(p.abs, "run", "%d.pid")
			}
		}
		luns[i] = l
	}
	return luns, nil
}

// pidFile is where a controller must write its process id: where the plan puts
// it, or where a fence given by the user looks for it.
func (p *plan) pidFile(m place) string {
	for _, l := range p.LUNs {
		if f, err := ctlconf.ParseFence(l.Fence); err == nil && f.Kind == ctlconf.FenceProcess && m.ID != 0 {
			return f.PIDFile(m.ID)
		}
	}
	return m.PIDFile
}
