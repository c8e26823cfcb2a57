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
	KillPrimary   Fault = "kill-primary"   // SIGKILL
	KillSecondary Fault = "kill-secondary" // SIGKILL
	StopPrimary   Fault = "stop-primary"   // SIGSTOP for longer than the lease
	Handover      Fault = "handover"       // promote the secondary
	NoFault       Fault = "none"
)

// Faults are all of them.
var Faults = []Fault{KillPrimary, KillSecondary, StopPrimary, Handover, NoFault}

// Bounds and defaults of Options.
const (
	DefaultDuration = 15 * time.Second
	MinDuration     = 3 * time.Second
	MaxDuration     = 24 * time.Hour
)

// Options say what to demonstrate.
type Options struct {
	// Binary is the path of the tandem executable, normally os.Executable.
	Binary string
	// Fault, KillPrimary when empty.
	Fault Fault
	// Mode is the HA mode: 0 active/standby or 2 active/active with forwarding.
	Mode int
	// Duration of the workload, MinDuration to MaxDuration, DefaultDuration
	// when 0. It is longer when the service is not back by then.
	Duration time.Duration
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
