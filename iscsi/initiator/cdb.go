package initiator

import (
	"encoding/binary"

	"github.com/tandem-san/tandem/iscsi"
)

// CDB is a command descriptor block as a Task carries it.
type CDB = [iscsi.CDBLength]byte

// Operation codes and service actions (SPC-5, SBC-4) of the commands below.
const (
	opTestUnitReady   = 0x00
	opInquiry         = 0x12
	opRead16          = 0x88
	opWrite16         = 0x8a
	opSyncCache16     = 0x91
	opServiceActionIn = 0x9e
	opReportLUNs      = 0xa0
	opMaintenanceIn   = 0xa3

	saReadCapacity16         = 0x10
	saReportTargetPortGroups = 0x0a

	inquiryEVPD   = 0x01
	reportAllLUNs = 0x02
)

// TestUnitReadyCDB is TEST UNIT READY (SPC-5 §6.47).
func TestUnitReadyCDB() CDB { return CDB{opTestUnitReady} }

// InquiryCDB is INQUIRY for the standard data (SPC-5 §6.7); allocation in bytes.
func InquiryCDB(allocation uint16) CDB {
	c := CDB{opInquiry}
	binary.BigEndian.PutUint16(c[3:], allocation)
	return c
}

// VPDCDB is INQUIRY for a vital product data page (SPC-5 §6.7); allocation in
// bytes.
func VPDCDB(page byte, allocation uint16) CDB {
	c := InquiryCDB(allocation)
	c[1], c[2] = inquiryEVPD, page
	return c
}

// ReadCapacity16CDB is READ CAPACITY (16) (SBC-4 §5.20); allocation in bytes.
func ReadCapacity16CDB(allocation uint32) CDB {
	c := CDB{opServiceActionIn, saReadCapacity16}
	binary.BigEndian.PutUint32(c[10:], allocation)
	return c
}

// Read16CDB is READ (16) (SBC-4 §5.16).
func Read16CDB(lba uint64, blocks uint32) CDB { return blocks16(opRead16, lba, blocks) }

// Write16CDB is WRITE (16) (SBC-4 §5.48).
func Write16CDB(lba uint64, blocks uint32) CDB { return blocks16(opWrite16, lba, blocks) }

// SynchronizeCache16CDB is SYNCHRONIZE CACHE (16) (SBC-4 §5.37); 0 blocks
// means up to the end.
func SynchronizeCache16CDB(lba uint64, blocks uint32) CDB {
	return blocks16(opSyncCache16, lba, blocks)
}

func blocks16(op byte, lba uint64, blocks uint32) CDB {
	c := CDB{op}
	binary.BigEndian.PutUint64(c[2:], lba)
	binary.BigEndian.PutUint32(c[10:], blocks)
	return c
}

// ReportLUNsCDB is REPORT LUNS of all logical units (SPC-5 §6.33); allocation
// in bytes.
func ReportLUNsCDB(allocation uint32) CDB {
	c := CDB{opReportLUNs, 0, reportAllLUNs}
	binary.BigEndian.PutUint32(c[6:], allocation)
	return c
}

// ReportTargetPortGroupsCDB is REPORT TARGET PORT GROUPS (SPC-5 §6.37);
// allocation in bytes.
func ReportTargetPortGroupsCDB(allocation uint32) CDB {
	c := CDB{opMaintenanceIn, saReportTargetPortGroups}
	binary.BigEndian.PutUint32(c[6:], allocation)
	return c
}
