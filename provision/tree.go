package provision

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// tree makes directories and files, none of which may be there already, and
// remembers them.
type tree struct {
	made []string
}

const (
	dirMode    fs.FileMode = 0o700
	publicMode fs.FileMode = 0o644 // certificates
	secretMode fs.FileMode = 0o600 // keys, and configurations, which may hold secrets
)

// parents makes the directories that lead to dir, and dir, where they lack.
func (t *tree) parents(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%s is not a directory", dir)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := t.parents(filepath.Dir(dir)); err != nil {
		return err
	}
	return t.dir(dir)
}

func (t *tree) dir(path string) error {
	if err := os.Mkdir(path, dirMode); err != nil {
		return err
	}
	t.made = append(t.made, path)
	return nil
}

// file writes a file and sees that it is on the disk.
func (t *tree) file(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	t.made = append(t.made, path)
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// remove takes away what was made. What somebody else has put there since
// stays, and so do the directories that lead to it.
func (t *tree) remove() error {
	var errs []error
	for _, path := range slices.Backward(t.made) {
		if err := os.Remove(path); err != nil {
			errs = append(errs, fmt.Errorf("removing what was made: %w", err))
		}
	}
	return errors.Join(errs...)
}
