package nemesis

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// workplaceVariable tells the process that runs the tests that it is that one.
const workplaceVariable = "TANDEM_NEMESIS_DIR"

// prefix begins the names of all that is left to be removed: directories and
// control groups. The process id of the guard follows.
const prefix = "tandem-nemesis-"

// guarded builds the binary and runs the tests in a process of their own. This
// one clears up behind it, whether it succeeds, fails, crashes or is
// interrupted, and behind earlier ones that were killed.
func guarded() (code int, err error) {
	for _, name := range []string{"ip", "nft", "unshare", "iscsi-ls", "iscsi-inq", "iscsi-readcapacity16", "qemu-img", "qemu-io"} {
		if _, err := exec.LookPath(name); err != nil {
			return 0, fmt.Errorf("%w; run: make deps", err)
		}
	}
	if os.Geteuid() != 0 {
		return 0, becomeRoot()
	}
	sweep(func(pid int) bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	dir, err := os.MkdirTemp(*keepFlag, fmt.Sprintf("%s%d-", prefix, os.Getpid()))
	if err != nil {
		return 0, err
	}
	defer sweep(func(pid int) bool { return pid == os.Getpid() })
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "tandem"), "../../cmd/tandem")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("building the binary: %w", err)
	}
	return watch(dir)
}

// watch runs the tests.
func watch(dir string) (code int, err error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	tests := exec.Command(os.Args[0], os.Args[1:]...)
	tests.Env = append(os.Environ(), workplaceVariable+"="+dir)
	tests.Stdout, tests.Stderr = os.Stdout, os.Stderr
	// What a terminal interrupts is this process alone. The other dies with it,
	// that is with its thread.
	tests.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := tests.Start(); err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- tests.Wait() }()
	select {
	case err = <-done:
	case s := <-signals:
		_ = tests.Process.Kill() // and with it all processes it has started
		<-done
		return 0, fmt.Errorf("ended by a signal: %v", s)
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// becomeRoot starts this process anew as root of a user namespace, which may
// make network namespaces. It returns only when that is not permitted.
func becomeRoot() error {
	unshare, err := exec.LookPath("unshare")
	if err == nil {
		err = syscall.Exec(unshare, append([]string{"unshare", "--user", "--map-root-user", "--"}, os.Args...), os.Environ())
	}
	return fmt.Errorf("run it as root, or allow user namespaces: %w", err)
}

// sweep removes what guards have left, of those whose process ids match.
func sweep(match func(pid int) bool) {
	for _, pattern := range []string{filepath.Join(*keepFlag, prefix+"*"), filepath.Join(cgroups, prefix+"*"), filepath.Join(cgroups, "*", prefix+"*")} {
		found, _ := filepath.Glob(pattern)
		for _, path := range found {
			number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), prefix), "-")
			if pid, err := strconv.Atoi(number); err != nil || !match(pid) {
				continue
			}
			if err := remove(path); err != nil {
				fmt.Fprintf(os.Stderr, "nemesis: %s is left: %v\n", path, err)
			}
		}
	}
}

// remove removes a directory, or a control group, whose processes may take a
// moment to die.
func remove(path string) (err error) {
	if !strings.HasPrefix(path, cgroups) {
		return os.RemoveAll(path)
	}
	for range 100 {
		if err = os.Remove(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}
