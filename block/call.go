package block

import "fmt"

// checkCall refuses what no backend takes: any call after Close, and a range
// that is not wholly inside [0, size).
func checkCall(closed bool, off, length, size int64) error {
	if closed {
		return ErrClosed
	}
	if off < 0 || length < 0 || length > size || off > size-length {
		return fmt.Errorf("%d bytes at %d of %d: %w", length, off, size, ErrOutOfRange)
	}
	return nil
}
