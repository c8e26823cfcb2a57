package iscsi

import "github.com/tandem-san/tandem/scsi"

const functionMask = 0x7f

// TaskRequest is the Task Management Function Request PDU (§11.5).
type TaskRequest struct {
	Immediate         bool
	Function          scsi.TaskManagementFunction
	LUN               LUN
	InitiatorTaskTag  uint32
	ReferencedTaskTag uint32 // the task meant; NoTag for functions of no task
	CmdSN             uint32
	ExpStatSN         uint32
	RefCmdSN          uint32 // CmdSN of the task meant, for ABORT TASK
	ExpDataSN         uint32 // for TASK REASSIGN
}

// Decode reads the fields from h.
func (p *TaskRequest) Decode(h *BHS) {
	p.Immediate = h.Immediate()
	p.Function = scsi.TaskManagementFunction(h[offFlags] & functionMask)
	p.LUN = h.LUN()
	p.InitiatorTaskTag = h.get32(offITT)
	p.ReferencedTaskTag = h.get32(20)
	p.CmdSN = h.get32(offCmdSN)
	p.ExpStatSN = h.get32(offExpStatSN)
	p.RefCmdSN = h.get32(32)
	p.ExpDataSN = h.get32(offDataSN)
}

// Encode writes the fields into h.
func (p TaskRequest) Encode(h *BHS) {
	h.start(OpTaskRequest, p.Immediate)
	h[offFlags] = finalBit | byte(p.Function)&functionMask
	h.putLUN(p.LUN)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(20, p.ReferencedTaskTag)
	h.put32(offCmdSN, p.CmdSN)
	h.put32(offExpStatSN, p.ExpStatSN)
	h.put32(32, p.RefCmdSN)
	h.put32(offDataSN, p.ExpDataSN)
}

// TaskResponse is the Task Management Function Response PDU (§11.6).
type TaskResponse struct {
	Response         scsi.FunctionResponse
	InitiatorTaskTag uint32
	StatSN           uint32
	ExpCmdSN         uint32
	MaxCmdSN         uint32
}

// Decode reads the fields from h.
func (p *TaskResponse) Decode(h *BHS) {
	p.Response = scsi.FunctionResponse(h[2])
	p.InitiatorTaskTag = h.get32(offITT)
	p.StatSN = h.get32(offStatSN)
	p.ExpCmdSN = h.get32(offExpCmdSN)
	p.MaxCmdSN = h.get32(offMaxCmdSN)
}

// Encode writes the fields into h.
func (p TaskResponse) Encode(h *BHS) {
	h.start(OpTaskResponse, false)
	h[offFlags] = finalBit
	h[2] = byte(p.Response)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(offStatSN, p.StatSN)
	h.put32(offExpCmdSN, p.ExpCmdSN)
	h.put32(offMaxCmdSN, p.MaxCmdSN)
}
