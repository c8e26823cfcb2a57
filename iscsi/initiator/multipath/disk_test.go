package multipath_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/initiator/multipath"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
	"github.com/tandem-san/tandem/workload"
)

// load runs the register workload on d until stop is called, which verifies
// everything and returns the result.
func load(t *testing.T, d *multipath.Disk) (stop func() workload.Result) {
	t.Helper()
	w, err := workload.New(d, workload.Config{
		Slots: 512, SlotSize: 4096, Workers: 8, ReadPercent: 50, Run: rand.Uint64() | 1, Hard: multipath.IsHard,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- w.Run(t.Context(), end) }()
	return func() workload.Result {
		t.Helper()
		close(end)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if err := w.Verify(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		r := w.Result()
		if !r.Good() {
			t.Fatalf("the workload found %+v", r)
		}
		return r
	}
}

// busyFor waits until path i has done n more commands.
func busyFor(t *testing.T, d *multipath.Disk, i int, n uint64) {
	t.Helper()
	done := func() uint64 { p := d.Paths()[i]; return p.Reads + p.Writes }
	from := done()
	until(t, fmt.Sprintf("path %d is used", i), func() bool { return done() >= from+n })
}

func TestOptimizedPathsArePreferred(t *testing.T) {
	d := newCluster(t).open(nil)
	stop := load(t, d)
	busyFor(t, d, 0, 500)
	stop()
	p := d.Paths()
	if p[0].State != scsi.ActiveOptimized || p[1].State != scsi.ActiveNonOptimized {
		t.Fatalf("states %v and %v", p[0].State, p[1].State)
	}
	if n := p[1].Reads + p[1].Writes; n > 0 {
		t.Fatalf("%d commands went to the path that is not optimized", n)
	}
	if p[0].BytesRead != p[0].Reads*4096 || p[0].Latency <= 0 || p[0].Connects != 1 {
		t.Fatalf("statistics %+v", p[0])
	}
}

func TestSpreadUsesAllActivePaths(t *testing.T) {
	d := newCluster(t).open(func(c *multipath.Config) { c.Policy = multipath.Spread })
	stop := load(t, d)
	busyFor(t, d, 0, 300)
	busyFor(t, d, 1, 300)
	stop()
}

func TestAControllerThatDiesAndComesBackIsNotFelt(t *testing.T) {
	c := newCluster(t)
	d := c.open(nil)
	stop := load(t, d)
	busyFor(t, d, 0, 200)
	c.controllers[0].kill()
	busyFor(t, d, 1, 200)
	if p := d.Paths()[0]; p.Up || p.Err == nil {
		t.Fatalf("the path to the dead controller is %+v", p)
	}
	c.controllers[0].start()
	busyFor(t, d, 0, 200)
	r := stop()
	if r.MaxPause > 3*time.Second {
		t.Fatalf("the pause was %v", r.MaxPause)
	}
	if n := d.Paths()[0].Connects; n != 2 {
		t.Fatalf("the path came up %d times", n)
	}
}

// In active/standby the survivor is standby until it has taken over.
func TestAStandbyPathIsUsedOnceItIsActive(t *testing.T) {
	c := newCluster(t)
	c.states(scsi.ActiveOptimized, scsi.Standby)
	d := c.open(func(c *multipath.Config) { c.RefreshInterval = time.Hour })
	stop := load(t, d)
	busyFor(t, d, 0, 200)
	c.controllers[0].kill()
	time.Sleep(200 * time.Millisecond)
	if p := d.Paths()[1]; p.Reads+p.Writes > 0 || p.State != scsi.Standby {
		t.Fatalf("the standby path is %+v", p)
	}
	c.states(scsi.Unavailable, scsi.ActiveOptimized)
	busyFor(t, d, 1, 200)
	stop()
}

func TestAHandoverFailsNothing(t *testing.T) {
	c := newCluster(t)
	d := c.open(func(c *multipath.Config) { c.RefreshInterval = time.Hour })
	stop := load(t, d)
	for range 3 {
		busyFor(t, d, 0, 200)
		c.states(scsi.Transitioning, scsi.Transitioning)
		time.Sleep(100 * time.Millisecond)
		c.states(scsi.ActiveNonOptimized, scsi.ActiveOptimized)
		busyFor(t, d, 1, 200)
		c.states(scsi.Transitioning, scsi.Transitioning)
		time.Sleep(20 * time.Millisecond)
		c.states(scsi.ActiveOptimized, scsi.ActiveNonOptimized)
	}
	busyFor(t, d, 0, 200)
	stop()
	if d.Paths()[0].Retries == 0 {
		t.Fatal("no command met a transition")
	}
}

func TestASilentControllerIsGivenUp(t *testing.T) {
	const pathTimeout = 300 * time.Millisecond
	c := newCluster(t)
	px := newProxy(t, c.controllers[0].portal.String())
	d := c.open(func(cfg *multipath.Config) {
		cfg.Paths[0].Portal = px.listener.Addr().String()
		cfg.PathTimeout = pathTimeout
	})
	stop := load(t, d)
	busyFor(t, d, 0, 200)
	px.freeze(true)
	busyFor(t, d, 1, 200)
	px.freeze(false)
	busyFor(t, d, 0, 200)
	if r := stop(); r.MaxPause < pathTimeout/2 || r.MaxPause > 10*pathTimeout {
		t.Fatalf("with a path timeout of %v the pause was %v", pathTimeout, r.MaxPause)
	}
}

// While the old path's session lives, a write may not be sent over another
// path before the target has aborted it.
func TestAWriteIsAbortedBeforeItIsSentAgain(t *testing.T) {
	c := newCluster(t)
	var mu sync.Mutex
	var story []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		story = append(story, what)
	}
	d := c.open(func(c *multipath.Config) { c.TaskTimeout = 100 * time.Millisecond })
	if err := d.WriteAt(t.Context(), block0(0), 0); err != nil {
		t.Fatal(err)
	}
	first := c.controllers[0].unit
	first.do(func(t *lun.Task) bool {
		if scsi.CDB(t.CDB).OpCode() != 0x8a {
			return false
		}
		note("write held")
		go func() {
			// It ends only by being aborted; then the path is lost to others.
			for {
				first.mu.Lock()
				held := len(first.held)
				first.mu.Unlock()
				if held == 0 {
					note("write aborted")
					c.states(scsi.Standby, scsi.ActiveOptimized)
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
		return first.hold(t)
	})
	c.controllers[1].unit.do(func(t *lun.Task) bool {
		if scsi.CDB(t.CDB).OpCode() == 0x8a {
			note("write on the other path")
		}
		return false
	})
	if err := d.WriteAt(t.Context(), block0(1), 0); err != nil {
		t.Fatal(err)
	}
	first.do(nil)
	mu.Lock()
	defer mu.Unlock()
	// A unit attention may make the write on the other path go out twice.
	if got := strings.Join(slices.Compact(story), ", "); got != "write held, write aborted, write on the other path" {
		t.Fatalf("the story was: %s", got)
	}
}

func TestBusyAndFullAreTriedAgain(t *testing.T) {
	for _, status := range []scsi.Status{scsi.StatusBusy, scsi.StatusTaskSetFull, scsi.StatusTaskAborted} {
		t.Run(status.String(), func(t *testing.T) {
			c := newCluster(t)
			d := c.open(nil)
			var refused atomic.Int64
			c.controllers[0].unit.do(func(t *lun.Task) bool {
				if refused.Add(1) > 5 {
					return false
				}
				t.Status = status
				t.Transport.CommandComplete(t)
				return true
			})
			if err := d.WriteAt(t.Context(), block0(1), 0); err != nil {
				t.Fatal(err)
			}
			if p := d.Paths()[0]; p.Retries < 5 || p.Failures != 0 {
				t.Fatalf("statistics %+v", p)
			}
		})
	}
}

func TestHardErrorsAreReturnedAtOnceAndCounted(t *testing.T) {
	c := newCluster(t)
	d := c.open(nil)
	c.device.fail(errors.New("the disk is broken"))
	err := d.ReadAt(t.Context(), make([]byte, 512), 0)
	if !multipath.IsHard(err) {
		t.Fatalf("a broken disk reads as %v", err)
	}
	if p := d.Paths()[0]; p.HardErrors != 1 || p.Failures != 1 || p.Retries > 2 {
		t.Fatalf("statistics %+v", p)
	}
	c.device.fail(nil)
	if err := d.ReadAt(t.Context(), make([]byte, 512), 0); err != nil {
		t.Fatal(err)
	}
}

func TestAPathToAnotherLogicalUnitIsNotUsed(t *testing.T) {
	c := newClusterOf(t, scsi.Identify("test", targetName, 0), scsi.Identify("test", targetName, 1))
	d, err := multipath.Open(t.Context(), multipath.Config{Paths: []initiator.Config{path(c.controllers[0].portal.String())}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	both, err := multipath.Open(t.Context(), multipath.Config{Paths: []initiator.Config{
		path(c.controllers[0].portal.String()), path(c.controllers[1].portal.String()),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = both.Close() }()
	until(t, "a path is refused", func() bool {
		p := both.Paths()
		return p[0].Up != p[1].Up && (errors.Is(p[0].Err, multipath.ErrOtherLogicalUnit) || errors.Is(p[1].Err, multipath.ErrOtherLogicalUnit))
	})
}

func TestWithoutAPathCommandsWaitAndThenFail(t *testing.T) {
	c := newCluster(t)
	d := c.open(func(c *multipath.Config) { c.QueueTimeout = 300 * time.Millisecond })
	c.states(scsi.Standby, scsi.Unavailable)
	began := time.Now()
	err := d.WriteAt(t.Context(), block0(1), 0)
	if !errors.Is(err, multipath.ErrQueueTimeout) || time.Since(began) < 300*time.Millisecond {
		t.Fatalf("after %v: %v", time.Since(began), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := d.WriteAt(ctx, block0(1), 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a write whose context ended: %v", err)
	}
	c.states(scsi.ActiveOptimized, scsi.ActiveNonOptimized)
	if err := d.WriteAt(t.Context(), block0(1), 0); err != nil {
		t.Fatal(err)
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	c := newCluster(t)
	d := c.open(nil)
	held := make(chan struct{})
	c.controllers[0].unit.do(func(t *lun.Task) bool {
		defer close(held)
		return c.controllers[0].unit.hold(t)
	})
	ended := make(chan error, 1)
	go func() { ended <- d.WriteAt(context.Background(), block0(1), 0) }()
	<-held
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, multipath.ErrClosed) {
		t.Fatalf("the write of a closed disk ended with %v", err)
	}
	if err := d.ReadAt(t.Context(), make([]byte, 512), 0); !errors.Is(err, multipath.ErrClosed) {
		t.Fatalf("a read of a closed disk: %v", err)
	}
}

func TestLongTransfersAreSeveralCommands(t *testing.T) {
	d := newCluster(t).open(nil)
	want := make([]byte, 3<<20)
	for i := range want {
		want[i] = byte(rand.Uint32())
	}
	got := make([]byte, len(want))
	if err := d.WriteAt(t.Context(), want, 512); err != nil {
		t.Fatal(err)
	}
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Via(1).ReadAt(t.Context(), got, 512); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("what was written over one path is not what is read over the other")
	}
	if p := d.Paths(); p[0].Writes != 3 || p[1].Reads != 3 {
		t.Fatalf("statistics %+v", p)
	}
}

func TestBadRangesAreRefused(t *testing.T) {
	d := newCluster(t).open(nil)
	if d.Size() != diskSize || d.BlockLength() != 512 {
		t.Fatalf("%d bytes in blocks of %d", d.Size(), d.BlockLength())
	}
	for _, r := range []struct {
		n   int
		off int64
	}{{512, -512}, {512, 100}, {100, 0}, {0, 0}, {512, diskSize}, {1024, diskSize - 512}} {
		if err := d.ReadAt(t.Context(), make([]byte, r.n), r.off); err == nil {
			t.Errorf("%d bytes at %d were read", r.n, r.off)
		}
	}
}

func TestBadConfigsAreRefused(t *testing.T) {
	for name, c := range map[string]multipath.Config{
		"no path":        {},
		"too many paths": {Paths: make([]initiator.Config, multipath.MaxPaths+1)},
		"negative time":  {Paths: make([]initiator.Config, 1), PathTimeout: -1},
	} {
		if _, err := multipath.Open(t.Context(), c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := multipath.Open(ctx, multipath.Config{Paths: []initiator.Config{path("127.0.0.1:1")}}); err == nil || !strings.Contains(err.Error(), "connect to portal 127.0.0.1:1") {
		t.Errorf("without a target: %v", err)
	}
}
