package initiator

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tandem-san/tandem/iscsi"
)

// A tag belongs to one task at a time, is never a control tag or NoTag, and an
// old one finds nothing.
func TestTagsNameOneTaskEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 8).Draw(t, "size")
		table := newTagTable(size)
		live, old := map[uint32]*Task{}, map[uint32]bool{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if task := (&Task{}); rapid.Bool().Draw(t, "add") {
				if table.add(task) != (len(live) < size) {
					t.Fatalf("with %d of %d tags in use", len(live), size)
				}
				if len(live) == size {
					continue
				}
				if live[task.tag] != nil || task.tag == iscsi.NoTag || task.tag&tagControl != 0 {
					t.Fatalf("tag %08xh", task.tag)
				}
				live[task.tag] = task
				delete(old, task.tag)
			} else {
				for tag, task := range live {
					table.remove(task)
					delete(live, tag)
					old[tag] = true
					break
				}
			}
			for tag, task := range live {
				if table.find(tag) != task {
					t.Fatalf("tag %08xh does not find its task", tag)
				}
			}
			for tag := range old {
				if table.find(tag) != nil {
					t.Fatalf("old tag %08xh finds a task", tag)
				}
			}
			if table.used() != len(live) {
				t.Fatalf("%d in use, not %d", table.used(), len(live))
			}
		}
	})
}

func TestBurstsLeaveTheQueueInOrderAndFromAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q burstQueue
		var model []*Task
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			if len(model) == 0 || rapid.Bool().Draw(t, "push") {
				task := &Task{}
				q.push(task)
				model = append(model, task)
			} else {
				i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
				q.remove(model[i])
				q.remove(model[i]) // once more does nothing
				model = append(model[:i], model[i+1:]...)
			}
			task := q.first()
			for _, want := range model {
				if task != want {
					t.Fatal("another task than expected")
				}
				task = task.nextBurst
			}
			if task != nil {
				t.Fatal("more tasks than expected")
			}
		}
	})
}
