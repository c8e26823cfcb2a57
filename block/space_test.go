package block

import (
	"bytes"
	"errors"
	"testing"
)

func TestWhatMemoryAndFilesTakeIsKnown(t *testing.T) {
	d := NewRamdiskWithin(1<<20, 128<<10)
	defer d.Close()
	if err := d.WriteAt([]byte{1}, 0); err != nil {
		t.Fatal(err)
	}
	if s, err := d.Space(); err != nil || s != (Space{Used: 64 << 10, Available: 64 << 10}) {
		t.Errorf("memory: %+v, %v", s, err)
	}
	f, err := OpenFile(t.TempDir()+"/disk", Options{Size: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.WriteAt(bytes.Repeat([]byte{1}, 64<<10), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	s, err := f.Space()
	if errors.Is(err, ErrNotSupported) {
		return
	}
	if err != nil || s.Used < 64<<10 || s.Used > 1<<20 || s.Available <= 0 || !s.Shared {
		t.Errorf("a file: %+v, %v", s, err)
	}
}
