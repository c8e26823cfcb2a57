package workload

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestEachPauseIsTakenOnce(t *testing.T) {
	var p pace
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	p.begin(start)
	p.completed(at(0), at(10), true)
	p.completed(at(10), at(60), true)
	if got := p.take(at(70)); got != 50*time.Millisecond {
		t.Errorf("first part: %v", got)
	}
	p.completed(at(60), at(75), true)
	if got := p.take(at(95)); got != 20*time.Millisecond {
		t.Errorf("a pause that lasts: %v", got)
	}
	if got := p.maxPause(); got != 50*time.Millisecond {
		t.Errorf("of all: %v", got)
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a correct disk, unless a hook makes it err.
type memory struct {
	mu    sync.Mutex
	bytes []byte
	// write and read, when set, replace what the disk does; they are called
	// with the lock held.
	write func(m *memory, p []byte, off int64) error
	read  func(m *memory, p []byte, off int64) error
	delay time.Duration
}

func newMemory(size int) *memory { return &memory{bytes: make([]byte, size)} }

func (m *memory) WriteAt(_ context.Context, p []byte, off int64) error {
	time.Sleep(m.delay)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.write != nil {
		return m.write(m, p, off)
	}
	copy(m.bytes[off:], p)
	return nil
}

func (m *memory) ReadAt(_ context.Context, p []byte, off int64) error {
	time.Sleep(m.delay)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.read != nil {
		return m.read(m, p, off)
	}
	copy(p, m.bytes[off:])
	return nil
}

const (
	slots    = 128
	slotSize = 512
)

func config() Config {
	return Config{Slots: slots, SlotSize: slotSize, Workers: 4, ReadPercent: 50, Run: 7, Seed: 1}
}

// run does a whole workload on m: fill, then the faults that plant sets, then
// work until enough operations were done, then verify.
func run(t *testing.T, m *memory, plant func()) (*Workload, Result) {
	t.Helper()
	w, err := New(m, config())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	plant()
	m.mu.Unlock()
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for range 2000 {
			r := w.Result()
			if r.AckedWrites+r.VerifiedReads+r.StaleReads+r.FailedOps > 20000 {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if err := w.Run(t.Context(), stop); err != nil {
		t.Fatal(err)
	}
	_ = w.Verify(t.Context(), m)
	return w, w.Result()
}

func TestACorrectDiskPasses(t *testing.T) {
	_, r := run(t, newMemory(slots*slotSize), func() {})
	if !r.Good() || r.AckedWrites < slots || r.VerifiedReads < slots {
		t.Fatalf("result of a correct disk: %+v", r)
	}
}

func TestADroppedAcknowledgedWriteIsLost(t *testing.T) {
	m := newMemory(slots * slotSize)
	w, err := New(m, config())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.write = func(*memory, []byte, int64) error { return nil }
	if err := w.write(t.Context(), 5, 0, make([]byte, slotSize)); err != nil {
		t.Fatal(err)
	}
	if err := w.Verify(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	r := w.Result()
	if r.LostWrites != 1 || !strings.Contains(r.Violations[0], "slot 5 holds write 1, its last acknowledged write is 2") {
		t.Fatalf("dropping the second write of slot 5 gave %+v", r)
	}
}

func TestDroppedWritesAreFoundUnderLoad(t *testing.T) {
	n := 0
	m := newMemory(slots * slotSize)
	_, r := run(t, m, func() {
		m.write = func(m *memory, p []byte, off int64) error {
			if n++; n%100 != 0 {
				copy(m.bytes[off:], p)
			}
			return nil
		}
	})
	if r.StaleReads == 0 || r.Good() {
		t.Fatalf("dropping every 100th write went unseen: %+v", r)
	}
}

func TestStaleDataIsFound(t *testing.T) {
	m := newMemory(slots * slotSize)
	n := 0
	_, r := run(t, m, func() {
		old := append([]byte(nil), m.bytes...)
		m.read = func(m *memory, p []byte, off int64) error {
			if n++; n%1000 == 0 && n < 5000 {
				copy(p, old[off:])
			} else {
				copy(p, m.bytes[off:])
			}
			return nil
		}
	})
	if r.StaleReads == 0 || r.LostWrites != 0 {
		t.Fatalf("reads from an old copy went unseen: %+v", r)
	}
}

func TestAResurrectedWriteIsFound(t *testing.T) {
	m := newMemory(slots * slotSize)
	w, err := New(m, config())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, slotSize)
	var ghost []byte
	m.write = func(_ *memory, p []byte, _ int64) error {
		ghost = append([]byte(nil), p...)
		return errors.New("connection lost")
	}
	if err := w.write(t.Context(), 3, 0, buf); err == nil {
		t.Fatal("the failed write was acknowledged")
	}
	m.write = nil
	if err := w.write(t.Context(), 3, 0, buf); err != nil {
		t.Fatal(err)
	}
	copy(m.bytes[3*slotSize:], ghost)
	if err := w.read(t.Context(), m, 3, buf); err != nil {
		t.Fatal(err)
	}
	_ = w.Verify(t.Context(), m)
	if r := w.Result(); r.StaleReads != 1 || r.LostWrites != 1 {
		t.Fatalf("a write that surfaced after a later one was acknowledged: %+v", r)
	}
}

func TestAWriteInDoubtMayBeThereOrNot(t *testing.T) {
	for name, applied := range map[string]bool{"applied": true, "not applied": false} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(slots * slotSize)
			w, err := New(m, config())
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Fill(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.write = func(m *memory, p []byte, off int64) error {
				if applied {
					copy(m.bytes[off:], p)
				}
				return errors.New("no answer")
			}
			buf := make([]byte, slotSize)
			_ = w.write(t.Context(), 9, 0, buf)
			if err := w.read(t.Context(), m, 9, buf); err != nil {
				t.Fatal(err)
			}
			if err := w.Verify(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if r := w.Result(); r.LostWrites+r.StaleReads+r.CorruptReads != 0 || r.FailedOps != 1 {
				t.Fatalf("write in doubt, %s: %+v", name, r)
			}
		})
	}
}

func TestAWriteInDoubtThatWasReadMayNotVanish(t *testing.T) {
	m := newMemory(slots * slotSize)
	w, _ := New(m, config())
	if err := w.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := append([]byte(nil), m.bytes...)
	m.write = func(m *memory, p []byte, off int64) error {
		copy(m.bytes[off:], p)
		return errors.New("no answer")
	}
	buf := make([]byte, slotSize)
	_ = w.write(t.Context(), 9, 0, buf)
	_ = w.read(t.Context(), m, 9, buf)
	m.bytes = before
	_ = w.read(t.Context(), m, 9, buf)
	if r := w.Result(); r.StaleReads != 1 {
		t.Fatalf("a write that was read and then vanished: %+v", r)
	}
}

func TestBytesNeverWrittenThereAreCorrupt(t *testing.T) {
	other := make([]byte, slotSize)
	cases := map[string]func(p []byte){
		"zeroes":                func(p []byte) { clear(p) },
		"a flipped bit":         func(p []byte) { p[300] ^= 1 },
		"another slot":          func(p []byte) { stamp{run: 7, slot: 1, seq: 1}.put(p) },
		"another run":           func(p []byte) { stamp{run: 8, slot: 2, seq: 1}.put(p) },
		"a write of the future": func(p []byte) { stamp{run: 7, slot: 2, seq: 99}.put(p) },
		"halves of two writes": func(p []byte) {
			stamp{run: 7, slot: 2, seq: 2}.put(other)
			copy(p[256:], other[256:])
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			m := newMemory(slots * slotSize)
			w, _ := New(m, config())
			if err := w.Fill(t.Context()); err != nil {
				t.Fatal(err)
			}
			spoil(m.bytes[2*slotSize : 3*slotSize])
			buf := make([]byte, slotSize)
			if err := w.read(t.Context(), m, 2, buf); err != nil {
				t.Fatal(err)
			}
			if r := w.Result(); r.CorruptReads != 1 {
				t.Fatalf("%s read as %+v", name, r)
			}
			_ = w.Verify(t.Context(), m)
			if r := w.Result(); r.LostWrites+r.CorruptReads != 2 {
				t.Fatalf("%s verified as %+v", name, r)
			}
		})
	}
}

func TestFailuresAreCountedAndHardOnesNamed(t *testing.T) {
	errHard := errors.New("medium error")
	m := newMemory(slots * slotSize)
	cfg := config()
	cfg.Hard = func(err error) bool { return errors.Is(err, errHard) }
	w, _ := New(m, cfg)
	buf := make([]byte, slotSize)
	m.write = func(*memory, []byte, int64) error { return errHard }
	_ = w.write(t.Context(), 0, 0, buf)
	m.write = func(*memory, []byte, int64) error { return errors.New("timeout") }
	_ = w.write(t.Context(), 0, 0, buf)
	if r := w.Result(); r.FailedOps != 2 || r.HardErrors != 1 || r.Good() {
		t.Fatalf("one hard and one soft failure: %+v", r)
	}
}

func TestAPauseOfAllWorkersIsMeasured(t *testing.T) {
	const pause = 300 * time.Millisecond
	m := newMemory(slots * slotSize)
	m.delay = time.Millisecond
	w, _ := New(m, config())
	if err := w.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() { done <- w.Run(t.Context(), stop) }()
	time.Sleep(200 * time.Millisecond)
	frozen := time.Now()
	m.mu.Lock()
	time.Sleep(pause)
	m.mu.Unlock()
	time.Sleep(200 * time.Millisecond)
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r := w.Result(); r.MaxPause < pause || r.MaxPause > pause+time.Second {
		t.Fatalf("a pause of %v was measured as %v", pause, r.MaxPause)
	}
	if got := w.Rate(frozen.Add(bucket), frozen.Add(pause-bucket)); got != 0 {
		t.Fatalf("rate during the pause is %v", got)
	}
	if got := w.Rate(frozen.Add(-150*time.Millisecond), frozen); got < 100 {
		t.Fatalf("rate before the pause is %v", got)
	}
}

func TestOneHungOperationIsAPause(t *testing.T) {
	var p pace
	t0 := time.Unix(100, 0)
	p.begin(t0)
	for i := range 100 {
		p.completed(t0, t0.Add(time.Duration(i)*10*time.Millisecond), i%2 == 0)
	}
	p.end(t0.Add(time.Second))
	if got := p.maxPause(); got != 990*time.Millisecond {
		t.Fatalf("an operation of 990 ms beside quick ones: pause %v", got)
	}
}

func TestASilentEndIsAPause(t *testing.T) {
	var p pace
	t0 := time.Unix(100, 0)
	p.begin(t0)
	p.completed(t0, t0.Add(time.Millisecond), true)
	p.end(t0.Add(2 * time.Second))
	if got := p.maxPause(); got != 1999*time.Millisecond {
		t.Fatalf("no completion for the last 1999 ms: pause %v", got)
	}
}

func TestACancelledRunEndsAndFailsNothing(t *testing.T) {
	m := newMemory(slots * slotSize)
	w, _ := New(m, config())
	ctx, cancel := context.WithCancel(t.Context())
	m.write = func(*memory, []byte, int64) error { cancel(); return context.Canceled }
	m.read = m.write
	if err := w.Run(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run ended with %v", err)
	}
	if r := w.Result(); r.FailedOps != 0 {
		t.Fatalf("operations cut short by the caller counted as failed: %+v", r)
	}
}

func TestBadConfigsAreRefusedByName(t *testing.T) {
	cases := map[string]func(*Config){
		"slots 0":        func(c *Config) { c.Slots = 0 },
		"slot size 1000": func(c *Config) { c.SlotSize = 1000 },
		"slot size 64":   func(c *Config) { c.SlotSize = 64 },
		"rest -1ms":      func(c *Config) { c.Rest = -time.Millisecond },
		"offset 100":     func(c *Config) { c.Offset = 100 },
		"workers 0":      func(c *Config) { c.Workers = 0 },
		"percent 101":    func(c *Config) { c.ReadPercent = 101 },
		"run 0":          func(c *Config) { c.Run = 0 },
	}
	for want, spoil := range cases {
		cfg := config()
		spoil(&cfg)
		if _, err := New(newMemory(1), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("config with %s: error %v", want, err)
		}
	}
}
