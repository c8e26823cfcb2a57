package iscsi

import "github.com/tandem-san/tandem/scsi"

// Flags of Data-In (§11.7).
const (
	dataInAcknowledge = 0x40
	dataInStatus      = 0x01
)

// DataOut is the SCSI Data-Out PDU (§11.7).
type DataOut struct {
	Final             bool // last PDU of the burst
	LUN               LUN
	InitiatorTaskTag  uint32
	TargetTransferTag uint32 // of the R2T; NoTag for unsolicited data
	ExpStatSN         uint32
	DataSN            uint32 // from 0 within the burst
	BufferOffset      uint32 // bytes from the start of the command's data
}

// Decode reads the fields from h.
func (p *DataOut) Decode(h *BHS) {
	p.Final = h.Final()
	p.LUN = h.LUN()
	p.InitiatorTaskTag = h.get32(offITT)
	p.TargetTransferTag = h.get32(offTTT)
	p.ExpStatSN = h.get32(offExpStatSN)
	p.DataSN = h.get32(offDataSN)
	p.BufferOffset = h.get32(offBufferOff)
}

// Encode writes the fields into h.
func (p DataOut) Encode(h *BHS) {
	h.start(OpDataOut, false)
	h.flag(finalBit, p.Final)
	h.putLUN(p.LUN)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(offTTT, p.TargetTransferTag)
	h.put32(offExpStatSN, p.ExpStatSN)
	h.put32(offDataSN, p.DataSN)
	h.put32(offBufferOff, p.BufferOffset)
}

// DataIn is the SCSI Data-In PDU (§11.7).
type DataIn struct {
	Final             bool // last PDU of the burst
	Acknowledge       bool // asks for a DataACK SNACK; not at error recovery level 0
	HasStatus         bool // S: Status, StatSN and Residual count
	Residual          Residual
	Status            scsi.Status
	LUN               LUN // with Acknowledge
	InitiatorTaskTag  uint32
	TargetTransferTag uint32 // NoTag unless Acknowledge
	StatSN            uint32
	ExpCmdSN          uint32
	MaxCmdSN          uint32
	DataSN            uint32 // from 0 within the command
	BufferOffset      uint32 // bytes from the start of the command's data
}

// Decode reads the fields from h.
func (p *DataIn) Decode(h *BHS) {
	p.Final = h.Final()
	p.Acknowledge = h.has(dataInAcknowledge)
	p.HasStatus = h.has(dataInStatus)
	p.Residual = Residual{h.has(residualOverflow), h.has(residualUnderflow), h.get32(offResidual)}
	p.Status = scsi.Status(h[3])
	p.LUN = h.LUN()
	p.InitiatorTaskTag = h.get32(offITT)
	p.TargetTransferTag = h.get32(offTTT)
	p.StatSN = h.get32(offStatSN)
	p.ExpCmdSN = h.get32(offExpCmdSN)
	p.MaxCmdSN = h.get32(offMaxCmdSN)
	p.DataSN = h.get32(offDataSN)
	p.BufferOffset = h.get32(offBufferOff)
}

// Encode writes the fields into h.
func (p DataIn) Encode(h *BHS) {
	h.start(OpDataIn, false)
	h.flag(finalBit, p.Final)
	h.flag(dataInAcknowledge, p.Acknowledge)
	h.flag(dataInStatus, p.HasStatus)
	h.flag(residualOverflow, p.Residual.Overflow)
	h.flag(residualUnderflow, p.Residual.Underflow)
	h[3] = byte(p.Status)
	h.putLUN(p.LUN)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(offTTT, p.TargetTransferTag)
	h.put32(offStatSN, p.StatSN)
	h.put32(offExpCmdSN, p.ExpCmdSN)
	h.put32(offMaxCmdSN, p.MaxCmdSN)
	h.put32(offDataSN, p.DataSN)
	h.put32(offBufferOff, p.BufferOffset)
	h.put32(offResidual, p.Residual.Count)
}

// R2T is the Ready To Transfer PDU (§11.8).
type R2T struct {
	LUN                       LUN
	InitiatorTaskTag          uint32
	TargetTransferTag         uint32 // to be repeated in the Data-Out it asks for
	StatSN                    uint32 // the next one; it does not advance
	ExpCmdSN                  uint32
	MaxCmdSN                  uint32
	R2TSN                     uint32 // from 0 within the command
	BufferOffset              uint32 // bytes
	DesiredDataTransferLength uint32 // bytes, 1 to MaxBurstLength
}

// Decode reads the fields from h.
func (p *R2T) Decode(h *BHS) {
	p.LUN = h.LUN()
	p.InitiatorTaskTag = h.get32(offITT)
	p.TargetTransferTag = h.get32(offTTT)
	p.StatSN = h.get32(offStatSN)
	p.ExpCmdSN = h.get32(offExpCmdSN)
	p.MaxCmdSN = h.get32(offMaxCmdSN)
	p.R2TSN = h.get32(offDataSN)
	p.BufferOffset = h.get32(offBufferOff)
	p.DesiredDataTransferLength = h.get32(44)
}

// Encode writes the fields into h.
func (p R2T) Encode(h *BHS) {
	h.start(OpR2T, false)
	h[offFlags] = finalBit
	h.putLUN(p.LUN)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(offTTT, p.TargetTransferTag)
	h.put32(offStatSN, p.StatSN)
	h.put32(offExpCmdSN, p.ExpCmdSN)
	h.put32(offMaxCmdSN, p.MaxCmdSN)
	h.put32(offDataSN, p.R2TSN)
	h.put32(offBufferOff, p.BufferOffset)
	h.put32(44, p.DesiredDataTransferLength)
}
