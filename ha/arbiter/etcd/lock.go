package etcd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// dataDir is a data directory locked by this process.
type dataDir struct {
	path string
	lock *os.File
}

// owner says whose data a directory holds.
type owner struct {
	Cluster string `json:"cluster"`
	Member  string `json:"member"`
}

// maxOwnerBytes bounds the file that names the owner.
const maxOwnerBytes = 4096

// openDataDir creates the directory when it is missing (mode 0700), locks it,
// and checks that its data, if any, is that of the member. It does not wait
// for a lock that another process holds.
func openDataDir(path string, want owner) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("arbiter data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("arbiter data directory: %w", err)
	}
	d := &dataDir{path: path, lock: lock}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("arbiter data directory %s: %w", path, ErrInUse)
		}
		return nil, fmt.Errorf("arbiter data directory %s: lock: %w", path, err)
	}
	if err := d.claim(want); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// claim writes the owner into a fresh directory and compares it in a used one.
func (d *dataDir) claim(want owner) error {
	name := filepath.Join(d.path, "owner.json")
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return d.writeOwner(name, want)
	}
	if err != nil {
		return fmt.Errorf("arbiter data directory: %w", err)
	}
	var have owner
	if len(b) > maxOwnerBytes {
		return fmt.Errorf("%s: %d bytes, at most %d are accepted", name, len(b), maxOwnerBytes)
	}
	if err := json.Unmarshal(b, &have); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if have != want {
		return fmt.Errorf("arbiter data directory %s belongs to member %q of cluster %q, this is member %q of cluster %q",
			d.path, have.Member, have.Cluster, want.Member, want.Cluster)
	}
	return nil
}

// writeOwner replaces the owner file atomically.
func (d *dataDir) writeOwner(name string, o owner) error {
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("arbiter data directory: %w", err)
	}
	tmp := name + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("arbiter data directory: %w", err)
	}
	if err := os.Rename(tmp, name); err != nil {
		return fmt.Errorf("arbiter data directory: %w", err)
	}
	return nil
}

// close gives the lock up.
func (d *dataDir) close() { d.lock.Close() }
