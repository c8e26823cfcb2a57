package scsi

// CommandID names an entry of Commands.
type CommandID uint8

// The commands, in the order of their operation codes and service actions.
const (
	NoCommand CommandID = iota
	CmdTestUnitReady
	CmdRequestSense
	CmdFormatUnit
	CmdRead6
	CmdWrite6
	CmdInquiry
	CmdModeSelect6
	CmdReserve6
	CmdRelease6
	CmdModeSense6
	CmdStartStopUnit
	CmdReceiveDiagnosticResults
	CmdSendDiagnostic
	CmdPreventAllowMediumRemoval
	CmdReadCapacity10
	CmdRead10
	CmdWrite10
	CmdWriteAndVerify10
	CmdVerify10
	CmdPreFetch10
	CmdSynchronizeCache10
	CmdReadDefectData10
	CmdWriteBuffer
	CmdReadBuffer
	CmdWriteSame10
	CmdUnmap
	CmdReadTOC
	CmdGetConfiguration
	CmdSanitizeOverwrite
	CmdSanitizeBlockErase
	CmdSanitizeExitFailureMode
	CmdGetEventStatusNotification
	CmdLogSense
	CmdModeSelect10
	CmdReserve10
	CmdRelease10
	CmdModeSense10
	CmdReadKeys
	CmdReadReservation
	CmdReportCapabilities
	CmdReadFullStatus
	CmdRegister
	CmdReserveOut
	CmdReleaseOut
	CmdClear
	CmdPreempt
	CmdPreemptAndAbort
	CmdRegisterAndIgnore
	CmdRegisterAndMove
	CmdExtendedCopy
	CmdExtendedCopyLong
	CmdPopulateToken
	CmdWriteUsingToken
	CmdCopyOperationAbort
	CmdReceiveCopyStatus
	CmdReceiveCopyOperatingParameters
	CmdReceiveCopyFailureDetails
	CmdReceiveCopyStatusLong
	CmdReceiveRODTokenInformation
	CmdReportAllRODTokens
	CmdRead16
	CmdCompareAndWrite
	CmdWrite16
	CmdORWrite16
	CmdWriteAndVerify16
	CmdVerify16
	CmdPreFetch16
	CmdSynchronizeCache16
	CmdWriteSame16
	CmdWriteAtomic16
	CmdReadCapacity16
	CmdGetLBAStatus
	CmdReportLUNs
	CmdReportIdentifyingInformation
	CmdReportTargetPortGroups
	CmdReportSupportedOperationCodes
	CmdReportSupportedTaskManagementFunctions
	CmdReportTimestamp
	CmdSetIdentifyingInformation
	CmdSetTargetPortGroups
	CmdSetTimestamp
	CmdRead12
	CmdWrite12
	CmdWriteAndVerify12
	CmdVerify12
	CmdReadDefectData12
	CmdMechanismStatus

	// NumCommands is one more than the last command.
	NumCommands
)

const (
	opInquiry                  = 0x12
	opReceiveDiagnosticResults = 0x1C
	opSendDiagnostic           = 0x1D
	opWriteBuffer              = 0x3B
	opReadBuffer               = 0x3C
	opPersistentReserveOut     = 0x5F
	opWriteAtomic16            = 0x9C
	opMechanismStatus          = 0xBD
)

// Operation codes of the commands of a copy manager (SPC-5 §5.16).
const (
	OpThirdPartyCopyOut = 0x83
	OpThirdPartyCopyIn  = 0x84
)

// Commands is the command table, the map of SCSI as Tandem speaks it: whatever
// may be asked about a command before it runs is answered here. Entry
// NoCommand is empty. The table is read only.
//
// Sources: SPC-5 §6, SBC-4 §5, SPC-2 for RESERVE and RELEASE; conflicts with
// persistent reservations from SPC-5 table 68 and SBC-4 table 13; access
// states from SPC-5 §5.18.2.
var Commands = [NumCommands]Command{
	CmdTestUnitReady: {
		Name: "TEST UNIT READY", OpCode: 0x00,
		Usage:   []byte{0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
		Timeout: 30,
	},
	CmdRequestSense: {
		Name: "REQUEST SENSE", OpCode: 0x03,
		Usage:     []byte{0x03, 0x01, 0x00, 0x00, 0xFF, 0x00},
		Direction: DataIn, Access: always, ByPort: true, WithReserve: true, Attention: AttentionAsData, Timeout: 30,
	},
	CmdFormatUnit: {
		Name: "FORMAT UNIT", OpCode: 0x04,
		Usage:     []byte{0x04, 0x3F, 0x00, 0x00, 0x00, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectState, Timeout: 86400,
	},
	CmdRead6: {
		Name: "READ(6)", OpCode: 0x08,
		Usage:     []byte{0x08, 0x1F, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Conflict: ConflictReads, Effect: EffectReads, Timeout: 60,
	},
	CmdWrite6: {
		Name: "WRITE(6)", OpCode: 0x0A,
		Usage:     []byte{0x0A, 0x1F, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectWrites, Timeout: 60,
	},
	CmdInquiry: {
		Name: "INQUIRY", OpCode: 0x12,
		Usage:     []byte{0x12, 0x01, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Access: always, ByPort: true, WithReserve: true, Attention: AttentionIgnored, Timeout: 30,
	},
	CmdModeSelect6: {
		Name: "MODE SELECT(6)", OpCode: 0x15,
		Usage:     []byte{0x15, 0x11, 0x00, 0x00, 0xFF, 0x00},
		Direction: DataOut, Access: OnStandby, Conflict: ConflictWrites, Effect: EffectState, Timeout: 30,
	},
	CmdReserve6: {
		Name: "RESERVE(6)", OpCode: 0x16,
		Usage:  []byte{0x16, 0x00, 0x00, 0x00, 0x00, 0x00},
		Effect: EffectState, Timeout: 30,
	},
	CmdRelease6: {
		Name: "RELEASE(6)", OpCode: 0x17,
		Usage:       []byte{0x17, 0x00, 0x00, 0x00, 0x00, 0x00},
		WithReserve: true, Effect: EffectState, Timeout: 30,
	},
	CmdModeSense6: {
		Name: "MODE SENSE(6)", OpCode: 0x1A,
		Usage:     []byte{0x1A, 0x08, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Access: OnStandby, Conflict: ConflictReads, Timeout: 30,
	},
	CmdStartStopUnit: {
		Name: "START STOP UNIT", OpCode: 0x1B,
		Usage:    []byte{0x1B, 0x01, 0x00, 0x00, 0xF7, 0x00},
		Conflict: ConflictStop, Effect: EffectFlushes, Timeout: 60,
	},
	CmdReceiveDiagnosticResults: {
		Name: "RECEIVE DIAGNOSTIC RESULTS", OpCode: 0x1C,
		Usage:     []byte{0x1C, 0x01, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Access: OnStandby, Conflict: ConflictReads, Timeout: 30,
	},
	CmdSendDiagnostic: {
		Name: "SEND DIAGNOSTIC", OpCode: 0x1D,
		Usage:     []byte{0x1D, 0xF7, 0x00, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Access: OnStandby, Conflict: ConflictWrites, Timeout: 60,
	},
	CmdPreventAllowMediumRemoval: {
		Name: "PREVENT ALLOW MEDIUM REMOVAL", OpCode: 0x1E,
		Usage:    []byte{0x1E, 0x00, 0x00, 0x00, 0x03, 0x00},
		Conflict: ConflictPrevent, Effect: EffectState, Timeout: 30,
	},
	CmdReadCapacity10: {
		Name: "READ CAPACITY(10)", OpCode: 0x25,
		Usage:     []byte{0x25, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
		Direction: DataIn, WithReserve: true, Timeout: 30,
	},
	CmdRead10: {
		Name: "READ(10)", OpCode: 0x28,
		Usage:     []byte{0x28, 0x1A, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Conflict: ConflictReads, Effect: EffectReads, Timeout: 60,
	},
	CmdWrite10: {
		Name: "WRITE(10)", OpCode: 0x2A,
		Usage:     []byte{0x2A, 0x1A, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectWrites, Timeout: 60,
	},
	CmdWriteAndVerify10: {
		Name: "WRITE AND VERIFY(10)", OpCode: 0x2E,
		Usage:     []byte{0x2E, 0x16, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectWrites, Timeout: 60,
	},
	CmdVerify10: {
		Name: "VERIFY(10)", OpCode: 0x2F,
		Usage:     []byte{0x2F, 0x16, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Conflict: ConflictReads, Effect: EffectReads, Timeout: 60,
	},
	CmdPreFetch10: {
		Name: "PRE-FETCH(10)", OpCode: 0x34,
		Usage:    []byte{0x34, 0x02, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0xFF, 0xFF, 0x00},
		Conflict: ConflictReads, Timeout: 60,
	},
	CmdSynchronizeCache10: {
		Name: "SYNCHRONIZE CACHE(10)", OpCode: 0x35,
		Usage:    []byte{0x35, 0x06, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0xFF, 0xFF, 0x00},
		Conflict: ConflictWrites, Effect: EffectFlushes, Timeout: 60,
	},
	CmdReadDefectData10: {
		Name: "READ DEFECT DATA(10)", OpCode: 0x37,
		Usage:     []byte{0x37, 0x00, 0x1F, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Conflict: ConflictReads, Timeout: 30,
	},
	CmdWriteBuffer: {
		Name: "WRITE BUFFER", OpCode: 0x3B,
		Usage:     []byte{0x3B, 0x1F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Access: OnStandby, Conflict: ConflictWrites, Timeout: 30,
	},
	CmdReadBuffer: {
		Name: "READ BUFFER(10)", OpCode: 0x3C,
		Usage:     []byte{0x3C, 0x1F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Access: OnStandby, Conflict: ConflictReads, Timeout: 30,
	},
	CmdWriteSame10: {
		Name: "WRITE SAME(10)", OpCode: 0x41,
		Usage:     []byte{0x41, 0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectWrites, Timeout: 60,
	},
	CmdUnmap: {
		Name: "UNMAP", OpCode: 0x42,
		Usage:     []byte{0x42, 0x00, 0x00, 0x00, 0x00, 0x00, 0x3F, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectWrites, Timeout: 60,
	},
	CmdReadTOC: {
		Name: "READ TOC/PMA/ATIP", OpCode: 0x43,
		Usage:     []byte{0x43, 0x02, 0x0F, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Conflict: ConflictReads, Timeout: 30,
	},
	CmdGetConfiguration: {
		Name: "GET CONFIGURATION", OpCode: 0x46,
		Usage:     []byte{0x46, 0x03, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Attention: AttentionIgnored, Timeout: 30,
	},
	CmdSanitizeOverwrite: {
		Name: "SANITIZE, OVERWRITE", OpCode: 0x48, ServiceAction: 0x01, HasServiceAction: true,
		Usage:     []byte{0x48, 0xA1, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectState, Timeout: 86400,
	},
	CmdSanitizeBlockErase: {
		Name: "SANITIZE, BLOCK ERASE", OpCode: 0x48, ServiceAction: 0x02, HasServiceAction: true,
		Usage:    []byte{0x48, 0xA2, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
		Conflict: ConflictWrites, Effect: EffectState, Timeout: 86400,
	},
	CmdSanitizeExitFailureMode: {
		Name: "SANITIZE, EXIT FAILURE MODE", OpCode: 0x48, ServiceAction: 0x1F, HasServiceAction: true,
		Usage:    []byte{0x48, 0xBF, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
		Conflict: ConflictWrites, Effect: EffectState, Timeout: 30,
	},
	CmdGetEventStatusNotification: {
		Name: "GET EVENT STATUS NOTIFICATION", OpCode: 0x4A,
		Usage:     []byte{0x4A, 0x01, 0x00, 0x00, 0xFF, 0x00, 0x00, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Attention: AttentionIgnored, Timeout: 30,
	},
	CmdLogSense: {
		Name: "LOG SENSE", OpCode: 0x4D,
		Usage:     []byte{0x4D, 0x00, 0xFF, 0xFF, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Access: OnStandby, WithReserve: true, Timeout: 30,
	},
	CmdModeSelect10: {
		Name: "MODE SELECT(10)", OpCode: 0x55,
		Usage:     []byte{0x55, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Access: OnStandby, Conflict: ConflictWrites, Effect: EffectState, Timeout: 30,
	},
	CmdReserve10: {
		Name: "RESERVE(10)", OpCode: 0x56,
		Usage:  []byte{0x56, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
		Effect: EffectState, Timeout: 30,
	},
	CmdRelease10: {
		Name: "RELEASE(10)", OpCode: 0x57,
		Usage:       []byte{0x57, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
		WithReserve: true, Effect: EffectState, Timeout: 30,
	},
	CmdModeSense10: {
		Name: "MODE SENSE(10)", OpCode: 0x5A,
		Usage:     []byte{0x5A, 0x18, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Access: OnStandby, Conflict: ConflictReads, Timeout: 30,
	},
	CmdReadKeys: {
		Name: "PERSISTENT RESERVE IN, READ KEYS", OpCode: 0x5E, ServiceAction: 0x00, HasServiceAction: true,
		Usage:     []byte{0x5E, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Access: OnStandby, Timeout: 30,
	},
	CmdReadReservation: {
		Name: "PERSISTENT RESERVE IN, READ RESERVATION", OpCode: 0x5E, ServiceAction: 0x01, HasServiceAction: true,
		Usage:     []byte{0x5E, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Access: OnStandby, Timeout: 30,
	},
	CmdReportCapabilities: {
		Name: "PERSISTENT RESERVE IN, REPORT CAPABILITIES", OpCode: 0x5E, ServiceAction: 0x02, HasServiceAction: true,
		Usage:     []byte{0x5E, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Access: OnStandby, Timeout: 30,
	},
	CmdReadFullStatus: {
		Name: "PERSISTENT RESERVE IN, READ FULL STATUS", OpCode: 0x5E, ServiceAction: 0x03, HasServiceAction: true,
		Usage:     []byte{0x5E, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00},
		Direction: DataIn, Access: OnStandby, Timeout: 30,
	},
	CmdRegister: {
		Name: "PERSISTENT RESERVE OUT, REGISTER", OpCode: 0x5F, ServiceAction: 0x00, HasServiceAction: true,
		Usage:     []byte{0x5F, 0x00, 0xFF, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Access: OnStandby, Effect: EffectState, Timeout: 30,
	},
	CmdReserveOut: {
		Name: "PERSISTENT RESERVE OUT, RESERVE", OpCode: 0x5F, ServiceAction: 0x01, HasServiceAction: true,
		Usage:     []byte{0x5F, 0x01, 0xFF, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Access: OnStandby, Effect: EffectState, Timeout: 30,
	},
	CmdReleaseOut: {
		Name: "PERSISTENT RESERVE OUT, RELEASE", OpCode: 0x5F, ServiceAction: 0x02, HasServiceAction: true,
		Usage:     []byte{0x5F, 0x02, 0xFF, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Access: OnStandby, Effect: EffectState, Timeout: 30,
	},
	CmdClear: {
		Name: "PERSISTENT RESERVE OUT, CLEAR", OpCode: 0x5F, ServiceAction: 0x03, HasServiceAction: true,
		Usage:     []byte{0x5F, 0x03, 0xFF, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Access: OnStandby, Effect: EffectState, Timeout: 30,
	},
	CmdPreempt: {
		Name: "PERSISTENT RESERVE OUT, PREEMPT", OpCode: 0x5F, ServiceAction: 0x04, HasServiceAction: true,
		Usage:     []byte{0x5F, 0x04, 0xFF, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Access: OnStandby, Effect: EffectState, Timeout: 30,
	},
	CmdPreemptAndAbort: {
		Name: "PERSISTENT RESERVE OUT, PREEMPT AND ABORT", OpCode: 0x5F, ServiceAction: 0x05, HasServiceAction: true,
		Usage:     []byte{0x5F, 0x05, 0xFF, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Access: OnStandby, Effect: EffectState, Timeout: 30,
	},
	CmdRegisterAndIgnore: {
		Name: "PERSISTENT RESERVE OUT, REGISTER AND IGNORE EXISTING KEY", OpCode: 0x5F, ServiceAction: 0x06, HasServiceAction: true,
		Usage:     []byte{0x5F, 0x06, 0xFF, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Access: OnStandby, Effect: EffectState, Timeout: 30,
	},
	CmdRegisterAndMove: {
		Name: "PERSISTENT RESERVE OUT, REGISTER AND MOVE", OpCode: 0x5F, ServiceAction: 0x07, HasServiceAction: true,
		Usage:     []byte{0x5F, 0x07, 0xFF, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00},
		Direction: DataOut, Access: OnStandby, Effect: EffectState, Timeout: 30,
	},
	CmdExtendedCopy: {
		Name: "EXTENDED COPY(LID1)", OpCode: 0x83, ServiceAction: 0x00, HasServiceAction: true,
		Usage:     []byte{0x83, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Timeout: 60,
	},
	CmdExtendedCopyLong: {
		Name: "EXTENDED COPY(LID4)", OpCode: 0x83, ServiceAction: 0x01, HasServiceAction: true,
		Usage:     []byte{0x83, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Timeout: 60,
	},
	CmdPopulateToken: {
		Name: "POPULATE TOKEN", OpCode: 0x83, ServiceAction: 0x10, HasServiceAction: true,
		Usage:     []byte{0x83, 0x10, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Direction: DataOut, Conflict: ConflictReads, Timeout: 60,
	},
	CmdWriteUsingToken: {
		Name: "WRITE USING TOKEN", OpCode: 0x83, ServiceAction: 0x11, HasServiceAction: true,
		Usage:     []byte{0x83, 0x11, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Timeout: 60,
	},
	CmdCopyOperationAbort: {
		Name: "COPY OPERATION ABORT", OpCode: 0x83, ServiceAction: 0x1C, HasServiceAction: true,
		Usage:   []byte{0x83, 0x1C, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
		Timeout: 60,
	},
	CmdReceiveCopyStatus: {
		Name: "RECEIVE COPY STATUS(LID1)", OpCode: 0x84, ServiceAction: 0x00, HasServiceAction: true,
		Usage:     []byte{0x84, 0x00, 0xFF, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Access: OnStandby, Timeout: 60,
	},
	CmdReceiveCopyOperatingParameters: {
		Name: "RECEIVE COPY OPERATING PARAMETERS", OpCode: 0x84, ServiceAction: 0x03, HasServiceAction: true,
		Usage:     []byte{0x84, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Access: OnStandby, Timeout: 60,
	},
	CmdReceiveCopyFailureDetails: {
		Name: "RECEIVE COPY FAILURE DETAILS(LID1)", OpCode: 0x84, ServiceAction: 0x04, HasServiceAction: true,
		Usage:     []byte{0x84, 0x04, 0xFF, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Access: OnStandby, Timeout: 60,
	},
	CmdReceiveCopyStatusLong: {
		Name: "RECEIVE COPY STATUS(LID4)", OpCode: 0x84, ServiceAction: 0x05, HasServiceAction: true,
		Usage:     []byte{0x84, 0x05, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Access: OnStandby, Timeout: 60,
	},
	CmdReceiveRODTokenInformation: {
		Name: "RECEIVE ROD TOKEN INFORMATION", OpCode: 0x84, ServiceAction: 0x07, HasServiceAction: true,
		Usage:     []byte{0x84, 0x07, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Access: OnStandby, Timeout: 60,
	},
	CmdReportAllRODTokens: {
		Name: "REPORT ALL ROD TOKENS", OpCode: 0x84, ServiceAction: 0x08, HasServiceAction: true,
		Usage:     []byte{0x84, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Access: OnStandby, Timeout: 60,
	},
	CmdRead16: {
		Name: "READ(16)", OpCode: 0x88,
		Usage:     []byte{0x88, 0x1A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Direction: DataIn, Conflict: ConflictReads, Effect: EffectReads, Timeout: 60,
	},
	CmdCompareAndWrite: {
		Name: "COMPARE AND WRITE", OpCode: 0x89,
		Usage:     []byte{0x89, 0x1A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0xFF, 0x3F, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectWrites, Timeout: 60,
	},
	CmdWrite16: {
		Name: "WRITE(16)", OpCode: 0x8A,
		Usage:     []byte{0x8A, 0x1A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectWrites, Timeout: 60,
	},
	CmdORWrite16: {
		Name: "ORWRITE(16)", OpCode: 0x8B,
		Usage:     []byte{0x8B, 0x1A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectWrites, Timeout: 60,
	},
	CmdWriteAndVerify16: {
		Name: "WRITE AND VERIFY(16)", OpCode: 0x8E,
		Usage:     []byte{0x8E, 0x16, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectWrites, Timeout: 60,
	},
	CmdVerify16: {
		Name: "VERIFY(16)", OpCode: 0x8F,
		Usage:     []byte{0x8F, 0x16, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Direction: DataOut, Conflict: ConflictReads, Effect: EffectReads, Timeout: 60,
	},
	CmdPreFetch16: {
		Name: "PRE-FETCH(16)", OpCode: 0x90,
		Usage:    []byte{0x90, 0x02, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Conflict: ConflictReads, Timeout: 60,
	},
	CmdSynchronizeCache16: {
		Name: "SYNCHRONIZE CACHE(16)", OpCode: 0x91,
		Usage:    []byte{0x91, 0x06, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Conflict: ConflictWrites, Effect: EffectFlushes, Timeout: 60,
	},
	CmdWriteSame16: {
		Name: "WRITE SAME(16)", OpCode: 0x93,
		Usage:     []byte{0x93, 0x09, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectWrites, Timeout: 60,
	},
	CmdWriteAtomic16: {
		Name: "WRITE ATOMIC(16)", OpCode: 0x9C,
		Usage:     []byte{0x9C, 0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0xFF, 0xFF, 0x3F, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectWrites, Timeout: 60,
	},
	CmdReadCapacity16: {
		Name: "READ CAPACITY(16)", OpCode: 0x9E, ServiceAction: 0x10, HasServiceAction: true,
		Usage:     []byte{0x9E, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, WithReserve: true, Timeout: 30,
	},
	CmdGetLBAStatus: {
		Name: "GET LBA STATUS(16)", OpCode: 0x9E, ServiceAction: 0x12, HasServiceAction: true,
		Usage:     []byte{0x9E, 0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Conflict: ConflictReads, Effect: EffectReads, Timeout: 60,
	},
	CmdReportLUNs: {
		Name: "REPORT LUNS", OpCode: 0xA0,
		Usage:     []byte{0xA0, 0x00, 0xFF, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Access: always, ByPort: true, WithReserve: true, Attention: AttentionIgnored, Timeout: 30,
	},
	CmdReportIdentifyingInformation: {
		Name: "REPORT IDENTIFYING INFORMATION", OpCode: 0xA3, ServiceAction: 0x05, HasServiceAction: true,
		Usage:     []byte{0xA3, 0x05, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0x00},
		Direction: DataIn, Timeout: 30,
	},
	CmdReportTargetPortGroups: {
		Name: "REPORT TARGET PORT GROUPS", OpCode: 0xA3, ServiceAction: 0x0A, HasServiceAction: true,
		Usage:     []byte{0xA3, 0x2A, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Access: always, ByPort: true, WithReserve: true, Timeout: 30,
	},
	CmdReportSupportedOperationCodes: {
		Name: "REPORT SUPPORTED OPERATION CODES", OpCode: 0xA3, ServiceAction: 0x0C, HasServiceAction: true,
		Usage:     []byte{0xA3, 0x0C, 0x87, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Access: OnStandby | OnUnavailable, ByPort: true, Conflict: ConflictReads, Timeout: 30,
	},
	CmdReportSupportedTaskManagementFunctions: {
		Name: "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", OpCode: 0xA3, ServiceAction: 0x0D, HasServiceAction: true,
		Usage:     []byte{0xA3, 0x0D, 0x80, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Access: OnStandby | OnUnavailable, ByPort: true, Conflict: ConflictReads, Timeout: 30,
	},
	CmdReportTimestamp: {
		Name: "REPORT TIMESTAMP", OpCode: 0xA3, ServiceAction: 0x0F, HasServiceAction: true,
		Usage:     []byte{0xA3, 0x0F, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Timeout: 30,
	},
	CmdSetIdentifyingInformation: {
		Name: "SET IDENTIFYING INFORMATION", OpCode: 0xA4, ServiceAction: 0x06, HasServiceAction: true,
		Usage:     []byte{0xA4, 0x06, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectState, Timeout: 30,
	},
	CmdSetTargetPortGroups: {
		Name: "SET TARGET PORT GROUPS", OpCode: 0xA4, ServiceAction: 0x0A, HasServiceAction: true,
		Usage:     []byte{0xA4, 0x0A, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataOut, Access: OnStandby | OnUnavailable, Conflict: ConflictWrites, Timeout: 30,
	},
	CmdSetTimestamp: {
		Name: "SET TIMESTAMP", OpCode: 0xA4, ServiceAction: 0x0F, HasServiceAction: true,
		Usage:     []byte{0xA4, 0x0F, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectState, Timeout: 30,
	},
	CmdRead12: {
		Name: "READ(12)", OpCode: 0xA8,
		Usage:     []byte{0xA8, 0x1A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Direction: DataIn, Conflict: ConflictReads, Effect: EffectReads, Timeout: 60,
	},
	CmdWrite12: {
		Name: "WRITE(12)", OpCode: 0xAA,
		Usage:     []byte{0xAA, 0x1A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectWrites, Timeout: 60,
	},
	CmdWriteAndVerify12: {
		Name: "WRITE AND VERIFY(12)", OpCode: 0xAE,
		Usage:     []byte{0xAE, 0x16, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Direction: DataOut, Conflict: ConflictWrites, Effect: EffectWrites, Timeout: 60,
	},
	CmdVerify12: {
		Name: "VERIFY(12)", OpCode: 0xAF,
		Usage:     []byte{0xAF, 0x16, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F, 0x00},
		Direction: DataOut, Conflict: ConflictReads, Effect: EffectReads, Timeout: 60,
	},
	CmdReadDefectData12: {
		Name: "READ DEFECT DATA(12)", OpCode: 0xB7,
		Usage:     []byte{0xB7, 0x1F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Conflict: ConflictReads, Timeout: 30,
	},
	CmdMechanismStatus: {
		Name: "MECHANISM STATUS", OpCode: 0xBD,
		Usage:     []byte{0xBD, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00, 0x00},
		Direction: DataIn, Timeout: 30,
	},
}
