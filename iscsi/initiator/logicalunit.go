package initiator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/scsi"
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

// page runs a command that returns up to allocation bytes of parameter data.
func (u *LogicalUnit) page(ctx context.Context, cdb CDB, allocation int) ([]byte, error) {
	p := make([]byte, allocation)
	n, _, err := u.do(ctx, cdb, nil, p)
	return p[:n], err
}

// Inquiry returns the standard INQUIRY data.
func (u *LogicalUnit) Inquiry(ctx context.Context) (scsi.StandardInquiry, error) {
	p, err := u.page(ctx, InquiryCDB(inquiryLength), inquiryLength)
	if err != nil {
		return scsi.StandardInquiry{}, err
	}
	return scsi.DecodeStandardInquiry(p)
}

// VPD returns the body of a vital product data page.
func (u *LogicalUnit) VPD(ctx context.Context, page byte) ([]byte, error) {
	p, err := u.page(ctx, VPDCDB(page, parameterLength), parameterLength)
	if err != nil {
		return nil, fmt.Errorf("VPD page %02Xh: %w", page, err)
	}
	return scsi.SplitVPD(p, page)
}

// Designators returns those of the Device Identification VPD page.
func (u *LogicalUnit) Designators(ctx context.Context) ([]scsi.Designator, error) {
	p, err := u.VPD(ctx, scsi.VPDDeviceIdentification)
	if err != nil {
		return nil, err
	}
	return scsi.DecodeDesignators(p)
}

// ReadCapacity returns the size of the logical unit.
func (u *LogicalUnit) ReadCapacity(ctx context.Context) (Capacity, error) {
	p, err := u.page(ctx, ReadCapacity16CDB(capacityLength), capacityLength)
	if err != nil {
		return Capacity{}, err
	}
	return decodeCapacity(p)
}

// ReportTargetPortGroups returns the groups of target ports and their
// asymmetric access states.
func (u *LogicalUnit) ReportTargetPortGroups(ctx context.Context) ([]scsi.PortGroup, error) {
	p, err := u.page(ctx, ReportTargetPortGroupsCDB(parameterLength), parameterLength)
	if err != nil {
		return nil, err
	}
	return scsi.DecodePortGroups(p)
}

// ReportLUNs returns the numbers of the logical units of the target.
func (s *Session) ReportLUNs(ctx context.Context) ([]uint16, error) {
	p, err := s.LogicalUnit(0).page(ctx, ReportLUNsCDB(lunListLength), lunListLength)
	if err != nil {
		return nil, err
	}
	return scsi.DecodeLUNs(p)
}
