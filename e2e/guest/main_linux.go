package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	defer switchOff()
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: this is for a virtual machine that has nothing else")
		return
	}
	if err := boot(); err != nil {
		fmt.Println("GUEST FAIL boot:", err)
		return
	}
	if _, err := os.Stat(program); err == nil {
		fmt.Println("GUEST controller ended:", control())
		return
	}
	if err := await("/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/vda1"); err != nil {
		fmt.Println("GUEST FAIL disks:", err)
		return
	}
	s := &story{}
	s.tell()
	if s.failed == 0 {
		fmt.Printf("GUEST verdict: all of %d hold\n", s.tried)
	} else {
		fmt.Printf("GUEST verdict: %d of %d FAIL\n", s.failed, s.tried)
	}
}

// boot makes of the bare kernel a machine with devices.
func boot() error {
	for _, m := range []struct{ target, kind string }{{"/proc", "proc"}, {"/sys", "sysfs"}, {"/dev", "devtmpfs"}} {
		if err := unix.Mount(m.kind, m.target, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	modules, err := filepath.Glob("/modules/*.ko") // sorted
	if err != nil {
		return err
	}
	for _, path := range modules {
		if err := load(path); err != nil {
			return fmt.Errorf("load %s: %w", path, err)
		}
	}
	return nil
}

// await waits for disks.
func await(disks ...string) error {
	for _, disk := range disks {
		for until := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			_, err := os.Stat(disk)
			if err == nil {
				break
			}
			if time.Now().After(until) {
				return err
			}
		}
	}
	return nil
}

func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// switchOff ends the machine: a kernel whose first process ends panics.
func switchOff() {
	if os.Getpid() == 1 {
		unix.Sync()
		// It does not return unless it fails.
		fmt.Println("GUEST FAIL:", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
	}
}

// story is what was tried so far.
type story struct{ tried, failed int }

// try tries one thing.
func (s *story) try(what string, f func() error) {
	s.tried++
	if err := guarded(f); err != nil {
		s.failed++
		fmt.Printf("GUEST FAIL %s: %v\n", what, err)
		return
	}
	fmt.Println("GUEST ok", what)
}

// guarded is f with an error where it panics, which would end the machine.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}
