package sim

import (
	"fmt"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// legend says how a story is read.
const legend = `Each line: seconds of true time; the controller, - for the world; what happened.
>>> is a fault, its end, or what an operator does. All else is what the cluster makes of it.
"hears" and "sends" are clients; "executes" is the brain; "offered" is a state on its way to
a copy, as epoch.version; "not served" is a command that comes back to be held or sent elsewhere.
`

// tell adds a line to the story. Callers ask telling first where the arguments
// cost something.
func (w *World) tell(id ha.NodeID, format string, args ...any) {
	if w.telling() {
		w.line("   ", id, fmt.Sprintf(format, args...))
	}
}

// strikes is tell for faults, and for what an operator does.
func (w *World) strikes(id ha.NodeID, format string, args ...any) {
	if w.telling() {
		w.line(">>>", id, fmt.Sprintf(format, args...))
	}
}

func (w *World) line(mark string, id ha.NodeID, text string) {
	who := "-"
	if id != 0 {
		who = fmt.Sprint(id)
	}
	fmt.Fprintf(w.story, "%11.6f %s %s  %s\n", w.now.Seconds(), mark, who, text)
}

func (w *World) telling() bool { return w.story != nil && w.now >= w.tellFrom }

// tellPlan begins the story.
func (w *World) tellPlan() {
	if w.story != nil {
		fmt.Fprintf(w.story, "seed %d\n%v\n%s\n", w.seed, &w.plan, legend)
	}
}

// tellEnd ends it: how every controller stands, and what was broken.
func (w *World) tellEnd() {
	if w.story == nil {
		return
	}
	w.line("   ", 0, "the end; every controller shows its own clock")
	for _, c := range w.controllers[1:] {
		if c.life != 0 {
			fmt.Fprintln(w.story, c.core)
		} else {
			fmt.Fprintf(w.story, "controller %d does not run\n", c.id)
		}
	}
	if w.broken != nil {
		fmt.Fprintln(w.story, w.broken)
	}
}

// span rounds a duration for reading.
func span(d time.Duration) time.Duration { return d.Round(ms) }
