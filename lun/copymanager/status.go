package copymanager

import (
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// carryOut goes on with a command that was admitted.
func (u *Unit) carryOut(t *lun.Task) {
	id, _ := scsi.Lookup(t.CDB)
	cdb := scsi.CDB(t.CDB)
	long := cdb.Uint32(2) // the list identifier of four bytes
	switch id {
	case scsi.CmdExtendedCopy:
		u.extendedCopy(t, false)
	case scsi.CmdExtendedCopyLong:
		u.extendedCopy(t, true)
	case scsi.CmdPopulateToken:
		u.populateToken(t)
	case scsi.CmdWriteUsingToken:
		u.writeUsingToken(t)
	case scsi.CmdCopyOperationAbort:
		u.abortOperation(t, long)
	case scsi.CmdReceiveCopyOperatingParameters:
		u.reply(t, lun.CopyLimits().AppendOperatingParameters(nil))
	case scsi.CmdReportAllRODTokens:
		u.reply(t, scsi.AppendAllRODTokens(nil, u.manager.allTokens()))
	case scsi.CmdReceiveCopyStatus:
		u.tell(t, uint32(cdb.Byte(2)), func(s scsi.CopyStatus) []byte { return s.AppendShort(nil) })
	case scsi.CmdReceiveCopyFailureDetails:
		u.tell(t, uint32(cdb.Byte(2)), func(s scsi.CopyStatus) []byte { return s.AppendFailure(nil) })
	case scsi.CmdReceiveCopyStatusLong:
		u.tell(t, long, func(s scsi.CopyStatus) []byte { return s.Append(nil, false) })
	case scsi.CmdReceiveRODTokenInformation:
		u.tell(t, long, func(s scsi.CopyStatus) []byte { return s.Append(nil, true) })
	default:
		panic("copymanager: " + scsi.Commands[id].Name + " is no third-party copy command")
	}
}

// tell answers how the operation with a list identifier stands.
func (u *Unit) tell(t *lun.Task, list uint32, encode func(scsi.CopyStatus) []byte) {
	o := u.manager.lookup(u, t.Nexus, list)
	if o == nil {
		fail(t, scsi.InvalidCDBField(2))
		return
	}
	u.reply(t, encode(o.result()))
}

// reply ends the task with data, cut to the allocation length.
func (u *Unit) reply(t *lun.Task, data []byte) {
	data = data[:min(uint64(len(data)), uint64(scsi.CDB(t.CDB).AllocationLength()))]
	t.Transfer = len(data)
	if len(data) > 0 {
		if t.DataIn = u.manager.pool.Get(len(data)); t.DataIn == nil {
			t.Status, t.Transfer = scsi.StatusTaskSetFull, 0
		} else {
			copy(t.DataIn.Bytes(), data)
		}
	}
	t.Transport.CommandComplete(t)
}

// abortOperation is COPY OPERATION ABORT (SPC-5 §6.4). It waits for the end of
// the operation on a goroutine, for who calls must not.
func (u *Unit) abortOperation(t *lun.Task, list uint32) {
	o := u.manager.lookup(u, t.Nexus, list)
	if o == nil {
		fail(t, scsi.InvalidCDBField(2))
		return
	}
	o.stop()
	u.manager.running.Go(func() {
		<-o.done
		t.Transport.CommandComplete(t)
	})
}
