package iscsi

import "github.com/tandem-san/tandem/scsi"

// CDBLength is how much of a CDB is in the basic header; the rest of a longer
// one is in an Extended CDB AHS (§11.3.5).
const CDBLength = 16

// Flags of SCSI Command and SCSI Response (§11.3.1, §11.4.1).
const (
	commandRead     = 0x40
	commandWrite    = 0x20
	commandAttrMask = 0x07

	responseBidiOverflow  = 0x10
	responseBidiUnderflow = 0x08
	residualOverflow      = 0x04
	residualUnderflow     = 0x02
)

// SCSICommand is the SCSI Command PDU (§11.3).
type SCSICommand struct {
	Immediate                  bool
	Final                      bool // no unsolicited Data-Out follows
	Read, Write                bool
	Attribute                  scsi.TaskAttribute
	LUN                        LUN
	InitiatorTaskTag           uint32
	ExpectedDataTransferLength uint32 // bytes; of the write when bidirectional
	CmdSN                      uint32
	ExpStatSN                  uint32
	CDB                        [CDBLength]byte // the first 16 bytes
}

// Decode reads the fields from h.
func (p *SCSICommand) Decode(h *BHS) {
	p.Immediate = h.Immediate()
	p.Final = h.Final()
	p.Read = h.has(commandRead)
	p.Write = h.has(commandWrite)
	p.Attribute = scsi.TaskAttribute(h[offFlags] & commandAttrMask)
	p.LUN = h.LUN()
	p.InitiatorTaskTag = h.get32(offITT)
	p.ExpectedDataTransferLength = h.get32(20)
	p.CmdSN = h.get32(offCmdSN)
	p.ExpStatSN = h.get32(offExpStatSN)
	p.CDB = [CDBLength]byte(h[32:])
}

// Encode writes the fields into h.
func (p SCSICommand) Encode(h *BHS) {
	h.start(OpSCSICommand, p.Immediate)
	h[offFlags] = byte(p.Attribute) & commandAttrMask
	h.flag(finalBit, p.Final)
	h.flag(commandRead, p.Read)
	h.flag(commandWrite, p.Write)
	h.putLUN(p.LUN)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(20, p.ExpectedDataTransferLength)
	h.put32(offCmdSN, p.CmdSN)
	h.put32(offExpStatSN, p.ExpStatSN)
	copy(h[32:], p.CDB[:])
}

// ServiceResponse is the response field of a SCSI Response (§11.4.3).
type ServiceResponse uint8

// Service responses.
const (
	CommandCompletedAtTarget ServiceResponse = 0x00
	TargetFailure            ServiceResponse = 0x01
)

// Residual is how far what was transferred is from what was expected
// (§11.4.5). At most one flag is set.
type Residual struct {
	Overflow  bool
	Underflow bool
	Count     uint32 // bytes
}

// SCSIResponse is the SCSI Response PDU (§11.4). Its data segment holds the
// sense data behind a length of two bytes when Status is CHECK CONDITION.
type SCSIResponse struct {
	Response         ServiceResponse
	Status           scsi.Status
	InitiatorTaskTag uint32
	SNACKTag         uint32
	StatSN           uint32
	ExpCmdSN         uint32
	MaxCmdSN         uint32
	ExpDataSN        uint32 // Data-In and R2T PDUs sent for the command
	Residual         Residual
	BidiRead         Residual // of the read part of a bidirectional command
}

// Decode reads the fields from h.
func (p *SCSIResponse) Decode(h *BHS) {
	p.Response = ServiceResponse(h[2])
	p.Status = scsi.Status(h[3])
	p.InitiatorTaskTag = h.get32(offITT)
	p.SNACKTag = h.get32(20)
	p.StatSN = h.get32(offStatSN)
	p.ExpCmdSN = h.get32(offExpCmdSN)
	p.MaxCmdSN = h.get32(offMaxCmdSN)
	p.ExpDataSN = h.get32(36)
	p.Residual = Residual{h.has(residualOverflow), h.has(residualUnderflow), h.get32(offResidual)}
	p.BidiRead = Residual{h.has(responseBidiOverflow), h.has(responseBidiUnderflow), h.get32(40)}
}

// Encode writes the fields into h.
func (p SCSIResponse) Encode(h *BHS) {
	h.start(OpSCSIResponse, false)
	h[offFlags] = finalBit
	h.flag(residualOverflow, p.Residual.Overflow)
	h.flag(residualUnderflow, p.Residual.Underflow)
	h.flag(responseBidiOverflow, p.BidiRead.Overflow)
	h.flag(responseBidiUnderflow, p.BidiRead.Underflow)
	h[2] = byte(p.Response)
	h[3] = byte(p.Status)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(20, p.SNACKTag)
	h.put32(offStatSN, p.StatSN)
	h.put32(offExpCmdSN, p.ExpCmdSN)
	h.put32(offMaxCmdSN, p.MaxCmdSN)
	h.put32(36, p.ExpDataSN)
	h.put32(40, p.BidiRead.Count)
	h.put32(offResidual, p.Residual.Count)
}
