package nemesis

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace. It has no name: a thread of this process
// holds it, and with the thread it ends, however this process ends.
type namespace struct {
	file *os.File
	work chan func()
	done chan struct{}
}

func newNamespace() (*namespace, error) {
	n := &namespace{work: make(chan func()), done: make(chan struct{})}
	made := make(chan error)
	go func() {
		defer close(n.done)
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.file, err = os.Open(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()))
		}
		made <- err
		for f := range n.work {
			f()
		}
	}()
	if err := <-made; err != nil {
		n.close()
		return nil, fmt.Errorf("making a network namespace: %w", err)
	}
	return n, nil
}

func (n *namespace) close() {
	close(n.work)
	<-n.done
	if n.file != nil {
		n.file.Close()
	}
}

// path is where ip finds it.
func (n *namespace) path() string { return n.file.Name() }

// do runs f in the namespace. It must not take long.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() { defer close(done); f() }
	<-done
}

// start starts a process in the namespace. It dies with this one, as the thread
// that starts it lives as long as the namespace.
func (n *namespace) start(cmd *exec.Cmd) (err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	n.do(func() { err = cmd.Start() })
	return err
}

// run runs a program in the namespace with a text as its standard input and
// returns what it printed.
func (n *namespace) run(ctx context.Context, input, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &out
	err := n.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, input, out.String())
	}
	return out.String(), nil
}

// dial connects from the namespace; initiator.Config.Dial.
func (n *namespace) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // as above
		if err = unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return
		}
		// An address that is no name is connected to by this goroutine.
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, address)
	}()
	<-done
	return conn, err
}
