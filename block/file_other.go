//go:build !linux

package block

import (
	"fmt"
	"os"
)

// directFlag is none: sharing a backend needs Linux.
const directFlag = 0

type limits struct {
	directAlignment int
	zeroUnit        int
	deallocateUnit  int64
}

func limitsOf(_ *os.File, device bool) (limits, error) {
	if device {
		return limits{}, fmt.Errorf("block devices need Linux: %w", ErrNotSupported)
	}
	return limits{directAlignment: 4096, zeroUnit: 1}, nil
}

func fileSpace(*os.File) (Space, error) { return Space{}, ErrNotSupported }

func punchHole(*os.File, int64, int64) error { return ErrNotSupported }

func zeroRange(*os.File, bool, int64, int64) error { return ErrNotSupported }

func dataSync(file *os.File) error { return file.Sync() }

func seekData(*os.File, int64) (int64, error) { return 0, ErrNotSupported }

func seekHole(*os.File, int64) (int64, error) { return 0, ErrNotSupported }
