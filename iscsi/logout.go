package iscsi

// LogoutReason is what a Logout Request asks for (§11.14.1).
type LogoutReason uint8

// Logout reasons.
const (
	CloseSession                LogoutReason = 0
	CloseConnection             LogoutReason = 1
	RemoveConnectionForRecovery LogoutReason = 2
)

// LogoutRequest is the Logout Request PDU (§11.14).
type LogoutRequest struct {
	Immediate        bool
	Reason           LogoutReason
	InitiatorTaskTag uint32
	CID              uint16
	CmdSN            uint32
	ExpStatSN        uint32
}

// Decode reads the fields from h.
func (p *LogoutRequest) Decode(h *BHS) {
	p.Immediate = h.Immediate()
	p.Reason = LogoutReason(h[offFlags] & functionMask)
	p.InitiatorTaskTag = h.get32(offITT)
	p.CID = h.get16(20)
	p.CmdSN = h.get32(offCmdSN)
	p.ExpStatSN = h.get32(offExpStatSN)
}

// Encode writes the fields into h.
func (p LogoutRequest) Encode(h *BHS) {
	h.start(OpLogoutRequest, p.Immediate)
	h[offFlags] = finalBit | byte(p.Reason)&functionMask
	h.put32(offITT, p.InitiatorTaskTag)
	h.put16(20, p.CID)
	h.put32(offCmdSN, p.CmdSN)
	h.put32(offExpStatSN, p.ExpStatSN)
}

// LogoutResult is the response field of a Logout Response (§11.15.1).
type LogoutResult uint8

// Logout results.
const (
	LogoutSuccess              LogoutResult = 0
	LogoutCIDNotFound          LogoutResult = 1
	LogoutRecoveryNotSupported LogoutResult = 2
	LogoutCleanupFailed        LogoutResult = 3
)

// LogoutResponse is the Logout Response PDU (§11.15).
type LogoutResponse struct {
	Response         LogoutResult
	InitiatorTaskTag uint32
	StatSN           uint32
	ExpCmdSN         uint32
	MaxCmdSN         uint32
	Time2Wait        uint16 // seconds
	Time2Retain      uint16 // seconds
}

// Decode reads the fields from h.
func (p *LogoutResponse) Decode(h *BHS) {
	p.Response = LogoutResult(h[2])
	p.InitiatorTaskTag = h.get32(offITT)
	p.StatSN = h.get32(offStatSN)
	p.ExpCmdSN = h.get32(offExpCmdSN)
	p.MaxCmdSN = h.get32(offMaxCmdSN)
	p.Time2Wait = h.get16(40)
	p.Time2Retain = h.get16(42)
}

// Encode writes the fields into h.
func (p LogoutResponse) Encode(h *BHS) {
	h.start(OpLogoutResponse, false)
	h[offFlags] = finalBit
	h[2] = byte(p.Response)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(offStatSN, p.StatSN)
	h.put32(offExpCmdSN, p.ExpCmdSN)
	h.put32(offMaxCmdSN, p.MaxCmdSN)
	h.put16(40, p.Time2Wait)
	h.put16(42, p.Time2Retain)
}
