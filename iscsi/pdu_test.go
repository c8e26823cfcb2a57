package iscsi

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/tandem-san/tandem/scsi"
	"pgregory.net/rapid"
)

// codec is what every PDU struct has.
type codec interface {
	Encode(h *BHS)
}

// decodeAs makes the PDU struct of h's opcode.
func decodeAs(h *BHS) codec {
	switch h.Opcode() {
	case OpNOPOut:
		var p NOPOut
		p.Decode(h)
		return p
	case OpSCSICommand:
		var p SCSICommand
		p.Decode(h)
		return p
	case OpTaskRequest:
		var p TaskRequest
		p.Decode(h)
		return p
	case OpLoginRequest:
		var p LoginRequest
		p.Decode(h)
		return p
	case OpTextRequest:
		var p TextRequest
		p.Decode(h)
		return p
	case OpDataOut:
		var p DataOut
		p.Decode(h)
		return p
	case OpLogoutRequest:
		var p LogoutRequest
		p.Decode(h)
		return p
	case OpSNACK:
		var p SNACK
		p.Decode(h)
		return p
	case OpNOPIn:
		var p NOPIn
		p.Decode(h)
		return p
	case OpSCSIResponse:
		var p SCSIResponse
		p.Decode(h)
		return p
	case OpTaskResponse:
		var p TaskResponse
		p.Decode(h)
		return p
	case OpLoginResponse:
		var p LoginResponse
		p.Decode(h)
		return p
	case OpTextResponse:
		var p TextResponse
		p.Decode(h)
		return p
	case OpDataIn:
		var p DataIn
		p.Decode(h)
		return p
	case OpLogoutResponse:
		var p LogoutResponse
		p.Decode(h)
		return p
	case OpR2T:
		var p R2T
		p.Decode(h)
		return p
	case OpAsyncMessage:
		var p AsyncMessage
		p.Decode(h)
		return p
	case OpReject:
		var p Reject
		p.Decode(h)
		return p
	}
	return nil
}

// The layouts are those of RFC 7143 §11.3 to §11.19.
var layouts = []struct {
	pdu codec
	hex string // first line to byte 16, and so on
}{
	{NOPOut{Immediate: true, LUN: NewLUN(1), InitiatorTaskTag: 0x11121314, TargetTransferTag: 0x21222324, CmdSN: 0x31323334, ExpStatSN: 0x41424344},
		"40800000 00000000 00010000 00000000 11121314 21222324 31323334 41424344 00000000 00000000 00000000 00000000"},
	{SCSICommand{Final: true, Read: true, Attribute: scsi.AttributeOrdered, LUN: NewLUN(300), InitiatorTaskTag: 0x11121314, ExpectedDataTransferLength: 0x21222324, CmdSN: 0x31323334, ExpStatSN: 0x41424344, CDB: [16]byte{0x28, 1, 2, 15: 9}},
		"01c20000 00000000 412c0000 00000000 11121314 21222324 31323334 41424344 28010200 00000000 00000000 00000009"},
	{SCSICommand{Immediate: true, Write: true, Attribute: scsi.AttributeSimple},
		"41210000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000"},
	{TaskRequest{Function: scsi.LogicalUnitReset, LUN: NewLUN(2), InitiatorTaskTag: 1, ReferencedTaskTag: NoTag, CmdSN: 3, ExpStatSN: 4, RefCmdSN: 5, ExpDataSN: 6},
		"02850000 00000000 00020000 00000000 00000001 ffffffff 00000003 00000004 00000005 00000006 00000000 00000000"},
	{LoginRequest{Transit: true, CSG: LoginOperationalNegotiation, NSG: FullFeaturePhase, VersionMax: 1, VersionMin: 2, ISID: ISID{0x80, 1, 2, 3, 4, 5}, TSIH: 0x0607, InitiatorTaskTag: 1, CID: 0x0809, CmdSN: 3, ExpStatSN: 4},
		"43870102 00000000 80010203 04050607 00000001 08090000 00000003 00000004 00000000 00000000 00000000 00000000"},
	{LoginRequest{Continue: true, CSG: SecurityNegotiation, NSG: LoginOperationalNegotiation},
		"43410000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000"},
	{TextRequest{Final: true, Continue: true, LUN: NewLUN(1), InitiatorTaskTag: 1, TargetTransferTag: 2, CmdSN: 3, ExpStatSN: 4},
		"04c00000 00000000 00010000 00000000 00000001 00000002 00000003 00000004 00000000 00000000 00000000 00000000"},
	{DataOut{Final: true, LUN: NewLUN(1), InitiatorTaskTag: 1, TargetTransferTag: 2, ExpStatSN: 4, DataSN: 6, BufferOffset: 7},
		"05800000 00000000 00010000 00000000 00000001 00000002 00000000 00000004 00000000 00000006 00000007 00000000"},
	{LogoutRequest{Immediate: true, Reason: CloseConnection, InitiatorTaskTag: 1, CID: 0x0203, CmdSN: 3, ExpStatSN: 4},
		"46810000 00000000 00000000 00000000 00000001 02030000 00000003 00000004 00000000 00000000 00000000 00000000"},
	{SNACK{Type: SNACKDataACK, LUN: NewLUN(1), InitiatorTaskTag: 1, TargetTransferTag: 2, ExpStatSN: 4, BegRun: 7, RunLength: 8},
		"10820000 00000000 00010000 00000000 00000001 00000002 00000000 00000004 00000000 00000000 00000007 00000008"},
	{NOPIn{LUN: NewLUN(1), InitiatorTaskTag: NoTag, TargetTransferTag: 2, StatSN: 3, ExpCmdSN: 4, MaxCmdSN: 5},
		"20800000 00000000 00010000 00000000 ffffffff 00000002 00000003 00000004 00000005 00000000 00000000 00000000"},
	{SCSIResponse{Response: TargetFailure, Status: scsi.StatusCheckCondition, InitiatorTaskTag: 1, SNACKTag: 2, StatSN: 3, ExpCmdSN: 4, MaxCmdSN: 5, ExpDataSN: 6, BidiRead: Residual{Overflow: true, Count: 7}, Residual: Residual{Underflow: true, Count: 8}},
		"21920102 00000000 00000000 00000000 00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008"},
	{TaskResponse{Response: scsi.FunctionRejected, InitiatorTaskTag: 1, StatSN: 3, ExpCmdSN: 4, MaxCmdSN: 5},
		"2280ff00 00000000 00000000 00000000 00000001 00000000 00000003 00000004 00000005 00000000 00000000 00000000"},
	{LoginResponse{Transit: true, CSG: SecurityNegotiation, NSG: FullFeaturePhase, VersionMax: 1, VersionActive: 2, ISID: ISID{0x80, 1, 2, 3, 4, 5}, TSIH: 0x0607, InitiatorTaskTag: 1, StatSN: 3, ExpCmdSN: 4, MaxCmdSN: 5, Status: LoginMissingParameter},
		"23830102 00000000 80010203 04050607 00000001 00000000 00000003 00000004 00000005 02070000 00000000 00000000"},
	{TextResponse{Continue: true, InitiatorTaskTag: 1, TargetTransferTag: 2, StatSN: 3, ExpCmdSN: 4, MaxCmdSN: 5},
		"24400000 00000000 00000000 00000000 00000001 00000002 00000003 00000004 00000005 00000000 00000000 00000000"},
	{DataIn{Final: true, HasStatus: true, Residual: Residual{Underflow: true, Count: 8}, Status: scsi.StatusConditionMet, InitiatorTaskTag: 1, TargetTransferTag: NoTag, StatSN: 3, ExpCmdSN: 4, MaxCmdSN: 5, DataSN: 6, BufferOffset: 7},
		"25830004 00000000 00000000 00000000 00000001 ffffffff 00000003 00000004 00000005 00000006 00000007 00000008"},
	{LogoutResponse{Response: LogoutCIDNotFound, InitiatorTaskTag: 1, StatSN: 3, ExpCmdSN: 4, MaxCmdSN: 5, Time2Wait: 6, Time2Retain: 7},
		"26800100 00000000 00000000 00000000 00000001 00000000 00000003 00000004 00000005 00000000 00060007 00000000"},
	{R2T{LUN: NewLUN(1), InitiatorTaskTag: 1, TargetTransferTag: 2, StatSN: 3, ExpCmdSN: 4, MaxCmdSN: 5, R2TSN: 6, BufferOffset: 7, DesiredDataTransferLength: 8},
		"31800000 00000000 00010000 00000000 00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008"},
	{AsyncMessage{StatSN: 3, ExpCmdSN: 4, MaxCmdSN: 5, Event: AsyncConnectionDrop, VendorCode: 6, Parameter1: 7, Parameter2: 8, Parameter3: 9},
		"32800000 00000000 00000000 00000000 ffffffff 00000000 00000003 00000004 00000005 02060007 00080009 00000000"},
	{Reject{Reason: RejectInvalidPDUField, StatSN: 3, ExpCmdSN: 4, MaxCmdSN: 5, DataSN: 6},
		"3f800900 00000000 00000000 00000000 ffffffff 00000000 00000003 00000004 00000005 00000006 00000000 00000000"},
}

func TestPDUsHaveTheLayoutOfTheRFC(t *testing.T) {
	for _, l := range layouts {
		h := BHS{5: 0xff} // Encode must overwrite all of it
		l.pdu.Encode(&h)
		if got, want := hex.EncodeToString(h[:]), strings.ReplaceAll(l.hex, " ", ""); got != want {
			t.Errorf("%T\n got %s\nwant %s", l.pdu, got, want)
		}
		if got := decodeAs(&h); got != l.pdu {
			t.Errorf("decoded\n%+v, want\n%+v", got, l.pdu)
		}
	}
}

func TestEncodingWhatWasDecodedChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op := layouts[rapid.IntRange(0, len(layouts)-1).Draw(t, "pdu")].pdu
		var h, again BHS
		op.Encode(&h)
		copy(h[1:], rapid.SliceOfN(rapid.Byte(), BHSLength-1, BHSLength-1).Draw(t, "bytes"))
		first := decodeAs(&h)
		first.Encode(&again)
		if second := decodeAs(&again); second != first {
			t.Fatalf("%+v became %+v", first, second)
		}
		if again.AHSLength() != 0 || again.DataSegmentLength() != 0 {
			t.Fatalf("Encode left lengths %d, %d", again.AHSLength(), again.DataSegmentLength())
		}
	})
}

func TestHotPDUsAreCodedWithoutAllocation(t *testing.T) {
	h := new(BHS)
	var (
		c SCSICommand
		o DataOut
		i DataIn
	)
	if n := testing.AllocsPerRun(100, func() {
		c.Decode(h)
		o.Decode(h)
		i.Decode(h)
		SCSIResponse{}.Encode(h)
		DataIn{}.Encode(h)
		R2T{}.Encode(h)
		NOPIn{}.Encode(h)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSequenceNumbersWrapAround(t *testing.T) {
	for _, c := range []struct {
		a, b   uint32
		before bool
	}{
		{0, 1, true}, {1, 0, false}, {5, 5, false},
		{0xffffffff, 0, true}, {0, 0xffffffff, false},
		{0xfffffff0, 0x10, true}, {0x10, 0xfffffff0, false},
	} {
		if got := Before(c.a, c.b); got != c.before {
			t.Errorf("Before(%x, %x) = %v", c.a, c.b, got)
		}
	}
	for _, c := range []struct {
		n, first, last uint32
		in             bool
	}{
		{5, 5, 5, true}, {5, 5, 4, false}, {0, 0xfffffffe, 3, true}, {4, 0xfffffffe, 3, false}, {0xfffffffd, 0xfffffffe, 3, false},
	} {
		if got := InWindow(c.n, c.first, c.last); got != c.in {
			t.Errorf("InWindow(%x, %x, %x) = %v", c.n, c.first, c.last, got)
		}
	}
}

func TestLUNsAreReadInPeripheralAndFlatForm(t *testing.T) {
	for _, c := range []struct {
		lun LUN
		n   uint16
		ok  bool
	}{
		{0, 0, true},
		{0x0001 << 48, 1, true},
		{0x00ff << 48, 255, true},
		{0x4001 << 48, 1, true}, // small numbers in the flat form too
		{0x7fff << 48, scsi.MaxLUN, true},
		{0x0101 << 48, 0, false}, // another bus
		{0x8000 << 48, 0, false}, // logical unit addressing
		{ReportLUNsWellKnown, 0, false},
		{0x0001<<48 | 1, 0, false}, // a second level
	} {
		if n, ok := c.lun.Number(); ok != c.ok || ok && n != c.n {
			t.Errorf("%016x: %d, %v; want %d, %v", uint64(c.lun), n, ok, c.n, c.ok)
		}
	}
	for n := range uint16(scsi.MaxLUN + 1) {
		if got, ok := NewLUN(n).Number(); got != n || !ok {
			t.Fatalf("%d became %d, %v", n, got, ok)
		}
	}
}
