package ha

import (
	"slices"
	"testing"
	"time"
)

// A process that is stopped keeps its connections. What the primary has to
// acknowledge must not wait for it for ever.
func TestAPeerThatOnlySeemsToBeUpIsNotWaitedFor(t *testing.T) {
	w := newWorld(t, 2, []UnitConfig{{Name: "lun0", Automatic: true}})
	w.start(1)
	w.start(2)
	w.run(time.Second)
	core := w.nodes[1].core
	if got := core.Witnesses("lun0"); !slices.Equal(got, []NodeID{2}) {
		t.Fatalf("the witnesses of a healthy pair are %v", got)
	}
	w.nodes[2].paused = true
	w.run(time.Second)
	if got := core.Witnesses("lun0"); len(got) != 0 {
		t.Fatalf("the witnesses are %v; controller 2 has been silent for a second", got)
	}
	w.resume(2)
	w.run(300 * time.Millisecond)
	if got := core.Witnesses("lun0"); !slices.Equal(got, []NodeID{2}) {
		t.Fatalf("the witnesses after it came back are %v", got)
	}
}
