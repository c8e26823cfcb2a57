package nemesis

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// member is a process of the cluster with its host. Whenever it has ended, for
// whatever reason, it is started again after a while, as a service manager
// would.
type member struct {
	name string // for people
	host int
	on   *namespace
	args []string // of tandem
	log  string   // file with all it ever said
	disk *slowDisk
	// clock gives the offset of the monotonic clock of the next life, in
	// seconds: a machine that starts again counts from another zero.
	clock func() int

	cancel context.CancelFunc
	wg     sync.WaitGroup
	began  chan error // of the first start

	mu      sync.Mutex
	cmd     *exec.Cmd // of the present life; nil between lives
	pause   time.Duration
	lives   int
	leaving bool // it was told to end, and has not yet
}

// defaultPause is how long a process that ended by itself stays away.
const defaultPause = 300 * time.Millisecond

// launch starts the process and sees to it that there is one until stop.
func (m *member) launch(ctx context.Context) error {
	ctx, m.cancel = context.WithCancel(ctx)
	m.began = make(chan error, 1)
	m.pause = defaultPause
	m.wg.Go(func() { m.supervise(ctx) })
	return <-m.began
}

func (m *member) supervise(ctx context.Context) {
	for {
		cmd, err := m.spawn()
		select {
		case m.began <- err:
		default:
		}
		if err == nil {
			stopped := context.AfterFunc(ctx, func() { _ = unix.Kill(cmd.Process.Pid, unix.SIGKILL) })
			_ = cmd.Wait() // how it ended is in its log
			stopped()
		}
		m.mu.Lock()
		m.cmd, m.leaving = nil, false
		rest := m.pause
		m.pause = defaultPause
		m.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
	}
}

// spawn begins a life.
func (m *member) spawn() (*exec.Cmd, error) {
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	offset := strconv.Itoa(m.clock())
	fmt.Fprintf(log, "--- life begins, clock offset %s s\n", offset)
	cmd := exec.Command("unshare", append([]string{"--time", "--monotonic", offset, "--boottime", offset, "--", tandem}, m.args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.on.start(cmd); err != nil {
		return nil, fmt.Errorf("starting %s: %w", m.name, err)
	}
	if m.disk != nil {
		if err := m.disk.add(cmd.Process.Pid); err != nil {
			fmt.Fprintln(log, "--- its disk is never slow:", err)
		}
	}
	m.cmd = cmd
	m.lives++
	return cmd, nil
}

// signal sends a signal to the present life, if there is one. After its end it
// stays away for rest, where that is not 0.
func (m *member) signal(s syscall.Signal, rest time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if rest != 0 {
		m.pause = rest
	}
	if m.cmd != nil {
		m.leaving = m.leaving || s == syscall.SIGTERM
		_ = m.cmd.Process.Signal(s) // it may have ended this moment
	}
}

// isLeaving tells whether it was told to end, and is about to.
func (m *member) isLeaving() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leaving
}

// stop ends the process for good.
func (m *member) stop() {
	if m.cancel != nil {
		m.cancel()
		m.wg.Wait()
	}
	if m.disk != nil {
		_ = m.disk.close()
	}
}

// crashed tells whether a process of the member has ever died of itself.
func (m *member) crashed() error {
	text, err := os.ReadFile(m.log)
	if err != nil {
		return err
	}
	for _, word := range []string{"\npanic: ", "\nfatal error: "} {
		if _, after, found := strings.Cut(string(text), word); found {
			line, _, _ := strings.Cut(after, "\n")
			return fmt.Errorf("%s crashed: %s%s", m.name, strings.TrimSpace(word), line)
		}
	}
	return nil
}
