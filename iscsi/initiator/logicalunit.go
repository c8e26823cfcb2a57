package initiator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tandem-san/tandem/iscsi"
)

// ErrShortTransfer: the command ended well, but moved less data than it should
// have.
var ErrShortTransfer = errors.New("the target moved less data than asked for")

// LogicalUnit sends the usual commands to one logical unit through a session.
// All methods may be called from many goroutines. Every error that the target
// caused by its status is a *StatusError.
type LogicalUnit struct {
	session *Session
	lun     iscsi.LUN
	tasks   sync.Pool
}

// LogicalUnit gives access to a logical unit of the session's target. Nothing
// is asked of the target.
func (s *Session) LogicalUnit(lun iscsi.LUN) *LogicalUnit {
	return &LogicalUnit{session: s, lun: lun, tasks: sync.Pool{New: func() any { return new(Task) }}}
}

// Session is the session the logical unit is reached through.
func (u *LogicalUnit) Session() *Session { return u.session }

// do runs a command and returns how many bytes of in were filled.
func (u *LogicalUnit) do(ctx context.Context, cdb CDB, out, in []byte) (n int, residual iscsi.Residual, err error) {
	t := u.tasks.Get().(*Task)
	t.LUN, t.CDB, t.DataOut, t.DataIn = u.lun, cdb, out, in
	err = u.session.Do(ctx, t)
	n, residual = t.Transferred, t.Residual
	t.DataOut, t.DataIn = nil, nil
	u.tasks.Put(t)
	return n, residual, err
}

// Read reads blocks logical blocks from lba into p, which is as long as they
// are.
func (u *LogicalUnit) Read(ctx context.Context, lba uint64, blocks uint32, p []byte) error {
	n, _, err := u.do(ctx, Read16CDB(lba, blocks), nil, p)
	if err == nil && n < len(p) {
		err = fmt.Errorf("%w: READ (16) gave %d of %d bytes", ErrShortTransfer, n, len(p))
	}
	return err
}

// Write writes p, which is blocks logical blocks long, to lba.
func (u *LogicalUnit) Write(ctx context.Context, lba uint64, blocks uint32, p []byte) error {
	_, residual, err := u.do(ctx, Write16CDB(lba, blocks), p, nil)
	if err == nil && residual.Count > 0 {
		err = fmt.Errorf("%w: WRITE (16) of %d bytes left a residual of %d", ErrShortTransfer, len(p), residual.Count)
	}
	return err
}

// SyncCache makes everything written so far durable.
func (u *LogicalUnit) SyncCache(ctx context.Context) error {
	_, _, err := u.do(ctx, SynchronizeCache16CDB(0, 0), nil, nil)
	return err
}

// TestUnitReady tells by its error whether the logical unit is ready.
func (u *LogicalUnit) TestUnitReady(ctx context.Context) error {
	_, _, err := u.do(ctx, TestUnitReadyCDB(), nil, nil)
	return err
}

// parameterData is what most commands that return a page are asked for, in
// bytes; none of those used here is longer.
const parameterData = 4096

// page runs a command that returns parameter data of at least least bytes.
func (u *LogicalUnit) page(ctx context.Context, cdb CDB, allocation, least int) ([]byte, error) {
	p := make([]byte, allocation)
	n, _, err := u.do(ctx, cdb, nil, p)
	if err != nil {
		return nil, err
	}
	if n < least {
		return nil, fmt.Errorf("%w: SCSI command %02xh gave %d bytes, at least %d are due", ErrShortTransfer, cdb[0], n, least)
	}
	return p[:n], nil
}

// Inquiry returns the standard INQUIRY data.
func (u *LogicalUnit) Inquiry(ctx context.Context) (Inquiry, error) {
	p, err := u.page(ctx, InquiryCDB(parameterData), parameterData, inquiryLength)
	if err != nil {
		return Inquiry{}, fmt.Errorf("inquiry: %w", err)
	}
	return parseInquiry(p), nil
}

// VPD returns a vital product data page, its header of four bytes included.
func (u *LogicalUnit) VPD(ctx context.Context, page byte) ([]byte, error) {
	p, err := u.page(ctx, VPDCDB(page, parameterData), parameterData, vpdHeader)
	if err != nil {
		return nil, fmt.Errorf("inquiry, VPD page %02xh: %w", page, err)
	}
	if p, err = trimVPD(page, p); err != nil {
		return nil, fmt.Errorf("inquiry, VPD page %02xh: %w", page, err)
	}
	return p, nil
}

// Designators returns those of the Device Identification VPD page.
func (u *LogicalUnit) Designators(ctx context.Context) ([]Designator, error) {
	p, err := u.VPD(ctx, vpdDeviceIdentification)
	if err != nil {
		return nil, err
	}
	return parseDesignators(p[vpdHeader:])
}

// ReadCapacity returns the size of the logical unit.
func (u *LogicalUnit) ReadCapacity(ctx context.Context) (Capacity, error) {
	p, err := u.page(ctx, ReadCapacity16CDB(capacityLength), capacityLength, capacityLeast)
	if err != nil {
		return Capacity{}, fmt.Errorf("read capacity: %w", err)
	}
	return parseCapacity(p)
}

// ReportTargetPortGroups returns the groups of target ports and their
// asymmetric access states.
func (u *LogicalUnit) ReportTargetPortGroups(ctx context.Context) ([]TargetPortGroup, error) {
	p, err := u.page(ctx, ReportTargetPortGroupsCDB(parameterData), parameterData, lengthHeader)
	if err != nil {
		return nil, fmt.Errorf("report target port groups: %w", err)
	}
	return parseTargetPortGroups(p)
}

// ReportLUNs returns the logical units of the target.
func (s *Session) ReportLUNs(ctx context.Context) ([]iscsi.LUN, error) {
	const allocation = 128 << 10
	p, err := s.LogicalUnit(0).page(ctx, ReportLUNsCDB(allocation), allocation, lunListHeader)
	if err != nil {
		return nil, fmt.Errorf("report LUNs: %w", err)
	}
	return parseLUNList(p)
}
