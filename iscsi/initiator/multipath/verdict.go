package multipath

import (
	"errors"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/scsi"
)

// verdict is what is to be done after a command ended.
type verdict int

const (
	done   verdict = iota
	again          // send it again at once
	busy           // send it again after a rest
	moved          // the path's access state is another: look, and choose a path anew
	lost           // the path is lost: choose another
	failed         // tell the caller
)

// judgement is what a command's end means.
type judgement struct {
	verdict verdict
	state   scsi.AccessState // with moved: what the target said of the path
	refresh bool             // access states are to be read again
	resized bool             // the capacity is to be read again
}

// judge says what the end of a command with err means.
func judge(err error) judgement {
	var status *initiator.StatusError
	switch {
	case err == nil:
		return judgement{verdict: done}
	case errors.As(err, &status):
		return judgeStatus(status)
	case errors.Is(err, initiator.ErrSessionLost):
		return judgement{verdict: lost}
	case errors.Is(err, initiator.ErrTaskTimeout):
		return judgement{verdict: busy, refresh: true}
	case errors.Is(err, initiator.ErrAborted), errors.Is(err, initiator.ErrTooManyTasks),
		errors.As(err, new(*initiator.RejectError)):
		return judgement{verdict: busy}
	}
	return judgement{verdict: failed}
}

func judgeStatus(e *initiator.StatusError) judgement {
	if e.Response != iscsi.CommandCompletedAtTarget {
		return judgement{verdict: busy}
	}
	switch e.Status {
	case scsi.StatusBusy, scsi.StatusTaskSetFull, scsi.StatusTaskAborted:
		return judgement{verdict: busy}
	case scsi.StatusCheckCondition:
		return judgeSense(e.Sense)
	}
	return judgement{verdict: failed}
}

func judgeSense(s scsi.Sense) judgement {
	switch s.Key {
	case scsi.UnitAttention:
		return judgement{
			verdict: again,
			refresh: s.ASC == scsi.AsymmetricAccessStateChanged,
			resized: s.ASC == scsi.CapacityDataHasChanged,
		}
	case scsi.NotReady:
		switch s.ASC {
		case scsi.LogicalUnitNotAccessibleAsymmetricAccessStateTransition:
			return judgement{verdict: moved, state: scsi.Transitioning, refresh: true}
		case scsi.LogicalUnitNotAccessibleTargetPortInStandbyState:
			return judgement{verdict: moved, state: scsi.Standby, refresh: true}
		case scsi.LogicalUnitNotAccessibleTargetPortInUnavailableState:
			return judgement{verdict: moved, state: scsi.Unavailable, refresh: true}
		}
		return judgement{verdict: busy}
	case scsi.AbortedCommand:
		return judgement{verdict: busy}
	case scsi.IllegalRequest:
		if s.ASC == scsi.LogicalUnitNotSupported { // not there, on this path
			return judgement{verdict: moved, state: scsi.Unavailable, refresh: true}
		}
	}
	return judgement{verdict: failed}
}

// IsHard tells whether err is a MEDIUM ERROR or HARDWARE ERROR: what a client
// takes for a broken disk.
func IsHard(err error) bool {
	var s scsi.Sense
	return errors.As(err, &s) && (s.Key == scsi.MediumError || s.Key == scsi.HardwareError)
}
