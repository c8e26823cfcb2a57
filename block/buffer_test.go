package block

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

func TestBuffersAreAlignedAndAsLongAsAsked(t *testing.T) {
	p := NewPool(256 << 20)
	for _, n := range []int{0, 1, 511, 512, 4095, 4096, 4097, 8192, 12000, 64 << 10, 65537, 1 << 20, 16 << 20, 16<<20 + 1, 20 << 20} {
		for range 2 {
			b := p.Get(n)
			if len(b.Bytes()) != n {
				t.Fatalf("Get(%d) gave %d bytes", n, len(b.Bytes()))
			}
			if n > 0 && misalignment(b.Bytes()) != 0 {
				t.Errorf("Get(%d) starts %d bytes past a multiple of %d", n, misalignment(b.Bytes()), bufferAlignment)
			}
			defer b.Release()
		}
	}
}

func TestMemoryThatTheRuntimeMisalignsIsShifted(t *testing.T) {
	whole := alignedPart(make([]byte, 5*bufferAlignment), 4*bufferAlignment)
	for _, shift := range []int{0, 1, 512, 4095} {
		b := whole[shift : shift+3*bufferAlignment-1]
		if got := alignedPart(b, 2*bufferAlignment); misalignment(got) != 0 || len(got) != 2*bufferAlignment {
			t.Errorf("memory %d bytes past a boundary: %d bytes, misaligned by %d", shift, len(got), misalignment(got))
		}
	}
}

func TestTheBudgetIsHard(t *testing.T) {
	p := NewPool(64 << 10)
	var lent []*Buffer
	for range 16 {
		b := p.Get(4096)
		if b == nil {
			t.Fatal("refused within the budget")
		}
		lent = append(lent, b)
	}
	if p.Get(1) != nil {
		t.Fatal("lent more than the budget")
	}
	lent[3].Release()
	b := p.Get(100)
	if b == nil {
		t.Fatal("refused after a release")
	}
	if s := p.Stats(); s != (PoolStats{Budget: 64 << 10, Lent: 64 << 10, Refused: 1}) {
		t.Errorf("stats %+v", s)
	}
	if NewPool(64<<10).Get(64<<10+1) != nil {
		t.Error("lent a buffer that counts for more than the budget")
	}
	if NewPool(32<<20).Get(40<<20) != nil {
		t.Error("lent a one-off buffer larger than the budget")
	}
}

func TestIdleMemoryOfOneSizeMakesRoomForAnother(t *testing.T) {
	p := NewPool(64 << 10)
	var lent []*Buffer
	for range 16 {
		lent = append(lent, p.Get(4096))
	}
	for _, b := range lent {
		b.Release()
	}
	if s := p.Stats(); s.Idle != 64<<10 || s.Lent != 0 {
		t.Fatalf("stats %+v", s)
	}
	b := p.Get(64 << 10)
	if b == nil {
		t.Fatal("idle small buffers keep a large one out")
	}
	if s := p.Stats(); s.Idle != 0 || s.Lent != 64<<10 {
		t.Errorf("stats %+v", s)
	}
	b.Release()
}

func TestOneOffBuffersAreNotKept(t *testing.T) {
	p := NewPool(64 << 20)
	b := p.Get(20 << 20)
	b.Release()
	if s := p.Stats(); s.Idle != 0 || s.Lent != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestMisuseOfABufferPanics(t *testing.T) {
	p := NewPool(1 << 20)
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"releasing it twice", func() { b := p.Get(10); b.Release(); b.Release() }},
		{"making it longer", func() { b := p.Get(10); b.Truncate(11) }},
		{"truncating it below zero", func() { b := p.Get(10); b.Truncate(-1) }},
		{"asking for fewer than no bytes", func() { p.Get(-1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			c.do()
		})
	}
}

func TestAReleasedBufferHasNoBytes(t *testing.T) {
	b := NewPool(1 << 20).Get(10)
	b.Truncate(5)
	if len(b.Bytes()) != 5 {
		t.Errorf("%d bytes after Truncate(5)", len(b.Bytes()))
	}
	b.Release()
	if b.Bytes() != nil {
		t.Error("a released buffer still shows its memory")
	}
	(*Buffer)(nil).Release()
}

func TestBorrowersNeverShareABuffer(t *testing.T) {
	p := NewPool(1 << 20)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(g)))
			for range 2000 {
				b := p.Get(1 + r.IntN(200<<10))
				if b == nil {
					continue
				}
				x := b.Bytes()
				x[0], x[len(x)-1] = byte(g), byte(g)
				if x[0] != byte(g) || x[len(x)-1] != byte(g) {
					t.Error("somebody else wrote into a borrowed buffer")
				}
				b.Release()
			}
		})
	}
	wg.Wait()
	if s := p.Stats(); s.Lent != 0 || s.Idle > s.Budget {
		t.Errorf("stats %+v", s)
	}
}

func TestThePoolDoesNotAllocateInSteadyState(t *testing.T) {
	p := NewPool(1 << 20)
	p.Get(4096).Release()
	if n := testing.AllocsPerRun(100, func() { p.Get(4096).Release() }); n != 0 {
		t.Errorf("%v allocations per loan", n)
	}
}

func BenchmarkPool(b *testing.B) {
	for _, n := range []int{4 << 10, 256 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := NewPool(64 << 20)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					p.Get(n).Release()
				}
			})
		})
	}
}
