package demo

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tandem-san/tandem/ctlconf"
)

// Fault is what is broken in the middle of a demonstration.
type Fault string

// Faults.
const (
	KillPrimary       Fault = "kill-primary"        // SIGKILL
	KillSecondary     Fault = "kill-secondary"      // SIGKILL
	KillWitness       Fault = "kill-witness"        // SIGKILL
	KillArbiterLeader Fault = "kill-arbiter-leader" // SIGKILL to whoever leads the arbiter: the witness, mostly
	StopPrimary       Fault = "stop-primary"        // SIGSTOP for longer than the lease
	StopSecondary     Fault = "stop-secondary"      // SIGSTOP for longer than the lease
	CutLink           Fault = "cut-link"            // the link between the controllers is silent
	Handover          Fault = "handover"            // promote the secondary
	Drain             Fault = "drain"               // drain the primary, and undrain it
	Terminate         Fault = "sigterm-primary"     // SIGTERM, and a new start
	NoFault           Fault = "none"
)

// Faults are all of them.
var Faults = []Fault{
	KillPrimary, KillSecondary, KillWitness, KillArbiterLeader, StopPrimary, StopSecondary, CutLink,
	Handover, Drain, Terminate, NoFault,
}

// Bounds and defaults of Options.
const (
	DefaultDuration = 15 * time.Second
	MinDuration     = 3 * time.Second
	MaxDuration     = 24 * time.Hour
	MaxRounds       = 10000
)

// Options say what to demonstrate.
type Options struct {
	// Binary is the path of the tandem executable, normally os.Executable.
	Binary string
	// Fault, KillPrimary when empty.
	Fault Fault
	// Mode is the HA mode: 0 active/standby, 1 active/active or 2 active/active
	// with forwarding.
	Mode int
	// Duration of the workload in a round, MinDuration to MaxDuration,
	// DefaultDuration when 0. It is longer when the service is not back by then.
	Duration time.Duration
	// Rounds is how many times the fault happens, 1 to MaxRounds; 1 when 0. Each
	// begins when all is as it was before the first.
	Rounds int
	// Rest is how long each of the workers rests after a command, not negative:
	// they and the controllers share the processors of one machine.
	Rest time.Duration
	// Out is told the story, with a line each second; nil: nobody.
	Out io.Writer
	// Dir is where a directory for everything is made, and removed;
	// os.TempDir when empty.
	Dir string
}

// complete checks the options and fills in what was left out.
func (o Options) complete() (Options, error) {
	if o.Fault == "" {
		o.Fault = KillPrimary
	}
	if !slices.Contains(Faults, o.Fault) {
		var names []string
		for _, f := range Faults {
			names = append(names, string(f))
		}
		return o, fmt.Errorf("fault %q: expected one of %s", o.Fault, strings.Join(names, ", "))
	}
	if _, err := o.modeWord(); err != nil {
		return o, err
	}
	if o.Duration == 0 {
		o.Duration = DefaultDuration
	}
	if o.Duration < MinDuration || o.Duration > MaxDuration {
		return o, fmt.Errorf("duration %v: expected %v to %v", o.Duration, MinDuration, MaxDuration)
	}
	if o.Rounds == 0 {
		o.Rounds = 1
	}
	if o.Rounds < 1 || o.Rounds > MaxRounds {
		return o, fmt.Errorf("rounds %d: expected 1 to %d", o.Rounds, MaxRounds)
	}
	if o.Rest < 0 {
		return o, fmt.Errorf("rest %v: expected 0 or more", o.Rest)
	}
	if o.Binary == "" {
		return o, fmt.Errorf("no tandem executable given to run")
	}
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	return o, nil
}

// modeWord is the mode as the configuration has it.
func (o Options) modeWord() (string, error) {
	switch o.Mode {
	case int(ctlconf.ActiveStandby), int(ctlconf.ActiveActive), int(ctlconf.ActiveActiveForward):
		return ctlconf.Mode(o.Mode).String(), nil
	}
	return "", fmt.Errorf("mode %d: expected 0 (active-standby), 1 (active-active) or 2 (active-active-forward)", o.Mode)
}
