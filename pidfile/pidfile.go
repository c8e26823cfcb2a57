// Package pidfile keeps the id of a running process in a file that the process
// holds locked for as long as it lives. So others on the same machine can tell
// whether it lives, end it, and be sure that it has ended, without trusting a
// number that may belong to somebody else by now. It touches nothing but that
// file and that process.
package pidfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrRunning: another live process holds the file.
var ErrRunning = errors.New("already running")

// File is a pid file held by this process.
type File struct{ f *os.File }

// Acquire creates the file when it is missing, locks it and writes this
// process's id into it. The lock ends with the process, however it ends. When
// a live process has the file the error is ErrRunning with its id.
func Acquire(path string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("pid file %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("pid file: %w", err)
	}
	if err := take(f); err != nil {
		pid, _ := readPID(f)
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("pid file %s: process %d: %w", path, pid, ErrRunning)
		}
		return nil, fmt.Errorf("locking pid file %s: %w", path, err)
	}
	if err := writePID(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("writing pid file %s: %w", path, err)
	}
	return &File{f}, nil
}

// Release unlocks the file. It stays, with the id of a process that is gone:
// Kill then knows that it has nothing to do.
func (p *File) Release() error { return p.f.Close() }

// pollEvery is how often Kill looks whether the process is gone.
const pollEvery = time.Millisecond

// Kill ends the process that holds the file with SIGKILL and returns nil when
// it is certainly gone: the lock is free. It fails when there is no such file,
// because then nothing is known.
func Kill(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("pid file: %w", err)
	}
	defer f.Close()
	killed := 0
	for {
		err := take(f)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("locking pid file %s: %w", path, err)
		}
		if pid, err := readPID(f); err == nil && pid != killed {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("killing process %d of %s: %w", pid, path, err)
			}
			killed = pid
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d of %s is not gone: %w", killed, path, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}

func take(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

func readPID(f *os.File) (int, error) {
	b := make([]byte, 32)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("%q is not a process id", b[:n])
	}
	return pid, nil
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}
