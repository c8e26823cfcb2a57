package scsi

import "encoding/binary"

// Reporting options of REPORT SUPPORTED OPERATION CODES (SPC-5 §6.35.1).
const (
	reportAll               = 0
	reportOpCode            = 1 // an operation code without service actions
	reportServiceAction     = 2 // an operation code with service actions
	reportEither            = 3
	reportingOptionsField   = 2
	requestedOpCodeField    = 3
	requestedServiceAction  = 4
	commandTimeoutsLength   = 0x000A
	supportNone             = 1 // SUPPORT: not supported
	supportStandard         = 3 // SUPPORT: in conformance with a standard
	commandTimeoutsIncluded = 0x80
)

// AppendSupportedOperationCodes appends the parameter data that a REPORT
// SUPPORTED OPERATION CODES command asks for, made from the command table
// (SPC-5 §6.35), or answers what to refuse the command with. has says which
// commands of the table there are.
func AppendSupportedOperationCodes(b []byte, cdb CDB, has func(CommandID) bool) ([]byte, error) {
	rctd := cdb.Bit(2, 7)
	opcode, sa := cdb.Byte(requestedOpCodeField), cdb.Uint16(requestedServiceAction)
	e := &opcodes[opcode]
	switch cdb.Byte(2) & 7 {
	case reportAll:
		return appendAllCommands(b, rctd, has), nil
	case reportOpCode:
		if e.serviceActions {
			return nil, InvalidCDBField(requestedOpCodeField)
		}
		return appendOneCommand(b, e.first, rctd, has), nil
	case reportServiceAction:
		if e.first != NoCommand && !e.serviceActions {
			return nil, InvalidCDBField(requestedOpCodeField)
		}
		return appendOneCommand(b, findServiceAction(e, sa), rctd, has), nil
	case reportEither:
		id := e.first
		switch {
		case e.serviceActions:
			id = findServiceAction(e, sa)
		case sa != 0:
			id = NoCommand
		}
		return appendOneCommand(b, id, rctd, has), nil
	}
	return nil, InvalidCDBBit(reportingOptionsField, 2)
}

func findServiceAction(e *opcodeEntry, sa uint16) CommandID {
	if e.serviceActions {
		for id := e.first; id <= e.last; id++ {
			if Commands[id].ServiceAction == sa {
				return id
			}
		}
	}
	return NoCommand
}

// appendAllCommands appends the all commands format (SPC-5 §6.35.2).
func appendAllCommands(b []byte, rctd bool, has func(CommandID) bool) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	for id := NoCommand + 1; id < NumCommands; id++ {
		if !has(id) {
			continue
		}
		c := &Commands[id]
		flags := byte(0)
		if c.HasServiceAction {
			flags |= 0x01 // SERVACTV
		}
		if rctd {
			flags |= 0x02 // CTDP
		}
		b = append(b, c.OpCode, 0)
		b = binary.BigEndian.AppendUint16(b, c.ServiceAction)
		b = append(b, 0, flags)
		b = binary.BigEndian.AppendUint16(b, uint16(len(c.Usage)))
		if rctd {
			b = c.appendTimeouts(b)
		}
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// appendOneCommand appends the one command format (SPC-5 §6.35.3).
func appendOneCommand(b []byte, id CommandID, rctd bool, has func(CommandID) bool) []byte {
	if id == NoCommand || !has(id) {
		return append(b, 0, supportNone, 0, 0)
	}
	c := &Commands[id]
	support := byte(supportStandard)
	if rctd {
		support |= commandTimeoutsIncluded
	}
	b = append(b, 0, support)
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.Usage)))
	b = append(b, c.Usage...)
	if rctd {
		b = c.appendTimeouts(b)
	}
	return b
}

// appendTimeouts appends the command timeouts descriptor (SPC-5 §6.35.4).
func (c *Command) appendTimeouts(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, commandTimeoutsLength)
	b = append(b, 0, 0, 0, 0, 0, 0) // no nominal time
	return binary.BigEndian.AppendUint32(b, c.Timeout)
}

// AppendSupportedTaskManagement appends REPORT SUPPORTED TASK MANAGEMENT
// FUNCTIONS parameter data: all functions of SAM-6 but CLEAR ACA; extended
// asks for the extended format (SPC-5 §6.37).
func AppendSupportedTaskManagement(b []byte, extended bool) []byte {
	const (
		ats, atss, cts, lurs, qts = 0x80, 0x40, 0x10, 0x08, 0x04
		qaes, qtss, itnrs         = 0x04, 0x02, 0x01
	)
	b = append(b, ats|atss|cts|lurs|qts, qaes|qtss|itnrs, 0, 0)
	if extended {
		b[len(b)-1] = 0x0C
		b = append(b, make([]byte, 12)...)
	}
	return b
}
