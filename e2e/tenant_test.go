package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/initiator/multipath"
	"github.com/tandem-san/tandem/scsi"
	"github.com/tandem-san/tandem/workload"
)

// tenant is a host that uses several logical units over one session with each
// controller. (A multipath.Disk has sessions of its own for each logical unit.)
type tenant struct {
	paths []*tenantPath
	units []*tenantUnit
}

// tenantPath is the session with one controller. It is made again when it is
// lost.
type tenantPath struct {
	id      int // of the controller
	cfg     initiator.Config
	mu      sync.Mutex
	session *initiator.Session
}

func (p *tenantPath) current() *initiator.Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session
}

// run keeps the session up until ctx ends.
func (p *tenantPath) run(ctx context.Context) {
	for ctx.Err() == nil {
		s, err := initiator.Dial(ctx, p.cfg)
		if err == nil {
			p.mu.Lock()
			p.session = s
			p.mu.Unlock()
			select {
			case <-s.Done():
			case <-s.Ending():
			case <-ctx.Done():
			}
			p.mu.Lock()
			p.session = nil
			p.mu.Unlock()
			s.Close()
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// awaitPaths waits until the host reaches both controllers.
func (h *tenant) awaitPaths(t *testing.T) {
	t.Helper()
	for _, p := range h.paths {
		eventually(t, fmt.Sprintf("%s is logged in at controller %d", p.cfg.InitiatorName, p.id), func() bool { return p.current() != nil })
	}
}

// tenantPace is how often a logical unit is used while nothing happens, so that
// the hosts leave some of the processor to the controllers.
const tenantPace = time.Second

// tenantUnit is one logical unit of a host. It implements workload.Disk for one
// worker.
type tenantUnit struct {
	host *tenant
	lun  uint16
	work *workload.Workload
	path int // used last

	mu       sync.Mutex
	kick     chan struct{} // closed when the next command is due at once
	survivor int           // the controller whose answer counts
	from     time.Time     // only of writes that began after it; zero: of none
	at       time.Time     // of the first such answer
	longest  time.Duration // any command took
}

// measure starts a measurement of how long it is without service.
func (u *tenantUnit) measure(survivor int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.survivor, u.from, u.at, u.longest = survivor, time.Time{}, time.Time{}, 0
}

// hurry lets commands follow each other until a write counts: one that begins
// after now.
func (u *tenantUnit) hurry(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.from = now
	close(u.kick)
}

// await waits for the first write that counts and returns when it was done, and
// how long the longest command took.
func (u *tenantUnit) await(t *testing.T) (at time.Time, longest time.Duration) {
	t.Helper()
	eventually(t, fmt.Sprintf("logical unit %d is written to through controller %d", u.lun, u.survivor), func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		at, longest = u.at, u.longest
		return !at.IsZero()
	})
	return at, longest
}

// rest waits until the next command is due.
func (u *tenantUnit) rest(ctx context.Context) {
	u.mu.Lock()
	kick := u.kick
	u.mu.Unlock()
	select {
	case <-time.After(tenantPace/2 + rand.N(tenantPace)):
	case <-kick:
	case <-ctx.Done():
	}
}

// ended notes a command.
func (u *tenantUnit) ended(write bool, path int, began time.Time) {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.longest = max(u.longest, now.Sub(began))
	if write && !u.from.IsZero() && u.at.IsZero() && began.After(u.from) && path == u.survivor {
		u.at = now
		u.kick = make(chan struct{})
	}
}

// ReadAt implements workload.Disk.
func (u *tenantUnit) ReadAt(ctx context.Context, p []byte, off int64) error {
	return u.do(ctx, false, func(l *initiator.LogicalUnit) error {
		return l.Read(ctx, uint64(off/512), uint32(len(p)/512), p)
	})
}

// WriteAt implements workload.Disk.
func (u *tenantUnit) WriteAt(ctx context.Context, p []byte, off int64) error {
	return u.do(ctx, true, func(l *initiator.LogicalUnit) error {
		return l.Write(ctx, uint64(off/512), uint32(len(p)/512), p)
	})
}

// do sends a command through both controllers in turn and, when one cannot
// carry it out now, through the other.
func (u *tenantUnit) do(ctx context.Context, write bool, send func(*initiator.LogicalUnit) error) error {
	u.rest(ctx)
	began := time.Now()
	for tries := 0; ; tries++ {
		u.path = (u.path + 1) % len(u.host.paths)
		p := u.host.paths[u.path]
		err := initiator.ErrSessionLost
		if s := p.current(); s != nil {
			err = send(s.LogicalUnit(iscsi.NewLUN(u.lun)))
		}
		var status *initiator.StatusError
		switch {
		case err == nil:
			u.ended(write, p.id, began)
			return nil
		case ctx.Err() != nil || multipath.IsHard(err):
			return err
		case errors.As(err, &status) && status.Sense.Key == scsi.UnitAttention:
			u.path += len(u.host.paths) - 1 // the same path again
		case !errors.As(err, &status) && !errors.Is(err, initiator.ErrSessionLost):
			return err
		case errors.As(err, &status) && status.Status == scsi.StatusCheckCondition && status.Sense.Key != scsi.NotReady && status.Sense.Key != scsi.AbortedCommand:
			return err
		}
		if tries >= len(u.host.paths) {
			time.Sleep(min(time.Duration(tries), 20) * time.Millisecond)
		}
		if time.Since(began) > patience {
			return fmt.Errorf("not carried out within %v: %w", patience, err)
		}
	}
}

// login starts the hosts and their work.
func (m *many) login(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var sessions sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		sessions.Wait()
		m.workers.Wait()
	})
	for i := range *manySessions {
		h := &tenant{}
		for _, c := range []*controller{m.a, m.b} {
			p := &tenantPath{id: c.id, cfg: initiator.Config{
				Portal: c.portal, TargetName: m.target, InitiatorName: fmt.Sprintf("iqn.2026-11.test:host%d", i), ISID: initiator.RandomISID(),
			}}
			h.paths = append(h.paths, p)
			sessions.Go(func() { p.run(ctx) })
		}
		for lun := i; lun < *manyUnits; lun += *manySessions {
			h.units = append(h.units, newTenantUnit(t, h, uint16(lun)))
		}
		m.hosts = append(m.hosts, h)
	}
	m.stop = make(chan struct{})
	for _, u := range m.units() {
		m.workers.Go(func() {
			if err := u.work.Fill(ctx); err != nil {
				t.Errorf("logical unit %d: %v", u.lun, err)
				return
			}
			_ = u.work.Run(ctx, m.stop) // it is the end of ctx
		})
	}
}

// newTenantUnit prepares the work on a logical unit: few registers, one command
// at a time.
func newTenantUnit(t *testing.T, h *tenant, lun uint16) *tenantUnit {
	t.Helper()
	u := &tenantUnit{host: h, lun: lun, kick: make(chan struct{})}
	var err error
	u.work, err = workload.New(u, workload.Config{
		Slots: 2, SlotSize: 4096, Workers: 1, ReadPercent: 30,
		Run: rand.Uint64() | 1, Seed: rand.Uint64(), Hard: multipath.IsHard,
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// units are the logical units of all hosts.
func (m *many) units() []*tenantUnit {
	var all []*tenantUnit
	for _, h := range m.hosts {
		all = append(all, h.units...)
	}
	return all
}

// finish ends the work: no command has failed, and everything acknowledged is
// there.
func (m *many) finish(t *testing.T) {
	t.Helper()
	close(m.stop)
	now := time.Now()
	for _, u := range m.units() {
		u.measure(0)
		u.hurry(now)
	}
	m.workers.Wait()
	var writes, reads uint64
	for _, u := range m.units() {
		if err := u.work.Verify(t.Context(), u); err != nil {
			t.Fatalf("logical unit %d: %v", u.lun, err)
		}
		r := u.work.Result()
		if !r.Good() || r.AckedWrites == 0 {
			t.Errorf("logical unit %d: %+v", u.lun, r)
		}
		writes, reads = writes+r.AckedWrites, reads+r.VerifiedReads
	}
	t.Logf("%d writes acknowledged, %d reads verified, none failed", writes, reads)
}
