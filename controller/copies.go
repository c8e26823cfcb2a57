package controller

import (
	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/lun/copymanager"
)

// expose puts the copy manager before a logical unit, as the target ports see
// it.
func (c *Controller) expose(conf *ctlconf.Config, l *ctlconf.LUN, inner lun.Unit) {
	u := unitConfig(conf, l)
	c.units[l.Name] = c.copies.Unit(inner, u.Designators(), u.BlockSize)
}

// tellCopies tells the copy manager what is seen through the target ports.
func (c *Controller) tellCopies(conf *ctlconf.Config) error {
	visible := map[uint16][]*copymanager.Unit{}
	for _, t := range conf.Targets {
		for _, p := range t.Ports {
			n, err := c.ports.number(portKey{t.Name, p.PortalGroup.Name})
			if err != nil {
				return err
			}
			for _, m := range t.LUNs {
				visible[n] = append(visible[n], c.units[m.LUN.Name])
			}
		}
	}
	c.copies.SetPorts(visible)
	return nil
}
