package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tandem-san/tandem/ctlconf"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/initiator/multipath"
	"github.com/tandem-san/tandem/scsi"
	"github.com/tandem-san/tandem/workload"
)

// The workload: half reads, half writes, of blocks spread over the disk.
const (
	slots       = 2048
	slotSize    = 4096
	workers     = 8
	readPercent = 50
)

// initiatorName is who logs in.
const initiatorName = "iqn.2026-01.san.tandem:demo-initiator"

// How long things may take.
const (
	pathTimeout    = time.Second      // of the initiator; the lease is 500 ms
	queueTimeout   = 20 * time.Second // of a command
	recoveryTime   = 30 * time.Second // from the fault until both paths are usable
	reviveEvery    = 500 * time.Millisecond
	verifyTime     = 30 * time.Second
	settleTime     = 500 * time.Millisecond
	minAfter       = 2 * time.Second // of workload after the recovery
	openTime       = 10 * time.Second
	downtimeShare  = 5 // a killed controller stays away for a fifth of the duration,
	minDowntime    = time.Second
	maxDowntime    = 3 * time.Second
	stopTime       = 3 * time.Second // of SIGSTOP
	faultFraction  = 3               // the fault comes after a third of the duration
	recoveredEvery = 20 * time.Millisecond
)

// Run carries a demonstration out. The error says why it could not be; when
// there is none, the Result says whether it went well. The end of ctx ends
// everything.
func Run(ctx context.Context, o Options) (result Result, err error) {
	o, err = o.complete()
	if err != nil {
		return Result{}, err
	}
	s := &story{out: o.Out}
	c, err := newCluster(o)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	s.say("starting a witness and two controllers in %s", c.dir)
	if err := c.start(ctx); err != nil {
		return Result{}, err
	}
	d, err := c.open(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = d.Close() }()
	s.say("logged in to both: portals %s and %s, one disk of %d MiB", c.controllers[0].portal, c.controllers[1].portal, d.Size()>>20)
	r := &run{options: o, story: s, cluster: c, disk: d}
	if err := r.carryOut(ctx); err != nil {
		return Result{}, err
	}
	fmt.Fprint(o.Out, r.result.summary())
	return r.result, nil
}

// open logs in to both controllers and waits until both paths are usable.
func (c *cluster) open(ctx context.Context, o Options) (*multipath.Disk, error) {
	cfg := multipath.Config{PathTimeout: pathTimeout, QueueTimeout: queueTimeout}
	if o.Mode != int(ctlconf.ActiveStandby) {
		cfg.Policy = multipath.Spread // both controllers serve: use both
	}
	for _, x := range c.controllers {
		cfg.Paths = append(cfg.Paths, initiator.Config{
			Portal: x.portal, TargetName: c.setup.Target, InitiatorName: initiatorName,
		})
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	d, err := multipath.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := waitUsable(ctx, d, o.Mode); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// run is a demonstration under way.
type run struct {
	options  Options
	story    *story
	cluster  *cluster
	disk     *multipath.Disk
	workload *workload.Workload
	result   Result

	began                time.Time // the round
	faultAt, recoveredAt time.Time
}

// carryOut works, breaks, mends, verifies, and leaves the result.
func (r *run) carryOut(ctx context.Context) error {
	w, err := workload.New(r.disk, workload.Config{
		Slots: slots, SlotSize: slotSize, Workers: workers, ReadPercent: readPercent, Rest: r.options.Rest,
		Run: rand.Uint64() | 1, Seed: rand.Uint64(), Hard: multipath.IsHard,
	})
	if err != nil {
		return err
	}
	r.workload = w
	if err := w.Fill(ctx); err != nil {
		return fmt.Errorf("write every block once: %w", err)
	}
	r.story.begin()
	if err := r.work(ctx); err != nil {
		return err
	}
	if err := r.verify(ctx); err != nil {
		return err
	}
	r.conclude()
	return nil
}

// work runs the workload, with the fault in the middle of each round.
func (r *run) work(ctx context.Context) error {
	live, quiet := context.WithCancel(ctx)
	stop := make(chan struct{})
	watched, worked := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(watched)
		r.story.live(live, r.cluster, r.disk)
	}()
	go func() { worked <- r.workload.Run(ctx, stop) }()
	err := r.rounds(ctx)
	close(stop)
	err = errors.Join(err, <-worked)
	quiet()
	<-watched
	return err
}

// rounds breaks and mends as often as it was asked to, unless the service stays
// away.
func (r *run) rounds(ctx context.Context) error {
	for i := range r.options.Rounds {
		if r.options.Rounds > 1 {
			r.story.say("--- round %d of %d", i+1, r.options.Rounds)
		}
		r.began = time.Now()
		if err := r.disturb(ctx); err != nil {
			return err
		}
		if err := r.finishTime(ctx, i == r.options.Rounds-1); err != nil {
			return err
		}
		r.result.PausesMS = append(r.result.PausesMS, r.workload.TakePause().Milliseconds())
		if !r.result.Recovered {
			break
		}
	}
	return nil
}

// finishTime waits until the duration of the round is over and, in the last one,
// long enough after the recovery to see that all is well.
func (r *run) finishTime(ctx context.Context, last bool) error {
	end := r.began.Add(r.options.Duration)
	if least := r.recoveredAt.Add(settleTime + minAfter); last && end.Before(least) {
		end = least
	}
	return pause(ctx, time.Until(end))
}

// verify reads every block, over both paths and, where both serve, over each
// alone.
func (r *run) verify(ctx context.Context) error {
	r.result.IOPSBefore = r.workload.Rate(r.began.Add(settleTime), r.faultAt)
	r.result.IOPSAfter = r.workload.Rate(r.recoveredAt.Add(settleTime), time.Now())
	r.story.say("verifying every block")
	limited, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	disks := []workload.Disk{r.disk}
	if r.options.Mode != int(ctlconf.ActiveStandby) && r.result.Recovered {
		disks = []workload.Disk{r.disk.Via(0), r.disk.Via(1)}
	}
	for _, d := range disks {
		// A failure is in the result; only the end of ctx ends the demonstration.
		if err := r.workload.Verify(limited, d); err != nil && ctx.Err() != nil {
			return err
		} else if err != nil {
			r.result.Violations = append(r.result.Violations, err.Error())
		}
	}
	return nil
}

// conclude makes the result.
func (r *run) conclude() {
	w := r.workload.Result()
	unverified := len(r.result.Violations) > 0
	r.result = Result{
		Fault:         r.options.Fault,
		Mode:          r.options.Mode,
		AckedWrites:   w.AckedWrites,
		VerifiedReads: w.VerifiedReads,
		LostWrites:    w.LostWrites,
		StaleReads:    w.StaleReads,
		CorruptReads:  w.CorruptReads,
		HardErrors:    w.HardErrors,
		FailedOps:     w.FailedOps,
		PausesMS:      r.result.PausesMS,
		MedianPauseMS: median(r.result.PausesMS),
		MaxPauseMS:    w.MaxPause.Milliseconds(),
		IOPSBefore:    r.result.IOPSBefore,
		IOPSAfter:     r.result.IOPSAfter,
		RecoveryMS:    r.recoveredAt.Sub(r.faultAt).Milliseconds(),
		Recovered:     r.result.Recovered,
		Violations:    append(r.result.Violations, w.Violations...),
	}
	r.result.OK = w.Good() && !unverified && r.result.Recovered && w.AckedWrites > 0 && r.result.IOPSAfter > 0
}

// waitUsable waits until every path is connected and in a state of its mode,
// and one of them is optimized.
func waitUsable(ctx context.Context, d *multipath.Disk, mode int) error {
	for {
		paths := d.Paths()
		if usable(paths, mode) {
			return nil
		}
		if err := pause(ctx, recoveredEvery); err != nil {
			var why []error
			for _, p := range paths {
				if !p.Up && p.Err != nil {
					why = append(why, p.Err)
				} else {
					why = append(why, fmt.Errorf("path %s is %v", p.Portal, p.State))
				}
			}
			return fmt.Errorf("not every path is usable: %w", errors.Join(append(why, err)...))
		}
	}
}

func usable(paths []multipath.PathStats, mode int) bool {
	optimized := false
	for _, p := range paths {
		switch {
		case !p.Up:
			return false
		case p.State == scsi.ActiveOptimized:
			optimized = true
		case p.State.Active():
		case p.State == scsi.Standby && mode == 0:
		default:
			return false
		}
	}
	return optimized
}

// pause waits for d or the end of ctx, which is the error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
