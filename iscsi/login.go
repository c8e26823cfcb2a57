package iscsi

import "fmt"

// Version is the protocol version this package speaks: 0 (§11.12.4).
const Version = 0

// Stage is a login stage: the values of CSG and NSG (§11.12.3).
type Stage uint8

// Login stages. 2 is reserved.
const (
	SecurityNegotiation         Stage = 0
	LoginOperationalNegotiation Stage = 1
	FullFeaturePhase            Stage = 3
)

// String gives the name the RFC uses.
func (s Stage) String() string {
	switch s {
	case SecurityNegotiation:
		return "SecurityNegotiation"
	case LoginOperationalNegotiation:
		return "LoginOperationalNegotiation"
	case FullFeaturePhase:
		return "FullFeaturePhase"
	}
	return fmt.Sprintf("reserved stage %d", uint8(s))
}

// Flags of Login and Text PDUs (§11.12, §11.10).
const (
	loginTransit = 0x80
	textContinue = 0x40
	stageMask    = 0x03
	csgShift     = 2
)

// LoginRequest is the Login Request PDU (§11.12). It is always immediate.
type LoginRequest struct {
	Transit          bool
	Continue         bool // the text goes on in the next Login Request
	CSG, NSG         Stage
	VersionMax       uint8
	VersionMin       uint8
	ISID             ISID
	TSIH             uint16 // 0 starts a new session
	InitiatorTaskTag uint32
	CID              uint16
	CmdSN            uint32
	ExpStatSN        uint32
}

// Decode reads the fields from h.
func (p *LoginRequest) Decode(h *BHS) {
	p.Transit = h.has(loginTransit)
	p.Continue = h.has(textContinue)
	p.CSG = Stage(h[offFlags] >> csgShift & stageMask)
	p.NSG = Stage(h[offFlags] & stageMask)
	p.VersionMax = h[2]
	p.VersionMin = h[3]
	p.ISID = ISID(h[8:14])
	p.TSIH = h.get16(14)
	p.InitiatorTaskTag = h.get32(offITT)
	p.CID = h.get16(20)
	p.CmdSN = h.get32(offCmdSN)
	p.ExpStatSN = h.get32(offExpStatSN)
}

// Encode writes the fields into h.
func (p LoginRequest) Encode(h *BHS) {
	h.start(OpLoginRequest, true)
	h[offFlags] = byte(p.CSG)&stageMask<<csgShift | byte(p.NSG)&stageMask
	h.flag(loginTransit, p.Transit)
	h.flag(textContinue, p.Continue)
	h[2] = p.VersionMax
	h[3] = p.VersionMin
	copy(h[8:], p.ISID[:])
	h.put16(14, p.TSIH)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put16(20, p.CID)
	h.put32(offCmdSN, p.CmdSN)
	h.put32(offExpStatSN, p.ExpStatSN)
}

// LoginStatus is Status-Class in the high byte and Status-Detail in the low
// one (§11.13.5).
type LoginStatus uint16

// Login statuses (§11.13.5).
const (
	LoginSuccess                 LoginStatus = 0x0000
	LoginTargetMovedTemporarily  LoginStatus = 0x0101
	LoginTargetMovedPermanently  LoginStatus = 0x0102
	LoginInitiatorError          LoginStatus = 0x0200
	LoginAuthenticationFailure   LoginStatus = 0x0201
	LoginAuthorizationFailure    LoginStatus = 0x0202
	LoginNotFound                LoginStatus = 0x0203
	LoginTargetRemoved           LoginStatus = 0x0204
	LoginUnsupportedVersion      LoginStatus = 0x0205
	LoginTooManyConnections      LoginStatus = 0x0206
	LoginMissingParameter        LoginStatus = 0x0207
	LoginCannotIncludeInSession  LoginStatus = 0x0208
	LoginSessionTypeNotSupported LoginStatus = 0x0209
	LoginSessionDoesNotExist     LoginStatus = 0x020a
	LoginInvalidDuringLogin      LoginStatus = 0x020b
	LoginTargetError             LoginStatus = 0x0300
	LoginServiceUnavailable      LoginStatus = 0x0301
	LoginOutOfResources          LoginStatus = 0x0302
)

var loginStatusNames = map[LoginStatus]string{
	LoginSuccess:                 "success",
	LoginTargetMovedTemporarily:  "target moved temporarily",
	LoginTargetMovedPermanently:  "target moved permanently",
	LoginInitiatorError:          "initiator error",
	LoginAuthenticationFailure:   "authentication failure",
	LoginAuthorizationFailure:    "authorization failure",
	LoginNotFound:                "not found",
	LoginTargetRemoved:           "target removed",
	LoginUnsupportedVersion:      "unsupported version",
	LoginTooManyConnections:      "too many connections",
	LoginMissingParameter:        "missing parameter",
	LoginCannotIncludeInSession:  "cannot include in session",
	LoginSessionTypeNotSupported: "session type not supported",
	LoginSessionDoesNotExist:     "session does not exist",
	LoginInvalidDuringLogin:      "invalid during login",
	LoginTargetError:             "target error",
	LoginServiceUnavailable:      "service unavailable",
	LoginOutOfResources:          "out of resources",
}

// Class is the Status-Class: 0 success, 1 redirection, 2 initiator error,
// 3 target error.
func (s LoginStatus) Class() uint8 { return uint8(s >> 8) }

// String gives the words of the RFC and the code.
func (s LoginStatus) String() string {
	if n, ok := loginStatusNames[s]; ok {
		return fmt.Sprintf("%s (%04xh)", n, uint16(s))
	}
	return fmt.Sprintf("login status %04xh", uint16(s))
}

// LoginResponse is the Login Response PDU (§11.13).
type LoginResponse struct {
	Transit          bool
	Continue         bool
	CSG, NSG         Stage
	VersionMax       uint8
	VersionActive    uint8
	ISID             ISID
	TSIH             uint16
	InitiatorTaskTag uint32
	StatSN           uint32
	ExpCmdSN         uint32
	MaxCmdSN         uint32
	Status           LoginStatus
}

// Decode reads the fields from h.
func (p *LoginResponse) Decode(h *BHS) {
	p.Transit = h.has(loginTransit)
	p.Continue = h.has(textContinue)
	p.CSG = Stage(h[offFlags] >> csgShift & stageMask)
	p.NSG = Stage(h[offFlags] & stageMask)
	p.VersionMax = h[2]
	p.VersionActive = h[3]
	p.ISID = ISID(h[8:14])
	p.TSIH = h.get16(14)
	p.InitiatorTaskTag = h.get32(offITT)
	p.StatSN = h.get32(offStatSN)
	p.ExpCmdSN = h.get32(offExpCmdSN)
	p.MaxCmdSN = h.get32(offMaxCmdSN)
	p.Status = LoginStatus(h.get16(36))
}

// Encode writes the fields into h.
func (p LoginResponse) Encode(h *BHS) {
	h.start(OpLoginResponse, false)
	h[offFlags] = byte(p.CSG)&stageMask<<csgShift | byte(p.NSG)&stageMask
	h.flag(loginTransit, p.Transit)
	h.flag(textContinue, p.Continue)
	h[2] = p.VersionMax
	h[3] = p.VersionActive
	copy(h[8:], p.ISID[:])
	h.put16(14, p.TSIH)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(offStatSN, p.StatSN)
	h.put32(offExpCmdSN, p.ExpCmdSN)
	h.put32(offMaxCmdSN, p.MaxCmdSN)
	h.put16(36, uint16(p.Status))
}
