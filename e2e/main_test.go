// Package e2e runs the real binary, as real processes on loopback, and looks
// at it from outside only: with clients that were written elsewhere (libiscsi,
// QEMU, e2fsprogs), with raw bytes, and with its own command line. It imports
// nothing of the program.
//
// Every process a test starts ends with it; what it printed is shown when the
// test fails. What is missing on the machine is an error, not a reason to
// skip: `make deps` installs it.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tandem is the path of the binary under test, built by TestMain.
var tandem string

func TestMain(m *testing.M) {
	os.Exit(build(m))
}

func build(m *testing.M) int {
	// Tools of the file system are not in the PATH of every user.
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	if missing := missingClients(); len(missing) > 0 {
		fmt.Fprintf(os.Stderr, "e2e: not installed: %s; run: make deps\n", strings.Join(missing, ", "))
		return 1
	}
	dir, err := os.MkdirTemp("", "tandem-bin")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	tandem = filepath.Join(dir, "tandem")
	cmd := exec.Command("go", "build", "-trimpath", "-o", tandem, "../cmd/tandem")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: building the binary:", err)
		return 1
	}
	return m.Run()
}

func missingClients() (missing []string) {
	for _, name := range []string{"iscsi-ls", "iscsi-inq", "iscsi-readcapacity16", "iscsi-test-cu",
		"etcd", "isnsd", "isnsadm", "strace", "qemu-img", "qemu-io", "mkfs.ext4", "e2fsck", "unshare", "mount"} {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	return missing
}
