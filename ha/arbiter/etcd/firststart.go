package etcd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// mayStart refuses a member that has lost its data: starting it afresh could
// undo what it had agreed to. It reports whether the member joins a cluster that
// runs, having been replaced there.
//
// A directory without data is accepted once, at the first start of the cluster,
// for which there is a file outside of the directory (Config.FirstStart). That
// file is gone before the member says its first word, so a directory that is
// found empty later has lost its data.
func (cfg *Config) mayStart(d *dataDir) (joins bool, err error) {
	lost := func(what string) error {
		return fmt.Errorf("arbiter member %s, data directory %s: %w: %s. Restore it, or let the others take the member in anew: start it once with --replace",
			cfg.Self, d.path, ErrDataLost, what)
	}
	_, err = os.Stat(cfg.FirstStart)
	first := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("arbiter member %s: %w", cfg.Self, err)
	}
	switch {
	case d.hasData():
	case d.owner.Replaced:
		return true, nil
	case d.owner.Started:
		return false, lost("it had data")
	case d.claimed || first:
	default:
		return false, fmt.Errorf("%w (for the first start of a cluster that 'tandem init' has not written, make the file %s)",
			lost("it is empty, and nothing says that this is the first start of the cluster"), cfg.FirstStart)
	}
	if !d.claimed {
		if err := d.write(d.owner); err != nil {
			return false, err
		}
	}
	if first {
		if err := errors.Join(os.Remove(cfg.FirstStart), syncDir(filepath.Dir(cfg.FirstStart))); err != nil {
			return false, fmt.Errorf("arbiter member %s: the file that allows the first start must go: %w", cfg.Self, err)
		}
	}
	return false, nil
}
