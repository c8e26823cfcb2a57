package node

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-san/tandem/ha"
)

func TestAFenceCommandIsBelievedOnlyWhenItSucceeds(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "fenced-%d")
	if err := (Fence{Command: "touch " + mark}).run(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := (Fence{Command: "test -e " + mark}).run(t.Context(), 2); err != nil {
		t.Errorf("the command did not run for controller 2: %v", err)
	}
	err := (Fence{Command: "ls " + mark}).run(t.Context(), 3)
	if err == nil || !strings.Contains(err.Error(), "fenced-3") {
		t.Errorf("a command that fails: %v, want an error with what it said", err)
	}
	if err := (Fence{}).run(t.Context(), 2); err == nil {
		t.Error("no fence at all: no error")
	}
}

// Who was stopped between the decision and the fence may be about to fence the
// primary that came after.
func TestAControllerThatWasStoppedFencesNobody(t *testing.T) {
	p := newKeyedPair(t).unhurried()
	p.startBoth()
	n := p.nodes[2]
	p.must(n.ask(func() { n.awake.until.Store(0); n.awake.asleep = true }))
	a := ha.Fence{LUN: unitName, Epoch: 2, Node: 1}
	n.fence(t.Context(), []ha.Fence{a})
	if !p.keyed.has(1) {
		t.Error("the primary was fenced")
	}
	p.must(n.ask(n.awake.wake))
	p.run(1, "host", write16(0, 1), fill(1, 1))
}
