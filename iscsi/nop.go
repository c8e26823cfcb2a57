package iscsi

// NOPOut is the NOP-Out PDU (§11.18): a ping of the initiator, or its answer
// to one of the target when TargetTransferTag is not NoTag.
type NOPOut struct {
	Immediate         bool
	LUN               LUN    // copied from the NOP-In it answers
	InitiatorTaskTag  uint32 // NoTag: no answer wanted
	TargetTransferTag uint32
	CmdSN             uint32
	ExpStatSN         uint32
}

// Decode reads the fields from h.
func (p *NOPOut) Decode(h *BHS) {
	p.Immediate = h.Immediate()
	p.LUN = h.LUN()
	p.InitiatorTaskTag = h.get32(offITT)
	p.TargetTransferTag = h.get32(offTTT)
	p.CmdSN = h.get32(offCmdSN)
	p.ExpStatSN = h.get32(offExpStatSN)
}

// Encode writes the fields into h.
func (p NOPOut) Encode(h *BHS) {
	h.start(OpNOPOut, p.Immediate)
	h[offFlags] = finalBit
	h.putLUN(p.LUN)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(offTTT, p.TargetTransferTag)
	h.put32(offCmdSN, p.CmdSN)
	h.put32(offExpStatSN, p.ExpStatSN)
}

// NOPIn is the NOP-In PDU (§11.19): the echo of a NOP-Out, or a ping of the
// target when InitiatorTaskTag is NoTag.
type NOPIn struct {
	LUN               LUN
	InitiatorTaskTag  uint32
	TargetTransferTag uint32 // NoTag: no answer wanted
	StatSN            uint32
	ExpCmdSN          uint32
	MaxCmdSN          uint32
}

// Decode reads the fields from h.
func (p *NOPIn) Decode(h *BHS) {
	p.LUN = h.LUN()
	p.InitiatorTaskTag = h.get32(offITT)
	p.TargetTransferTag = h.get32(offTTT)
	p.StatSN = h.get32(offStatSN)
	p.ExpCmdSN = h.get32(offExpCmdSN)
	p.MaxCmdSN = h.get32(offMaxCmdSN)
}

// Encode writes the fields into h.
func (p NOPIn) Encode(h *BHS) {
	h.start(OpNOPIn, false)
	h[offFlags] = finalBit
	h.putLUN(p.LUN)
	h.put32(offITT, p.InitiatorTaskTag)
	h.put32(offTTT, p.TargetTransferTag)
	h.put32(offStatSN, p.StatSN)
	h.put32(offExpCmdSN, p.ExpCmdSN)
	h.put32(offMaxCmdSN, p.MaxCmdSN)
}
