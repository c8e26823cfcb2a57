package initiator

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/scsi"
)

var lun0 = iscsi.NewLUN(0)

func readTask(n int) *Task {
	return &Task{LUN: lun0, CDB: Read16CDB(0, uint32(n/512)), DataIn: make([]byte, n)}
}

func writeTask(n int) *Task {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i * 7)
	}
	return &Task{LUN: lun0, CDB: Write16CDB(0, uint32(n/512)), DataOut: data}
}

// A target that does one of these is not to be trusted any further: the
// session ends, and the task with it.
func TestAHostileTargetEndsTheSession(t *testing.T) {
	cases := map[string]struct {
		task *Task
		play func(*script, iscsi.SCSICommand)
		want string
	}{
		"data past the buffer": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.DataIn{Final: true, InitiatorTaskTag: c.InitiatorTaskTag}, make([]byte, 516), false)
		}, "more than the task's 512"},
		"data at another offset": {readTask(1024), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.DataIn{InitiatorTaskTag: c.InitiatorTaskTag, BufferOffset: 512}, make([]byte, 512), false)
		}, "buffer offset 512"},
		"data at an offset that overflows": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.DataIn{InitiatorTaskTag: c.InitiatorTaskTag, BufferOffset: 0xffffffff}, make([]byte, 512), false)
		}, "buffer offset 4294967295"},
		"data for a write": {writeTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.DataIn{InitiatorTaskTag: c.InitiatorTaskTag}, make([]byte, 4), false)
		}, "more than the task's 0"},
		"a gap in DataSN": {readTask(1024), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.DataIn{InitiatorTaskTag: c.InitiatorTaskTag, DataSN: 1}, make([]byte, 512), false)
		}, "DataSN 1, expected 0"},
		"status without the F bit": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.DataIn{HasStatus: true, InitiatorTaskTag: c.InitiatorTaskTag}, make([]byte, 512), true)
		}, "without the F bit"},
		"a segment longer than negotiated": {readTask(1 << 20), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.DataIn{InitiatorTaskTag: c.InitiatorTaskTag}, make([]byte, 256<<10+4), false)
		}, "longer than MaxRecvDataSegmentLength"},
		"an answer to no task": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.SCSIResponse{InitiatorTaskTag: c.InitiatorTaskTag + 1}, nil, true)
		}, "of no task"},
		"an answer to an earlier use of the tag": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.SCSIResponse{InitiatorTaskTag: c.InitiatorTaskTag - 1<<tagIndexBits}, nil, true)
		}, "of no task"},
		"a gap in StatSN": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.statSN++
			s.good(c)
		}, "StatSN"},
		"CHECK CONDITION without sense data": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.SCSIResponse{InitiatorTaskTag: c.InitiatorTaskTag, Status: scsi.StatusCheckCondition}, nil, true)
		}, "without sense data"},
		"sense data longer than its segment": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.SCSIResponse{InitiatorTaskTag: c.InitiatorTaskTag, Status: scsi.StatusCheckCondition}, []byte{1, 0, 0x70}, true)
		}, "sense length 256"},
		"R2T past the data": {writeTask(1 << 20), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.R2T{InitiatorTaskTag: c.InitiatorTaskTag, TargetTransferTag: 1, BufferOffset: 1<<20 - 512, DesiredDataTransferLength: 1024}, nil, false)
		}, "more than the task's"},
		"R2T at an offset that overflows": {writeTask(1 << 20), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.R2T{InitiatorTaskTag: c.InitiatorTaskTag, TargetTransferTag: 1, BufferOffset: 0xffffff00, DesiredDataTransferLength: 512}, nil, false)
		}, "more than the task's"},
		"R2T longer than MaxBurstLength": {writeTask(2 << 20), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.R2T{InitiatorTaskTag: c.InitiatorTaskTag, TargetTransferTag: 1, DesiredDataTransferLength: 1<<20 + 512}, nil, false)
		}, "asked for, 1 to 1048576"},
		"R2T of nothing": {writeTask(1 << 20), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.R2T{InitiatorTaskTag: c.InitiatorTaskTag, TargetTransferTag: 1}, nil, false)
		}, "0 bytes asked for"},
		"R2T with the reserved tag": {writeTask(1 << 20), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.R2T{InitiatorTaskTag: c.InitiatorTaskTag, TargetTransferTag: iscsi.NoTag, DesiredDataTransferLength: 512}, nil, false)
		}, "reserved"},
		"R2T for a read": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.R2T{InitiatorTaskTag: c.InitiatorTaskTag, TargetTransferTag: 1, DesiredDataTransferLength: 512}, nil, false)
		}, "more than the task's 0"},
		"a gap in R2TSN": {writeTask(1 << 20), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.R2T{InitiatorTaskTag: c.InitiatorTaskTag, TargetTransferTag: 1, R2TSN: 3, DesiredDataTransferLength: 512}, nil, false)
		}, "R2TSN 3"},
		"a PDU of an initiator": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.NOPOut{InitiatorTaskTag: 1, TargetTransferTag: 1}, nil, false)
		}, "no place in the full feature phase"},
		"a login response": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.LoginResponse{InitiatorTaskTag: 1}, nil, true)
		}, "no place in the full feature phase"},
		"an answer to no ping": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.NOPIn{InitiatorTaskTag: tagControl | 77, TargetTransferTag: iscsi.NoTag}, nil, true)
		}, "of no ping"},
		"an answer to no function": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.TaskResponse{InitiatorTaskTag: tagControl | 77}, nil, true)
		}, "of no such request"},
		"a reject of nothing it was sent": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.Reject{Reason: iscsi.RejectProtocolError}, make([]byte, 48), true)
		}, "rejected the PDU: protocol error"},
		"a session drop": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			s.send(iscsi.AsyncMessage{Event: iscsi.AsyncSessionDrop}, nil, true)
		}, "drops the session"},
		"the end of the connection": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			_ = s.conn.Close()
		}, "receive from target"},
		"half a header": {readTask(512), func(s *script, c iscsi.SCSICommand) {
			_, _ = s.conn.Write(make([]byte, 20))
			_ = s.conn.Close()
		}, "unexpected EOF"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := dial(t, nil, func(s *script) {
				if cmd, _, ok := s.command(); ok {
					c.play(s, cmd)
					s.drain()
				}
			})
			err := s.Do(t.Context(), c.task)
			if !errors.Is(err, ErrSessionLost) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("the task ended with %v, expected %q", err, c.want)
			}
			<-s.Done()
			if err := s.Submit(readTask(512)); !errors.Is(err, ErrSessionLost) {
				t.Fatalf("a dead session took a task: %v", err)
			}
		})
	}
}

func TestReadDataIsPutTogetherInPlace(t *testing.T) {
	for name, digests := range map[string]bool{"without digests": false, "with digests": true} {
		t.Run(name, func(t *testing.T) {
			want := writeTask(64 << 10).DataOut
			s := dial(t, func(c *Config) { c.HeaderDigest, c.DataDigest = digests, digests }, func(s *script) {
				c, _, _ := s.command()
				sizes := []int{1, 511, 4096, 30000, 0}
				off := 0
				for i, n := range sizes {
					s.send(iscsi.DataIn{InitiatorTaskTag: c.InitiatorTaskTag, DataSN: uint32(i), BufferOffset: uint32(off)}, want[off:off+n], false)
					off += n
				}
				s.send(iscsi.DataIn{
					InitiatorTaskTag: c.InitiatorTaskTag, DataSN: uint32(len(sizes)), BufferOffset: uint32(off), Final: true, HasStatus: true,
				}, want[off:], true)
				s.drain()
			})
			task := readTask(len(want))
			if err := s.Do(t.Context(), task); err != nil {
				t.Fatal(err)
			}
			if task.Transferred != len(want) || !bytes.Equal(task.DataIn, want) {
				t.Fatalf("%d bytes were read, and not those sent", task.Transferred)
			}
		})
	}
}

func TestASpoiltDigestEndsTheSession(t *testing.T) {
	for name, part := range map[string]int{"header": 20, "data": 60} {
		t.Run(name, func(t *testing.T) {
			s := dial(t, func(c *Config) { c.HeaderDigest, c.DataDigest = true, true }, func(s *script) {
				c, _, _ := s.command()
				var o iscsi.Outgoing
				iscsi.DataIn{InitiatorTaskTag: c.InitiatorTaskTag, Final: true, HasStatus: true}.Encode(o.Header())
				o.Header().SetSequence(s.statSN, s.cmdSN, s.cmdSN+8)
				o.Data = make([]byte, 512)
				raw := bytes.Join(o.AppendTo(nil, s.digests), nil)
				raw[part] ^= 1
				_, _ = s.conn.Write(raw)
				s.drain()
			})
			if err := s.Do(t.Context(), readTask(512)); !errors.Is(err, ErrSessionLost) || !strings.Contains(err.Error(), name+" digest error") {
				t.Fatalf("a %s with a wrong digest: %v", name, err)
			}
		})
	}
}

// Data goes out as immediate, unsolicited and solicited data, in that order,
// as far as negotiation allows each.
func TestWriteDataGoesOutAsNegotiated(t *testing.T) {
	const size = 700 << 10
	cases := map[string]struct {
		change     func(*Config)
		immediate  int
		unsolicted int // Data-Out without an R2T
	}{
		"all allowed":       {nil, 256 << 10, 0},
		"no immediate":      {func(c *Config) { c.NoImmediateData = true }, 0, 256 << 10},
		"small first burst": {func(c *Config) { c.FirstBurstLength = 4096 }, 4096, 0},
		"all solicited":     {func(c *Config) { c.NoImmediateData, c.InitialR2T = true, true }, 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			task := writeTask(size)
			type outcome struct {
				got     []byte
				problem string
			}
			arrived := make(chan outcome, 1)
			s := dial(t, c.change, func(s *script) {
				got, problem := make([]byte, 0, size), ""
				cmd, data, _ := s.command()
				if len(data) != c.immediate {
					problem = "wrong amount of immediate data"
				}
				got = append(got, data...)
				collect := func(tag uint32, until int) {
					for sn := uint32(0); len(got) < until; sn++ {
						h, data, ok := s.expect(iscsi.OpDataOut)
						if !ok {
							return
						}
						var d iscsi.DataOut
						d.Decode(h)
						if d.TargetTransferTag != tag || d.DataSN != sn || int(d.BufferOffset) != len(got) || d.InitiatorTaskTag != cmd.InitiatorTaskTag {
							problem = "a Data-Out that was not expected"
						}
						got = append(got, data...)
						if d.Final != (len(got) == until) {
							problem = "the F bit in the wrong place"
						}
					}
				}
				if cmd.Final != (c.unsolicted == 0) {
					problem = "the F bit of the command is wrong"
				}
				collect(iscsi.NoTag, len(got)+c.unsolicted)
				for sn := uint32(0); len(got) < size; sn++ {
					n := min(300<<10, size-len(got))
					s.send(iscsi.R2T{
						InitiatorTaskTag: cmd.InitiatorTaskTag, TargetTransferTag: 1000 + sn, R2TSN: sn,
						BufferOffset: uint32(len(got)), DesiredDataTransferLength: uint32(n),
					}, nil, false)
					collect(1000+sn, len(got)+n)
				}
				arrived <- outcome{got, problem}
				s.good(cmd)
				s.drain()
			})
			if err := s.Do(t.Context(), task); err != nil {
				t.Fatal(err)
			}
			o := <-arrived
			got, problem := o.got, o.problem
			if problem != "" || !bytes.Equal(got, task.DataOut) {
				t.Fatalf("%s; %d of %d bytes arrived", problem, len(got), size)
			}
		})
	}
}

func TestTheCommandWindowIsRespected(t *testing.T) {
	const tasks, window = 50, 3
	violation := make(chan string, tasks)
	s := dial(t, nil, func(s *script) {
		s.window = window
		// The window given at login was larger: close it with a NOP-In first.
		var held []iscsi.SCSICommand
		for n := 0; n < tasks; {
			c, _, ok := s.command()
			if !ok {
				return
			}
			held = append(held, c)
			if c.CmdSN != uint32(firstCmdSN+n) {
				violation <- "CmdSN out of sequence"
			}
			n++
			if len(held) == window || n == tasks {
				// Nothing more may come until one is answered.
				for _, c := range held {
					s.good(c)
				}
				held = held[:0]
			}
			if len(held) > window {
				violation <- "more commands than the window holds"
			}
		}
		s.drain()
	})
	ended := make(chan *Task, tasks)
	for range tasks {
		task := &Task{LUN: lun0, Done: func(t *Task) { ended <- t }}
		if err := s.Submit(task); err != nil {
			t.Fatal(err)
		}
	}
	for range tasks {
		if task := <-ended; task.Error() != nil {
			t.Fatal(task.Error())
		}
	}
	select {
	case v := <-violation:
		t.Fatal(v)
	default:
	}
}

func TestAClosedWindowHoldsCommandsBack(t *testing.T) {
	opened := make(chan struct{})
	early := make(chan bool, 1)
	var s *Session
	cfg := testConfig(listen(t, func(s *script) {
		s.window = 0
		if !s.login() {
			return
		}
		_ = s.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, _, err := s.in.ReadHeader()
		early <- err == nil
		_ = s.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		close(opened)
		s.window = 1
		s.send(iscsi.NOPIn{InitiatorTaskTag: iscsi.NoTag, TargetTransferTag: iscsi.NoTag}, nil, false)
		if c, _, ok := s.command(); ok {
			s.good(c)
		}
		s.drain()
	}))
	s, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Do(ctx, readTask(512)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a command that the window holds back ended with %v", err)
	}
	if err := s.Do(t.Context(), &Task{LUN: lun0}); err != nil {
		t.Fatal(err)
	}
	<-opened
	if <-early {
		t.Fatal("a command was sent though the window was closed")
	}
}

func TestStatusAndSenseReachTheCaller(t *testing.T) {
	sense := scsi.Sense{Key: scsi.NotReady, ASC: scsi.LogicalUnitNotAccessibleAsymmetricAccessStateTransition}
	s := dial(t, nil, func(s *script) {
		c, _, _ := s.command()
		s.check(c, sense)
		c, _, _ = s.command()
		s.send(iscsi.SCSIResponse{InitiatorTaskTag: c.InitiatorTaskTag, Status: scsi.StatusBusy}, nil, true)
		c, _, _ = s.command()
		s.send(iscsi.SCSIResponse{InitiatorTaskTag: c.InitiatorTaskTag, Response: iscsi.TargetFailure}, nil, true)
		c, _, _ = s.command()
		s.send(iscsi.SCSIResponse{InitiatorTaskTag: c.InitiatorTaskTag, Residual: iscsi.Residual{Underflow: true, Count: 512}}, nil, true)
		s.drain()
	})
	u := s.LogicalUnit(lun0)
	err := u.TestUnitReady(t.Context())
	var got scsi.Sense
	if !errors.As(err, &got) || got.Key != sense.Key || got.ASC != sense.ASC {
		t.Fatalf("CHECK CONDITION arrived as %v", err)
	}
	var status *StatusError
	if err := u.TestUnitReady(t.Context()); !errors.As(err, &status) || status.Status != scsi.StatusBusy || errors.As(err, new(scsi.Sense)) {
		t.Fatalf("BUSY arrived as %v", err)
	}
	if err := u.TestUnitReady(t.Context()); !errors.As(err, &status) || status.Response != iscsi.TargetFailure {
		t.Fatalf("target failure arrived as %v", err)
	}
	if err := u.Read(t.Context(), 0, 1, make([]byte, 512)); !errors.Is(err, ErrShortTransfer) {
		t.Fatalf("a read without its data ended with %v", err)
	}
}
