package main

import (
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// program is the controller.
const program = "/tandem"

// address is what the network of QEMU gives to the machine; its gateway is the
// machine on which QEMU runs.
var address = []byte{10, 0, 2, 15}

// control runs the controller until it ends.
func control() error {
	if err := await("/dev/sda"); err != nil {
		return err
	}
	if err := network(); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	c := exec.Command(program, "serve", "-c", "/ctl.conf")
	c.Stdout, c.Stderr = os.Stdout, os.Stdout
	return c.Run()
}

// network brings the interfaces up.
func network() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	for _, name := range []string{"lo", "eth0"} {
		r, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if name != "lo" {
			if err := r.SetInet4Addr(address); err != nil {
				return err
			}
			if err := unix.IoctlIfreq(s, unix.SIOCSIFADDR, r); err != nil {
				return fmt.Errorf("address of %s: %w", name, err)
			}
		}
		r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r); err != nil {
			return fmt.Errorf("flags of %s: %w", name, err)
		}
	}
	return nil
}
