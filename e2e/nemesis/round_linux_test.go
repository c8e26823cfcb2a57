package nemesis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// shot is what a round is made from.
type shot struct {
	seed        uint64
	mode, nodes int
	length      time.Duration // of the faults
	steps       []step        // the faults; nil: drawn
	fence       string        // "" for one that kills
}

func (s shot) String() string {
	return fmt.Sprintf("seed %d, mode %d, %d controllers", s.seed, s.mode, s.nodes)
}

// replay is the command that runs it again.
func (s shot) replay() string {
	return fmt.Sprintf("go test ./e2e/nemesis -count=1 -v -run TestOneRound -seed %d -mode %d -nodes %d -faults %v", s.seed, s.mode, s.nodes, s.length)
}

// outcome is what became of a round.
type outcome struct {
	violations []string
	dir        string // with all logs, where there are violations
	reads      int
	writes     int
	unanswered int
	faults     [kinds]int
	lives      int           // of all processes
	longest    time.Duration // an operation took
	recovery   time.Duration // from the end of the last fault
}

// tell says in a line what happened.
func (o outcome) tell() string {
	n := 0
	for _, k := range o.faults {
		n += k
	}
	return fmt.Sprintf("%d writes and %d reads, %d without an answer; %d faults, %d process lives; longest operation %.2f s, whole again after %.2f s; %d violations",
		o.writes, o.reads, o.unanswered, n, o.lives, o.longest.Seconds(), o.recovery.Seconds(), len(o.violations))
}

// A round takes no longer than this, faults apart.
const roundTime = 2 * time.Minute

// run runs a round. An error is one of the test's own means.
func (s shot) run(ctx context.Context) (o outcome, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.length+roundTime, errors.New("the round takes too long"))
	defer cancel()
	dir, err := os.MkdirTemp(workplace, "round-")
	if err != nil {
		return o, err
	}
	defer func() {
		if err == nil && len(o.violations) == 0 {
			err = os.RemoveAll(dir)
			return
		}
		o.dir = filepath.Join(*keepFlag, fmt.Sprintf("nemesis-seed-%d-%s", s.seed, filepath.Base(dir)))
		if e := os.Rename(dir, o.dir); e != nil {
			err = errors.Join(err, e)
		} else if err != nil {
			err = fmt.Errorf("%v: %w (see %s)", s, err, o.dir)
		}
	}()
	story, err := os.Create(filepath.Join(dir, "story.txt"))
	if err != nil {
		return o, err
	}
	defer story.Close()
	r := &round{shot: s, story: story, rnd: rand.New(rand.NewPCG(s.seed, uint64(s.mode<<8+s.nodes)))}
	r.say("%v\n%s", s, s.replay())
	err = r.run(ctx, dir)
	o = r.outcome()
	r.say("%s", o.tell())
	for _, v := range o.violations {
		r.say("VIOLATION %s", v)
	}
	if err != nil || len(o.violations) == 0 {
		return o, err
	}
	return o, os.WriteFile(filepath.Join(dir, "history.txt"), []byte(tellAll(r.found.history, r.found.began)), 0o644)
}

// round is a round while it runs.
type round struct {
	shot
	rnd      *rand.Rand
	cluster  *cluster
	found    *record
	clients  []*client
	faults   []step
	recovery time.Duration

	mu    sync.Mutex
	story io.Writer
}

// say writes to the story of the round.
func (r *round) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.story, "%s  %s\n", time.Now().UTC().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

func (r *round) run(ctx context.Context, dir string) (err error) {
	clock := rand.New(rand.NewPCG(r.seed, 1))
	var mu sync.Mutex
	r.cluster, err = newCluster(ctx, dir, options{mode: r.mode, nodes: r.nodes, fence: r.fence, clock: func() int {
		mu.Lock()
		defer mu.Unlock()
		return clock.IntN(1 << 27) // up to four years
	}})
	defer r.cluster.close()
	if err != nil {
		return err
	}
	return r.live(ctx)
}

// startTime is how long a new cluster may take.
const startTime = 30 * time.Second

// live is the round once the processes run.
func (r *round) live(ctx context.Context) error {
	starting, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	r.found = newRecord(r.seed | 1)
	if err := r.cluster.await(starting); err != nil {
		return fmt.Errorf("the cluster does not start: %w", err)
	}
	held, err := take(starting, r.cluster, 0xC0FFEE)
	if err != nil {
		return fmt.Errorf("the reservation: %w", err)
	}
	for id := range hosts {
		x, err := openClient(starting, r.cluster, r.found, id+1)
		if err != nil {
			return err
		}
		defer x.paths.Close()
		r.clients = append(r.clients, x)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, x := range r.clients {
		for w := range workers {
			wg.Go(func() { x.work(ctx, w, rand.New(rand.NewPCG(r.seed, uint64(x.id<<8+w))), stop) })
		}
	}
	wg.Go(func() { held.besiege(ctx, r.found, stop) })
	if r.mode != 0 { // where one path may be a standby one for long
		f := &foreign{cluster: r.cluster, record: r.found, at: r.cluster.controllers[r.rnd.IntN(r.nodes)], rnd: rand.New(rand.NewPCG(r.seed, foreignClient))}
		wg.Go(func() { f.work(ctx, stop) })
	}
	r.faults = r.steps
	if r.faults == nil {
		r.faults = plan(r.rnd, r.nodes, len(r.cluster.witnesses), r.length)
	}
	err = (&villain{cluster: r.cluster, say: r.say}).run(ctx, r.faults)
	if err == nil {
		r.recovers(ctx)
	}
	close(stop)
	wg.Wait()
	if err != nil {
		return err
	}
	r.examine(ctx, held)
	return nil
}

// recovers checks L1: everything serves again, within a bound.
func (r *round) recovers(ctx context.Context) {
	mended := time.Now()
	r.say("all is mended")
	ctx, cancel := context.WithTimeout(ctx, *recoveryTime)
	defer cancel()
	if err := r.cluster.await(ctx); err != nil {
		r.found.violated("the cluster is not whole %v after all was mended: %v", *recoveryTime, err)
		return
	}
	r.say("the cluster is whole")
	// What was begun before may end only now; each client has two workers.
	const enough = 2*workers + 1
	for _, x := range r.clients {
		for from := x.done.Load(); x.done.Load() < from+enough; {
			select {
			case <-ctx.Done():
				r.found.violated("client %d is not served %v after all was mended", x.id, *recoveryTime)
				return
			case <-time.After(pollTime):
			}
		}
	}
	r.recovery = time.Since(mended)
	r.say("every client is served")
}

// examine looks at everything once the clients have come to rest.
func (r *round) examine(ctx context.Context, held *reservation) {
	ctx, cancel := context.WithTimeout(ctx, *recoveryTime)
	defer cancel()
	r.clients[0].readAll(ctx)
	r.clients[0].readForeign(ctx)
	for _, x := range r.cluster.controllers {
		if err := r.cluster.looks(ctx, x); err != nil {
			r.found.violated("libiscsi: %v", err)
		}
		if r.cluster.active(x, dataName) {
			if err := r.found.readWithQEMU(ctx, r.cluster, x); err != nil {
				r.found.violated("libiscsi: %v", err)
			}
		}
	}
	if err := held.holds(ctx); err != nil {
		r.found.violated("the reservation: %v", err)
	}
	for _, m := range r.cluster.members() {
		if err := m.crashed(); err != nil {
			r.found.violated("%v", err)
		}
	}
	for _, v := range judge(r.found.history) {
		r.found.violated("%s", v)
	}
}

// outcome sums up.
func (r *round) outcome() (o outcome) {
	o.recovery = r.recovery
	for _, s := range r.faults {
		o.faults[s.kind]++
	}
	for _, m := range r.cluster.members() {
		m.mu.Lock()
		o.lives += m.lives
		m.mu.Unlock()
	}
	if r.found == nil {
		return o
	}
	r.found.mu.Lock()
	defer r.found.mu.Unlock()
	o.violations, o.longest = slices.Clone(r.found.violations), r.found.longest
	for _, op := range r.found.history {
		switch {
		case op.end == never:
			o.unanswered++
		case op.write:
			o.writes++
		default:
			o.reads++
		}
	}
	return o
}

// check runs a round as a test.
func (s shot) check(t *testing.T) {
	t.Helper()
	t.Logf("%v; again with: %s", s, s.replay())
	o, err := s.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(o.tell())
	if len(o.violations) > 0 {
		story, _ := os.ReadFile(filepath.Join(o.dir, "story.txt"))
		t.Errorf("%v\n%s\nlogs and story: %s\n%s", s, strings.Join(o.violations, "\n"), o.dir, story)
	}
}

func TestOneRound(t *testing.T) {
	if *seedFlag == 0 {
		t.Skip("for one seed: -seed N [-mode M] [-nodes N]")
	}
	shot{seed: *seedFlag, mode: *modeFlag, nodes: *nodesFlag, length: *faultsFlag}.check(t)
}
