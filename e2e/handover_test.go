package e2e

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/initiator/multipath"
	"github.com/tandem-san/tandem/scsi"
	"github.com/tandem-san/tandem/workload"
)

var handovers = flag.Int("handovers", 4, "how many handovers of each kind are made under a workload")

// maxHandoverPause is how long a client may wait during a handover. The goal is
// 200 ms on a machine of its own; tests share theirs.
const maxHandoverPause = time.Second

// planned are the ways to move the logical unit, or to end its primary, that
// fail no command. Each moves it from one controller to the other.
var planned = []struct {
	name string
	move func(t *testing.T, p *pair, from, to *controller)
}{
	{"promote", func(t *testing.T, _ *pair, _, to *controller) {
		succeed(t, tandem, "promote", lunName, "--socket", to.socket)
	}},
	{"drain", func(t *testing.T, _ *pair, from, to *controller) {
		contains(t, succeed(t, tandem, "drain", "--socket", from.socket), fmt.Sprintf("controller %d is drained", from.id))
		contains(t, succeed(t, tandem, "status", "--socket", to.socket), fmt.Sprintf("link to controller %d (drained)", from.id))
		contains(t, succeed(t, tandem, "undrain", fmt.Sprint(from.id), "--socket", to.socket), fmt.Sprintf("controller %d may serve again", from.id))
	}},
	{"SET TARGET PORT GROUPS", func(t *testing.T, p *pair, from, to *controller) {
		setPortGroups(t, p, from, to)
	}},
	{"SIGTERM", func(t *testing.T, _ *pair, from, _ *controller) {
		if code := from.terminate(t); code != 0 {
			t.Errorf("controller %d ended with status %d", from.id, code)
		}
		from.start(t)
	}},
}

func TestPlannedMovesUnderAWorkloadFailNoCommand(t *testing.T) {
	for _, way := range planned {
		t.Run(way.name, func(t *testing.T) {
			p := startPair(t)
			disk := p.multipath(t)
			from, to := p.a, p.b
			var pauses []time.Duration
			for range *handovers {
				pauses = append(pauses, busyWhile(t, disk, func() { way.move(t, p, from, to) }))
				to.awaitRole(t, "primary")
				from.awaitRole(t, "secondary")
				eventually(t, "both are candidates", func() bool { return to.candidates(t) == 2 })
				from, to = to, from
			}
			slices.Sort(pauses)
			t.Logf("%s: %d times, longest pause of a client: median %v, worst %v", way.name, len(pauses), pauses[len(pauses)/2], pauses[len(pauses)-1])
			if worst := pauses[len(pauses)-1]; worst > maxHandoverPause {
				t.Errorf("a pause of %v", worst)
			}
		})
	}
}

// candidates is how many controllers may take the logical unit over.
func (c *controller) candidates(t *testing.T) int {
	t.Helper()
	var s struct {
		LUNs []struct {
			Candidates []int `json:"candidates"`
		} `json:"luns"`
	}
	decode(t, succeed(t, tandem, "status", "--json", "--socket", c.socket), &s)
	return len(s.LUNs[0].Candidates)
}

// multipath logs in to both controllers.
func (p *pair) multipath(t *testing.T) *multipath.Disk { return p.through(t, p.a, p.b) }

// through is a disk over the paths to some controllers.
func (p *pair) through(t *testing.T, controllers ...*controller) *multipath.Disk {
	t.Helper()
	cfg := multipath.Config{Policy: multipath.Spread, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, c := range controllers {
		cfg.Paths = append(cfg.Paths, p.path(c))
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
	return disk
}

// path is a session with a controller.
func (p *pair) path(c *controller) initiator.Config {
	return initiator.Config{Portal: c.portal, TargetName: p.target, InitiatorName: "iqn.2026-11.test:handover"}
}

// busyWhile keeps the disk busy while something happens and a moment longer, and
// answers the longest pause. Nothing may fail, and every acknowledged write is
// there in the end.
func busyWhile(t *testing.T, disk *multipath.Disk, happens func()) time.Duration {
	t.Helper()
	w, err := workload.New(disk, workload.Config{
		Slots: 256, SlotSize: 4096, Workers: 8, ReadPercent: 50,
		Run: rand.Uint64() | 1, Seed: rand.Uint64(), Hard: multipath.IsHard,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- w.Run(t.Context(), stop) }()
	time.Sleep(100 * time.Millisecond)
	happens()
	time.Sleep(200 * time.Millisecond)
	close(stop)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	r := w.Result() // before Verify, whose reads are no part of it
	if err := w.Verify(t.Context(), disk); err != nil {
		t.Fatal(err)
	}
	if v := w.Result(); !v.Good() || v.AckedWrites == 0 || v.VerifiedReads == 0 {
		t.Errorf("%+v", v)
	}
	return r.MaxPause
}

// setPortGroups asks, through the controller that does not serve, that its ports
// become active/optimized, as an initiator does whose other paths are gone.
func setPortGroups(t *testing.T, p *pair, _, to *controller) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cfg := p.path(to)
	cfg.InitiatorName += "-alua"
	session, err := initiator.Dial(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	list := scsi.AppendSetPortGroups(nil, []scsi.GroupState{{Group: uint16(to.id) + 1, State: scsi.ActiveOptimized}})
	for {
		task := initiator.Task{DataOut: list}
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
