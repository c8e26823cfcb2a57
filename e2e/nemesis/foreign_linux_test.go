package nemesis

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// foreign is a client that was written elsewhere: qemu-io, which has the
// initiator of libiscsi. It knows one path, and logs in there again and again
// when it is lost. Two blocks are its own.
type foreign struct {
	cluster *cluster
	record  *record
	at      *controller
	rnd     *rand.Rand
	last    byte // value written last

	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // closed when the process has ended
}

const (
	foreignClient = 50
	foreignBlocks = 2 // behind those of the other clients
	// foreignPatience is how long an answer is waited for. The initiator of
	// libiscsi takes some twenty seconds to see that a connection is deaf.
	foreignPatience = 30 * time.Second
	// foreignRest follows what failed, so that few writes are open.
	foreignRest = time.Second
)

// work writes and reads until stop is closed.
func (f *foreign) work(ctx context.Context, stop <-chan struct{}) {
	defer f.end()
	for {
		rest := maxRest
		if !f.next(ctx, stop) {
			f.end()
			rest = foreignRest
		}
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
	}
}

// begin starts the process.
func (f *foreign) begin() (err error) {
	url := fmt.Sprintf("iscsi://%s/%s/%d", f.at.portal, f.cluster.target, dataLUN)
	cmd := exec.Command("qemu-io", "-f", "raw", url)
	out, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if f.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := f.cluster.client().start(cmd); err != nil {
		return err
	}
	f.cmd, f.lines = cmd, make(chan string, 64)
	go func() {
		defer close(f.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			f.lines <- s.Text()
		}
	}()
	go func() {
		_ = cmd.Wait() // how it ended does not matter
		w.Close()
	}()
	return nil
}

// end ends the process, if there is one, and waits until it is gone.
func (f *foreign) end() {
	if f.cmd == nil {
		return
	}
	_ = f.cmd.Process.Kill()
	for range f.lines {
	}
	f.cmd = nil
}

// next does one thing and reports whether it succeeded.
func (f *foreign) next(ctx context.Context, stop <-chan struct{}) bool {
	if f.cmd == nil {
		if err := f.begin(); err != nil {
			f.record.violated("starting qemu-io: %v", err)
			return false
		}
	}
	op := operation{client: foreignClient, block: blocks + f.rnd.IntN(foreignBlocks), write: f.rnd.IntN(2) == 0, end: never}
	command := fmt.Sprintf("read -v %d 512", op.block*blockSize)
	if op.write {
		f.last = f.last%255 + 1
		op.value = uint64(f.last)
		command = fmt.Sprintf("write -P %d %d %d", f.last, op.block*blockSize, blockSize)
	}
	op.call = f.record.now()
	_, err := fmt.Fprintln(f.stdin, command)
	value, ok := uint64(0), false
	if err == nil {
		value, ok = f.answer(ctx, stop)
	}
	if ok {
		op.end = f.record.now()
		if !op.write {
			op.value = value
		}
	}
	f.record.add(op)
	return ok
}

// answer waits until the command has succeeded or failed, and returns the value
// that was read, if one was.
func (f *foreign) answer(ctx context.Context, stop <-chan struct{}) (value uint64, ok bool) {
	late := time.NewTimer(foreignPatience)
	defer late.Stop()
	// When the round is over the last answer is waited for a little only.
	var over <-chan time.Time
	for {
		select {
		case line, alive := <-f.lines:
			switch {
			case !alive, strings.Contains(line, "fail"), strings.Contains(line, "rror"):
				return 0, false
			case strings.Contains(line, "wrote "), strings.Contains(line, "read "):
				return value, true
			}
			if v, is := dumped(line); is {
				value = v
			}
		case <-stop:
			stop, over = nil, time.After(time.Second)
		case <-over:
			return 0, false
		case <-late.C:
			return 0, false
		case <-ctx.Done():
			return 0, false
		}
	}
}

// dumped reads a line such as "00012000:  5a 5a 5a ...". Bytes that differ make a
// value that nobody has written.
func dumped(line string) (value uint64, ok bool) {
	fields := strings.Fields(line)
	i := slices.IndexFunc(fields, func(s string) bool { return len(s) == 9 && strings.HasSuffix(s, ":") })
	if i < 0 || len(fields) < i+17 {
		return 0, false
	}
	for n, word := range fields[i+1 : i+17] {
		v, err := strconv.ParseUint(word, 16, 8)
		switch {
		case err != nil:
			return 0, false
		case n > 0 && v != value:
			return 1000, true
		}
		value = v
	}
	return value, true
}

// readForeign reads the blocks of the foreign client, whole and over all paths.
func (x *client) readForeign(ctx context.Context) {
	buf := make([]byte, blockSize)
	for b := blocks; b < blocks+foreignBlocks; b++ {
		op := operation{client: x.id, block: b, call: x.record.now()}
		if err := x.paths.ReadAt(ctx, buf, int64(b)*blockSize); err != nil {
			x.record.violated("block %d cannot be read after all is mended: %v", b, err)
			continue
		}
		op.end, op.value = x.record.now(), uint64(buf[0])
		for _, v := range buf {
			if v != buf[0] {
				op.value = 1000
			}
		}
		x.record.add(op)
	}
}
