package block

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// directFlag opens for I/O past the page cache.
const directFlag = unix.O_DIRECT

// fallbackAlignment serves direct I/O on filesystems that do not tell what
// they need: no disk has larger sectors.
const fallbackAlignment = 4096

// limits are the granularities of an open file, in bytes.
type limits struct {
	directAlignment int   // offset, length and memory of direct I/O
	zeroUnit        int   // what punchHole and zeroRange take
	deallocateUnit  int64 // what is given back; 0 when nothing is
}

func limitsOf(file *os.File, device bool) (limits, error) {
	fd := int(file.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return limits{}, fmt.Errorf("fstat: %w", err)
	}
	l := limits{directAlignment: fallbackAlignment, zeroUnit: 1, deallocateUnit: st.Blksize}
	if device {
		sector, err := unix.IoctlGetInt(fd, unix.BLKSSZGET)
		if err != nil {
			return limits{}, fmt.Errorf("ask for the sector size (BLKSSZGET): %w", err)
		}
		l = limits{directAlignment: sector, zeroUnit: sector, deallocateUnit: discardGranularity(st.Rdev)}
	}
	var stx unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &stx)
	if err == nil && stx.Mask&unix.STATX_DIOALIGN != 0 && stx.Dio_offset_align != 0 {
		l.directAlignment = int(max(stx.Dio_offset_align, stx.Dio_mem_align))
	}
	return l, nil
}

// discardGranularity is what a block device gives back in multiples of, from
// sysfs; 0 when it cannot or does not say.
func discardGranularity(rdev uint64) int64 {
	dir := fmt.Sprintf("/sys/dev/block/%d:%d/", unix.Major(rdev), unix.Minor(rdev))
	if _, err := os.Stat(dir + "partition"); err == nil {
		dir += "../"
	}
	if sysfsInt(dir+"queue/discard_max_bytes") == 0 {
		return 0
	}
	return sysfsInt(dir + "queue/discard_granularity")
}

func sysfsInt(path string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// fileSpace tells how much space a regular file takes, and how much its file
// system has left.
func fileSpace(file *os.File) (Space, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return Space{}, fmt.Errorf("fstat: %w", err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &fs); err != nil {
		return Space{}, fmt.Errorf("fstatfs: %w", err)
	}
	return Space{Used: st.Blocks * 512, Available: int64(fs.Bavail) * int64(fs.Bsize), Shared: true}, nil
}

// punchHole gives the space of a range back; it then reads as zeroes. On a
// block device this is a discard that promises zeroes (BLKDISCARD promises
// nothing about what is read later).
func punchHole(file *os.File, off, length int64) error {
	return fallocate(file, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, length)
}

// zeroRange makes a range read as zeroes and keeps its space.
func zeroRange(file *os.File, device bool, off, length int64) error {
	if !device {
		return fallocate(file, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, off, length)
	}
	r := [2]uint64{uint64(off), uint64(length)}
	return systemCall(func() error {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), unix.BLKZEROOUT, uintptr(unsafe.Pointer(&r))); errno != 0 {
			return errno
		}
		return nil
	})
}

func fallocate(file *os.File, mode uint32, off, length int64) error {
	return systemCall(func() error { return unix.Fallocate(int(file.Fd()), mode, off, length) })
}

// systemCall repeats a call that a signal interrupted, and turns the ways in
// which the kernel says it cannot do it into ErrNotSupported.
func systemCall(f func() error) error {
	for {
		switch err := f(); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTTY):
			return fmt.Errorf("%w: %w", ErrNotSupported, err)
		default:
			return err
		}
	}
}

func dataSync(file *os.File) error {
	return systemCall(func() error { return unix.Fdatasync(int(file.Fd())) })
}

// seekData is the offset of the first byte at or after off that has space,
// io.EOF when there is none.
func seekData(file *os.File, off int64) (int64, error) {
	return seek(file, off, unix.SEEK_DATA)
}

// seekHole is the offset of the first byte at or after off without space; the
// end of the file counts as one.
func seekHole(file *os.File, off int64) (int64, error) {
	return seek(file, off, unix.SEEK_HOLE)
}

func seek(file *os.File, off int64, whence int) (n int64, err error) {
	n, err = unix.Seek(int(file.Fd()), off, whence)
	switch {
	case errors.Is(err, unix.ENXIO):
		return 0, io.EOF
	case errors.Is(err, unix.EINVAL):
		return 0, fmt.Errorf("%w: %w", ErrNotSupported, err)
	default:
		return n, err
	}
}
