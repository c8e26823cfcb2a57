package iscsi

// TextRequest is the Text Request PDU (§11.10).
type TextRequest struct {
	Immediate         bool
	Final             bool
	Continue          bool // the text goes on in the next Text Request
	LUN               LUN
	InitiatorTaskTag  uint32
	TargetTransferTag uint32 // NoTag starts an exchange
	CmdSN             uint32
	ExpStatSN         uint32
}

// Decode reads the fields from h.
func (p *TextRequest) Decode(h *BHS) {
	p.Immediate = h.Immediate()
	p.Final = h.Final()
	p.Continue = h.has(textContinue)
	p.LUN = h.LUN()
	p.InitiatorTaskTag = h.get32(offITT)
	p.TargetTransferTag = h.get32(offTTT)
	p.CmdSN = h.get32(offCmdSN)
	p.ExpStatSN = h.get32(offExpStatSN)
}

// Encode writes the fields into h.
func (p TextRequest) Encode(h *BHS) {
	h.start(OpTextRequest, p.Immediate)
	h.flag(finalBit, p.Final)
	h.flag(textContinue, p.Continue)
	h.putLUN(p.LUN)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(offTTT, p.TargetTransferTag)
	h.put32(offCmdSN, p.CmdSN)
	h.put32(offExpStatSN, p.ExpStatSN)
}

// TextResponse is the Text Response PDU (§11.11).
type TextResponse struct {
	Final             bool
	Continue          bool
	LUN               LUN
	InitiatorTaskTag  uint32
	TargetTransferTag uint32 // NoTag when Final
	StatSN            uint32
	ExpCmdSN          uint32
	MaxCmdSN          uint32
}

// Decode reads the fields from h.
func (p *TextResponse) Decode(h *BHS) {
	p.Final = h.Final()
	p.Continue = h.has(textContinue)
	p.LUN = h.LUN()
	p.InitiatorTaskTag = h.get32(offITT)
	p.TargetTransferTag = h.get32(offTTT)
	p.StatSN = h.get32(offStatSN)
	p.ExpCmdSN = h.get32(offExpCmdSN)
	p.MaxCmdSN = h.get32(offMaxCmdSN)
}

// Encode writes the fields into h.
func (p TextResponse) Encode(h *BHS) {
	h.start(OpTextResponse, false)
	h.flag(finalBit, p.Final)
	h.flag(textContinue, p.Continue)
	h.putLUN(p.LUN)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(offTTT, p.TargetTransferTag)
	h.put32(offStatSN, p.StatSN)
	h.put32(offExpCmdSN, p.ExpCmdSN)
	h.put32(offMaxCmdSN, p.MaxCmdSN)
}
