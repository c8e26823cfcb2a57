package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what should come at once, on a machine
// that is busy with other tests.
const patience = 30 * time.Second

// process is a program that runs while a test does.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	output *transcript   // of standard output and error
	exited chan struct{} // closed once it has ended
}

// start runs a program until the test ends. Its output is shown when the test
// has failed.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), output: newTranscript(), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	// Even a test binary that crashes leaves nothing behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	p.stdin = stdin
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // the exit status is in ProcessState
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s printed:\n%s", strings.Join(p.cmd.Args, " "), tail(p.output.String(), 30))
		}
	})
	return p
}

// awaitLine waits until the process has printed a line with all the parts.
func (p *process) awaitLine(t *testing.T, parts ...string) {
	t.Helper()
	p.awaitLines(t, 1, parts...)
}

// awaitLines waits until it has printed n such lines.
func (p *process) awaitLines(t *testing.T, n int, parts ...string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		text, grown := p.output.read()
		if countLines(text, parts) >= n {
			return
		}
		select {
		case <-grown:
		case <-p.exited:
			if text, _ := p.output.read(); countLines(text, parts) < n {
				t.Fatalf("%v ended with status %d and never printed a line with %q", p.cmd.Args[1:], p.code(), parts)
			}
		case <-deadline:
			t.Fatalf("%v has not printed a line with %q within %v", p.cmd.Args[1:], parts, patience)
		}
	}
}

// countLines counts the lines that hold all the parts.
func countLines(text string, parts []string) (n int) {
next:
	for line := range strings.Lines(text) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue next
			}
		}
		n++
	}
	return n
}

// signal sends a signal.
func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %v to %v: %v", s, p.cmd.Args[1:], err)
	}
}

// kill ends the process as a crash does, and waits until it is gone.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	p.awaitExit(t)
}

// terminate asks the process to end and returns its exit status.
func (p *process) terminate(t *testing.T) int {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	return p.awaitExit(t)
}

// awaitExit waits until the process has ended and returns its exit status, -1
// after a signal.
func (p *process) awaitExit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatalf("%v has not ended within %v", p.cmd.Args[1:], patience)
	}
	return p.code()
}

func (p *process) code() int { return p.cmd.ProcessState.ExitCode() }

// alive fails the test when the process has ended.
func (p *process) alive(t *testing.T) {
	t.Helper()
	select {
	case <-p.exited:
		t.Fatalf("%v ended with status %d", p.cmd.Args[1:], p.code())
	default:
	}
}

// transcript keeps what a process prints.
type transcript struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{}
}

func newTranscript() *transcript { return &transcript{grown: make(chan struct{})} }

// Write implements io.Writer.
func (l *transcript) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.grown)
	l.grown = make(chan struct{})
	return l.text.Write(b)
}

// read returns the text and a channel that is closed when there is more.
func (l *transcript) read() (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String(), l.grown
}

func (l *transcript) String() string {
	text, _ := l.read()
	return text
}

// tail is the last n lines of a text.
func tail(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	if len(lines) > n {
		lines = append([]string{"...\n"}, lines[len(lines)-n:]...)
	}
	return strings.Join(lines, "")
}

// result is how a program that was run to its end has ended.
type result struct {
	stdout, stderr string
	code           int
}

// run runs a program to its end.
func run(t *testing.T, name string, args ...string) result {
	t.Helper()
	return runFor(t, patience, name, args...)
}

// runFor is run with another patience.
func runFor(t *testing.T, limit time.Duration, name string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	late := time.AfterFunc(limit, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	r := result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	if !late.Stop() {
		t.Fatalf("%s has not ended within %v\n%s%s", strings.Join(cmd.Args, " "), limit, r.stdout, r.stderr)
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(cmd.Args, " "), err)
	}
	return r
}

// succeed runs a program that must succeed and returns its standard output.
func succeed(t *testing.T, name string, args ...string) string {
	t.Helper()
	r := run(t, name, args...)
	if r.code != 0 {
		t.Fatalf("%s %s: status %d\n%s%s", name, strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
