package pidfile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// holder is the environment variable that makes this test binary a process
// which holds a pid file until it is killed.
const holder = "PIDFILE_TEST_HOLD"

func TestMain(m *testing.M) {
	if path := os.Getenv(holder); path != "" {
		if _, err := Acquire(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held")
		select {}
	}
	os.Exit(m.Run())
}

// hold starts a process that holds the file.
func hold(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holder+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("the holder said %q, %v", line, err)
	}
	return cmd
}

func TestAFileHasOneHolderAndTheNextOneLearnsWho(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "1.pid")
	hold(t, path)
	if _, err := Acquire(path); !errors.Is(err, ErrRunning) {
		t.Fatalf("second Acquire: %v, want ErrRunning", err)
	}
}

func TestKillReturnsOnlyWhenTheProcessIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "1.pid")
	cmd := hold(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := Kill(ctx, path); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Success() {
		t.Fatalf("the holder ended with %v", err)
	}
	if err := Kill(ctx, path); err != nil {
		t.Fatalf("Kill of a process that is gone: %v", err)
	}
	f, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Release()
}

func TestKillFailsWhenNothingIsKnown(t *testing.T) {
	if err := Kill(t.Context(), filepath.Join(t.TempDir(), "none.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("Kill without a file: %v, want ErrNotExist", err)
	}
}
