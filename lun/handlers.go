package lun

import "github.com/tandem-san/tandem/scsi"

// handler is how a command of the command table is carried out.
type handler struct {
	// prepare looks at the CDB, under the lock. It reports false when the task
	// has ended: it was wrong, or short enough to be done at once. Otherwise
	// it has set how much data-out is needed and which logical blocks are
	// touched.
	prepare func(*brain, *Task) bool
	// execute carries the command out, without the lock, when the data-out is
	// there and the range is held.
	execute func(*brain, *Task)
}

// handlers has an entry for every command of the command table.
var handlers [scsi.NumCommands]handler

func init() {
	handlers = [scsi.NumCommands]handler{
		scsi.CmdInquiry:                                {prepare: answerByPort},
		scsi.CmdReportLUNs:                             {prepare: answerByPort},
		scsi.CmdReportTargetPortGroups:                 {prepare: answerByPort},
		scsi.CmdReportSupportedOperationCodes:          {prepare: answerByPort},
		scsi.CmdReportSupportedTaskManagementFunctions: {prepare: answerByPort},
		scsi.CmdTestUnitReady:                          {prepare: testUnitReady},
		scsi.CmdRequestSense:                           {prepare: requestSense},
		scsi.CmdReadCapacity10:                         {prepare: readCapacity10},
		scsi.CmdReadCapacity16:                         {prepare: readCapacity16},
		scsi.CmdModeSense6:                             {prepare: modeSense},
		scsi.CmdModeSense10:                            {prepare: modeSense},

		scsi.CmdRead6:   {prepare: prepareRead, execute: read},
		scsi.CmdRead10:  {prepare: prepareRead, execute: read},
		scsi.CmdRead12:  {prepare: prepareRead, execute: read},
		scsi.CmdRead16:  {prepare: prepareRead, execute: read},
		scsi.CmdWrite6:  {prepare: prepareWrite, execute: write},
		scsi.CmdWrite10: {prepare: prepareWrite, execute: write},
		scsi.CmdWrite12: {prepare: prepareWrite, execute: write},
		scsi.CmdWrite16: {prepare: prepareWrite, execute: write},

		scsi.CmdSynchronizeCache10: {prepare: prepareSynchronize, execute: synchronize},
		scsi.CmdSynchronizeCache16: {prepare: prepareSynchronize, execute: synchronize},
		scsi.CmdStartStopUnit:      {prepare: prepareStartStop, execute: synchronize},
	}
}

// answerByPort runs a command that needs no brain.
func answerByPort(b *brain, t *Task) bool {
	byPort[t.state.cmd](b.unit, b.unit.access.Load(), t)
	return false
}

// reply ends the task with data, cut to the allocation length
// (SPC-5 §4.2.5.6).
func (u *LogicalUnit) reply(t *Task, data []byte, allocation uint32) {
	if uint64(len(data)) > uint64(allocation) {
		data = data[:allocation]
	}
	t.Transfer = len(data)
	if len(data) == 0 {
		return
	}
	t.DataIn = u.config.Pool.Get(len(data))
	if t.DataIn == nil {
		t.end(scsi.StatusTaskSetFull)
		return
	}
	copy(t.DataIn.Bytes(), data)
}

func (t *Task) cdb() scsi.CDB { return t.CDB }
