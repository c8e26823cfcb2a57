package node

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestAFenceCommandIsBelievedOnlyWhenItSucceeds(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "fenced-%d")
	if err := (Fence{Command: "touch " + mark}).run(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := (Fence{Command: "test -e " + mark}).run(t.Context(), 2); err != nil {
		t.Errorf("the command did not run for controller 2: %v", err)
	}
	err := (Fence{Command: "ls " + mark}).run(t.Context(), 3)
	if err == nil || !strings.Contains(err.Error(), "fenced-3") {
		t.Errorf("a command that fails: %v, want an error with what it said", err)
	}
	if err := (Fence{}).run(t.Context(), 2); err == nil {
		t.Error("no fence at all: no error")
	}
}
