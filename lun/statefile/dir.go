package statefile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tandem-san/tandem/pidfile"
)

// Dir is the directory of one controller, held by this process. Its methods
// may be called from many goroutines, except that Saves of one logical unit
// must follow each other.
type Dir struct {
	path  string
	owner string
	lock  *pidfile.File
}

// Open creates the directory when it is missing and takes hold of it for as
// long as the process lives. owner says in words whose states these are; a
// file that names another is refused. When a process has it open the error is
// pidfile.ErrRunning, wrapped.
func Open(path, owner string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	lock, err := pidfile.Acquire(filepath.Join(path, "lock"))
	if err != nil {
		return nil, fmt.Errorf("state directory %s: %w", path, err)
	}
	// The directory itself must be found after a loss of power.
	if err := syncDir(filepath.Dir(path)); err != nil {
		lock.Release()
		return nil, fmt.Errorf("state directory %s: %w", path, err)
	}
	return &Dir{path: path, owner: owner, lock: lock}, nil
}

// Close gives the directory up.
func (d *Dir) Close() error { return d.lock.Release() }

// maxReadable is how much of a name is repeated in the name of its file.
const maxReadable = 64

// File is the file of a logical unit. Its name begins with what is plain in
// that of the logical unit and ends with a part that no other name has.
func (d *Dir) File(lun string) string {
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", r) {
			return r
		}
		return '_'
	}, lun)
	sum := sha256.Sum256([]byte(lun))
	return filepath.Join(d.path, plain[:min(len(plain), maxReadable)]+"-"+hex.EncodeToString(sum[:8])+".state")
}

// Load reads the file of a logical unit. Where there is none the error is
// fs.ErrNotExist, and where it is not what was saved ErrDamaged, both wrapped
// with the name of the file. That of another controller is an error too.
func (d *Dir) Load(lun string) (Record, error) {
	name := d.File(lun)
	f, err := os.Open(name)
	if err != nil {
		return Record{}, fmt.Errorf("state of logical unit %s: %w", lun, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		// A medium that does not give the bytes back is damage like any other.
		return Record{}, fmt.Errorf("state of logical unit %s: %w: %w", lun, ErrDamaged, err)
	}
	r, err := Decode(b)
	if err == nil && (r.LUN != lun || r.Owner != d.owner) {
		err = fmt.Errorf("it is of logical unit %q of %s, expected that of %s", r.LUN, r.Owner, d.owner)
	}
	if err != nil {
		return Record{}, fmt.Errorf("state of logical unit %s, file %s: %w", lun, name, err)
	}
	return r, nil
}

// Save replaces the file of a logical unit and returns when it is on stable
// storage. On an error the file is as before, or as it should be.
func (d *Dir) Save(r Record) error {
	r.Owner = d.owner
	b := r.Encode()
	if len(b) > MaxSize {
		return fmt.Errorf("state of logical unit %s: %d bytes, at most %d are accepted", r.LUN, len(b), MaxSize)
	}
	name := d.File(r.LUN)
	if err := writeSynced(name+".new", b); err != nil {
		return fmt.Errorf("state of logical unit %s: %w", r.LUN, err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("state of logical unit %s: %w", r.LUN, err)
	}
	if err := syncDir(d.path); err != nil {
		return fmt.Errorf("state of logical unit %s: %w", r.LUN, err)
	}
	return nil
}

// Discard puts the file of a logical unit aside, as NAME.damaged.
func (d *Dir) Discard(lun string) error {
	name := d.File(lun)
	if err := os.Rename(name, name+".damaged"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("state of logical unit %s: %w", lun, err)
	}
	return syncDir(d.path)
}

func writeSynced(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
