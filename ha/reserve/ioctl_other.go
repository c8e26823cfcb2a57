//go:build !linux

package reserve

import (
	"errors"
	"fmt"
	"os"
)

// conflict never happens.
var conflict = errors.New("RESERVATION CONFLICT")

var errInUse = errors.New("the device is in use")

func ioctl(*os.File, request) (int, error) {
	return 0, fmt.Errorf("%w: it needs Linux", errUnsupported)
}

func wholeDisk(path string, _ os.FileInfo) error {
	return fmt.Errorf("%s: persistent reservations as a fence need Linux, expected another fence", path)
}

func sameDisk(*os.File, string) bool { return false }

func lockAlone(*os.File) error { return errUnsupported }
