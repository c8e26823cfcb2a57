package nemesis

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// slowDisk makes the disk slow for one process and no other: a control group
// that may write so many times a second to the device under a directory. It
// holds up what the process writes itself (direct I/O and fsync), and holds it
// in the kernel: a write that waits there lands later, whatever has become of
// the process.
type slowDisk struct {
	group  string // directory of the group
	device string // MAJOR:MINOR
	v2     bool
}

// cgroups is where control groups are mounted.
const cgroups = "/sys/fs/cgroup"

// newSlowDisk makes a group. An error says why there is none.
func newSlowDisk(dir, name string) (*slowDisk, error) {
	device, err := diskUnder(dir)
	if err != nil {
		return nil, err
	}
	s := &slowDisk{device: device}
	parent := filepath.Join(cgroups, "blkio")
	if _, err := os.Stat(filepath.Join(parent, "blkio.throttle.write_iops_device")); err != nil {
		s.v2, parent = true, cgroups
		if err := os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+io"), 0); err != nil {
			return nil, fmt.Errorf("there is no control group that limits I/O: %w", err)
		}
	}
	s.group = filepath.Join(parent, name)
	if err := os.Mkdir(s.group, 0o755); err != nil {
		return nil, fmt.Errorf("making a control group: %w", err)
	}
	if err := errors.Join(s.limit(1000), s.limit(0)); err != nil {
		s.close()
		return nil, fmt.Errorf("limiting the I/O of a control group: %w", err)
	}
	return s, nil
}

// diskUnder is the whole disk that a directory is on.
func diskUnder(dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", err
	}
	id := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	sys, err := filepath.EvalSymlinks("/sys/dev/block/" + id)
	if err != nil {
		return "", fmt.Errorf("%s is on no block device: %w", dir, err)
	}
	if _, err := os.Stat(filepath.Join(sys, "partition")); err == nil {
		sys = filepath.Dir(sys)
	}
	text, err := os.ReadFile(filepath.Join(sys, "dev"))
	return strings.TrimSpace(string(text)), err
}

// add puts a process into the group.
func (s *slowDisk) add(pid int) error {
	return os.WriteFile(filepath.Join(s.group, "cgroup.procs"), fmt.Append(nil, pid), 0)
}

// limit allows so many writes a second; 0: any number.
func (s *slowDisk) limit(writes int) error {
	name, text := "blkio.throttle.write_iops_device", fmt.Sprintf("%s %d", s.device, writes)
	if s.v2 {
		name, text = "io.max", fmt.Sprintf("%s wiops=%d", s.device, writes)
		if writes == 0 {
			text = s.device + " wiops=max"
		}
	}
	return os.WriteFile(filepath.Join(s.group, name), []byte(text), 0)
}

// close removes the group. No process is in it any more.
func (s *slowDisk) close() error { return os.Remove(s.group) }
