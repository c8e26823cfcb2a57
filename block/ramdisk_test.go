package block

import (
	"errors"
	"testing"
)

func TestARamdiskTakesNoMoreThanItsMemory(t *testing.T) {
	for memory, chunks := range map[int64]int{0: 0, 1: 1, ramChunk: 1, 3*ramChunk - 1: 3} {
		d := NewRamdiskWithin(10*ramChunk, memory)
		p := make([]byte, 512)
		for i := range chunks {
			if err := d.WriteAt(p, int64(i)*ramChunk); err != nil {
				t.Errorf("%d bytes: write %d: %v", memory, i, err)
			}
		}
		if err := d.WriteAt(p, int64(chunks)*ramChunk); !errors.Is(err, ErrNoSpace) {
			t.Errorf("%d bytes: write %d: %v", memory, chunks, err)
		}
		if err := d.Zero(5*ramChunk, ramChunk, false); !errors.Is(err, ErrNoSpace) {
			t.Errorf("%d bytes: zeroes that take space: %v", memory, err)
		}
		if err := d.Zero(5*ramChunk, ramChunk, true); err != nil {
			t.Errorf("%d bytes: zeroes that take no space: %v", memory, err)
		}
		if chunks > 0 {
			if err := d.WriteAt(p, 100); err != nil {
				t.Errorf("%d bytes: a write to what is there: %v", memory, err)
			}
		}
	}
}

func TestARamdiskUsesAgainWhatWasGivenBack(t *testing.T) {
	d := NewRamdiskWithin(10*ramChunk, ramChunk)
	p := make([]byte, 512)
	give := []func() error{
		func() error { return d.Zero(0, ramChunk, true) },
		func() error { return errors.Join(d.Resize(5*ramChunk), d.Resize(10*ramChunk)) },
		func() error { return d.Zero(9*ramChunk, ramChunk, true) },
	}
	for i, at := range []int64{0, 9 * ramChunk, 9 * ramChunk} {
		if err := d.WriteAt(p, at); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
		if err := give[i](); err != nil {
			t.Fatal(err)
		}
	}
}
