package iscsi

import "fmt"

// AsyncEvent is what an Asynchronous Message tells (§11.9.1).
type AsyncEvent uint8

// Asynchronous events.
const (
	AsyncSCSIEvent             AsyncEvent = 0
	AsyncLogoutRequest         AsyncEvent = 1 // Parameter3: seconds to log out in
	AsyncConnectionDrop        AsyncEvent = 2 // Parameter1: CID
	AsyncSessionDrop           AsyncEvent = 3
	AsyncNegotiationRequest    AsyncEvent = 4
	AsyncAllActiveTasksAborted AsyncEvent = 5
	AsyncVendor                AsyncEvent = 255
)

// AsyncMessage is the Asynchronous Message PDU (§11.9).
type AsyncMessage struct {
	LUN        LUN // of a SCSI event
	StatSN     uint32
	ExpCmdSN   uint32
	MaxCmdSN   uint32
	Event      AsyncEvent
	VendorCode uint8
	Parameter1 uint16
	Parameter2 uint16 // Time2Wait in seconds, where it applies
	Parameter3 uint16 // Time2Retain in seconds, where it applies
}

// Decode reads the fields from h.
func (p *AsyncMessage) Decode(h *BHS) {
	p.LUN = h.LUN()
	p.StatSN = h.get32(offStatSN)
	p.ExpCmdSN = h.get32(offExpCmdSN)
	p.MaxCmdSN = h.get32(offMaxCmdSN)
	p.Event = AsyncEvent(h[36])
	p.VendorCode = h[37]
	p.Parameter1 = h.get16(38)
	p.Parameter2 = h.get16(40)
	p.Parameter3 = h.get16(42)
}

// Encode writes the fields into h.
func (p AsyncMessage) Encode(h *BHS) {
	h.start(OpAsyncMessage, false)
	h[offFlags] = finalBit
	h.putLUN(p.LUN)
	h.put32(offITT, NoTag)
	h.put32(offStatSN, p.StatSN)
	h.put32(offExpCmdSN, p.ExpCmdSN)
	h.put32(offMaxCmdSN, p.MaxCmdSN)
	h[36] = byte(p.Event)
	h[37] = p.VendorCode
	h.put16(38, p.Parameter1)
	h.put16(40, p.Parameter2)
	h.put16(42, p.Parameter3)
}

// RejectReason is why a PDU was rejected (§11.17.1).
type RejectReason uint8

// Reject reasons.
const (
	RejectDataDigestError     RejectReason = 0x02
	RejectSNACK               RejectReason = 0x03
	RejectProtocolError       RejectReason = 0x04
	RejectCommandNotSupported RejectReason = 0x05
	RejectTooManyImmediate    RejectReason = 0x06
	RejectTaskInProgress      RejectReason = 0x07
	RejectInvalidDataACK      RejectReason = 0x08
	RejectInvalidPDUField     RejectReason = 0x09
	RejectOutOfResources      RejectReason = 0x0a
	RejectNegotiationReset    RejectReason = 0x0b
	RejectWaitingForLogout    RejectReason = 0x0c
)

var rejectReasonNames = map[RejectReason]string{
	RejectDataDigestError:     "data (payload) digest error",
	RejectSNACK:               "SNACK reject",
	RejectProtocolError:       "protocol error",
	RejectCommandNotSupported: "command not supported",
	RejectTooManyImmediate:    "immediate command reject - too many immediate commands",
	RejectTaskInProgress:      "task in progress",
	RejectInvalidDataACK:      "invalid data ACK",
	RejectInvalidPDUField:     "invalid PDU field",
	RejectOutOfResources:      "long operation reject - out of resources",
	RejectNegotiationReset:    "negotiation reset",
	RejectWaitingForLogout:    "waiting for logout",
}

// String gives the words of the RFC, or the code.
func (r RejectReason) String() string {
	if n, ok := rejectReasonNames[r]; ok {
		return n
	}
	return fmt.Sprintf("reject reason %02xh", uint8(r))
}

// Reject is the Reject PDU (§11.17). Its data segment is the header of the
// PDU that was rejected.
type Reject struct {
	Reason   RejectReason
	StatSN   uint32
	ExpCmdSN uint32
	MaxCmdSN uint32
	DataSN   uint32 // DataSN/R2TSN, for a rejected data ACK or SNACK
}

// Decode reads the fields from h.
func (p *Reject) Decode(h *BHS) {
	p.Reason = RejectReason(h[2])
	p.StatSN = h.get32(offStatSN)
	p.ExpCmdSN = h.get32(offExpCmdSN)
	p.MaxCmdSN = h.get32(offMaxCmdSN)
	p.DataSN = h.get32(offDataSN)
}

// Encode writes the fields into h.
func (p Reject) Encode(h *BHS) {
	h.start(OpReject, false)
	h[offFlags] = finalBit
	h[2] = byte(p.Reason)
	h.put32(offITT, NoTag)
	h.put32(offStatSN, p.StatSN)
	h.put32(offExpCmdSN, p.ExpCmdSN)
	h.put32(offMaxCmdSN, p.MaxCmdSN)
	h.put32(offDataSN, p.DataSN)
}

// SNACKType is what a SNACK asks for (§11.16.1).
type SNACKType uint8

// SNACK types.
const (
	SNACKData      SNACKType = 0 // Data/R2T
	SNACKStatus    SNACKType = 1
	SNACKDataACK   SNACKType = 2
	SNACKRDataData SNACKType = 3
)

// SNACK is the SNACK Request PDU (§11.16). It has no use at error recovery
// level 0.
type SNACK struct {
	Type              SNACKType
	LUN               LUN
	InitiatorTaskTag  uint32
	TargetTransferTag uint32 // or SNACK Tag
	ExpStatSN         uint32
	BegRun            uint32
	RunLength         uint32
}

// Decode reads the fields from h.
func (p *SNACK) Decode(h *BHS) {
	p.Type = SNACKType(h[offFlags] & 0x0f)
	p.LUN = h.LUN()
	p.InitiatorTaskTag = h.get32(offITT)
	p.TargetTransferTag = h.get32(offTTT)
	p.ExpStatSN = h.get32(offExpStatSN)
	p.BegRun = h.get32(40)
	p.RunLength = h.get32(44)
}

// Encode writes the fields into h.
func (p SNACK) Encode(h *BHS) {
	h.start(OpSNACK, false)
	h[offFlags] = finalBit | byte(p.Type)&0x0f
	h.putLUN(p.LUN)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(offTTT, p.TargetTransferTag)
	h.put32(offExpStatSN, p.ExpStatSN)
	h.put32(40, p.BegRun)
	h.put32(44, p.RunLength)
}
