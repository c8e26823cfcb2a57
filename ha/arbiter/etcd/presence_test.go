package etcd_test

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha/arbiter"
	"github.com/tandem-san/tandem/ha/arbiter/arbitertest"
	"github.com/tandem-san/tandem/ha/arbiter/etcd"
)

// silence makes a Store seem cut off.
func silence(t *testing.T, s *etcd.Store) {
	t.Helper()
	if err := s.LosePresence(within(t)); err != nil {
		t.Fatal(err)
	}
}

func TestASecondControllerOfOneIdGetsNothingWhileTheFirstLives(t *testing.T) {
	c := arbitertest.Start(t, "1")
	first, second := c.Store(1), c.Store(1)
	change(t, first, arbiter.Change{LUN: "a", To: grant(1, 1, 1)})
	refusedAlive(t, second.Settle)
	refusedAlive(t, second.Hold)
	if got := change(t, first, arbiter.Change{LUN: "a", From: 1, To: grant(2, 1, 1)}); got.Epoch != 2 {
		t.Errorf("the first is disturbed: %v", got)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Settle(within(t)); err != nil {
		t.Errorf("after the first has ended in good order: %v", err)
	}
}

func TestThePresenceOfAProcessOnAnotherMachineLapses(t *testing.T) {
	c := arbitertest.Start(t, "1")
	s := c.Store(1)
	if err := s.PlantPresence(within(t), "elsewhere", 1); err != nil {
		t.Fatal(err)
	}
	refusedAlive(t, s.Settle)
	eventually(t, "the presence has lapsed", func() bool {
		_, err := s.Settle(briefly(t))
		return err == nil
	})
}

func TestAProcessSeenToBeDeadIsNotWaitedFor(t *testing.T) {
	c := arbitertest.Start(t, "1")
	s := c.Store(1)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	if err := s.PlantPresence(within(t), "", dead.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Settle(briefly(t)); err != nil {
		t.Error(err)
	}
}

// refusedAlive demands that a call finds another process alive; the arbiter may
// be slow.
func refusedAlive[T any](t *testing.T, call func(context.Context) (T, error)) {
	t.Helper()
	for {
		_, err := call(briefly(t))
		if errors.Is(err, etcd.ErrAlive) {
			return
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v, want ErrAlive", err)
		}
	}
}

// briefly bounds a call that is to fail.
func briefly(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
