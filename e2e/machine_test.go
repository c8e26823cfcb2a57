//go:build amd64

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A machine is a Linux kernel under QEMU whose first process is the program
// guest. There is nothing else in it, and nothing is emulated but what the tests
// need, so that it takes a few seconds, without hardware support too.

// guestModules are those of the kernel, in the order in which they can be loaded.
var guestModules = []string{
	"virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk",
	"scsi_common", "scsi_mod", "virtio_scsi", "sd_mod", "failover", "net_failover", "virtio_net",
}

// guestPatience is how long a machine is given that has the processor to itself
// for parts of the time only.
const guestPatience = 3 * time.Minute

// kernel is where scripts/install-test-deps has unpacked one.
func kernel(t *testing.T) (image, modules string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "tandem", "guest-kernel")
	images, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		t.Fatalf("%s has the kernels %q, expected one; run: make deps", dir, images)
	}
	return images[0], filepath.Join(dir, "lib", "modules")
}

// runMachine boots a machine with devices, given as arguments of QEMU, and
// returns what it printed until it switched itself off.
func runMachine(t *testing.T, devices ...string) string {
	t.Helper()
	return runFor(t, guestPatience, "qemu-system-x86_64", machine(t, nil, devices)...).stdout
}

// startMachine boots a machine with files besides those that each one has, and
// does not wait.
func startMachine(t *testing.T, files []file, devices ...string) *process {
	t.Helper()
	return start(t, "qemu-system-x86_64", machine(t, files, devices)...)
}

// machine is how QEMU is called.
func machine(t *testing.T, files []file, devices []string) []string {
	t.Helper()
	dir := folder(t)
	image, modules := kernel(t)
	initramfs := write(t, dir, "initramfs", string(archive(t, append(guestFiles(t, dir, modules), files...))))
	return append([]string{
		"-accel", "tcg", "-m", "512", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-kernel", image, "-initrd", initramfs, "-append", "console=ttyS0 quiet loglevel=1 panic=-1",
	}, devices...)
}

// file is one in the machine; a directory when it has no content.
type file struct {
	name    string
	content []byte
}

// guestFiles are the files of a machine.
func guestFiles(t *testing.T, dir, modules string) []file {
	t.Helper()
	files := []file{{name: "proc"}, {name: "sys"}, {name: "dev"}, {name: "modules"}}
	for i, name := range guestModules {
		found := findFile(t, modules, name+".ko")
		files = append(files, file{fmt.Sprintf("modules/%02d-%s.ko", i, name), readFile(t, found)})
	}
	program := filepath.Join(dir, "init")
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, "./guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the guest: %v\n%s", err, out)
	}
	return append(files, file{"init", readFile(t, program)})
}

// findFile is the path of a file somewhere below a directory.
func findFile(t *testing.T, dir, name string) (path string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(at string, e os.DirEntry, err error) error {
		if err == nil && e.Name() == name {
			path = at
		}
		return err
	})
	if err != nil || path == "" {
		t.Fatalf("%s is not below %s: %v", name, dir, err)
	}
	return path
}

// archive is an initial file system as Linux takes it: cpio in its "newc" form
// (Documentation/driver-api/early-userspace/buffer-format.rst).
func archive(t *testing.T, files []file) []byte {
	t.Helper()
	var b bytes.Buffer
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	for i, f := range append(files, file{name: "TRAILER!!!"}) {
		mode := 0o100755
		if f.content == nil {
			mode = 0o040755
		}
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			i+1, mode, 0, 0, 1, 0, len(f.content), 0, 0, 0, 0, len(f.name)+1, 0)
		b.WriteString(f.name + "\x00")
		pad()
		b.Write(f.content)
		pad()
	}
	return b.Bytes()
}
