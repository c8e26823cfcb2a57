package copymanager

import (
	"bytes"
	"context"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// Unit is a logical unit with the copy manager before it.
type Unit struct {
	lun.Unit
	manager   *Manager
	names     []scsi.Designator
	blockSize uint32
}

// Unit puts the copy manager before a logical unit, which is called names and
// has blocks of blockSize bytes.
func (m *Manager) Unit(inner lun.Unit, names []scsi.Designator, blockSize int) *Unit {
	return &Unit{Unit: inner, manager: m, names: names, blockSize: uint32(blockSize)}
}

// isCalled reports whether a designator is one of the logical unit.
func (u *Unit) isCalled(name scsi.Designator) bool {
	for _, n := range u.names {
		if n.Type == name.Type && n.Association == name.Association && bytes.Equal(n.Value, name.Value) {
			return true
		}
	}
	return false
}

// Submit implements lun.Unit.
func (u *Unit) Submit(t *lun.Task) {
	if lun.ThirdParty(t.CDB) {
		t.CopyManager = true
		t.Transport = &admission{unit: u, upper: t.Transport}
	}
	u.Unit.Submit(t)
}

// admission stands between a third-party copy command and its transport while
// the logical unit has the task.
type admission struct {
	unit  *Unit
	upper lun.Transport
}

// ReceiveDataOut implements lun.Transport.
func (a *admission) ReceiveDataOut(t *lun.Task, n int) { a.upper.ReceiveDataOut(t, n) }

// CommandComplete implements lun.Transport: the command goes on when it was
// admitted.
func (a *admission) CommandComplete(t *lun.Task) {
	if t.Aborted || t.Status == scsi.StatusTaskAborted {
		// Its transport may be just about to tell of data-out, to whom the task
		// names.
		a.upper.CommandComplete(t)
		return
	}
	t.Transport = a.upper
	if t.Status != scsi.StatusGood || t.NotServed {
		a.upper.CommandComplete(t)
		return
	}
	a.unit.carryOut(t)
}

// Manage implements lun.Unit. A copy is a task of the logical unit that it was
// asked of.
func (u *Unit) Manage(ctx context.Context, f lun.Management) scsi.FunctionResponse {
	found, err := u.manager.abort(ctx, func(o *operation) bool {
		if o.unit != u || o.task == nil {
			return false
		}
		switch f.Function {
		case scsi.AbortTask:
			return o.nexus == f.Nexus && o.task.Tag == f.Tag
		case scsi.AbortTaskSet, scsi.ITNexusReset:
			return o.nexus == f.Nexus
		case scsi.ClearTaskSet, scsi.LogicalUnitReset, scsi.TargetWarmReset, scsi.TargetColdReset:
			return true
		}
		return false
	})
	switch {
	case err != nil:
		return scsi.FunctionRejected
	case found && f.Function == scsi.AbortTask:
		return scsi.FunctionComplete
	}
	return u.Unit.Manage(ctx, f)
}

// NexusLost implements lun.Unit.
func (u *Unit) NexusLost(n lun.Nexus) {
	u.manager.lose(u, n)
	u.Unit.NexusLost(n)
}
