package iscsi

import "fmt"

// Opcode is the kind of a PDU: the low six bits of its first byte (§11.2.1.2).
type Opcode uint8

// Opcodes of the initiator and of the target (§11.2.1.2).
const (
	OpNOPOut        Opcode = 0x00
	OpSCSICommand   Opcode = 0x01
	OpTaskRequest   Opcode = 0x02
	OpLoginRequest  Opcode = 0x03
	OpTextRequest   Opcode = 0x04
	OpDataOut       Opcode = 0x05
	OpLogoutRequest Opcode = 0x06
	OpSNACK         Opcode = 0x10

	OpNOPIn          Opcode = 0x20
	OpSCSIResponse   Opcode = 0x21
	OpTaskResponse   Opcode = 0x22
	OpLoginResponse  Opcode = 0x23
	OpTextResponse   Opcode = 0x24
	OpDataIn         Opcode = 0x25
	OpLogoutResponse Opcode = 0x26
	OpR2T            Opcode = 0x31
	OpAsyncMessage   Opcode = 0x32
	OpReject         Opcode = 0x3f
)

var opcodeNames = map[Opcode]string{
	OpNOPOut:         "NOP-Out",
	OpSCSICommand:    "SCSI Command",
	OpTaskRequest:    "Task Management Function Request",
	OpLoginRequest:   "Login Request",
	OpTextRequest:    "Text Request",
	OpDataOut:        "SCSI Data-Out",
	OpLogoutRequest:  "Logout Request",
	OpSNACK:          "SNACK Request",
	OpNOPIn:          "NOP-In",
	OpSCSIResponse:   "SCSI Response",
	OpTaskResponse:   "Task Management Function Response",
	OpLoginResponse:  "Login Response",
	OpTextResponse:   "Text Response",
	OpDataIn:         "SCSI Data-In",
	OpLogoutResponse: "Logout Response",
	OpR2T:            "R2T",
	OpAsyncMessage:   "Asynchronous Message",
	OpReject:         "Reject",
}

// String gives the name the RFC uses, or the code in hexadecimal.
func (o Opcode) String() string {
	if n, ok := opcodeNames[o]; ok {
		return n
	}
	return fmt.Sprintf("opcode %02xh", uint8(o))
}
