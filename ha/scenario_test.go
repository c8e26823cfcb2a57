package ha

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestScenariosTellTheirStory runs the stories in testdata: each command
// changes the world, then what happened is compared with what is written
// there. Run with -rewrite to write the stories anew, then read the diff.
func TestScenariosTellTheirStory(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "cluster" {
				w = clusterFrom(t, d)
				return ""
			}
			w.t = t
			w.log.Reset()
			if err := w.command(d); err != nil {
				d.Fatalf(t, "%v", err)
			}
			return w.log.String()
		})
	})
}

// clusterFrom makes the world of a story.
func clusterFrom(t *testing.T, d *datadriven.TestData) *world {
	nodes, units, manual := 2, 1, d.HasArg("manual") || d.HasArg("no-arbiter")
	d.MaybeScanArgs(t, "nodes", &nodes)
	var failback string
	d.MaybeScanArgs(t, "failback", &failback)
	hold, err := time.ParseDuration(cmp.Or(failback, "0s"))
	if err != nil {
		t.Fatal(err)
	}
	d.MaybeScanArgs(t, "units", &units)
	var cfg []UnitConfig
	for i := range units {
		cfg = append(cfg, UnitConfig{Name: fmt.Sprintf("lun%d", i), Automatic: !manual, Failback: hold, SecondaryWrites: d.HasArg("mode1")})
	}
	w := newWorld(t, nodes, cfg)
	w.drift = map[NodeID]float64{}
	if d.HasArg("witness") {
		w.members = &members{}
	}
	if d.HasArg("no-arbiter") {
		w.none = &noArbiter{grants: map[NodeID]map[string]Grant{}, begun: map[NodeID]Instant{}}
	}
	return w
}

// command carries out one line of a story: a verb, then node ids, then how
// long to run afterwards ("for=600ms").
func (w *world) command(d *datadriven.TestData) error {
	var ids []NodeID
	run := time.Duration(0)
	for _, a := range d.CmdArgs {
		switch {
		case a.Key == "for":
			v, err := time.ParseDuration(a.Vals[0])
			if err != nil {
				return err
			}
			run = v
		case a.Key == "rate":
			rate, err := strconv.ParseFloat(a.Vals[0], 64)
			if err != nil {
				return err
			}
			w.drift[ids[0]] = rate
		case a.Key == "force":
		default:
			var id NodeID
			if _, err := fmt.Sscan(a.Key, &id); err != nil || w.nodes[id] == nil {
				return fmt.Errorf("%q is not a controller", a.Key)
			}
			ids = append(ids, id)
		}
	}
	if err := w.verb(d, ids); err != nil {
		return err
	}
	w.run(run)
	if strings.TrimSpace(d.Input) == "state" || d.Cmd == "state" {
		w.log.WriteString(w.describe())
	}
	return nil
}

func (w *world) verb(d *datadriven.TestData, ids []NodeID) error {
	switch d.Cmd {
	case "start":
		for _, id := range ids {
			w.start(id)
		}
	case "crash":
		w.crash(ids[0])
	case "pause":
		w.nodes[ids[0]].paused = true
	case "resume":
		w.resume(ids[0])
	case "power-off":
		w.powerOff(ids[0])
	case "clock": // command has set it
	case "cut":
		w.sever(ids[0], ids[1])
	case "cut-one-way":
		w.deafen(ids[0], ids[1])
	case "heal":
		w.heal(ids[0], ids[1])
	case "arbiter-down":
		w.arbiterDown = true
	case "arbiter-up":
		w.arbiterDown = false
		w.announce()
	case "cut-arbiter":
		w.cutArbiter[ids[0]] = true
	case "heal-arbiter":
		delete(w.cutArbiter, ids[0])
		w.announce()
	case "arbiter-slow":
		w.arbiterTrip = 400 * time.Millisecond
	case "witness-down":
		w.members.witnessDown = true
	case "witness-up":
		w.members.witnessDown = false
		w.announce()
	case "start-without-state":
		w.stateless |= Nodes(ids...)
		w.start(ids[0])
	case "state-copied":
		w.stateless &^= Nodes(ids...)
		for _, p := range w.ids() {
			if p != ids[0] && w.nodes[p].core != nil {
				w.linkUp(ids[0], p)
			}
		}
	case "fence-fails":
		w.fenceFails = true
	case "fence-works":
		w.fenceFails = false
	case "promote":
		if d.HasArg("force") { // the operator has switched the others off
			w.writers = writers{}
		}
		w.step(w.nodes[ids[0]], Promote{LUN: "lun0", Force: d.HasArg("force")})
	case "hand-over":
		w.step(w.nodes[ids[0]], HandOver{LUN: "lun0", To: ids[1]})
	case "drain":
		w.step(w.nodes[ids[0]], Maintenance{Node: ids[len(ids)-1], On: true})
	case "undrain":
		w.step(w.nodes[ids[0]], Maintenance{Node: ids[len(ids)-1]})
	case "slow-drain":
		w.drainTakes = 3 * time.Second
	case "shutdown":
		w.step(w.nodes[ids[0]], Shutdown{})
	case "run", "state":
	default:
		return fmt.Errorf("unknown command %q", d.Cmd)
	}
	return nil
}
