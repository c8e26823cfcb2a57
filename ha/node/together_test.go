package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter"
	"github.com/tandem-san/tandem/ha/arbiter/arbitertest"
	"github.com/tandem-san/tandem/lun/statefile"
)

// slowStore is an arbiter that begins with a request when the test says so.
type slowStore struct {
	arbiter.Store
	asked chan int // how many changes it is asked for
	begin chan struct{}
}

func (s *slowStore) Change(ctx context.Context, changes []ha.Change) ([]ha.Grant, error) {
	s.asked <- len(changes)
	<-s.begin
	return s.Store.Change(ctx, changes)
}

// bareNode is a node that does not run, with logical units that nobody serves.
func bareNode(units int, store arbiter.Store, states States) (*Node, *strings.Builder) {
	log := &strings.Builder{}
	n := &Node{
		cfg: Config{Self: 9, States: states}, store: store, log: slog.New(slog.NewTextHandler(&lockedWriter{w: log}, nil)),
		events: make(chan []ha.Event, 100), done: make(chan struct{}), named: map[string]*Unit{},
		saves: make(chan struct{}, maxSaves), idleSaves: make(chan struct{}, maxIdleSaves),
	}
	for i := range units {
		u := &Unit{cfg: UnitConfig{Name: fmt.Sprint("u", i)}, node: n, wake: make(chan struct{}, 1)}
		u.replica.load(statefile.Record{}, nil)
		n.units = append(n.units, u)
		n.named[u.cfg.Name] = u
	}
	return n, log
}

func firstGrant(unit int) ha.Change {
	return ha.Change{LUN: fmt.Sprint("u", unit), To: ha.Grant{Epoch: 1, Primary: 1, Candidates: []ha.NodeID{1}}}
}

func TestWhatIsAskedWhileAnAnswerIsAwaitedGoesTogether(t *testing.T) {
	store := &slowStore{Store: arbitertest.Start(t, "1").StoreAt("1", 1), asked: make(chan int), begin: make(chan struct{})}
	t.Cleanup(func() { store.Store.Close() })
	n, log := bareNode(0, store, nil)
	n.askChange(t.Context(), ha.AskChange{ID: 1, Changes: []ha.Change{firstGrant(0)}})
	if asked := <-store.asked; asked != 1 {
		t.Errorf("%d changes, expected 1", asked)
	}
	n.askChange(t.Context(), ha.AskChange{ID: 2, Changes: []ha.Change{firstGrant(1)}})
	n.askChange(t.Context(), ha.AskChange{ID: 3, Changes: []ha.Change{firstGrant(2), firstGrant(3)}})
	n.askChange(t.Context(), ha.AskChange{ID: 4, Changes: []ha.Change{{LUN: "u4", From: 7, To: ha.Grant{Epoch: 8, Primary: 1, Candidates: []ha.NodeID{1}}}}})
	store.begin <- struct{}{}
	if asked := <-store.asked; asked != 4 {
		t.Errorf("%d changes, expected 4", asked)
	}
	store.begin <- struct{}{}
	n.works.Wait()
	for id, epochs := range [][]uint64{{1}, {1}, {1, 1}, {0}} {
		e, ok := (<-n.events)[0].(ha.Changed)
		if !ok || e.ID != uint64(id+1) || len(e.Grants) != len(epochs) {
			t.Fatalf("the answer to request %d is %+v\n%s", id+1, e, log)
		}
		for i, g := range e.Grants {
			if g.Epoch != epochs[i] {
				t.Errorf("request %d: grant %d is %v, expected epoch %d", id+1, i, g, epochs[i])
			}
		}
	}
}

func TestWhatHappensToManyLogicalUnitsIsOneLine(t *testing.T) {
	n, log := bareNode(0, nil, nil)
	var actions []ha.Action
	for i := range 1000 {
		name := fmt.Sprint("u", i)
		actions = append(actions, ha.Note{LUN: name, Text: "grant is now another"},
			ha.Route{LUN: name, Kind: ha.RouteServe, Primary: 9, Epoch: 4}, ha.Right{LUN: name})
	}
	actions = append(actions, ha.Note{LUN: "u7", Text: "it failed", Alarm: true})
	n.say(actions)
	text := log.String()
	if lines := strings.Count(text, "\n"); lines != 3 {
		t.Fatalf("%d lines, expected 3:\n%s", lines, text)
	}
	for _, want := range []string{
		`level=INFO msg="grant is now another" luns=1000 first=u0 last=u999`,
		`level=INFO msg=route luns=1000 first=u0 last=u999 route=serve primary=9 epoch=4`,
		`level=ERROR msg="it failed" lun=u7`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

func TestAStateThatIsAwaitedOvertakesThoseThatNobodyWaitsFor(t *testing.T) {
	states, err := statefile.Open(t.TempDir(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer states.Close()
	g := &gate{States: states}
	shut := make(chan struct{})
	g.shut.Store(&shut)
	const units = 20
	n, _ := bareNode(units, nil, g)
	for _, u := range n.units {
		u.replica.offer(1, stateCopy{At: ha.Stamp{Epoch: 1, Version: 1}})
		u.replica.forget(1) // it wants no thanks
		n.save(u)
	}
	waiting := func(want int32) {
		t.Helper()
		for end := time.Now().Add(patience); g.waiting.Load() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d states are written at a time, expected %d", g.waiting.Load(), want)
			}
		}
	}
	waiting(maxIdleSaves)
	i := slices.IndexFunc(n.units, func(u *Unit) bool { // one whose turn has not come
		_, err := states.Load(u.cfg.Name)
		return err != nil
	})
	n.units[i].replica.await()
	waiting(maxIdleSaves + 1)
	g.shut.Store(nil)
	close(shut)
	n.works.Wait()
	for _, u := range n.units {
		if rec, err := states.Load(u.cfg.Name); err != nil || rec.At.Epoch != 1 {
			t.Errorf("%s: %v, %v", u.cfg.Name, rec.At, err)
		}
		if u.replica.whenSaved() != nil {
			t.Errorf("%s still counts as not saved", u.cfg.Name)
		}
	}
}

func TestLogicalUnitsThatAreFencedInOneStepShareOneRunAndAreToldTogether(t *testing.T) {
	n, log := bareNode(100, nil, nil)
	n.awake.init(clock{time.Now()}, time.Hour)
	ran := filepath.Join(t.TempDir(), "ran")
	for i, u := range n.units {
		u.cfg.Fence.Command = "dd if=/dev/zero bs=1 count=1 oflag=append conv=notrunc of=" + ran
		if i == 0 {
			u.cfg.Fence.Command += "-first"
		}
	}
	for range 2 { // steps
		fenceAll(t, n, true)
	}
	for _, name := range []string{ran, ran + "-first"} {
		if b, err := os.ReadFile(name); err != nil || len(b) != 2 {
			t.Errorf("%s: the fence ran %d times in two steps, %v", name, len(b), err)
		}
	}

	for _, u := range n.units {
		u.cfg.Fence.Command = "false"
	}
	fenceAll(t, n, false)
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `msg="fencing failed" luns=100 first=u0 last=u99 controller=2 error=`) {
		t.Errorf("the log of a fence that fails:\n%s", text)
	}
}

// fenceAll has all logical units fenced in one step, and the answers come in two at
// most, one for each run.
func fenceAll(t *testing.T, n *Node, ok bool) {
	t.Helper()
	var step together
	for _, u := range n.units {
		n.carryOut(t.Context(), ha.Fence{LUN: u.cfg.Name, Epoch: 1, Node: 2}, &step)
	}
	n.carryOutTogether(t.Context(), &step)
	n.works.Wait()
	if len(n.events) > 2 {
		t.Errorf("%d answers", len(n.events))
	}
	told := map[string]bool{}
	for range len(n.events) {
		for _, e := range <-n.events {
			if e, fenced := e.(ha.Fenced); !fenced || e.OK != ok || told[e.LUN] {
				t.Errorf("%+v", e)
			} else {
				told[e.LUN] = true
			}
		}
	}
	if len(told) != len(n.units) {
		t.Errorf("%d of %d logical units are told of", len(told), len(n.units))
	}
}

func TestSessionsThatAreClosedForManyLogicalUnitsAreOneLine(t *testing.T) {
	n, log := bareNode(1000, nil, nil)
	n.cfg.Disconnect = func(_ context.Context, lun string) (int, error) {
		switch lun {
		case "u0", "u500":
			return 3, nil
		case "u7":
			return 0, context.DeadlineExceeded
		}
		return 0, nil
	}
	var step together
	for _, u := range n.units {
		n.carryOut(t.Context(), ha.Disconnect{LUN: u.cfg.Name}, &step)
	}
	n.carryOutTogether(t.Context(), &step)
	n.works.Wait()
	text := log.String()
	if lines := strings.Count(text, "\n"); lines != 2 {
		t.Errorf("%d lines, want 2", lines)
	}
	for _, want := range []string{
		`msg="sessions closed" luns=1000 first=u0 last=u999 sessions=6`,
		`msg="sessions do not close" lun=u7 error="context deadline exceeded"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}
