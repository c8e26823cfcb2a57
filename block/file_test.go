package block

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestBadOptionsAndFilesAreNamedInTheError(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, size int64) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name string
		path string
		o    Options
		want []string
	}{
		{"a file smaller than configured", file("small", 4096), Options{Size: 8192}, []string{"small", "wrong size", "4096", "8192"}},
		{"a file larger than configured", file("large", 8192), Options{Size: 4096}, []string{"large", "wrong size", "4096", "8192"}},
		{"a file that is no whole number of blocks", file("odd", 1000), Options{}, []string{"odd", "1000", "multiple of 512"}},
		{"an empty file and no size", file("empty", 0), Options{}, []string{"empty", "no size"}},
		{"a missing file and no size", filepath.Join(dir, "missing"), Options{}, []string{"missing", "no such file"}},
		{"a missing file opened for reading", filepath.Join(dir, "missing"), Options{Size: 4096, ReadOnly: true}, []string{"missing", "no such file"}},
		{"a missing directory", filepath.Join(dir, "no", "disk"), Options{Size: 4096}, []string{filepath.Join("no", "disk"), "no such file"}},
		{"a missing device", "/dev/tandem-no-such-device", Options{Size: 4096}, []string{"/dev/tandem-no-such-device", "no such device"}},
		{"a directory", dir, Options{Size: 4096}, []string{dir, "directory"}},
		{"a character device", "/dev/null", Options{Size: 4096}, []string{"/dev/null", "special file"}},
		{"a size that is no whole number of blocks", filepath.Join(dir, "new"), Options{Size: 4096, BlockSize: 8192}, []string{"new", "4096", "8192"}},
		{"a size below zero", filepath.Join(dir, "new"), Options{Size: -512}, []string{"new", "-512"}},
		{"a block size that is no power of two", filepath.Join(dir, "new"), Options{Size: 3000, BlockSize: 1000}, []string{"new", "1000", "power of two"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := OpenFile(c.path, c.o)
			if err == nil {
				f.Close()
				t.Fatal("opened")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not mention %q", err, w)
				}
			}
		})
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 4 {
		t.Errorf("refusals left %v behind (%v)", left, err)
	}
}

func TestAMissingFileIsCreatedSparse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	f, err := OpenFile(path, Options{Size: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Size() != 1<<40 {
		t.Errorf("size %d", f.Size())
	}
	if allocated, n, err := f.Allocated(12345); allocated || n != 1<<40-12345 || err != nil {
		t.Errorf("Allocated: %v, %d, %v", allocated, n, err)
	}
	mustWrite(t, f, pattern(100, 1), 1<<40-100)
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("creation left %v", left)
	}
}

func TestControllersThatCreateAFileTogetherShareIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			f, err := OpenFile(path, Options{Size: mib, ReadOnly: false, Shared: true})
			if err != nil {
				t.Error(err)
				return
			}
			f.Close()
		})
	}
	wg.Wait()
}

func TestDataOutlivesTheOpenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	want := pattern(5000, 1)
	f, err := OpenFile(path, Options{Size: mib})
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, f, want, 777)
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	f, err = OpenFile(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Size() != mib || !bytes.Equal(mustRead(t, f, 777, 5000), want) {
		t.Error("reopened differently")
	}
}

func TestAFileOpenForReadingRefusesChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, pattern(4096, 1), 0o400); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, err := range map[string]error{
		"WriteAt": f.WriteAt(make([]byte, 512), 0), "Zero": f.Zero(0, 512, true), "Resize": f.Resize(8192),
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s = %v, want ErrReadOnly", name, err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Errorf("Sync: %v", err)
	}
	if !bytes.Equal(mustRead(t, f, 0, 4096), pattern(4096, 1)) {
		t.Error("bytes changed")
	}
}

func TestAPrivateFileHasOneUser(t *testing.T) {
	private, shared, reader := Options{}, Options{Shared: true}, Options{ReadOnly: true}
	for _, c := range []struct {
		name          string
		first, second Options
		both          bool
	}{
		{"two private", private, private, false},
		{"private and shared", private, shared, false},
		{"shared and private", shared, private, false},
		{"private and a reader", private, reader, false},
		{"two shared", shared, shared, true},
		{"two readers", reader, reader, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "disk.img")
			if err := createSparse(path, mib); err != nil {
				t.Fatal(err)
			}
			f, err := OpenFile(path, c.first)
			if err != nil {
				t.Fatal(err)
			}
			second, err := OpenFile(path, c.second)
			if err == nil {
				second.Close()
			}
			if (err == nil) != c.both {
				t.Errorf("second open: %v", err)
			}
			if err != nil && !(strings.Contains(err.Error(), path) && strings.Contains(err.Error(), "in use")) {
				t.Errorf("unclear error: %v", err)
			}
			f.Close()
			second, err = OpenFile(path, c.second)
			if err != nil {
				t.Fatalf("after Close: %v", err)
			}
			second.Close()
		})
	}
}

func TestAFileThatShrankUnderTheDeviceIsAnErrorNotZeroes(t *testing.T) {
	f := newFile(t, Options{Size: mib})
	defer f.Close()
	if err := os.Truncate(f.path, mib/2); err != nil {
		t.Fatal(err)
	}
	if err := f.ReadAt(make([]byte, 4096), mib/2-2048); err == nil {
		t.Error("read past the end of the file")
	}
}

func TestAFailedSyncIsNeverForgotten(t *testing.T) {
	f := newFile(t, Options{Size: mib})
	lost := errors.New("lost")
	f.syncErr = lost
	for range 2 {
		if err := f.Sync(); !errors.Is(err, lost) {
			t.Errorf("Sync = %v", err)
		}
	}
	f.Close()
}

func TestManySyncsAtOnceAllSucceed(t *testing.T) {
	f := newFile(t, Options{Size: mib})
	defer f.Close()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if err := errors.Join(f.WriteAt(pattern(512, uint64(i)), int64(i)*512), f.Sync()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.syncs.Load(); n == 0 || n > 16 {
		t.Errorf("%d syncs for 16 calls", n)
	}
}

func TestRangesThatOverlapWait(t *testing.T) {
	for _, c := range []struct {
		name                  string
		exclusive, other      bool
		otherStart, otherStop int64
		waits                 bool
	}{
		{"two shared", false, false, 100, 300, false},
		{"exclusive then shared", true, false, 199, 300, true},
		{"shared then exclusive", false, true, 0, 101, true},
		{"two exclusive", true, true, 150, 160, true},
		{"neighbours", true, true, 200, 300, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDirect(nil, 512)
			h := d.ranges.lock(100, 200, c.exclusive)
			got := make(chan heldRange)
			go func() { got <- d.ranges.lock(c.otherStart, c.otherStop, c.other) }()
			if c.waits {
				for waiting := 0; waiting == 0; {
					d.ranges.mu.Lock()
					waiting = d.ranges.waiting
					d.ranges.mu.Unlock()
				}
				d.ranges.unlock(h)
				d.ranges.unlock(<-got)
			} else {
				d.ranges.unlock(<-got)
				d.ranges.unlock(h)
			}
			if len(d.ranges.held) != 0 {
				t.Error("ranges are still held")
			}
		})
	}
}
