package reserve

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// handle is a disk open for the commands of one controller.
type handle struct {
	file *os.File
	path string
	own  Key
}

const (
	// lockPatience is how long others are given to close the device: those that
	// only look at it do so in no time.
	lockPatience = time.Second
	lockRetry    = 10 * time.Millisecond
)

// openHandle opens a disk that nobody else on this machine uses. Nothing is
// registered yet.
func openHandle(path string, own Key) (*handle, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := wholeDisk(path, info); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	for until := time.Now().Add(lockPatience); ; time.Sleep(lockRetry) {
		err = lockAlone(file)
		if !errors.Is(err, errInUse) || time.Now().After(until) {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &handle{file, path, own}, nil
}

func (h *handle) perform(r request) error {
	return perform(func(r request) (int, error) { return ioctl(h.file, r) }, r)
}

// supported asks whether the disk takes reservations, and changes nothing: it
// registers the key it has, or is told that it has none.
func (h *handle) supported() error {
	if err := h.perform(register(h.own, h.own, 0)); err != nil && !errors.Is(err, errConflict) {
		return err
	}
	return nil
}

// claim registers the own key, whatever was registered, and establishes the
// reservation unless it is there.
func (h *handle) claim() error {
	if err := h.perform(register(0, h.own, ignoreKey)); err != nil {
		return err
	}
	return h.reserve()
}

// reserve establishes the reservation. It is done when that is there already and
// the own key is registered.
func (h *handle) reserve() error {
	err := h.perform(reserve(h.own))
	if errors.Is(err, errConflict) {
		return fmt.Errorf("%w: another reservation is on the disk, or key %v was taken away", err, h.own)
	}
	return err
}

// registered reports whether the own key is.
func (h *handle) registered() (bool, error) {
	err := h.perform(register(h.own, h.own, 0))
	if errors.Is(err, errConflict) {
		return false, nil
	}
	return err == nil, err
}

// errLost: the key of this controller was taken away.
var errLost = errors.New("the key of this controller is not on the disk: it was fenced itself")

// fence takes the key of another controller away. It is gone when nil is
// returned, and the reservation is there, so that without it nothing is written.
func (h *handle) fence(victim Key) error {
	have, err := h.registered()
	if err == nil && !have {
		err = errLost
	}
	if err == nil {
		err = h.reserve()
	}
	if err != nil {
		return err
	}
	err = h.perform(preemptAbort(h.own, victim))
	if err != nil && !errors.Is(err, errConflict) {
		return err
	}
	// Either the victim was not registered, or this controller is no more.
	have, err = h.registered()
	if err == nil && !have {
		err = errLost
	}
	return err
}

func (h *handle) close() error { return h.file.Close() }
