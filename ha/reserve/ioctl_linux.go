package reserve

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// conflict is what reads and writes fail with that end with RESERVATION CONFLICT
// (BLK_STS_RESV_CONFLICT).
var conflict error = unix.EBADE

// ioctl sends a request. A result that is not 0 is the disk's answer.
func ioctl(file *os.File, r request) (result int, err error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), r.number, uintptr(unsafe.Pointer(&r.argument[0])))
		runtime.KeepAlive(file)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.ENOTTY, unix.EOPNOTSUPP, unix.ENOSYS:
			return 0, fmt.Errorf("%w: %w", errUnsupported, errno)
		case unix.EPERM:
			return 0, fmt.Errorf("not permitted, expected CAP_SYS_ADMIN: %w", errno)
		default:
			return 0, errno
		}
	}
}

// wholeDisk refuses what is no block device of its own.
func wholeDisk(path string, info os.FileInfo) error {
	if info.Mode()&os.ModeDevice == 0 || info.Mode()&os.ModeCharDevice != 0 {
		return fmt.Errorf("%s is no block device, expected a SCSI or NVMe disk with persistent reservations, or a multipath device of such", path)
	}
	number := info.Sys().(*syscall.Stat_t).Rdev
	sysfs := fmt.Sprintf("/sys/dev/block/%d:%d/partition", unix.Major(number), unix.Minor(number))
	if _, err := os.Stat(sysfs); err == nil {
		return fmt.Errorf("%s is a partition, expected a whole disk: reservations are of those", path)
	}
	return nil
}

// sameDisk reports whether a path still leads to the device that is open.
func sameDisk(file *os.File, path string) bool {
	have, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && have.Sys().(*syscall.Stat_t).Rdev == there.Sys().(*syscall.Stat_t).Rdev
}

// errInUse: another opening of the device on this machine is there.
var errInUse = errors.New("the device is in use by another process of this machine, or by another logical unit: reservations tell controllers apart by their paths to the disk")

// lockAlone takes the lock of a device for a moment alone, so that nobody else
// on this machine has it open through package block, not even a process that was
// killed and whose last write has not returned; then it shares it.
func lockAlone(file *os.File) error {
	for _, how := range []int{unix.LOCK_EX, unix.LOCK_SH} {
		switch err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB); {
		case errors.Is(err, unix.EWOULDBLOCK):
			return errInUse
		case err != nil:
			return fmt.Errorf("lock: %w", err)
		}
	}
	return nil
}
