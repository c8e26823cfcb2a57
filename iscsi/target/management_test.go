package target_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/scsi"
)

// manage requests a function and reads the response.
func (c *client) manage(f scsi.TaskManagementFunction, lun iscsi.LUN, task uint32) scsi.FunctionResponse {
	c.t.Helper()
	tag := c.nextITT()
	c.send(iscsi.TaskRequest{Immediate: true, Function: f, LUN: lun, InitiatorTaskTag: tag, ReferencedTaskTag: task, CmdSN: c.cmdSN, ExpStatSN: c.statSN}, nil)
	h, _ := c.expect(iscsi.OpTaskResponse)
	var p iscsi.TaskResponse
	if p.Decode(h); p.InitiatorTaskTag != tag {
		c.t.Errorf("the response is for task %d", p.InitiatorTaskTag)
	}
	return p.Response
}

// pendingWrite starts a write that waits for its data.
func (c *client) pendingWrite() (iscsi.SCSICommand, iscsi.R2T) {
	c.t.Helper()
	w := c.command(write16(0, 1))
	w.Write, w.ExpectedDataTransferLength = true, 512
	c.send(w, nil)
	h, _ := c.expect(iscsi.OpR2T)
	var r iscsi.R2T
	r.Decode(h)
	return w, r
}

func TestAnAbortedTaskIsSilentAndItsDataIsSkipped(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	c.ready()
	for _, function := range []scsi.TaskManagementFunction{scsi.AbortTask, scsi.AbortTaskSet, scsi.ClearTaskSet} {
		w, r2t := c.pendingWrite()
		tag := w.InitiatorTaskTag
		if function != scsi.AbortTask {
			tag = iscsi.NoTag
		}
		if r := c.manage(function, 0, tag); r != scsi.FunctionComplete {
			t.Errorf("function %d: response %d", function, r)
		}
		c.send(iscsi.DataOut{Final: true, InitiatorTaskTag: w.InitiatorTaskTag, TargetTransferTag: r2t.TargetTransferTag}, make([]byte, 512))
		c.ping()
	}
	if s := f.Sessions()[0]; s.Outstanding != 0 {
		t.Errorf("%d tasks outstanding", s.Outstanding)
	}
}

func TestTheWindowOpensAgainAfterAborts(t *testing.T) {
	f := newFixture(t, func(_ *target.Config, o *target.Options) { o.Limits.Commands = 2 })
	c := f.connect()
	c.logIn()
	c.ready()
	for range 5 {
		w, _ := c.pendingWrite()
		if r := c.manage(scsi.AbortTask, 0, w.InitiatorTaskTag); r != scsi.FunctionComplete {
			t.Fatal(r)
		}
	}
	c.read(0, 1)
}

func TestFunctionsAnswerAsTheRFCSays(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	c.ready()
	for _, x := range []struct {
		name     string
		function scsi.TaskManagementFunction
		lun      iscsi.LUN
		want     scsi.FunctionResponse
	}{
		{"abort of an unknown task", scsi.AbortTask, 0, scsi.TaskDoesNotExist},
		{"reset of an unknown LUN", scsi.LogicalUnitReset, iscsi.NewLUN(9), scsi.LUNDoesNotExist},
		{"LUN of an unknown form", scsi.LogicalUnitReset, 0xc100 << 48, scsi.LUNDoesNotExist},
		{"reassign", scsi.TaskReassign, 0, scsi.ReassignNotSupported},
		{"reset", scsi.LogicalUnitReset, 0, scsi.FunctionComplete},
		{"warm reset", scsi.TargetWarmReset, 0, scsi.FunctionComplete},
	} {
		if got := c.manage(x.function, x.lun, 99999); got != x.want {
			t.Errorf("%s: response %d, want %d", x.name, got, x.want)
		}
	}
}

func TestAColdResetEndsAllSessionsOfTheTarget(t *testing.T) {
	f := newFixture(t, nil)
	a, b := f.connect(), f.connect()
	a.logIn()
	b.isid[5]++
	b.logIn()
	a.send(iscsi.TaskRequest{Immediate: true, Function: scsi.TargetColdReset, InitiatorTaskTag: 1, CmdSN: a.cmdSN}, nil)
	for _, c := range []*client{a, b} {
		c.expectClosed(0)
	}
	eventually(t, "the sessions end", func() bool { return len(f.Sessions()) == 0 })
}

func TestAbortsInTheMiddleOfTransfersHurtNothing(t *testing.T) {
	f := newFixture(t, nil)
	s := f.dial(func(c *initiator.Config) {
		c.MaxRecvDataSegmentLength, c.MaxBurstLength, c.FirstBurstLength = 4096, 8192, 4096
	})
	u := s.LogicalUnit(0)
	_ = u.TestUnitReady(context.Background())
	var wg sync.WaitGroup
	aborted := make([]int, 6)
	for i := range aborted {
		wg.Go(func() {
			const blocks = 64
			r := rand.New(rand.NewPCG(uint64(i), 7))
			lba := uint64(i * blocks)
			for round := range 60 {
				want := random(blocks*blockSize, uint64(i*1000+round))
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(1500))*time.Microsecond)
				err := u.Write(ctx, lba, blocks, want)
				cancel()
				if err != nil {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("write: %v", err)
						return
					}
					aborted[i]++
					// An aborted write is over: what comes after it stays.
					if err := u.Write(context.Background(), lba, blocks, want); err != nil {
						t.Errorf("write after an abort: %v", err)
						return
					}
				}
				got := make([]byte, len(want))
				if err := u.Read(context.Background(), lba, blocks, got); err != nil || !bytes.Equal(got, want) {
					t.Errorf("round %d: read: %v", round, err)
					return
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range aborted {
		total += n
	}
	if total == 0 {
		t.Error("nothing was aborted")
	}
	eventually(t, "all tasks end", func() bool { return f.Sessions()[0].Outstanding == 0 })
}
