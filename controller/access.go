package controller

import (
	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// localGroup is the target port group of a controller without high
// availability, as CTL numbers it.
const localGroup = 1

// localAccess is how a logical unit is reached that no other controller has.
func (c *Controller) localAccess(conf *ctlconf.Config, l *ctlconf.LUN) (lun.Access, error) {
	ports, err := c.ports.portsOf(conf, l)
	if err != nil {
		return lun.Access{}, err
	}
	group := lun.PortGroup{ID: localGroup, State: scsi.ActiveOptimized, Ports: ports}
	return lun.Access{Local: localGroup, Groups: []lun.PortGroup{group}}, nil
}
