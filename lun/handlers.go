package lun

import "github.com/tandem-san/tandem/scsi"

// handler is how a command of the command table is carried out.
type handler struct {
	// prepare looks at the CDB, under the lock. It reports false when the task
	// has ended: it was wrong, or short enough to be done at once. Otherwise
	// it has set how much data-out is needed and which logical blocks are
	// touched.
	prepare func(*brain, *Task) bool
	// received, when there is one, looks at the data-out before anything is
	// held, under the lock. It reports false when the task has ended.
	received func(*brain, *Task) bool
	// execute carries the command out, without the lock, when the data-out is
	// there and the logical blocks are held, unless free says that the command
	// needs none held.
	execute func(*brain, *Task)
	free    bool
	// apart: it is executed by the worker that changes state, on no account by
	// the caller.
	apart bool
	// moves: the data can be moved elsewhere (Mover).
	moves bool
}

// handlers has an entry for every command of the command table. It is filled
// in by init because the handlers lead back to it, and never changed.
var handlers [scsi.NumCommands]handler

func init() {
	var (
		port          = handler{prepare: answerByPort}
		sense         = handler{prepare: modeSense}
		selectMode    = handler{prepare: prepareModeSelect, execute: modeSelect}
		reads         = handler{prepare: prepareRead, execute: read, moves: true}
		writes        = handler{prepare: prepareWrite, execute: write, moves: true}
		verifies      = handler{prepare: prepareVerify, execute: verify}
		writeVerifies = handler{prepare: prepareWriteAndVerify, execute: writeAndVerify}
		sames         = handler{prepare: prepareWriteSame, execute: writeSame}
		fetches       = handler{prepare: preFetch}
		flushes       = handler{prepare: prepareSynchronize, execute: synchronize, free: true}
		copies        = handler{prepare: prepareThirdParty, execute: thirdParty}
		reserves      = handler{prepare: prepareState, execute: reserve}
		releases      = handler{prepare: prepareState, execute: release}
		reserveIn     = handler{prepare: persistentReserveIn}
		reserveOut    = handler{prepare: prepareReserveOut, execute: persistentReserveOut}
	)
	handlers = [scsi.NumCommands]handler{
		scsi.CmdInquiry:                                port,
		scsi.CmdReportLUNs:                             port,
		scsi.CmdReportTargetPortGroups:                 port,
		scsi.CmdReportSupportedOperationCodes:          port,
		scsi.CmdReportSupportedTaskManagementFunctions: port,

		scsi.CmdSetTargetPortGroups: {prepare: prepareSetPortGroups, execute: setPortGroups, apart: true},

		scsi.CmdTestUnitReady:                {prepare: testUnitReady},
		scsi.CmdRequestSense:                 {prepare: requestSense},
		scsi.CmdReadCapacity10:               {prepare: readCapacity10},
		scsi.CmdReadCapacity16:               {prepare: readCapacity16},
		scsi.CmdLogSense:                     {prepare: logSense, execute: logSpace},
		scsi.CmdReadDefectData10:             {prepare: readDefectData},
		scsi.CmdReadDefectData12:             {prepare: readDefectData},
		scsi.CmdReadBuffer:                   {prepare: readBuffer},
		scsi.CmdWriteBuffer:                  {prepare: prepareWriteBuffer, execute: writeBuffer},
		scsi.CmdReceiveDiagnosticResults:     {prepare: receiveDiagnosticResults},
		scsi.CmdSendDiagnostic:               {prepare: prepareSendDiagnostic, execute: sendDiagnostic, free: true},
		scsi.CmdReportIdentifyingInformation: {prepare: reportIdentifying},
		scsi.CmdSetIdentifyingInformation:    {prepare: prepareSetIdentifying, execute: setIdentifying},
		scsi.CmdReportTimestamp:              {prepare: reportTimestamp},
		scsi.CmdSetTimestamp:                 {prepare: prepareSetTimestamp, execute: setTimestamp},

		scsi.CmdGetLBAStatus: {prepare: prepareLBAStatus, execute: lbaStatus, free: true},
		scsi.CmdModeSense6:   sense,
		scsi.CmdModeSense10:  sense,
		scsi.CmdModeSelect6:  selectMode,
		scsi.CmdModeSelect10: selectMode,

		scsi.CmdRead6:              reads,
		scsi.CmdRead10:             reads,
		scsi.CmdRead12:             reads,
		scsi.CmdRead16:             reads,
		scsi.CmdWrite6:             writes,
		scsi.CmdWrite10:            writes,
		scsi.CmdWrite12:            writes,
		scsi.CmdWrite16:            writes,
		scsi.CmdVerify10:           verifies,
		scsi.CmdVerify12:           verifies,
		scsi.CmdVerify16:           verifies,
		scsi.CmdWriteAndVerify10:   writeVerifies,
		scsi.CmdWriteAndVerify12:   writeVerifies,
		scsi.CmdWriteAndVerify16:   writeVerifies,
		scsi.CmdPreFetch10:         fetches,
		scsi.CmdPreFetch16:         fetches,
		scsi.CmdWriteAtomic16:      {prepare: prepareWriteAtomic, execute: writeAtomic, apart: true},
		scsi.CmdORWrite16:          {prepare: prepareWrite, execute: orWrite},
		scsi.CmdWriteSame10:        sames,
		scsi.CmdWriteSame16:        sames,
		scsi.CmdCompareAndWrite:    {prepare: prepareCompareAndWrite, execute: compareAndWrite},
		scsi.CmdUnmap:              {prepare: prepareUnmap, received: receivedUnmap, execute: unmap},
		scsi.CmdSynchronizeCache10: flushes,
		scsi.CmdSynchronizeCache16: flushes,
		scsi.CmdStartStopUnit:      {prepare: prepareStartStop, execute: startStop, free: true, apart: true},

		scsi.CmdReadTOC:                    {prepare: readTOC},
		scsi.CmdGetConfiguration:           {prepare: getConfiguration},
		scsi.CmdGetEventStatusNotification: {prepare: getEventStatus},
		scsi.CmdMechanismStatus:            {prepare: mechanismStatus},

		scsi.CmdPreventAllowMediumRemoval: {prepare: prepareState, execute: preventAllow},
		scsi.CmdFormatUnit:                {prepare: prepareFormat, execute: formatUnit},
		scsi.CmdSanitizeOverwrite:         {prepare: prepareOverwrite, execute: sanitizeOverwrite},
		scsi.CmdSanitizeBlockErase:        {prepare: prepareErasure, execute: sanitizeBlockErase},
		scsi.CmdSanitizeExitFailureMode:   {prepare: prepareExitFailure, execute: exitFailure},

		scsi.CmdExtendedCopy:                   copies,
		scsi.CmdExtendedCopyLong:               copies,
		scsi.CmdPopulateToken:                  copies,
		scsi.CmdWriteUsingToken:                copies,
		scsi.CmdCopyOperationAbort:             copies,
		scsi.CmdReceiveCopyStatus:              copies,
		scsi.CmdReceiveCopyOperatingParameters: copies,
		scsi.CmdReceiveCopyFailureDetails:      copies,
		scsi.CmdReceiveCopyStatusLong:          copies,
		scsi.CmdReceiveRODTokenInformation:     copies,
		scsi.CmdReportAllRODTokens:             copies,

		scsi.CmdReserve6:           reserves,
		scsi.CmdReserve10:          reserves,
		scsi.CmdRelease6:           releases,
		scsi.CmdRelease10:          releases,
		scsi.CmdReadKeys:           reserveIn,
		scsi.CmdReadReservation:    reserveIn,
		scsi.CmdReportCapabilities: reserveIn,
		scsi.CmdReadFullStatus:     reserveIn,
		scsi.CmdRegister:           reserveOut,
		scsi.CmdReserveOut:         reserveOut,
		scsi.CmdReleaseOut:         reserveOut,
		scsi.CmdClear:              reserveOut,
		scsi.CmdPreempt:            reserveOut,
		scsi.CmdPreemptAndAbort:    reserveOut,
		scsi.CmdRegisterAndIgnore:  reserveOut,
		scsi.CmdRegisterAndMove:    reserveOut,
	}
}

// has reports whether the logical unit has a command of the command table.
func (u *LogicalUnit) has(id scsi.CommandID) bool {
	if u.config.multimedia() && !multimediaHas(id) {
		return false
	}
	switch id {
	case scsi.CmdReadTOC, scsi.CmdGetConfiguration, scsi.CmdGetEventStatusNotification, scsi.CmdMechanismStatus:
		return u.config.multimedia()
	case scsi.CmdUnmap, scsi.CmdSanitizeBlockErase:
		return !u.config.NoUnmap
	case scsi.CmdPreventAllowMediumRemoval:
		return u.config.Removable
	case scsi.CmdWriteAtomic16:
		return u.config.maxAtomic() > 0
	}
	return handlers[id].prepare != nil && (u.config.ThirdPartyCopy || !isThirdParty(id))
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
