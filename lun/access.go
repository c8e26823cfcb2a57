package lun

import (
	"slices"
	"strings"

	"github.com/tandem-san/tandem/scsi"
)

// Port is a target port through which the logical unit can be reached, on
// whatever controller.
type Port struct {
	// Relative is the relative target port identifier, unique among all ports
	// of the logical unit.
	Relative uint16
	// Name is the SCSI target port name: for iSCSI the target name, ",t,0x"
	// and the portal group tag in four hexadecimal digits (RFC 7143 §4.2.7).
	Name string
}

// device is the SCSI device name of the target that the port belongs to.
func (p Port) device() string {
	if i := strings.LastIndex(p.Name, ",t,"); i >= 0 {
		return p.Name[:i]
	}
	return p.Name
}

// PortGroup is a target port group: the ports of one controller.
type PortGroup struct {
	ID        uint16 // 1 without HA; with it, one more than the node
	State     scsi.AccessState
	Preferred bool
	Status    scsi.AccessStatus
	Ports     []Port
}

// Access is how the logical unit can be reached through all controllers
// (SPC-5 §5.18), as this controller knows it.
type Access struct {
	Groups []PortGroup
	// Local is the ID of this controller's group.
	Local uint16
}

func (a *Access) clone() *Access {
	c := &Access{Groups: slices.Clone(a.Groups), Local: a.Local}
	for i := range c.Groups {
		c.Groups[i].Ports = slices.Clone(c.Groups[i].Ports)
	}
	return c
}

// find answers the group and the port with a relative target port identifier,
// or nils.
func (a *Access) find(port uint16) (*PortGroup, *Port) {
	for i := range a.Groups {
		g := &a.Groups[i]
		for j := range g.Ports {
			if g.Ports[j].Relative == port {
				return g, &g.Ports[j]
			}
		}
	}
	return nil, nil
}

// stateOf answers the access state of a port; a port nobody told of is taken
// as active.
func (a *Access) stateOf(port uint16) scsi.AccessState {
	if g, _ := a.find(port); g != nil {
		return g.State
	}
	return scsi.ActiveOptimized
}

// sameStates reports whether both have the same groups in the same states.
func (a *Access) sameStates(o *Access) bool {
	return slices.EqualFunc(a.Groups, o.Groups, func(g, h PortGroup) bool {
		return g.ID == h.ID && g.State == h.State && g.Preferred == h.Preferred
	})
}

func (a *Access) portGroups() []scsi.PortGroup {
	groups := make([]scsi.PortGroup, 0, len(a.Groups))
	for _, g := range a.Groups {
		ports := make([]uint16, 0, len(g.Ports))
		for _, p := range g.Ports {
			ports = append(ports, p.Relative)
		}
		groups = append(groups, scsi.PortGroup{ID: g.ID, State: g.State, Preferred: g.Preferred, Status: g.Status, Ports: ports})
	}
	return groups
}

// SetAccess tells how the logical unit can be reached from now on. An active
// unit tells its nexuses with ASYMMETRIC ACCESS STATE CHANGED when a state
// changed. The view is copied.
func (u *LogicalUnit) SetAccess(a Access) {
	next := a.clone()
	u.mu.Lock()
	defer u.mu.Unlock()
	previous := u.access.Swap(next)
	b := u.brain
	if b == nil {
		return
	}
	for _, n := range b.nexuses {
		n.access = next.stateOf(n.name.TargetPort)
	}
	if len(previous.Groups) > 0 && !previous.sameStates(next) {
		b.attend(scsi.AsymmetricAccessStateChanged, nil)
	}
}

// Access answers the view last set. It must not be changed.
func (u *LogicalUnit) Access() Access { return *u.access.Load() }

// AnswerLocal answers a task which any port may answer without the brain:
// INQUIRY, REPORT LUNS, REPORT TARGET PORT GROUPS and the like, and, when the
// port's access state allows no more, everything else with NOT READY and the
// code of the state (SPC-5 §5.18.2). It reports false, with the task untouched,
// when the brain must answer. When it reports true CommandComplete has been
// called.
func (u *LogicalUnit) AnswerLocal(t *Task) bool {
	access := u.access.Load()
	state := access.stateOf(t.Nexus.TargetPort)
	id, _ := scsi.Lookup(t.CDB)
	c := &scsi.Commands[id]
	sense, refused := state.Refusal(c)
	// A command allowed on a standby port still needs the brain, and REQUEST
	// SENSE its unit attentions. In the other states the brain cannot be
	// reached.
	reachable := state.Active() || state == scsi.Standby
	if !refused && reachable && (!c.ByPort || c.Attention == scsi.AttentionAsData) {
		return false
	}
	t.reset()
	if refused || !c.ByPort {
		t.check(sense)
	} else if sense, ok := c.Check(t.CDB); !ok {
		t.check(sense)
	} else {
		byPort[id](u, access, t)
	}
	t.Transport.CommandComplete(t)
	return true
}

// byPort are the handlers of the commands that need no brain.
var byPort = [scsi.NumCommands]func(*LogicalUnit, *Access, *Task){
	scsi.CmdInquiry:                                (*LogicalUnit).inquiry,
	scsi.CmdReportLUNs:                             (*LogicalUnit).reportLUNs,
	scsi.CmdRequestSense:                           (*LogicalUnit).requestSenseByPort,
	scsi.CmdReportTargetPortGroups:                 (*LogicalUnit).reportTargetPortGroups,
	scsi.CmdReportSupportedOperationCodes:          (*LogicalUnit).reportSupportedOperationCodes,
	scsi.CmdReportSupportedTaskManagementFunctions: (*LogicalUnit).reportSupportedTaskManagement,
}
