package controller

import (
	"fmt"

	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/lun"
)

// Port numbers follow CTL: each controller's begin at (id-1)*128, and the
// first three are those of CTL's own frontends, which Tandem has no use for.
const (
	portsPerNode  = 128
	firstPort     = 3
	maxPortNumber = portsPerNode - 1
)

// portKey is a target offered through a portal group.
type portKey struct{ target, group string }

// portNumbers gives each target port its relative target port identifier. A
// port keeps its number for as long as the process runs, whatever else is
// configured.
type portNumbers struct {
	node  int
	taken map[portKey]int
	used  map[int]bool
}

func newPortNumbers(node int) *portNumbers {
	return &portNumbers{node: node, taken: map[portKey]int{}, used: map[int]bool{}}
}

// number is the relative target port identifier of a port.
func (p *portNumbers) number(k portKey) (uint16, error) {
	if n, ok := p.taken[k]; ok {
		return uint16(n), nil
	}
	for i := firstPort; i <= maxPortNumber; i++ {
		n := (p.node-1)*portsPerNode + i
		if !p.used[n] {
			p.taken[k], p.used[n] = n, true
			return uint16(n), nil
		}
	}
	return 0, fmt.Errorf("target %s, portal group %s: this controller has %d target ports, at most %d are possible",
		k.target, k.group, len(p.taken), portsPerNode-firstPort)
}

// keep frees the numbers of ports that are configured no more.
func (p *portNumbers) keep(c *ctlconf.Config) {
	now := map[portKey]bool{}
	for _, t := range c.Targets {
		for _, tp := range t.Ports {
			now[portKey{t.Name, tp.PortalGroup.Name}] = true
		}
	}
	for k, n := range p.taken {
		if !now[k] {
			delete(p.taken, k)
			delete(p.used, n)
		}
	}
}

// portsOf are the target ports through which a logical unit is reached here: those
// of foreign portal groups are another controller's.
func (p *portNumbers) portsOf(c *ctlconf.Config, l *ctlconf.LUN) ([]lun.Port, error) {
	var ports []lun.Port
	for _, t := range c.Targets {
		if !maps(t, l) {
			continue
		}
		for _, tp := range t.Ports {
			if tp.PortalGroup.Foreign {
				continue
			}
			n, err := p.number(portKey{t.Name, tp.PortalGroup.Name})
			if err != nil {
				return nil, err
			}
			ports = append(ports, lun.Port{Relative: n, Name: portName(t, tp.PortalGroup)})
		}
	}
	return ports, nil
}

// maps reports whether a target has a number for the logical unit.
func maps(t *ctlconf.Target, l *ctlconf.LUN) bool {
	for _, m := range t.LUNs {
		if m.LUN == l {
			return true
		}
	}
	return false
}

// portName is the SCSI target port name (RFC 7143 §4.2.7).
func portName(t *ctlconf.Target, g *ctlconf.PortalGroup) string {
	return fmt.Sprintf("%s,t,0x%04x", t.Name, g.Tag)
}
