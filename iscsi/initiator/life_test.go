package initiator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/scsi"
)

func TestACancelledTaskEndsOnceTheTargetHasAbortedIt(t *testing.T) {
	arrived, aborted := make(chan struct{}), make(chan struct{})
	s := dial(t, nil, func(s *script) {
		c, _, _ := s.command()
		close(arrived)
		h, _, ok := s.expect(iscsi.OpTaskRequest)
		if !ok {
			return
		}
		var r iscsi.TaskRequest
		r.Decode(h)
		if r.Function != scsi.AbortTask || r.ReferencedTaskTag != c.InitiatorTaskTag || r.RefCmdSN != c.CmdSN || !r.Immediate {
			s.t.Errorf("the abort of %+v is %+v", c, r)
		}
		time.Sleep(50 * time.Millisecond)
		close(aborted)
		s.send(iscsi.TaskResponse{InitiatorTaskTag: r.InitiatorTaskTag}, nil, true)
		if c, _, ok := s.command(); ok {
			s.good(c)
		}
		s.drain()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if err := s.Do(ctx, writeTask(512)); !errors.Is(err, context.Canceled) {
		t.Fatalf("the cancelled task ended with %v", err)
	}
	select {
	case <-aborted:
	default:
		t.Fatal("the task ended before the target had aborted it")
	}
	if err := s.Do(t.Context(), &Task{LUN: lun0}); err != nil {
		t.Fatalf("the session did not survive an abort: %v", err)
	}
}

func TestATaskThatEndsWhileItIsAbortedKeepsItsAnswer(t *testing.T) {
	arrived := make(chan struct{})
	s := dial(t, nil, func(s *script) {
		c, _, _ := s.command()
		close(arrived)
		h, _, _ := s.expect(iscsi.OpTaskRequest)
		s.good(c)
		s.send(iscsi.TaskResponse{InitiatorTaskTag: h.InitiatorTaskTag(), Response: scsi.TaskDoesNotExist}, nil, true)
		s.drain()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if err := s.Do(ctx, writeTask(512)); err != nil {
		t.Fatalf("the task that was done ended with %v", err)
	}
}

func TestAnAbortThatIsNotConfirmedEndsTheSession(t *testing.T) {
	for name, answer := range map[string]func(*script, uint32){
		"refused": func(s *script, tag uint32) {
			s.send(iscsi.TaskResponse{InitiatorTaskTag: tag, Response: scsi.FunctionRejected}, nil, true)
		},
		"unanswered": func(*script, uint32) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := dial(t, func(c *Config) { c.TaskTimeout, c.AbortTimeout = 50*time.Millisecond, 100*time.Millisecond }, func(s *script) {
				_, _, _ = s.command()
				if h, _, ok := s.expect(iscsi.OpTaskRequest); ok {
					answer(s, h.InitiatorTaskTag())
				}
				s.drain()
			})
			err := s.Do(t.Context(), writeTask(512))
			if !errors.Is(err, ErrSessionLost) || !errors.Is(err, ErrAbortFailed) || !errors.Is(err, ErrTaskTimeout) {
				t.Fatalf("the task ended with %v", err)
			}
		})
	}
}

func TestATaskThatTakesTooLongIsAborted(t *testing.T) {
	s := dial(t, func(c *Config) { c.TaskTimeout = 50 * time.Millisecond }, func(s *script) {
		_, _, _ = s.command()
		h, _, _ := s.expect(iscsi.OpTaskRequest)
		s.send(iscsi.TaskResponse{InitiatorTaskTag: h.InitiatorTaskTag()}, nil, true)
		s.drain()
	})
	if err := s.Do(t.Context(), writeTask(512)); !errors.Is(err, ErrTaskTimeout) || errors.Is(err, ErrSessionLost) {
		t.Fatalf("the task ended with %v", err)
	}
	if s.Err() != nil {
		t.Fatalf("the session ended with %v", s.Err())
	}
}

func TestASilentTargetIsPingedAndGivenUp(t *testing.T) {
	pings := make(chan struct{}, 100)
	s := dial(t, func(c *Config) { c.PingInterval, c.PingTimeout = 30*time.Millisecond, 60*time.Millisecond }, func(s *script) {
		for i := range 100 {
			h, _, ok := s.expect(iscsi.OpNOPOut)
			if !ok {
				return
			}
			pings <- struct{}{}
			if i < 3 {
				s.send(iscsi.NOPIn{InitiatorTaskTag: h.InitiatorTaskTag(), TargetTransferTag: iscsi.NoTag}, nil, true)
			}
		}
	})
	<-s.Done()
	if !errors.Is(s.Err(), ErrPingTimeout) {
		t.Fatalf("the session ended with %v", s.Err())
	}
	if n := len(pings); n != 4 {
		t.Fatalf("%d pings, three answered and one not: expected 4", n)
	}
}

func TestAPingOfTheTargetIsEchoed(t *testing.T) {
	echoed := make(chan string, 1)
	s := dial(t, nil, func(s *script) {
		s.send(iscsi.NOPIn{LUN: lun0, InitiatorTaskTag: iscsi.NoTag, TargetTransferTag: 42}, []byte("are you there"), false)
		h, data, ok := s.expect(iscsi.OpNOPOut)
		if !ok {
			return
		}
		var p iscsi.NOPOut
		p.Decode(h)
		if p.TargetTransferTag != 42 || p.InitiatorTaskTag != iscsi.NoTag || !p.Immediate {
			s.t.Errorf("the answer to the ping is %+v", p)
		}
		echoed <- string(data)
		s.drain()
	})
	if got := <-echoed; got != "are you there" {
		t.Fatalf("the ping was answered with %q", got)
	}
	_ = s.Close()
}

func TestPingsThatAreNeverReadDoNotFillMemory(t *testing.T) {
	s := dial(t, nil, func(s *script) {
		big := make([]byte, maxPingData)
		for range 1 << 16 {
			s.send(iscsi.NOPIn{InitiatorTaskTag: iscsi.NoTag, TargetTransferTag: 42}, big, false)
			select {
			case <-s.t.Context().Done():
				return
			default:
			}
		}
	})
	select {
	case <-s.Ending():
	case <-time.After(15 * time.Second):
		t.Fatal("the session goes on")
	}
	if err := s.Err(); !strings.Contains(err.Error(), "does not read") {
		t.Fatalf("the session ended with %v", err)
	}
	_ = s.Close()
}

func TestLogoutTakesLeave(t *testing.T) {
	left := make(chan iscsi.LogoutReason, 1)
	s := dial(t, nil, func(s *script) {
		h, _, ok := s.expect(iscsi.OpLogoutRequest)
		if !ok {
			return
		}
		var r iscsi.LogoutRequest
		r.Decode(h)
		left <- r.Reason
		s.send(iscsi.LogoutResponse{InitiatorTaskTag: r.InitiatorTaskTag}, nil, true)
		s.drain()
	})
	if err := s.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reason := <-left; reason != iscsi.CloseSession {
		t.Fatalf("logout reason %d", reason)
	}
	if !errors.Is(s.Err(), ErrClosed) {
		t.Fatalf("the session ended with %v", s.Err())
	}
	if err := s.Logout(t.Context()); !errors.Is(err, ErrSessionLost) {
		t.Fatalf("a second logout: %v", err)
	}
}

func TestLogoutFromASilentTargetEndsWithTheContext(t *testing.T) {
	s := dial(t, nil, func(s *script) { _, _, _ = s.expect(iscsi.OpDataOut) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Logout(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("logout ended with %v", err)
	}
	<-s.Done()
}

func TestWhenTheTargetAsksToLogOutTasksMayEnd(t *testing.T) {
	asked := make(chan struct{})
	s := dial(t, nil, func(s *script) {
		c, _, _ := s.command()
		s.send(iscsi.AsyncMessage{Event: iscsi.AsyncLogoutRequest, Parameter3: 5}, nil, true)
		// A ping in between shows that the message has been acted on.
		s.send(iscsi.NOPIn{InitiatorTaskTag: iscsi.NoTag, TargetTransferTag: 1}, nil, false)
		_, _, _ = s.expect(iscsi.OpNOPOut)
		close(asked)
		time.Sleep(100 * time.Millisecond)
		s.good(c)
		s.drain()
	})
	ended := make(chan error, 1)
	if err := s.Submit(&Task{LUN: lun0, Done: func(t *Task) { ended <- t.Error() }}); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := s.Do(t.Context(), &Task{LUN: lun0}); !errors.Is(err, ErrSessionLost) || !errors.Is(err, ErrLogoutRequested) {
		t.Fatalf("a new task ended with %v", err)
	}
	if err := <-ended; err != nil {
		t.Fatalf("the task under way ended with %v", err)
	}
	<-s.Done()
	if !errors.Is(s.Err(), ErrLogoutRequested) {
		t.Fatalf("the session ended with %v", s.Err())
	}
}

func TestARejectedCommandEndsItsTaskAlone(t *testing.T) {
	s := dial(t, nil, func(s *script) {
		h, _, _ := s.expect(iscsi.OpSCSICommand)
		s.cmdSN = h.CmdSN() + 1
		s.send(iscsi.Reject{Reason: iscsi.RejectCommandNotSupported}, append([]byte(nil), h[:]...), true)
		if c, _, ok := s.command(); ok {
			s.good(c)
		}
		s.drain()
	})
	var rejected *RejectError
	if err := s.Do(t.Context(), &Task{LUN: lun0}); !errors.As(err, &rejected) || rejected.Reason != iscsi.RejectCommandNotSupported {
		t.Fatalf("the rejected task ended with %v", err)
	}
	if err := s.Do(t.Context(), &Task{LUN: lun0}); err != nil {
		t.Fatal(err)
	}
}

func TestAResetEndsTheTasksOfItsLogicalUnit(t *testing.T) {
	s := dial(t, nil, func(s *script) {
		_, _, _ = s.command()
		other, _, _ := s.command()
		h, _, _ := s.expect(iscsi.OpTaskRequest)
		s.send(iscsi.TaskResponse{InitiatorTaskTag: h.InitiatorTaskTag()}, nil, true)
		s.good(other)
		s.drain()
	})
	reset, other := make(chan error, 1), make(chan error, 1)
	if err := s.Submit(&Task{LUN: lun0, Done: func(t *Task) { reset <- t.Error() }}); err != nil {
		t.Fatal(err)
	}
	if err := s.Submit(&Task{LUN: iscsi.NewLUN(1), Done: func(t *Task) { other <- t.Error() }}); err != nil {
		t.Fatal(err)
	}
	// The commands must be on their way first: only those are the reset's.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		sent := s.queued.first == nil
		s.mu.Unlock()
		if sent {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the commands are not sent")
		}
	}
	r, err := s.Manage(t.Context(), scsi.LogicalUnitReset, lun0)
	if err != nil || r != scsi.FunctionComplete {
		t.Fatalf("the reset ended with %v, %v", r, err)
	}
	if err := <-reset; !errors.Is(err, ErrAborted) {
		t.Fatalf("the task on the logical unit that was reset ended with %v", err)
	}
	if err := <-other; err != nil {
		t.Fatalf("the task on the other logical unit ended with %v", err)
	}
}

func TestTooManyTasksAreRefused(t *testing.T) {
	s := dial(t, func(c *Config) { c.MaxTasks = 4 }, func(s *script) { s.drain() })
	ended := make(chan *Task, 4)
	for range 4 {
		if err := s.Submit(&Task{LUN: lun0, Done: func(t *Task) { ended <- t }}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Submit(&Task{LUN: lun0}); !errors.Is(err, ErrTooManyTasks) {
		t.Fatalf("the fifth of four tasks: %v", err)
	}
	_ = s.Close()
	for range 4 {
		if task := <-ended; !errors.Is(task.Error(), ErrSessionLost) || !errors.Is(task.Error(), ErrClosed) {
			t.Fatalf("a task of a closed session ended with %v", task.Error())
		}
	}
}

func TestAsynchronousSCSIEventsAreTold(t *testing.T) {
	told := make(chan AsyncEvent, 1)
	s := dial(t, func(c *Config) { c.OnAsync = func(e AsyncEvent) { told <- e } }, func(s *script) {
		b := scsi.AppendSense(make([]byte, 2), scsi.Sense{Key: scsi.UnitAttention, ASC: scsi.AsymmetricAccessStateChanged})
		b[1] = byte(len(b) - 2)
		s.send(iscsi.AsyncMessage{Event: iscsi.AsyncSCSIEvent}, b, true)
		s.drain()
	})
	if e := <-told; e.Sense.ASC != scsi.AsymmetricAccessStateChanged {
		t.Fatalf("told was %+v", e)
	}
	_ = s.Close()
}

// The write that is under way when a session is lost is never finished; its
// task can be used on another session all the same.
func TestATaskOfALostSessionCanBeUsedAgain(t *testing.T) {
	// More than the sockets hold: none of it is read.
	tasks, submitted := make([]*Task, 200), make(chan struct{})
	lost := dial(t, nil, func(s *script) {
		s.window = 1000
		s.send(iscsi.NOPIn{InitiatorTaskTag: iscsi.NoTag, TargetTransferTag: iscsi.NoTag}, nil, false)
		<-submitted
		time.Sleep(100 * time.Millisecond)
	})
	ended := make(chan *Task, len(tasks))
	for i := range tasks {
		tasks[i] = writeTask(256 << 10)
		tasks[i].Done = func(t *Task) { ended <- t }
		if err := lost.Submit(tasks[i]); err != nil {
			t.Fatal(err)
		}
	}
	close(submitted)
	for range tasks {
		if task := <-ended; !errors.Is(task.Error(), ErrSessionLost) {
			t.Fatalf("a task of the lost session ended with %v", task.Error())
		}
	}
	s := dial(t, nil, func(s *script) {
		for range tasks {
			if c, _, ok := s.command(); ok {
				s.good(c)
			}
		}
		s.drain()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for i, task := range tasks {
		if err := s.Do(ctx, task); err != nil {
			t.Fatalf("task %d, used again, ended with %v", i, err)
		}
	}
}

// The shape of the session allows a load generator without garbage: a task
// used again and again allocates nothing.
func TestATaskInSteadyStateAllocatesNothing(t *testing.T) {
	s := dial(t, nil, func(s *script) {
		var o iscsi.Outgoing
		data := make([]byte, 4096)
		buf := make([]byte, 0, 8192)
		for {
			h, _, err := s.in.ReadHeader()
			if err != nil || h.Opcode() != iscsi.OpSCSICommand {
				return
			}
			s.cmdSN = h.CmdSN() + 1
			iscsi.DataIn{InitiatorTaskTag: h.InitiatorTaskTag(), TargetTransferTag: iscsi.NoTag, Final: true, HasStatus: true}.Encode(o.Header())
			o.Header().SetSequence(s.statSN, s.cmdSN, s.cmdSN+31)
			s.statSN++
			o.Header().SetLengths(0, len(data))
			buf = append(append(buf[:0], o.Header()[:]...), data...)
			if _, err := s.conn.Write(buf); err != nil {
				return
			}
		}
	})
	task := readTask(4096)
	run := func() {
		if err := s.Do(t.Context(), task); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		run()
	}
	if n := testing.AllocsPerRun(2000, run); n > 0 {
		t.Fatalf("%v allocations for a read", n)
	}
	_ = s.Close()
}
