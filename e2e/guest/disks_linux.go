package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha/reserve"
)

const cluster = "guest"

// path is the disk as one controller has it.
type path struct {
	*reserve.Disk
	file   string
	device block.Device
	lost   atomic.Int32 // how often it was told that its key is gone
}

func newPath(node uint8, file string) *path {
	return &path{file: file, Disk: reserve.New(reserve.Config{
		Path: file, Cluster: cluster, Node: node,
		Open: func() (block.Device, error) { return block.OpenFile(file, block.Options{Shared: true}) },
	})}
}

func (p *path) open() error {
	d, err := p.Disk.Open(func(error) { p.lost.Add(1) })
	p.device = d
	return err
}

func (p *path) write() error { return p.device.WriteAt(make([]byte, 4096), 4096) }

// plain writes as a process that knows nothing of reservations.
func plain(file string) error {
	d, err := block.OpenFile(file, block.Options{Shared: true})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.WriteAt(make([]byte, 4096), 0)
}

// conflicts demands that an error is the kernel's for RESERVATION CONFLICT.
func conflicts(err error) error {
	if !errors.Is(err, unix.EBADE) {
		return fmt.Errorf("got %v, want %v", err, unix.EBADE)
	}
	return nil
}

// fails demands an error that says something.
func fails(err error, parts ...string) error {
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			return fmt.Errorf("got %v, want an error with %q", err, parts)
		}
	}
	return nil
}

// tell tries everything.
func (s *story) tell() {
	a, b, c := newPath(1, "/dev/sda"), newPath(2, "/dev/sdb"), newPath(3, "/dev/sdc")
	s.refusals(a)
	s.fences(a, b)
	s.three(a, b, c)
	s.strangers(a, b)
	s.gone(a, b)
}

func (s *story) refusals(a *path) {
	s.try("a disk whose driver has no reservations is refused", func() error {
		return fails(newPath(1, "/dev/vda").Check(), "/dev/vda", "driver", "expected")
	})
	s.try("a partition is refused", func() error {
		return fails(newPath(1, "/dev/vda1").Check(), "/dev/vda1", "partition", "expected")
	})
	s.try("a disk with reservations is taken, and asking changes nothing", func() error {
		return errors.Join(a.Check(), plain("/dev/sda"), plain("/dev/sdb"))
	})
}

func (s *story) fences(a, b *path) {
	ctx := context.Background()
	s.try("who opens the disk may write, who is not registered may not", func() error {
		return errors.Join(a.open(), a.write(), conflicts(plain("/dev/sdb")))
	})
	s.try("a second opening of one path is refused", func() error {
		return fails(newPath(2, "/dev/sda").open(), "/dev/sda", "in use")
	})
	s.try("all who opened the disk may write", func() error {
		return errors.Join(b.open(), b.write(), a.write())
	})
	s.try("who is fenced writes no more, who fences does", func() error {
		return errors.Join(b.Fence(ctx, 1), fails(a.write(), block.ErrClosed.Error()), b.write())
	})
	s.try("it is told so once, and its opening is dead for ever", func() error {
		// Even when its key comes back.
		if err := raw("/dev/sda", register, words(0, uint64(a.Key()), 1)); err != nil {
			return err
		}
		for name, err := range map[string]error{
			"write": a.write(), "sync": a.device.Sync(), "zero": a.device.Zero(0, 4096, true), "read": a.device.ReadAt(make([]byte, 512), 0),
		} {
			if !errors.Is(err, block.ErrClosed) {
				return fmt.Errorf("%s: %v", name, err)
			}
		}
		if n := a.lost.Load(); n != 1 {
			return fmt.Errorf("told %d times", n)
		}
		return b.Fence(ctx, 1)
	})
	s.try("who was fenced fences nobody", func() error {
		return errors.Join(fails(a.Fence(ctx, 2), "fenced itself"), b.write())
	})
	s.try("fencing who is not registered is done at once", func() error { return b.Fence(ctx, 1) })
	s.try("a new opening registers again", func() error {
		return errors.Join(a.device.Close(), a.open(), a.write(), b.write())
	})
	for _, c := range []struct {
		what string
		f    func() error
	}{
		{"sync", func() error { return a.device.Sync() }},
		{"zero", func() error { return a.device.Zero(0, 1<<20, false) }},
		{"deallocate", func() error { return a.device.Zero(0, 1<<20, true) }},
	} {
		s.try(c.what+" of who is fenced is refused as a write is", func() error {
			if err := errors.Join(b.Fence(ctx, 1), fails(c.f(), block.ErrClosed.Error())); err != nil {
				return err
			}
			return errors.Join(a.device.Close(), a.open())
		})
	}
	s.try("the reservation outlives all who have the disk open", func() error {
		return errors.Join(a.device.Close(), b.device.Close(), plain("/dev/sda"), b.Fence(ctx, 1), conflicts(plain("/dev/sda")))
	})
}

func (s *story) three(a, b, c *path) {
	ctx := context.Background()
	s.try("of three controllers the one that is fenced is stopped", func() error {
		return errors.Join(a.open(), b.open(), c.open(), c.Fence(ctx, 1),
			fails(a.write(), block.ErrClosed.Error()), b.write(), c.write())
	})
	s.try("and the next one", func() error {
		return errors.Join(c.Fence(ctx, 2), fails(b.write(), block.ErrClosed.Error()), c.write())
	})
	s.try("the last one goes on alone", func() error {
		return errors.Join(c.write(), conflicts(plain("/dev/sda")), conflicts(plain("/dev/sdb")), c.device.Close())
	})
	s.try("those that were fenced come back", func() error {
		return errors.Join(a.device.Close(), b.device.Close(), a.open(), b.open(), a.write(), b.write(), a.device.Close(), b.device.Close())
	})
}

// strangers: somebody else uses reservations on the disk, or clears them.
func (s *story) strangers(a, b *path) {
	const stranger = 0x5717a6e5
	s.try("a fence fails while another reservation is on the disk, and says so", func() error {
		if err := errors.Join(
			raw("/dev/sdc", register, words(0, stranger, 1)),
			raw("/dev/sdc", clear, words(stranger, 0)),
			raw("/dev/sdc", register, words(0, stranger, 1)),
			raw("/dev/sdc", reservation, words(stranger, 1)), // WRITE EXCLUSIVE
		); err != nil {
			return err
		}
		return errors.Join(fails(b.Fence(context.Background(), 1), "/dev/sdb", "another reservation"), fails(b.open(), "another reservation"))
	})
	s.try("until it is cleared", func() error {
		return errors.Join(raw("/dev/sdc", clear, words(stranger, 0)), b.Fence(context.Background(), 1), b.open(), b.write(), b.device.Close())
	})
}

func (s *story) gone(a, b *path) {
	s.try("a fence fails when the disk is gone", func() error {
		if err := b.open(); err != nil {
			return err
		}
		if err := os.WriteFile("/sys/block/sdb/device/delete", []byte("1"), 0); err != nil {
			return err
		}
		return errors.Join(fails(b.Fence(context.Background(), 1), "/dev/sdb"), b.device.Close(), fails(b.Fence(context.Background(), 1), "/dev/sdb"))
	})
	s.try("and the other path to it is not disturbed", func() error {
		return errors.Join(a.open(), a.write())
	})
}

// Ioctls of linux/pr.h, for what package reserve does not do.
const (
	register    = 0x4018_70c8
	reservation = 0x4010_70c9
	clear       = 0x4010_70cd
)

// words is a struct of them: numbers of 64 bits, of which the last is two of 32.
func words(w ...uint64) []uint64 { return w }

// raw sends an ioctl, again while a unit attention is in the way.
func raw(file string, number uintptr, argument []uint64) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var n uintptr
	for range 8 {
		var errno syscall.Errno
		n, _, errno = unix.Syscall(unix.SYS_IOCTL, f.Fd(), number, uintptr(unsafe.Pointer(&argument[0])))
		if errno != 0 {
			return fmt.Errorf("ioctl %#x of %s: %w", number, file, errno)
		}
		if n&0xff != 2 {
			break
		}
	}
	if n != 0 {
		return fmt.Errorf("ioctl %#x of %s: result %#x", number, file, n)
	}
	return nil
}
