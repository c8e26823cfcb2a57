package block

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// linuxBackends are the backends that need Linux; those on a loop device also
// need the right to set one up.
func linuxBackends() []backend {
	shared := []backend{
		{name: "shared file", open: func(t testing.TB, size int64) Device {
			f := newFile(t, Options{Size: size, Shared: true})
			if f.direct == nil {
				t.Fatalf("no direct I/O in %s: %s", t.TempDir(), f.Warning())
			}
			return f
		}},
		{name: "shared file, 4096 byte units", open: func(t testing.TB, size int64) Device {
			f := newFile(t, Options{Size: size, Shared: true, BlockSize: 4096})
			f.direct, f.zeroUnit = newDirect(f.file, 4096), 4096
			return f
		}},
	}
	if loopRefused() != nil {
		return shared
	}
	return append(shared,
		backend{name: "private loop device", fixed: true, open: func(t testing.TB, size int64) Device {
			return openLoop(t, size, 512, Options{})
		}},
		backend{name: "shared loop device, 4096 byte sectors", fixed: true, open: func(t testing.TB, size int64) Device {
			return openLoop(t, size, 4096, Options{Shared: true})
		}},
	)
}

// loopRefused tells why no loop device can be set up here.
func loopRefused() error {
	f, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// attachLoop sets up a loop device over a new file. It goes away when the last
// of those who opened it, the answered file among them, closes it.
func attachLoop(t testing.TB, size int64, sector uint32) (device *os.File, under string) {
	t.Helper()
	under = filepath.Join(t.TempDir(), "loop.img")
	if err := createSparse(under, size); err != nil {
		t.Fatal(err)
	}
	backing, err := os.OpenFile(under, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	for range 100 { // another process may take the free device first
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			t.Fatalf("LOOP_CTL_GET_FREE: %v", err)
		}
		name := loopName(t, n)
		device, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		config := unix.LoopConfig{Fd: uint32(backing.Fd()), Size: sector, Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, under
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) {
			t.Fatalf("LOOP_CONFIGURE: %v", err)
		}
	}
	t.Fatal("every free loop device was taken by somebody else")
	return nil, ""
}

// loopName is the device node of loop device n, made where no udev does.
func loopName(t testing.TB, n int) string {
	t.Helper()
	name := filepath.Join("/dev", "loop"+strconv.Itoa(n))
	if _, err := os.Stat(name); err == nil {
		return name
	}
	name = filepath.Join(t.TempDir(), "loop")
	if err := unix.Mknod(name, unix.S_IFBLK|0o600, int(unix.Mkdev(7, uint32(n)))); err != nil {
		t.Fatal(err)
	}
	return name
}

func openLoop(t testing.TB, size int64, sector uint32, o Options) *File {
	t.Helper()
	device, _ := attachLoop(t, size, sector)
	defer device.Close()
	f, err := OpenFile(device.Name(), o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestABlockDeviceMayBeLargerThanConfiguredButNotSmaller(t *testing.T) {
	if err := loopRefused(); err != nil {
		t.Skipf("loop devices cannot be set up here: %v", err)
	}
	device, _ := attachLoop(t, 4*mib, 512)
	defer device.Close()
	for _, c := range []struct {
		name string
		size int64
		want int64
		err  string
	}{
		{"all of it", 0, 4 * mib, ""},
		{"part of it", mib, mib, ""},
		{"more than it has", 8 * mib, 0, "wrong size: the device has 4194304 bytes, configured are 8388608"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := OpenFile(device.Name(), Options{Size: c.size})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if f.Size() != c.want {
				t.Errorf("size %d, want %d", f.Size(), c.want)
			}
			if err := f.Resize(8 * mib); !errors.Is(err, ErrNoSpace) {
				t.Errorf("Resize past the device = %v", err)
			}
			if second, err := OpenFile(device.Name(), Options{}); err == nil || !strings.Contains(err.Error(), "in use") {
				t.Errorf("second private open = %v, %v", second, err)
			}
		})
	}
}

func TestZeroOnABlockDeviceGivesSpaceBackWhenAsked(t *testing.T) {
	if err := loopRefused(); err != nil {
		t.Skipf("loop devices cannot be set up here: %v", err)
	}
	for _, shared := range []bool{false, true} {
		device, under := attachLoop(t, 4*mib, 512)
		f, err := OpenFile(device.Name(), Options{Shared: shared})
		device.Close()
		if err != nil {
			t.Fatal(err)
		}
		if f.Attributes().DeallocateUnit == 0 {
			t.Error("a loop device over a file is said never to give space back")
		}
		mustWrite(t, f, pattern(4*mib, 1), 0)
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		full := spaceOf(t, under)
		if err := f.Zero(0, 2*mib, true); err != nil {
			t.Fatal(err)
		}
		if less := spaceOf(t, under); less > full-mib {
			t.Errorf("shared %v: %d bytes of space before, %d after", shared, full, less)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func spaceOf(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func TestASharedFileIsSeenByTheOtherWhenTheWriteCompletes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	open := func() *File {
		f, err := OpenFile(path, Options{Size: mib, Shared: true})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := open(), open()
	defer a.Close()
	defer b.Close()
	if !a.Attributes().Shared || a.Attributes().Cached || a.direct == nil || a.Warning() != "" {
		t.Fatalf("not direct: %+v, %q", a.Attributes(), a.Warning())
	}
	for i, off := range []int64{0, 4096, 12345, 999999} {
		want := pattern(5000, uint64(i))
		mustWrite(t, a, want, off)
		if !bytes.Equal(mustRead(t, b, off, 5000), want) {
			t.Errorf("write at %d is not seen", off)
		}
	}
}

func TestUnalignedWritesDoNotUndoAlignedOnes(t *testing.T) {
	f := newFile(t, Options{Size: mib, Shared: true, BlockSize: 4096})
	f.direct = newDirect(f.file, 4096)
	defer f.Close()
	whole := alignedMemory(4096)
	for i := range whole {
		whole[i] = 0xAA
	}
	for range 200 {
		mustWrite(t, f, make([]byte, 4096), 0)
		var wg sync.WaitGroup
		wg.Go(func() { mustWrite(t, f, whole, 0) })
		wg.Go(func() { mustWrite(t, f, []byte{1, 2, 3}, 100) })
		wg.Wait()
		if got := mustRead(t, f, 0, 4096); got[0] != 0xAA || got[4095] != 0xAA {
			t.Fatal("a write of three bytes undid the write of the whole unit")
		}
	}
}

// inMountNamespace runs the calling test again in a process that may mount,
// and reports whether this is that process.
func inMountNamespace(t *testing.T) bool {
	t.Helper()
	const mark = "TANDEM_TEST_MOUNT_NAMESPACE"
	if os.Getenv(mark) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("in its own mount namespace: %v\n%s", err, out)
	}
	return false
}

func mount(t *testing.T, kind, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tandem-test", dir, kind, 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestAFullFilesystemIsNoSpaceAndTheDeviceGoesOn(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	dir := mount(t, "tmpfs", "size=1m")
	for _, o := range []Options{{Size: 16 * mib}, {Size: 16 * mib, Shared: true}} {
		path := filepath.Join(dir, "disk.img")
		f, err := OpenFile(path, o)
		if err != nil {
			t.Fatal(err)
		}
		var filled int64
		for ; err == nil && filled < 16*mib; filled += 65536 {
			err = f.WriteAt(pattern(65536, uint64(filled)), filled)
		}
		if !errors.Is(err, ErrNoSpace) {
			t.Fatalf("shared %v: writing to a full filesystem = %v", o.Shared, err)
		}
		if !bytes.Equal(mustRead(t, f, 0, 65536), pattern(65536, 0)) {
			t.Error("what was written before is not read")
		}
		if err := f.Zero(0, 131072, true); err != nil {
			t.Fatalf("Zero: %v", err)
		}
		mustWrite(t, f, pattern(65536, 5), 8*mib)
		f.Close()
		os.Remove(path)
	}
}

func TestAFilesystemWithoutDirectIOIsSharedThroughTheCacheWithAWarning(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	f, err := OpenFile(filepath.Join(mount(t, "ramfs", ""), "disk.img"), Options{Size: mib, Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.direct != nil || !f.Attributes().Shared || !f.Attributes().Cached || !strings.Contains(f.Warning(), "only controllers on this machine") {
		t.Errorf("direct %v, %+v, warning %q", f.direct != nil, f.Attributes(), f.Warning())
	}
	mustWrite(t, f, pattern(5000, 1), 77)
	if !bytes.Equal(mustRead(t, f, 77, 5000), pattern(5000, 1)) {
		t.Error("read differently")
	}
	if err := f.Zero(0, mib, false); err != nil {
		t.Errorf("Zero: %v", err)
	}
}
