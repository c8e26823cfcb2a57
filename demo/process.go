package demo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a child of this one. It may die and be started again.
type process struct {
	name string // for people
	path string
	args []string

	mu   sync.Mutex
	cmd  *exec.Cmd // nil before the first start
	gone chan struct{}
	err  error // how it ended, when gone is closed
	tail tail
}

// start runs the process. One that runs already is an error.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil && !p.endedLocked() {
		return fmt.Errorf("%s runs already", p.name)
	}
	cmd := exec.Command(p.path, p.args...)
	cmd.Stdout, cmd.Stderr = &p.tail, &p.tail
	cmd.WaitDelay = time.Second
	ownGroup(cmd)
	started, gone := make(chan error), make(chan struct{})
	go func() {
		// A child that is to die with its parent dies with the thread that
		// started it, so that thread stays until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(gone)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.gone = cmd, gone
	return nil
}

// ended tells whether the process is not running.
func (p *process) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.endedLocked()
}

func (p *process) endedLocked() bool {
	if p.cmd == nil {
		return true
	}
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// pid is the process id, of the last start.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// signal sends a signal; that the process is gone is no error.
func (p *process) signal(s os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.endedLocked() {
		return nil
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%v to %s: %w", s, p.name, err)
	}
	return nil
}

// wait waits for the end of the process, at most for d.
func (p *process) wait(d time.Duration) (ended bool) {
	p.mu.Lock()
	gone := p.gone
	p.mu.Unlock()
	if gone == nil {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-gone:
		return true
	case <-t.C:
		return false
	}
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL)
	p.wait(10 * time.Second)
}

// failure tells how the process ended and what it said last.
func (p *process) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	how := "ended"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s: %s; its last words:\n%s", p.name, how, p.tail.String())
}

// maxTail is how much of a process's output is kept, in bytes.
const maxTail = 8 << 10

// tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - maxTail; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// String gives what is kept, indented.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return "  " + strings.ReplaceAll(strings.TrimSpace(string(t.b)), "\n", "\n  ")
}
