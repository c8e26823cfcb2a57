package block

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// backend is one way to get a Device; every one must behave alike.
type backend struct {
	name string
	open func(t testing.TB, size int64) Device
	// fixed: the capacity cannot grow past what it was made with.
	fixed bool
}

func backends() []backend {
	return append([]backend{
		{name: "ramdisk", open: func(_ testing.TB, size int64) Device { return NewRamdisk(size) }},
		{name: "private file", open: func(t testing.TB, size int64) Device { return newFile(t, Options{Size: size}) }},
	}, linuxBackends()...)
}

// newFile opens a file that does not exist yet.
func newFile(t testing.TB, o Options) *File {
	t.Helper()
	f, err := OpenFile(filepath.Join(t.TempDir(), "disk.img"), o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// everywhere runs f on every backend with a fresh device of size bytes.
func everywhere(t *testing.T, size int64, f func(t *testing.T, d Device, b backend)) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			d := b.open(t, size)
			defer d.Close()
			f(t, d, b)
		})
	}
}

const mib = 1 << 20

func pattern(n int, seed uint64) []byte {
	p := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range p {
		p[i] = byte(r.Uint32()) | 1 // never zero, so that zeroes stand out
	}
	return p
}

func mustRead(t testing.TB, d Device, off int64, n int) []byte {
	t.Helper()
	p := bytes.Repeat([]byte{0xEE}, n)
	if err := d.ReadAt(p, off); err != nil {
		t.Fatalf("ReadAt(%d bytes, %d): %v", n, off, err)
	}
	return p
}

func mustWrite(t testing.TB, d Device, p []byte, off int64) {
	t.Helper()
	if err := d.WriteAt(p, off); err != nil {
		t.Fatalf("WriteAt(%d bytes, %d): %v", len(p), off, err)
	}
}

func TestANewDeviceReadsAsZeroes(t *testing.T) {
	everywhere(t, mib, func(t *testing.T, d Device, _ backend) {
		if d.Size() != mib {
			t.Fatalf("size %d, want %d", d.Size(), mib)
		}
		if got := mustRead(t, d, 0, mib); !bytes.Equal(got, make([]byte, mib)) {
			t.Error("not zeroes")
		}
	})
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	everywhere(t, mib, func(t *testing.T, d Device, _ backend) {
		for _, c := range []struct{ off, n int }{
			{0, 512}, {512, 4096}, {mib - 1, 1}, {65536 - 1, 2}, {100, 200000}, {0, mib}, {3, 0}, {mib, 0},
		} {
			want := pattern(c.n, uint64(c.off))
			before := mustRead(t, d, 0, mib)
			mustWrite(t, d, want, int64(c.off))
			copy(before[c.off:], want)
			if !bytes.Equal(mustRead(t, d, int64(c.off), c.n), want) {
				t.Errorf("%d bytes at %d read differently", c.n, c.off)
			}
			if !bytes.Equal(mustRead(t, d, 0, mib), before) {
				t.Errorf("writing %d bytes at %d changed other bytes", c.n, c.off)
			}
		}
		if err := d.Sync(); err != nil {
			t.Errorf("Sync: %v", err)
		}
	})
}

func TestARangeOutsideTheDeviceIsRefused(t *testing.T) {
	everywhere(t, mib, func(t *testing.T, d Device, _ backend) {
		want := pattern(mib, 3)
		mustWrite(t, d, want, 0)
		for _, c := range []struct{ off, n int64 }{
			{-1, 1}, {mib, 1}, {mib - 1, 2}, {mib + 1, 0}, {1, mib}, {1<<63 - 1, 1}, {1<<63 - 1, 2}, {-1 << 63, 1},
		} {
			p := make([]byte, c.n)
			for name, err := range map[string]error{
				"ReadAt":  d.ReadAt(p, c.off),
				"WriteAt": d.WriteAt(p, c.off),
				"Zero":    d.Zero(c.off, c.n, true),
			} {
				if !errors.Is(err, ErrOutOfRange) {
					t.Errorf("%s(%d bytes at %d) = %v, want ErrOutOfRange", name, c.n, c.off, err)
				}
			}
		}
		if err := d.Zero(0, -1, false); !errors.Is(err, ErrOutOfRange) {
			t.Errorf("Zero of -1 bytes = %v", err)
		}
		for _, off := range []int64{-1, mib, 1<<63 - 1} {
			if _, _, err := d.Allocated(off); !errors.Is(err, ErrOutOfRange) {
				t.Errorf("Allocated(%d) = %v, want ErrOutOfRange", off, err)
			}
		}
		if !bytes.Equal(mustRead(t, d, 0, mib), want) {
			t.Error("a refused call changed bytes")
		}
	})
}

func TestZeroLeavesZeroesAndNothingElse(t *testing.T) {
	everywhere(t, mib, func(t *testing.T, d Device, _ backend) {
		for _, deallocate := range []bool{false, true} {
			for _, c := range []struct{ off, n int64 }{
				{0, 512}, {65536, 65536}, {1, 3}, {4095, 200002}, {500000, 0}, {0, mib},
			} {
				want := pattern(mib, 9)
				mustWrite(t, d, want, 0)
				if err := d.Zero(c.off, c.n, deallocate); err != nil {
					t.Fatalf("Zero(%d, %d, %v): %v", c.off, c.n, deallocate, err)
				}
				clear(want[c.off : c.off+c.n])
				if !bytes.Equal(mustRead(t, d, 0, mib), want) {
					t.Errorf("Zero(%d, %d, %v) left something else", c.off, c.n, deallocate)
				}
			}
		}
	})
}

func TestAllocatedCoversTheDeviceAndNeverDeniesData(t *testing.T) {
	everywhere(t, 4*mib, func(t *testing.T, d Device, _ backend) {
		mustWrite(t, d, pattern(5, 1), mib+7)
		mustWrite(t, d, pattern(70000, 1), 3*mib)
		var off int64
		for off < d.Size() {
			allocated, n, err := d.Allocated(off)
			if err != nil {
				t.Fatal(err)
			}
			if n < 1 || off+n > d.Size() {
				t.Fatalf("Allocated(%d) speaks of %d bytes", off, n)
			}
			if !allocated && !bytes.Equal(mustRead(t, d, off, int(n)), make([]byte, n)) {
				t.Errorf("%d bytes at %d are said to have no space but hold data", n, off)
			}
			off += n
		}
	})
}

func TestDeallocatedSpaceIsGivenBack(t *testing.T) {
	everywhere(t, 4*mib, func(t *testing.T, d Device, _ backend) {
		unit := d.Attributes().DeallocateUnit
		if f, ok := d.(*File); ok && f.device {
			return // shown by the space of the file under a loop device instead
		}
		mustWrite(t, d, pattern(2*mib, 1), 0)
		if allocated, n, err := d.Allocated(0); !allocated || n < mib || err != nil {
			t.Fatalf("Allocated after a write: %v, %d, %v", allocated, n, err)
		}
		if err := d.Zero(unit, mib, true); err != nil {
			t.Fatal(err)
		}
		if allocated, n, err := d.Allocated(unit); allocated || n != mib || err != nil {
			t.Errorf("Allocated after Zero: %v, %d, %v; want false, %d", allocated, n, err, mib)
		}
		if allocated, n, err := d.Allocated(0); !allocated || n != unit || err != nil {
			t.Errorf("Allocated before the hole: %v, %d, %v; want true, %d", allocated, n, err, unit)
		}
	})
}

func TestResizeKeepsWhatFitsAndAddsZeroes(t *testing.T) {
	everywhere(t, mib, func(t *testing.T, d Device, b backend) {
		want := pattern(mib, 4)
		mustWrite(t, d, want, 0)
		half := int64(mib/2 + 4096)
		if err := d.Resize(half); err != nil {
			t.Fatal(err)
		}
		if d.Size() != half {
			t.Fatalf("size %d, want %d", d.Size(), half)
		}
		if err := d.ReadAt(make([]byte, 1), half); !errors.Is(err, ErrOutOfRange) {
			t.Errorf("read past the new end: %v", err)
		}
		if !bytes.Equal(mustRead(t, d, 0, int(half)), want[:half]) {
			t.Error("bytes changed")
		}
		if err := d.Resize(-512); err == nil {
			t.Error("a size below zero was taken")
		}
		if b.fixed {
			return
		}
		if err := d.Resize(2 * mib); err != nil {
			t.Fatal(err)
		}
		clear(want[half:])
		if !bytes.Equal(mustRead(t, d, 0, mib), want) {
			t.Error("bytes past a smaller size came back")
		}
		if !bytes.Equal(mustRead(t, d, mib, mib), make([]byte, mib)) {
			t.Error("new bytes are not zeroes")
		}
	})
}

func TestAfterCloseEveryCallIsRefused(t *testing.T) {
	everywhere(t, mib, func(t *testing.T, d Device, _ backend) {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		_, _, errAllocated := d.Allocated(0)
		for name, err := range map[string]error{
			"ReadAt": d.ReadAt(make([]byte, 1), 0), "WriteAt": d.WriteAt(make([]byte, 1), 0), "Sync": d.Sync(),
			"Zero": d.Zero(0, 1, true), "Allocated": errAllocated, "Resize": d.Resize(mib), "Close": d.Close(),
		} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s = %v, want ErrClosed", name, err)
			}
		}
	})
}

func TestCallsAndCloseAtTheSameTimeEndInOrder(t *testing.T) {
	everywhere(t, mib, func(t *testing.T, d Device, _ backend) {
		var wg sync.WaitGroup
		started := make(chan struct{}, 4)
		for g := range 4 {
			wg.Go(func() {
				p := pattern(4096, uint64(g))
				for i := 0; ; i++ {
					off := int64(g*mib/4 + i%60*4096)
					if err := d.WriteAt(p, off); errors.Is(err, ErrClosed) {
						return
					} else if err != nil {
						t.Errorf("WriteAt: %v", err)
						return
					}
					if err := d.ReadAt(p, off); err != nil && !errors.Is(err, ErrClosed) {
						t.Errorf("ReadAt: %v", err)
						return
					}
					if i == 20 {
						started <- struct{}{}
					}
				}
			})
		}
		for range 4 {
			<-started
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

func TestWritersOfNeighbouringBytesDoNotDisturbEachOther(t *testing.T) {
	everywhere(t, mib, func(t *testing.T, d Device, _ backend) {
		const writers, stride = 8, 100
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range 50 {
					p := bytes.Repeat([]byte{byte(w + 1)}, stride)
					if err := d.WriteAt(p, int64((i*writers+w)*stride)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		got := mustRead(t, d, 0, writers*stride*50)
		for i, b := range got {
			if want := byte(i/stride%writers + 1); b != want {
				t.Fatalf("byte %d is %d, want %d", i, b, want)
			}
		}
	})
}

func TestADeviceIsAnArrayOfBytes(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				const size = 300 << 10
				d := b.open(t, size)
				defer d.Close()
				model := make([]byte, size)
				rt.Repeat(modelActions(d, &model, b))
			})
		})
	}
}

// modelActions are what may be done to a device, each also done to the model.
func modelActions(d Device, model *[]byte, b backend) map[string]func(*rapid.T) {
	span := func(rt *rapid.T) (off, n int) {
		off = rapid.IntRange(0, len(*model)).Draw(rt, "off")
		n = rapid.IntRange(0, min(len(*model)-off, 150000)).Draw(rt, "n")
		if grain := rapid.SampledFrom([]int{1, 512, 4096}).Draw(rt, "grain"); grain > 1 {
			off, n = off/grain*grain, n/grain*grain
		}
		return off, n
	}
	check := func(rt *rapid.T, what string, err error) {
		if err != nil {
			rt.Fatalf("%s: %v", what, err)
		}
	}
	actions := map[string]func(*rapid.T){
		"write": func(rt *rapid.T) {
			off, n := span(rt)
			p := pattern(n, rapid.Uint64().Draw(rt, "seed"))
			check(rt, "WriteAt", d.WriteAt(p, int64(off)))
			copy((*model)[off:], p)
		},
		"zero": func(rt *rapid.T) {
			off, n := span(rt)
			check(rt, "Zero", d.Zero(int64(off), int64(n), rapid.Bool().Draw(rt, "deallocate")))
			clear((*model)[off : off+n])
		},
		"sync": func(rt *rapid.T) { check(rt, "Sync", d.Sync()) },
		"": func(rt *rapid.T) {
			off, n := span(rt)
			p := bytes.Repeat([]byte{0xEE}, n)
			check(rt, "ReadAt", d.ReadAt(p, int64(off)))
			if !bytes.Equal(p, (*model)[off:off+n]) {
				rt.Fatalf("%d bytes at %d differ from the model", n, off)
			}
		},
	}
	if !b.fixed {
		actions["resize"] = func(rt *rapid.T) {
			n := rapid.IntRange(1, 100).Draw(rt, "blocks") * 4096
			check(rt, "Resize", d.Resize(int64(n)))
			kept := copy(make([]byte, n), *model)
			*model = append((*model)[:kept:kept], make([]byte, n-kept)...)
		}
	}
	return actions
}

func BenchmarkReadAt(b *testing.B) {
	for _, be := range backends() {
		for _, n := range []int{4 << 10, 128 << 10} {
			b.Run(fmt.Sprintf("%s/%d", be.name, n), func(b *testing.B) {
				d := be.open(b, 16*mib)
				defer d.Close()
				mustWrite(b, d, pattern(16*mib, 1), 0)
				buf := NewPool(mib).Get(n)
				defer buf.Release()
				b.SetBytes(int64(n))
				b.ReportAllocs()
				var off int64
				for b.Loop() {
					if err := d.ReadAt(buf.Bytes(), off); err != nil {
						b.Fatal(err)
					}
					off = (off + int64(n)) % (16 * mib)
				}
			})
		}
	}
}
