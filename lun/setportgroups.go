package lun

import (
	"github.com/tandem-san/tandem/scsi"
)

// maxGroupStates is how many descriptors SET TARGET PORT GROUPS takes: more than
// there are target port groups.
const maxGroupStates = 16

func prepareSetPortGroups(_ *brain, t *Task) bool {
	n := t.cdb().AllocationLength()
	if err := scsi.SetPortGroupsLength(n, maxGroupStates); err != nil {
		t.fail(err)
		return false
	}
	t.state.need, t.Transfer = int(n), int(n)
	return n > 0
}

// setPortGroups carries out SET TARGET PORT GROUPS (SPC-5 §6.47). The group to
// become active/optimized is where the brain is to be. If it is not here the
// task begins the handover and ends with NotServed, so that the handover does
// not wait for it; it is run again where the brain is then, and finds what it
// asked for, or that the handover has failed. That ends it with ABORTED COMMAND
// and not with HARDWARE ERROR, for which initiators give a disk up.
func setPortGroups(b *brain, t *Task) {
	access := b.unit.access.Load()
	groups, err := scsi.DecodeSetPortGroups(t.DataOut[:t.state.need], maxGroupStates)
	if err != nil {
		t.fail(err)
		return
	}
	if len(groups) == 0 {
		return
	}
	wanted, err := access.optimized(groups)
	if err != nil {
		t.fail(err)
		return
	}
	if wanted == access.Local {
		return
	}
	failed := scsi.Sense{Key: scsi.AbortedCommand, ASC: scsi.SetTargetPortGroupsCommandFailed}
	if t.HandoverAsked || b.unit.config.HandOver == nil {
		t.check(failed)
		return
	}
	if err := b.unit.config.HandOver(wanted); err != nil {
		b.unit.config.Log.Warn("SET TARGET PORT GROUPS failed", "lun", b.unit.config.Name, "initiator", t.Nexus.InitiatorPort, "group", wanted, "error", err)
		t.check(failed)
		return
	}
	b.unit.config.Log.Info("SET TARGET PORT GROUPS", "lun", b.unit.config.Name, "initiator", t.Nexus.InitiatorPort, "group", wanted)
	t.HandoverAsked = true
	t.notServed()
}

// optimized answers the one group that is to be active/optimized. All others
// follow it: they may be named with the state that follows, and no state can be
// asked for but these.
func (a *Access) optimized(groups []scsi.GroupState) (uint16, error) {
	wanted := -1
	for i, g := range groups {
		for _, before := range groups[:i] {
			if before.Group == g.Group {
				return 0, scsi.InvalidGroup(i)
			}
		}
		switch {
		case !a.has(g.Group):
			return 0, scsi.InvalidGroup(i)
		case g.State == scsi.ActiveOptimized && wanted < 0:
			wanted = i
		case g.State == scsi.ActiveOptimized || !a.follows(g.State):
			return 0, scsi.InvalidGroupState(i)
		}
	}
	if wanted < 0 {
		return 0, scsi.InvalidGroupState(0)
	}
	return groups[wanted].Group, nil
}

// has reports whether there is a group.
func (a *Access) has(group uint16) bool {
	for _, g := range a.Groups {
		if g.ID == group {
			return true
		}
	}
	return false
}

// follows reports whether a state is what the ports of a controller without the
// brain are in, as those of another one show.
func (a *Access) follows(s scsi.AccessState) bool {
	if s != scsi.ActiveNonOptimized && s != scsi.Standby {
		return false
	}
	for _, g := range a.Groups {
		if g.State == s {
			return true
		}
	}
	return false
}
