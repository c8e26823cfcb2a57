package lun_test

import (
	"bytes"
	"testing"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// window is a device in the middle of a larger one: what a call touches
// outside of it shows.
type window struct {
	block.Device
	t      *testing.T
	offset int64
	size   int64
}

func (w window) Size() int64 { return w.size }

func (w window) inside(off, length int64) int64 {
	if off < 0 || length < 0 || off+length > w.size {
		w.t.Fatalf("a call for %d bytes at %d of a device of %d", length, off, w.size)
	}
	return off + w.offset
}

func (w window) ReadAt(p []byte, off int64) error {
	return w.Device.ReadAt(p, w.inside(off, int64(len(p))))
}

func (w window) WriteAt(p []byte, off int64) error {
	return w.Device.WriteAt(p, w.inside(off, int64(len(p))))
}

func (w window) Zero(off, length int64, deallocate bool) error {
	return w.Device.Zero(w.inside(off, length), length, deallocate)
}

func (w window) Allocated(off int64) (bool, int64, error) {
	a, n, err := w.Device.Allocated(w.inside(off, 1))
	return a, min(n, w.size-off), err
}

// FuzzCDB runs any CDB with any data-out against a logical unit with 64 blocks
// in the middle of a disk: it must complete, and nothing outside is touched.
func FuzzCDB(f *testing.F) {
	for id := scsi.NoCommand + 1; id < scsi.NumCommands; id++ {
		f.Add(plain(&scsi.Commands[id]), []byte{}, uint16(0))
		f.Add(scsi.Commands[id].Usage, make([]byte, 64), uint16(512))
	}
	f.Add(write10(60, 4), make([]byte, 4*testBlock), uint16(0))
	f.Add(unmap(40), scsi.AppendUnmap(nil, []scsi.Extent{{LBA: 3, Count: 4}, {LBA: 1<<64 - 1, Count: 2}}), uint16(0))
	f.Add(reserveOut(0, 0), scsi.ReserveOut{ServiceActionKey: 1, SpecifyPorts: true, InitiatorPorts: []string{bob.InitiatorPort}}.Append(nil), uint16(0))
	pool := block.NewPool(16 << 20)
	const around, size = 64 * testBlock, 64 * testBlock
	f.Fuzz(func(t *testing.T, cdb, out []byte, in uint16) {
		if len(cdb) > 260 {
			return
		}
		disk := block.NewRamdisk(2*around + size)
		defer disk.Close()
		guard := bytes.Repeat([]byte{0xA5}, around)
		for _, off := range []int64{0, around + size} {
			if err := disk.WriteAt(guard, off); err != nil {
				t.Fatal(err)
			}
		}
		c := testConfig()
		c.Pool = pool
		u := newUnit(t, c)
		if err := u.Activate(window{disk, t, around, size}, &right{}, lun.State{}); err != nil {
			t.Fatal(err)
		}
		p := newPort(u)
		p.clear(t, alice)
		task := command(alice, cdb, out, int(in))
		p.submit(task)
		p.wait(t, task)
		if n := task.Transfer; n < 0 || task.DataIn != nil && len(task.DataIn.Bytes()) > max(n, 1<<20) {
			t.Fatalf("transfer of %d bytes", n)
		}
		task.Release()
		p.clear(t, alice)
		u.Deactivate()
		for _, off := range []int64{0, around + size} {
			got := make([]byte, around)
			if err := disk.ReadAt(got, off); err != nil || !bytes.Equal(got, guard) {
				t.Fatalf("bytes outside of the logical unit changed: %v", err)
			}
		}
		if s := pool.Stats(); s.Lent != 0 {
			t.Fatalf("%d bytes of buffers are still on loan", s.Lent)
		}
	})
}
