package block

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const defaultBlockSize = 512

// OpenFile opens a regular file or a block device as a Device. Errors name the
// path, and for a wrong size both sizes.
func OpenFile(path string, o Options) (*File, error) {
	if err := o.check(path); err != nil {
		return nil, err
	}
	device, err := kind(path)
	if errors.Is(err, fs.ErrNotExist) && o.Size > 0 && !o.ReadOnly {
		err = createSparse(path, o.Size)
	}
	if err != nil {
		return nil, err
	}
	f := &File{path: path, device: device, readOnly: o.ReadOnly}
	if err := f.open(o); err != nil {
		return nil, err
	}
	if err := f.prepare(o); err != nil {
		f.file.Close()
		return nil, err
	}
	return f, nil
}

// check fills in the defaults and refuses what no backend could satisfy.
func (o *Options) check(path string) error {
	if o.Shared && directFlag == 0 {
		return fmt.Errorf("%s: shared backends need Linux: %w", path, ErrNotSupported)
	}
	if o.BlockSize == 0 {
		o.BlockSize = defaultBlockSize
	}
	if b := o.BlockSize; b < 512 || b > 65536 || b&(b-1) != 0 {
		return fmt.Errorf("%s: block size of %d bytes: must be a power of two from 512 to 65536", path, b)
	}
	if o.Size < 0 || o.Size%int64(o.BlockSize) != 0 {
		return fmt.Errorf("%s: size of %d bytes: must be a multiple of the block size, %d", path, o.Size, o.BlockSize)
	}
	return nil
}

// kind tells whether path is a block device or a regular file, the only kinds
// of file that can be a backend.
func kind(path string) (device bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return false, nil
	case mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0:
		return true, nil
	case mode.IsDir():
		return false, fmt.Errorf("%s is a directory: must be a regular file or a block device", path)
	default:
		return false, fmt.Errorf("%s is a special file (%s): must be a regular file or a block device", path, mode)
	}
}

// createSparse makes a file of size bytes that takes no space. It appears
// under its name with its full size at once, so that of two controllers that
// create it at the same time one finds the other's.
func createSparse(path string, size int64) error {
	if strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/dev/shm/") {
		return fmt.Errorf("%s: no such device (a regular file is not created under /dev)", path)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		var why *fs.PathError
		if errors.As(err, &why) { // the name of the temporary file would mislead
			err = why.Err
		}
		return fmt.Errorf("create %s: %w", path, err)
	}
	defer os.Remove(temp.Name())
	err = errors.Join(temp.Truncate(size), temp.Sync(), temp.Close())
	if err == nil {
		err = os.Link(temp.Name(), path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create %s with %d bytes: %w", path, size, ioError(err))
	}
	return syncDirectory(filepath.Dir(path))
}

func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// open opens the file the way its kind and its sharing ask for.
func (f *File) open(o Options) (err error) {
	flags := os.O_RDWR
	if o.ReadOnly {
		flags = os.O_RDONLY
	}
	if !o.Shared {
		if f.device {
			flags |= os.O_EXCL // refused while mounted or otherwise in use
		}
		f.file, err = os.OpenFile(f.path, flags, 0)
		if errors.Is(err, unix.EBUSY) {
			err = fmt.Errorf("%s is in use (mounted, or held by another process): %w", f.path, err)
		}
		return err
	}
	f.file, err = os.OpenFile(f.path, flags|directFlag, 0)
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	if f.device {
		return fmt.Errorf("%s: the device refuses direct I/O, which sharing it needs: %w", f.path, err)
	}
	f.warning = f.path + ": its filesystem refuses direct I/O, so only controllers on this machine may share it"
	f.file, err = os.OpenFile(f.path, flags, 0)
	return err
}

// prepare checks and locks the file that was opened and works out what it is
// like.
func (f *File) prepare(o Options) error {
	if err := f.lock(o); err != nil {
		return err
	}
	have, err := f.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	limits, err := limitsOf(f.file, f.device)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.attributes = Attributes{Shared: o.Shared, Alignment: 1, DeallocateUnit: limits.deallocateUnit, Cached: true, Blocks: true}
	f.zeroUnit, f.grain = int64(limits.zeroUnit), int64(o.BlockSize)
	if o.Shared && f.warning == "" {
		f.direct = newDirect(f.file, limits.directAlignment)
		f.attributes.Alignment, f.attributes.Cached = limits.directAlignment, false
		f.grain = max(f.grain, int64(limits.directAlignment))
		f.zeroUnit = max(f.zeroUnit, int64(limits.directAlignment))
	}
	f.size, err = f.capacity(o, have)
	return err
}

// lock takes the advisory lock of the file: a private one alone, a shared or
// read-only one with others of its kind.
func (f *File) lock(o Options) error {
	how := unix.LOCK_EX
	if o.Shared || o.ReadOnly {
		how = unix.LOCK_SH
	}
	switch err := unix.Flock(int(f.file.Fd()), how|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return fmt.Errorf("%s is in use: another process, or another logical unit, holds its lock", f.path)
	case err != nil && !o.Shared:
		return fmt.Errorf("lock %s: %w", f.path, err)
	default:
		return nil
	}
}

// capacity is the size of the device over a backend that has so many bytes.
func (f *File) capacity(o Options, have int64) (int64, error) {
	size := have
	switch {
	case o.Size == 0:
		if f.device {
			size = roundDown(have, f.grain)
		}
	case f.device && have < o.Size:
		return 0, fmt.Errorf("%s: wrong size: the device has %d bytes, configured are %d", f.path, have, o.Size)
	case !f.device && have != o.Size:
		return 0, fmt.Errorf("%s: wrong size: the file has %d bytes, configured are %d", f.path, have, o.Size)
	default:
		size = o.Size
	}
	if size == 0 {
		return 0, fmt.Errorf("%s is empty and no size is configured", f.path)
	}
	if size%f.grain != 0 {
		return 0, fmt.Errorf("%s: wrong size: %d bytes is not a multiple of %d", f.path, size, f.grain)
	}
	return size, nil
}
