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
	path  string
	lock  *os.File
	owner owner
	// claimed: there was an owner before this process came.
	claimed bool
}

// owner says whose data a directory holds.
type owner struct {
	Cluster string `json:"cluster"`
	Member  string `json:"member"`
	// Started: there was data, so its absence is a loss.
	Started bool `json:"started,omitempty"`
	// Replaced: the cluster has replaced the member that lost its data, and
	// waits for this one. It begins with what the others have.
	Replaced bool `json:"replaced,omitempty"`
}

// maxOwnerBytes bounds the file that names the owner.
const maxOwnerBytes = 4096

// openDataDir creates the directory when it is missing (mode 0700), locks it,
// and checks that its data, if any, is that of the member. It does not wait
// for a lock that another process holds.
func openDataDir(path, cluster, member string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("arbiter data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("arbiter data directory: %w", err)
	}
	d := &dataDir{path: path, lock: lock, owner: owner{Cluster: cluster, Member: member}}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("arbiter data directory %s: %w", path, ErrInUse)
		}
		return nil, fmt.Errorf("arbiter data directory %s: lock: %w", path, err)
	}
	if err := d.readOwner(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// ownerFile is the file that names the owner.
func (d *dataDir) ownerFile() string { return filepath.Join(d.path, "owner.json") }

// readOwner compares the owner of a directory that has one.
func (d *dataDir) readOwner() error {
	name := d.ownerFile()
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
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
	if have.Cluster != d.owner.Cluster || have.Member != d.owner.Member {
		return fmt.Errorf("arbiter data directory %s belongs to member %q of cluster %q, this is member %q of cluster %q",
			d.path, have.Member, have.Cluster, d.owner.Member, d.owner.Cluster)
	}
	d.owner, d.claimed = have, true
	return nil
}

// hasData reports whether the member has begun to write here.
func (d *dataDir) hasData() bool {
	logs, err := filepath.Glob(filepath.Join(d.path, "member", "wal", "*.wal"))
	return err == nil && len(logs) > 0
}

// write replaces the owner file atomically, and durably.
func (d *dataDir) write(o owner) error {
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("arbiter data directory: %w", err)
	}
	f, err := os.OpenFile(d.ownerFile()+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("arbiter data directory: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), d.ownerFile())
	}
	if err == nil {
		err = syncDir(d.path)
	}
	if err != nil {
		return fmt.Errorf("arbiter data directory: %w", err)
	}
	d.owner, d.claimed = o, true
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// close gives the lock up.
func (d *dataDir) close() { d.lock.Close() }
