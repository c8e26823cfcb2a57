package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/initiator/multipath"
	"github.com/tandem-san/tandem/scsi"
	"github.com/tandem-san/tandem/workload"
)

// group is a cluster of any number of controllers, each of which is the home of
// as many logical units as the others.
type group struct {
	dir         string
	target      string
	witnesses   []string // their configurations
	controllers []*controller
	luns        []string // names, in the order of their numbers
}

// unitStatus is what `tandem status --json` tells of a logical unit.
type unitStatus struct {
	lunJSON
	Candidates []int `json:"candidates"`
}

// newGroup writes a cluster and starts nothing.
func newGroup(t *testing.T, controllers, lunsEach int, args ...string) *group {
	t.Helper()
	g := &group{dir: folder(t)}
	args = append([]string{"init", "--loopback", "--dir", filepath.Join(g.dir, "out")}, args...)
	for id := 1; id <= controllers; id++ {
		args = append(args, "--node", fmt.Sprintf("%d=127.0.0.1", id))
		for i := range lunsEach {
			name := fmt.Sprintf("lun%d-%d", id, i)
			args = append(args, "--lun", fmt.Sprintf("%s=%s,size=%d,home=%d", name, filepath.Join(g.dir, name+".img"), 4*mib, id))
			g.luns = append(g.luns, name)
		}
	}
	var portals []string
	for line := range strings.Lines(succeed(t, tandem, args...)) {
		if f := strings.Fields(line); len(f) > 3 && strings.HasPrefix(line, "Then initiators log in to") {
			g.target, portals = f[5], f[7:]
		} else if strings.Contains(line, "tandem witness -c") {
			g.witnesses = append(g.witnesses, f[3])
		}
	}
	if len(portals) != controllers {
		t.Fatalf("init does not say where to log in: %q", portals)
	}
	for i, portal := range portals {
		id := fmt.Sprint(i + 1)
		own := filepath.Join(g.dir, "out", id)
		g.controllers = append(g.controllers, &controller{
			id: i + 1, dir: own, config: filepath.Join(own, "ctl.conf"), portal: portal, target: g.target,
			socket: filepath.Join(g.dir, "out", "run", id+".sock"),
		})
	}
	return g
}

// start starts all and waits until each logical unit is served at its home and
// every controller may take it over.
func (g *group) start(t *testing.T) {
	t.Helper()
	for _, w := range g.witnesses {
		start(t, tandem, "witness", "-c", w)
	}
	for _, c := range g.controllers {
		c.launch(t)
	}
	for _, c := range g.controllers {
		c.awaitLine(t, "msg=ready")
	}
	g.await(t, "every logical unit is at its home", func(lun string, primary int) bool {
		return strings.HasPrefix(lun, fmt.Sprintf("lun%d-", primary))
	}, g.controllers...)
}

// await waits until these controllers, the only ones that run, agree about every
// logical unit: each of them may serve it, and the one that does is good.
func (g *group) await(t *testing.T, what string, good func(lun string, primary int) bool, running ...*controller) {
	t.Helper()
	var seen []string
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s: last seen\n%s", what, strings.Join(seen, "\n"))
		}
	})
	var candidates []int
	for _, c := range running {
		candidates = append(candidates, c.id)
	}
	eventually(t, what, func() bool {
		seen = seen[:0]
		all := true
		primaries := map[string]int{}
		for _, c := range running {
			units := c.units(t)
			for _, u := range units {
				seen = append(seen, fmt.Sprintf("at %d: %+v", c.id, u))
				if primaries[u.Name] == 0 {
					primaries[u.Name] = u.Primary
				}
				all = all && u.Primary == primaries[u.Name] && u.Serving == (u.Primary == c.id) &&
					slices.Equal(u.Candidates, candidates) && good(u.Name, u.Primary)
			}
			all = all && len(units) == len(g.luns)
		}
		return all
	})
}

// units is how a controller sees all logical units.
func (c *controller) units(t *testing.T) []unitStatus {
	t.Helper()
	var s struct {
		LUNs []unitStatus `json:"luns"`
	}
	decode(t, succeed(t, tandem, "status", "--json", "--socket", c.socket), &s)
	return s.LUNs
}

// load is a workload on every logical unit, each over a path to every controller.
type load struct {
	t     *testing.T
	disks []*multipath.Disk
	works []*workload.Workload
	luns  []string
	stop  chan struct{}
	group sync.WaitGroup
}

// load starts one. What it wrote is verified when it ends.
func (g *group) load(t *testing.T) *load {
	t.Helper()
	l := &load{t: t, luns: g.luns, stop: make(chan struct{})}
	for i := range g.luns {
		cfg := multipath.Config{LUN: iscsi.NewLUN(uint16(i)), Policy: multipath.Spread, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
		for _, c := range g.controllers {
			cfg.Paths = append(cfg.Paths, initiator.Config{Portal: c.portal, TargetName: g.target, InitiatorName: "iqn.2026-11.test:group"})
		}
		disk, err := multipath.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := disk.Close(); err != nil {
				t.Error(err)
			}
		})
		w, err := workload.New(disk, workload.Config{
			Slots: 64, SlotSize: 4096, Workers: 4, ReadPercent: 50,
			Run: rand.Uint64() | 1, Seed: rand.Uint64(), Hard: multipath.IsHard,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Fill(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.disks, l.works = append(l.disks, disk), append(l.works, w)
	}
	for _, w := range l.works {
		l.group.Go(func() { _ = w.Run(t.Context(), l.stop) }) // ends with the test
	}
	return l
}

// goesOn waits until every logical unit has taken writes once more.
func (l *load) goesOn() {
	l.t.Helper()
	var before []uint64
	for _, w := range l.works {
		before = append(before, w.Result().AckedWrites)
	}
	eventually(l.t, "the workload goes on", func() bool {
		for i, w := range l.works {
			if w.Result().AckedWrites < before[i]+10 {
				return false
			}
		}
		return true
	})
}

// end stops the workload and demands that nothing is lost and nothing failed. It
// returns the longest pause of each logical unit.
func (l *load) end() (pauses []time.Duration) {
	l.t.Helper()
	close(l.stop)
	l.group.Wait()
	for i, w := range l.works {
		pauses = append(pauses, w.Result().MaxPause)
		if err := w.Verify(l.t.Context(), l.disks[i]); err != nil {
			l.t.Fatal(err)
		}
		if r := w.Result(); !r.Good() || r.AckedWrites == 0 {
			l.t.Errorf("%s: %+v", l.luns[i], r)
		}
	}
	return pauses
}

func TestOfThreeControllersTheLastServesAll(t *testing.T) {
	for _, mode := range []string{"active-active-forward", "active-active", "active-standby"} {
		t.Run(mode, func(t *testing.T) {
			g := newGroup(t, 3, 1, "--mode", mode)
			g.start(t)
			one, two, three := g.controllers[0], g.controllers[1], g.controllers[2]
			l := g.load(t)
			one.kill(t)
			g.await(t, "two controllers serve", func(lun string, primary int) bool {
				return lun == "lun1-0" || lun == fmt.Sprintf("lun%d-0", primary)
			}, two, three)
			l.goesOn()
			two.kill(t)
			g.await(t, "one controller serves all", func(string, int) bool { return true }, three)
			l.goesOn()
			one.start(t)
			two.start(t)
			g.await(t, "three controllers may serve", func(_ string, primary int) bool { return primary == 3 }, g.controllers...)
			three.kill(t)
			g.await(t, "those that came back serve", func(string, int) bool { return true }, one, two)
			l.goesOn()
			t.Logf("longest pauses: %v", l.end())
		})
	}
}

func TestPlannedMovesAmongThreeControllersFailNoCommand(t *testing.T) {
	g := newGroup(t, 3, 1)
	g.start(t)
	one, two, three := g.controllers[0], g.controllers[1], g.controllers[2]
	l := g.load(t)
	at := func(where map[string]int) func(string, int) bool {
		return func(lun string, primary int) bool { return where[lun] == 0 || where[lun] == primary }
	}

	contains(t, succeed(t, tandem, "drain", "--socket", one.socket), "controller 1 is drained")
	g.await(t, "controller 1 serves nothing", func(_ string, primary int) bool { return primary != 1 }, g.controllers...)
	contains(t, succeed(t, tandem, "drain", "2", "--socket", three.socket), "controller 2 is drained")
	g.await(t, "controller 3 serves all", func(_ string, primary int) bool { return primary == 3 }, g.controllers...)
	for _, c := range []*controller{two, three} {
		text := succeed(t, tandem, "status", "--socket", c.socket)
		contains(t, text, "link to controller 1 (drained)", "members 1 2 3 w w2")
	}
	if r := run(t, tandem, "promote", "lun1-0", "--socket", one.socket); r.code == 0 || !strings.Contains(r.stderr, "drained") {
		t.Errorf("a drained controller was promoted: %d, %s", r.code, r.stderr)
	}
	succeed(t, tandem, "undrain", "1", "--socket", two.socket)
	succeed(t, tandem, "undrain", "--socket", two.socket)

	succeed(t, tandem, "promote", "lun2-0", "--socket", two.socket)
	g.await(t, "it is promoted", at(map[string]int{"lun2-0": 2, "lun3-0": 3}), g.controllers...)

	// Each asks through the path to a controller that neither serves nor shall.
	g.setPortGroups(t, two, "lun1-0", one)
	g.setPortGroups(t, one, "lun2-0", three)
	g.setPortGroups(t, one, "lun3-0", two)
	g.await(t, "the ports that were asked for are active", at(map[string]int{"lun1-0": 1, "lun2-0": 3, "lun3-0": 2}), g.controllers...)
	l.goesOn()

	if code := two.terminate(t); code != 0 {
		t.Errorf("controller 2 ended with status %d", code)
	}
	g.await(t, "the others serve", at(map[string]int{"lun1-0": 1, "lun2-0": 3}), one, three)
	l.goesOn()
	two.start(t)
	g.await(t, "all may serve", func(string, int) bool { return true }, g.controllers...)
	pauses := l.end()
	t.Logf("longest pauses: %v", pauses)
	if worst := slices.Max(pauses); worst > maxHandoverPause {
		t.Errorf("a pause of %v", worst)
	}
}

// setPortGroups asks, through one controller, that the ports of another become
// active/optimized for a logical unit.
func (g *group) setPortGroups(t *testing.T, through *controller, lun string, to *controller) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	session, err := initiator.Dial(ctx, initiator.Config{Portal: through.portal, TargetName: g.target, InitiatorName: "iqn.2026-11.test:group-alua"})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	list := scsi.AppendSetPortGroups(nil, []scsi.GroupState{{Group: uint16(to.id) + 1, State: scsi.ActiveOptimized}})
	for {
		task := initiator.Task{LUN: iscsi.NewLUN(uint16(slices.Index(g.luns, lun))), DataOut: list}
		copy(task.CDB[:], []byte{0xA4, 0x0A, 0, 0, 0, 0, 0, 0, 0, byte(len(list)), 0, 0})
		err := session.Do(ctx, &task)
		if task.Status == scsi.StatusCheckCondition && task.Sense.Key == scsi.UnitAttention {
			continue
		}
		if err != nil {
			t.Fatalf("SET TARGET PORT GROUPS: %v", err)
		}
		return
	}
}

func TestEightControllersServeAndOneMayDie(t *testing.T) {
	g := newGroup(t, 8, 1)
	g.start(t)
	l := g.load(t)
	g.controllers[3].kill(t)
	g.await(t, "seven serve all", func(string, int) bool { return true }, slices.Delete(slices.Clone(g.controllers), 3, 4)...)
	l.goesOn()
	t.Logf("longest pauses: %v", l.end())
}
