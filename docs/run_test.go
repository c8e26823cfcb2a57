package docs_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a block, or the start of a process, may take.
const patience = 2 * time.Minute

func TestCommandsRunAsPrinted(t *testing.T) {
	for _, p := range pages(t) {
		if !slices.ContainsFunc(p.blocks, func(b block) bool { return b.info == "sh" || b.info == "sh alone" }) {
			continue
		}
		t.Run(filepath.Base(p.path), func(t *testing.T) {
			r := &reader{dir: scratch(t)}
			for _, b := range p.blocks {
				switch b.info {
				case "sh":
					r.do(t, b)
				case "sh alone":
					(&reader{dir: scratch(t)}).do(t, b)
				}
			}
		})
	}
}

// reader does what a page says, in a directory.
type reader struct{ dir string }

// do runs a block, and then what its output asks for.
func (r *reader) do(t *testing.T, b block) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := r.command(ctx, b.text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", b.at, err, b.text, out)
	}
	r.follow(t, string(out))
}

// command is a shell that runs a text, with its children a process group that
// ends with ctx.
func (r *reader) command(ctx context.Context, text string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", text)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(r.dir, "bin")+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = patience // a controller takes its time to hand over and to say goodbye
	return cmd
}

// follow starts the commands that stand behind the request to run them, each in
// its own terminal, and waits until all are ready.
func (r *reader) follow(t *testing.T, output string) {
	t.Helper()
	_, rest, _ := strings.Cut(output, "Run these, each in its own terminal:\n")
	var logs []string
	for line := range strings.Lines(rest) {
		command, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "  ")
		if !ok {
			break
		}
		r.unhurried(t, command)
		logs = append(logs, r.start(t, command))
	}
	for _, log := range logs {
		for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			text, err := os.ReadFile(log)
			if err == nil && strings.Contains(string(text), "msg=ready") {
				break
			}
			if err != nil || time.Now().After(until) {
				t.Fatalf("%s: not ready: %v\n%s", log, err, text)
			}
		}
	}
}

// unhurried gives a controller that is about to be run a lease for which no
// machine that runs tests makes it wait: it would be fenced, as it should.
func (r *reader) unhurried(t *testing.T, command string) {
	t.Helper()
	_, config, ok := strings.Cut(command, "serve -c ")
	if !ok {
		return
	}
	config = filepath.Join(r.dir, config)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	longer := strings.Replace(string(text), "lease 500ms", "lease 5s", 1)
	if longer == string(text) {
		t.Fatalf("%s has no lease of 500ms", config)
	}
	if err := os.WriteFile(config, []byte(longer), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs a command until the test ends, and then demands that it ends well
// when asked to. It returns the file of its log.
func (r *reader) start(t *testing.T, command string) string {
	t.Helper()
	log, err := os.CreateTemp(r.dir, "log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ctx, stop := context.WithCancel(context.Background())
	cmd := r.command(ctx, "exec "+command)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	t.Cleanup(func() {
		stop()
		if cmd.Wait(); cmd.ProcessState.ExitCode() != 0 {
			text, _ := os.ReadFile(log.Name())
			t.Errorf("%s ended with %v\n%s", command, cmd.ProcessState, text)
		}
	})
	return log.Name()
}

// scratch is a copy of the repository with the program in bin. Its path is
// short, as paths of sockets have to be.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "docs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == ".git" || e.Name() == "bin" || e.Name() == "out" {
			continue
		}
		from, to := filepath.Join("..", e.Name()), filepath.Join(dir, e.Name())
		if e.IsDir() {
			err = os.CopyFS(to, os.DirFS(from))
		} else {
			err = copyFile(from, to)
		}
		if err != nil {
			t.Fatalf("copying %s: %v", from, err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(binary, filepath.Join(dir, "bin", "tandem")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, info.Mode())
}
