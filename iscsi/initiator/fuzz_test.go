package initiator

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/scsi"
)

// hostile is a connection to a peer that says sent once start is closed,
// whatever it hears, and then hangs up.
func hostile(t *testing.T, sent []byte, start <-chan struct{}) net.Conn {
	ours, theirs := net.Pipe()
	_ = ours.SetDeadline(time.Now().Add(10 * time.Second))
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(io.Discard, theirs)
	}()
	said := make(chan struct{})
	go func() {
		defer close(said)
		<-start
		_, _ = theirs.Write(sent)
		_ = theirs.Close()
	}()
	t.Cleanup(func() {
		_ = ours.Close()
		<-said
		<-heard
	})
	return ours
}

// pdus is the stream of the given PDUs with StatSN from 0 on.
func pdus(list ...encoder) []byte {
	var b []byte
	statSN := uint32(0)
	for _, p := range list {
		var o iscsi.Outgoing
		p.Encode(o.Header())
		o.Header().SetSequence(statSN, firstCmdSN, firstCmdSN+10)
		switch d := p.(type) {
		case iscsi.DataIn:
			o.Data = make([]byte, 512)
			if d.HasStatus {
				statSN++
			}
		case iscsi.R2T:
		default:
			statSN++
		}
		b = append(b, bytes.Join(o.AppendTo(nil, iscsi.Digests{}), nil)...)
	}
	return b
}

// Whatever a target sends in the full feature phase, every task ends once,
// the session ends, and no byte outside a task's buffer is touched.
func FuzzTheFullFeaturePhaseTakesAnything(f *testing.F) {
	const first = 1 << tagIndexBits // the tag of the first task
	f.Add(pdus(iscsi.DataIn{Final: true, HasStatus: true, InitiatorTaskTag: first}))
	f.Add(pdus(iscsi.DataIn{InitiatorTaskTag: first}, iscsi.DataIn{InitiatorTaskTag: first, DataSN: 1, BufferOffset: 512}, iscsi.SCSIResponse{InitiatorTaskTag: first}))
	f.Add(pdus(iscsi.SCSIResponse{InitiatorTaskTag: first, Status: scsi.StatusBusy}, iscsi.AsyncMessage{Event: iscsi.AsyncLogoutRequest}))
	f.Add(pdus(iscsi.R2T{InitiatorTaskTag: first + 1, TargetTransferTag: 5, BufferOffset: 0, DesiredDataTransferLength: 1024}, iscsi.SCSIResponse{InitiatorTaskTag: first + 1}))
	f.Add(pdus(iscsi.Reject{Reason: iscsi.RejectProtocolError}))
	f.Add(pdus(iscsi.NOPIn{InitiatorTaskTag: iscsi.NoTag, TargetTransferTag: 5}))
	f.Add(pdus(iscsi.TaskResponse{InitiatorTaskTag: tagControl | 1}))
	f.Fuzz(func(t *testing.T, sent []byte) {
		cfg, err := testConfig("192.0.2.1").withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		start := make(chan struct{})
		conn := hostile(t, sent, start)
		l := newLogin(cfg, conn, iscsi.SessionNormal)
		l.cmdSN, l.expCmdSN, l.maxCmdSN = firstCmdSN, firstCmdSN, firstCmdSN+10
		l.params = Params{ImmediateData: true, MaxBurstLength: 1 << 20, FirstBurstLength: 512, MaxSendDataSegmentLength: 512}
		l.in.SetMaxDataSegmentLength(64 << 10)
		const guard = 64
		memory := bytes.Repeat([]byte{0xa5}, 4096+2*guard)
		ended := make(chan *Task, 3)
		done := func(t *Task) { ended <- t }
		s := newSession(l)
		tasks := []*Task{
			{LUN: lun0, DataIn: memory[guard : guard+4096 : guard+4096], Done: done},
			{LUN: lun0, DataOut: make([]byte, 4096), Done: done},
		}
		accepted := 0
		for _, task := range tasks {
			if s.Submit(task) == nil {
				accepted++
			}
		}
		close(start)
		<-s.Done()
		for range accepted {
			if task := <-ended; task.Transferred > len(task.DataIn) {
				t.Fatalf("%d bytes in a buffer of %d", task.Transferred, len(task.DataIn))
			}
		}
		if len(ended) > 0 {
			t.Fatal("a task ended twice")
		}
		for i, b := range memory {
			if (i < guard || i >= guard+4096) && b != 0xa5 {
				t.Fatalf("byte %d outside the buffer was written", i-guard)
			}
		}
	})
}

// Whatever a target answers to a login, the login ends, well or with an
// error.
func FuzzTheLoginTakesAnything(f *testing.F) {
	answer := func(r iscsi.LoginResponse, pairs ...iscsi.KeyValue) []byte {
		var o iscsi.Outgoing
		r.InitiatorTaskTag = loginTag
		r.Encode(o.Header())
		o.Data = iscsi.AppendText(nil, pairs...)
		return bytes.Join(o.AppendTo(nil, iscsi.Digests{}), nil)
	}
	security := answer(iscsi.LoginResponse{Transit: true, NSG: iscsi.LoginOperationalNegotiation, TSIH: 1},
		iscsi.KeyValue{Key: iscsi.KeyAuthMethod, Value: iscsi.ValueNone})
	operational := answer(iscsi.LoginResponse{Transit: true, CSG: iscsi.LoginOperationalNegotiation, NSG: iscsi.FullFeaturePhase, TSIH: 1, StatSN: 1},
		iscsi.KeyValue{Key: iscsi.KeyInitialR2T, Value: iscsi.ValueYes}, iscsi.KeyValue{Key: iscsi.KeyMaxBurstLength, Value: "65536"})
	chap := answer(iscsi.LoginResponse{}, iscsi.KeyValue{Key: iscsi.KeyAuthMethod, Value: iscsi.AuthCHAP})
	challenge := answer(iscsi.LoginResponse{StatSN: 1}, iscsi.KeyValue{Key: iscsi.KeyCHAPA, Value: "5"},
		iscsi.KeyValue{Key: iscsi.KeyCHAPI, Value: "1"}, iscsi.KeyValue{Key: iscsi.KeyCHAPC, Value: "0x0123456789"})
	proof := answer(iscsi.LoginResponse{Transit: true, NSG: iscsi.LoginOperationalNegotiation, StatSN: 2},
		iscsi.KeyValue{Key: iscsi.KeyCHAPN, Value: "target"}, iscsi.KeyValue{Key: iscsi.KeyCHAPR, Value: "0x00112233445566778899aabbccddeeff"})
	f.Add(append(security, operational...), false)
	f.Add(append(append(chap, challenge...), proof...), true)
	f.Add(answer(iscsi.LoginResponse{Status: iscsi.LoginTargetMovedTemporarily}, iscsi.KeyValue{Key: iscsi.KeyTargetAddress, Value: "a:1,2"}), false)
	f.Fuzz(func(t *testing.T, sent []byte, mutual bool) {
		cfg := testConfig("192.0.2.1")
		if mutual {
			cfg.CHAP, cfg.Mutual = &Credentials{"user", iscsi.NewSecret("secret of the user")}, &Credentials{"target", iscsi.NewSecret("secret of the target")}
		}
		cfg, err := cfg.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		start := make(chan struct{})
		close(start)
		conn := hostile(t, sent, start)
		err = newLogin(cfg, conn, iscsi.SessionNormal).run()
		if mutual && err == nil {
			t.Fatal("a target that does not know the secret was trusted")
		}
	})
}

// Whatever parameter data says, it is read within its bounds.
func FuzzParameterDataTakesAnything(f *testing.F) {
	f.Add([]byte{0, 0x83, 0, 8, 1, 3, 0, 4, 1, 2, 3, 4})
	f.Add([]byte{0, 0, 0, 12, 0x80, 0x8f, 0, 1, 0, 2, 0, 1, 0, 0, 0, 7})
	f.Add(append([]byte{0, 0, 0, 8, 0, 0, 0, 0}, make([]byte, 8)...))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		c, err := decodeCapacity(p)
		if err == nil && (c.Bytes() <= 0 || c.Blocks == 0) {
			t.Fatalf("capacity %+v", c)
		}
		for len(p) > 0 {
			ds, _ := scsi.DecodeDesignators(p)
			for _, d := range ds {
				_, _ = DesignatedNumber(d)
			}
			p = p[1:]
		}
	})
}
