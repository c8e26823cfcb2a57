package reserve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// What linux/pr.h defines.
const (
	// writeExclusiveAllRegs is PR_WRITE_EXCLUSIVE_ALL_REGS.
	writeExclusiveAllRegs = 5
	// ignoreKey is PR_FL_IGNORE_KEY: REGISTER AND IGNORE EXISTING KEY.
	ignoreKey = 1
)

// request is the number of an ioctl with its argument. All arguments are of
// 64-bit and 32-bit numbers in the order of the machine and need no padding.
type request struct {
	name     string
	number   uintptr
	argument []byte
}

// The ioctls: _IOW('p', N, struct), with the size of the struct in bytes 2 and 3.
const (
	iocRegister     = 0x4018_70c8
	iocReserve      = 0x4010_70c9
	iocPreemptAbort = 0x4018_70cc
)

// register is struct pr_registration {__u64 old_key, new_key; __u32 flags, __pad}.
func register(old, key Key, flags uint32) request {
	b := binary.NativeEndian.AppendUint64(nil, uint64(old))
	b = binary.NativeEndian.AppendUint64(b, uint64(key))
	b = binary.NativeEndian.AppendUint32(b, flags)
	return request{"IOC_PR_REGISTER", iocRegister, binary.NativeEndian.AppendUint32(b, 0)}
}

// reserve is struct pr_reservation {__u64 key; __u32 type, flags}.
func reserve(own Key) request {
	b := binary.NativeEndian.AppendUint64(nil, uint64(own))
	b = binary.NativeEndian.AppendUint32(b, writeExclusiveAllRegs)
	return request{"IOC_PR_RESERVE", iocReserve, binary.NativeEndian.AppendUint32(b, 0)}
}

// preemptAbort is struct pr_preempt {__u64 old_key, new_key; __u32 type, flags}.
// In spite of their names, and as every driver has it, old_key is the one of who
// preempts (RESERVATION KEY) and new_key that of who is preempted (SERVICE ACTION
// RESERVATION KEY).
func preemptAbort(own, victim Key) request {
	b := binary.NativeEndian.AppendUint64(nil, uint64(own))
	b = binary.NativeEndian.AppendUint64(b, uint64(victim))
	b = binary.NativeEndian.AppendUint32(b, writeExclusiveAllRegs)
	return request{"IOC_PR_PREEMPT_ABORT", iocPreemptAbort, binary.NativeEndian.AppendUint32(b, 0)}
}

var (
	// errConflict: the disk answered RESERVATION CONFLICT.
	errConflict = errors.New("RESERVATION CONFLICT")
	// errUnsupported: the kernel or the driver has no reservations.
	errUnsupported = errors.New("the driver of the device does not support persistent reservations")
	// errRefused: CHECK CONDITION. The kernel asks for APTPL with each registration.
	errRefused = errors.New("the disk refuses it with CHECK CONDITION: it must support persistent reservations that outlive a loss of its power (APTPL)")
)

const (
	// tries is how often a command is sent that ends with a unit attention, of
	// which several may be pending, or finds the disk busy.
	tries = 8
	// retryAfter is the rest before a disk that is busy is asked again.
	retryAfter = 20 * time.Millisecond
)

// perform carries a request out, again where that may help.
func perform(call func(request) (int, error), r request) error {
	var err error
	for range tries {
		var result int
		if result, err = call(r); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		var again bool
		if err, again = outcome(result); !again {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	return nil
}

// Results of the ioctls: what the low byte of a SCSI result says (SAM-6 §5.3.1),
// which newer kernels have as enum pr_status, and the NVMe status of older ones.
const (
	resultCheckCondition      = 0x02
	resultBusy                = 0x08
	resultReservationConflict = 0x18
	resultTaskSetFull         = 0x28
	nvmeReservationConflict   = 0x83 // with bits above for more and do not retry
	nvmeStatusMask            = 0x7ff
)

// outcome is what a result means, and whether it may be another the next time.
func outcome(result int) (err error, again bool) {
	switch status := result & 0xff; {
	case result == 0:
		return nil, false
	case status == resultReservationConflict, result&nvmeStatusMask == nvmeReservationConflict:
		return errConflict, false
	case status == resultCheckCondition:
		return errRefused, true
	case status == resultBusy, status == resultTaskSetFull:
		time.Sleep(retryAfter)
		return fmt.Errorf("the disk is busy (status %#x)", status), true
	}
	return fmt.Errorf("the disk was not reached or refuses it (result %#x)", result), false
}
