package target_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/scsi"
)

// several is a session of two or more connections.
type several struct {
	*fixture
	t    *testing.T
	tsih uint16
	sn   uint32 // the next CmdSN
	c    []*client
}

// newSeveral opens a session with n connections, of which the first has taken
// the unit attention of the new nexus. MaxConnections is 3.
func newSeveral(t *testing.T, n int, adjust func(*target.Options)) *several {
	t.Helper()
	f := newFixture(t, func(c *target.Config, o *target.Options) {
		c.PortalGroups[0].MaxConnections = 3
		if adjust != nil {
			adjust(o)
		}
	})
	s := &several{fixture: f, t: t}
	first := f.connect()
	s.tsih = first.logIn("MaxConnections", "8").TSIH
	first.ready()
	s.sn = first.cmdSN
	s.c = []*client{first}
	for len(s.c) < n {
		c, status := s.join(uint16(100 + len(s.c)))
		if status != iscsi.LoginSuccess {
			t.Fatal(status)
		}
		s.c = append(s.c, c)
	}
	return s
}

// join logs a connection in to the session.
func (s *several) join(cid uint16) (*client, iscsi.LoginStatus) {
	s.t.Helper()
	c := s.connect()
	c.itt = uint32(cid) << 16 // task tags differ on all connections
	r := c.loginRequest(operational, fullFeature)
	r.TSIH, r.CID, r.CmdSN = s.tsih, cid, s.sn
	c.send(r, pairs("InitiatorName", initiatorName, "TargetName", targetName))
	p, _ := c.answer()
	if p.Status == iscsi.LoginSuccess && (p.TSIH != s.tsih || p.ExpCmdSN != s.sn) {
		s.t.Errorf("joined session %d, ExpCmdSN %d", p.TSIH, p.ExpCmdSN)
	}
	return c, p.Status
}

// command makes a command with a CmdSN of the session.
func (s *several) command(i int, cdb []byte) iscsi.SCSICommand {
	p := s.c[i].command(cdb)
	p.CmdSN = s.sn
	s.sn++
	return p
}

// write makes a write of a block with immediate data.
func (s *several) write(i int, lba byte) iscsi.SCSICommand {
	p := s.command(i, write16(lba, 1))
	p.Write, p.ExpectedDataTransferLength = true, blockSize
	return p
}

// pending starts a write on a connection whose data is never sent.
func (s *several) pending(i int) iscsi.SCSICommand {
	s.t.Helper()
	p := s.write(i, 9)
	s.c[i].send(p, nil)
	s.c[i].expect(iscsi.OpR2T)
	return p
}

// works proves that a connection still carries commands.
func (s *several) works(i int) {
	s.t.Helper()
	s.c[i].send(s.command(i, make([]byte, 6)), nil)
	if r, sense := s.c[i].response(); r.Status != scsi.StatusGood {
		s.t.Errorf("TEST UNIT READY: %v, %v", r.Status, sense)
	}
}

// silent demands that a connection has nothing to say for a moment.
func (s *several) silent(i int) {
	s.t.Helper()
	_ = s.c[i].conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if h, _, err := s.c[i].reader.ReadHeader(); !errors.Is(err, os.ErrDeadlineExceeded) {
		s.t.Fatalf("%v, %v", h, err)
	}
	_ = s.c[i].conn.SetReadDeadline(time.Now().Add(patience))
}

// function asks for a task management function and returns its response.
func (s *several) function(i int, p iscsi.TaskRequest) scsi.FunctionResponse {
	s.t.Helper()
	s.ask(i, p)
	return s.functionResponse(i)
}

func (s *several) ask(i int, p iscsi.TaskRequest) {
	s.t.Helper()
	p.Immediate, p.InitiatorTaskTag, p.CmdSN = true, s.c[i].nextITT(), s.sn
	s.c[i].send(p, nil)
}

func (s *several) functionResponse(i int) scsi.FunctionResponse {
	s.t.Helper()
	h, _ := s.c[i].expect(iscsi.OpTaskResponse)
	var r iscsi.TaskResponse
	r.Decode(h)
	return r.Response
}

// pong answers the ping that comes next on a connection.
func (s *several) pong(i int) {
	s.t.Helper()
	h, _ := s.c[i].expect(iscsi.OpNOPIn)
	s.answerPing(i, h)
}

func (s *several) answerPing(i int, h *iscsi.BHS) {
	s.t.Helper()
	var p iscsi.NOPIn
	p.Decode(h)
	s.c[i].send(iscsi.NOPOut{Immediate: true, InitiatorTaskTag: iscsi.NoTag, TargetTransferTag: p.TargetTransferTag, CmdSN: s.sn}, nil)
}

func TestASessionHasSeveralConnections(t *testing.T) {
	s := newSeveral(t, 3, nil)
	for i := range 12 {
		w := s.write(i%3, byte(i))
		s.c[i%3].send(w, bytes.Repeat([]byte{byte(i + 1)}, blockSize))
		if r, sense := s.c[i%3].response(); r.Status != scsi.StatusGood || r.InitiatorTaskTag != w.InitiatorTaskTag {
			t.Fatalf("%v, %v", r, sense)
		}
	}
	if info := s.Sessions(); len(info) != 1 || info[0].Connections != 3 || info[0].Commands != 13 || info[0].DataOut != 12*blockSize || info[0].CID != 7 {
		t.Errorf("%+v", info)
	}
	if _, status := s.join(200); status != iscsi.LoginTooManyConnections {
		t.Errorf("a fourth connection: %v", status)
	}
	s.tsih++
	if _, status := s.join(201); status != iscsi.LoginSessionDoesNotExist {
		t.Errorf("a connection for a session that is not there: %v", status)
	}
}

func TestACommandWaitsForThoseBeforeItOnOtherConnections(t *testing.T) {
	s := newSeveral(t, 2, nil)
	first, second, third := s.write(0, 1), s.write(1, 1), s.write(1, 1)
	s.c[1].send(second, bytes.Repeat([]byte{2}, blockSize))
	s.c[1].send(third, bytes.Repeat([]byte{3}, blockSize))
	s.silent(1)
	s.c[0].send(first, bytes.Repeat([]byte{1}, blockSize))
	s.c[0].response()
	s.c[1].response()
	s.c[1].response()
	s.c[0].cmdSN = s.sn
	if data := s.c[0].read(1, 1); data[0] != 3 {
		t.Errorf("block of %d", data[0])
	}
}

// Ordered writes of one block, on connections chosen at random: the last one by
// CmdSN stands.
func TestOrderedCommandsKeepTheirOrderOverConnections(t *testing.T) {
	s := newSeveral(t, 3, nil)
	const writes = 60
	var sent [3]int
	for i := range writes {
		n := rand.IntN(3)
		w := s.write(n, 5)
		w.Attribute = scsi.AttributeOrdered
		s.c[n].send(w, bytes.Repeat([]byte{byte(i + 1)}, blockSize))
		sent[n]++
	}
	for n, count := range sent {
		for range count {
			if r, sense := s.c[n].response(); r.Status != scsi.StatusGood {
				t.Fatalf("%v, %v", r.Status, sense)
			}
		}
	}
	s.c[0].cmdSN = s.sn
	if data := s.c[0].read(5, 1); data[0] != writes {
		t.Errorf("write %d stands, %d was the last", data[0], writes)
	}
}

func TestAGapThatNobodyFillsEndsTheSession(t *testing.T) {
	s := newSeveral(t, 2, nil)
	s.sn++
	s.c[1].send(s.command(1, make([]byte, 6)), nil)
	s.c[1].expectClosed(0)
	s.c[0].expectClosed(0)
	eventually(t, "the session ends", func() bool { return len(s.Sessions()) == 0 })
}

func TestALostConnectionTakesItsTasksWithItAndNoMore(t *testing.T) {
	s := newSeveral(t, 2, func(o *target.Options) { o.Limits.Commands = 8 })
	stays := s.pending(0)
	for range 4 { // more commands in all than the window has
		for range 5 {
			s.pending(1)
		}
		_ = s.c[1].conn.Close()
		eventually(t, "the connection has left", func() bool {
			info := s.Sessions()
			return len(info) == 1 && info[0].Connections == 1 && info[0].Outstanding == 1
		})
		c, status := s.join(101)
		if status != iscsi.LoginSuccess {
			t.Fatal(status)
		}
		s.c[1] = c
		s.works(1) // without a unit attention: the nexus was not lost
	}
	s.works(0)
	if r := s.function(1, iscsi.TaskRequest{Function: scsi.QueryTask, ReferencedTaskTag: stays.InitiatorTaskTag}); r != scsi.FunctionSucceeded {
		t.Errorf("the task of the other connection: %v", r)
	}
}

func TestAConnectionIsReinstated(t *testing.T) {
	s := newSeveral(t, 2, nil)
	s.pending(1)
	again, status := s.join(101)
	if status != iscsi.LoginSuccess {
		t.Fatal(status)
	}
	s.c[1].expectClosed(0)
	s.c[1] = again
	s.works(1)
	s.works(0)
	if info := s.Sessions(); len(info) != 1 || info[0].Connections != 2 || info[0].Outstanding != 0 {
		t.Errorf("%+v", info)
	}
}

func TestTheOnlyConnectionIsReinstatedInItsSession(t *testing.T) {
	s := newSeveral(t, 1, nil)
	s.pending(0)
	again, status := s.join(7)
	if status != iscsi.LoginSuccess {
		t.Fatal(status)
	}
	s.c[0].expectClosed(0)
	s.c[0] = again
	s.works(0) // the session, and with it the nexus, is the same
}

func TestANewSessionOfTheSamePortEndsAllConnections(t *testing.T) {
	s := newSeveral(t, 3, nil)
	s.pending(2)
	next := s.connect()
	next.logIn()
	for _, c := range s.c {
		c.expectClosed(0)
	}
	if info := s.Sessions(); len(info) != 1 || info[0].Connections != 1 {
		t.Errorf("%+v", info)
	}
}

func TestConnectionsAreLoggedOutOneByOne(t *testing.T) {
	s := newSeveral(t, 3, nil)
	logout := func(i int, reason iscsi.LogoutReason, cid uint16) iscsi.LogoutResult {
		t.Helper()
		s.c[i].send(iscsi.LogoutRequest{Reason: reason, CID: cid, InitiatorTaskTag: s.c[i].nextITT(), CmdSN: s.sn}, nil)
		s.sn++
		h, _ := s.c[i].expect(iscsi.OpLogoutResponse)
		var r iscsi.LogoutResponse
		r.Decode(h)
		return r.Response
	}
	s.pending(2)
	if r := logout(0, iscsi.CloseConnection, 102); r != iscsi.LogoutSuccess {
		t.Errorf("of another connection: %v", r)
	}
	s.c[2].expectClosed(0)
	if r := logout(0, iscsi.CloseConnection, 102); r != iscsi.LogoutCIDNotFound {
		t.Errorf("once more: %v", r)
	}
	if r := logout(0, iscsi.RemoveConnectionForRecovery, 101); r != iscsi.LogoutRecoveryNotSupported {
		t.Errorf("for recovery: %v", r)
	}
	s.works(1)
	if r := logout(0, iscsi.CloseConnection, 7); r != iscsi.LogoutSuccess { // the leading one
		t.Errorf("of its own: %v", r)
	}
	s.c[0].expectClosed(0)
	s.works(1)
	c, status := s.join(103)
	if status != iscsi.LoginSuccess {
		t.Fatal(status)
	}
	s.c[2] = c
	if r := logout(1, iscsi.CloseSession, 0); r != iscsi.LogoutSuccess {
		t.Errorf("of the session: %v", r)
	}
	s.c[2].expectClosed(0)
	eventually(t, "the session ends", func() bool { return len(s.Sessions()) == 0 })
}

func TestATaskIsAbortedThroughAnotherConnection(t *testing.T) {
	s := newSeveral(t, 2, nil)
	w := s.pending(0)
	s.ask(1, iscsi.TaskRequest{Function: scsi.AbortTask, ReferencedTaskTag: w.InitiatorTaskTag, RefCmdSN: w.CmdSN})
	s.pong(0)
	if r := s.functionResponse(1); r != scsi.FunctionComplete {
		t.Error(r)
	}
	if info := s.Sessions(); info[0].Outstanding != 0 {
		t.Errorf("%+v", info)
	}
}

func TestACommandThatHasNotArrivedIsAborted(t *testing.T) {
	s := newSeveral(t, 2, nil)
	late := s.write(0, 3)
	after := s.command(1, make([]byte, 6))
	s.c[1].send(after, nil)
	s.silent(1)
	other := s.write(0, 3) // it waits behind the late one, and is aborted while it does
	for _, w := range []iscsi.SCSICommand{other, late} {
		s.ask(0, iscsi.TaskRequest{Function: scsi.AbortTask, ReferencedTaskTag: w.InitiatorTaskTag, RefCmdSN: w.CmdSN})
	}
	// The connection that waited goes on, and can answer.
	for range 3 {
		h, _ := s.c[1].receive()
		switch h.Opcode() {
		case iscsi.OpNOPIn:
			s.answerPing(1, h)
		case iscsi.OpSCSIResponse:
			var r iscsi.SCSIResponse
			if r.Decode(h); r.InitiatorTaskTag != after.InitiatorTaskTag || r.Status != scsi.StatusGood {
				t.Errorf("%+v", r)
			}
		default:
			t.Fatalf("received %v", h.Opcode())
		}
	}
	for range 2 {
		if r := s.functionResponse(0); r != scsi.FunctionComplete {
			t.Error(r)
		}
	}
	for _, w := range []iscsi.SCSICommand{late, other} {
		s.c[0].send(w, bytes.Repeat([]byte{0xee}, blockSize))
	}
	s.silent(0)
	s.works(1)
	s.c[0].cmdSN = s.sn
	if data := s.c[0].read(3, 1); data[0] == 0xee {
		t.Error("an aborted command was carried out")
	}
}

func TestAbortsOfCommandsToComeAreBoundByTheWindow(t *testing.T) {
	const window = 8
	s := newSeveral(t, 1, func(o *target.Options) { o.Limits.Commands = window })
	first := s.sn
	s.sn += 100
	for i := range uint32(50) { // of all but the first
		s.ask(0, iscsi.TaskRequest{Function: scsi.AbortTask, ReferencedTaskTag: 1000, RefCmdSN: first + 1 + i})
		if r := s.functionResponse(0); (r == scsi.FunctionComplete) != (i < window-1) {
			t.Fatalf("abort %d: %v", i, r)
		}
	}
	s.sn = first
	s.works(0)
	s.sn = first + window
	s.works(0)
}

func TestAResetIsAnsweredWhenTheOtherConnectionsHaveSeenWhatCameBefore(t *testing.T) {
	s := newSeveral(t, 2, nil)
	s.pending(0)
	s.ask(1, iscsi.TaskRequest{Function: scsi.LogicalUnitReset})
	s.silent(1)
	s.pong(0)
	if r := s.functionResponse(1); r != scsi.FunctionComplete {
		t.Error(r)
	}
	if info := s.Sessions(); info[0].Outstanding != 0 {
		t.Errorf("%+v", info)
	}
}

func TestAResetWaitsForTheCommandsBeforeIt(t *testing.T) {
	s := newSeveral(t, 2, nil)
	before := s.write(0, 1)
	s.ask(1, iscsi.TaskRequest{Function: scsi.LogicalUnitReset})
	s.silent(0)
	s.c[0].send(before, nil)
	s.c[0].expect(iscsi.OpR2T)
	s.pong(0)
	if r := s.functionResponse(1); r != scsi.FunctionComplete {
		t.Error(r)
	}
	if info := s.Sessions(); info[0].Outstanding != 0 {
		t.Errorf("the command that came before the reset goes on: %+v", info)
	}
}

func TestSessionsHaveOneConnectionUnlessMoreAreAllowed(t *testing.T) {
	f := newFixture(t, nil)
	first := f.connect()
	s := &several{fixture: f, t: t, c: []*client{first}}
	s.tsih, s.sn = first.logIn("MaxConnections", "8").TSIH, first.cmdSN
	if _, status := s.join(8); status != iscsi.LoginTooManyConnections {
		t.Error(status)
	}
	first.ping()
	again, status := s.join(7)
	if status != iscsi.LoginSuccess {
		t.Fatal(status)
	}
	first.expectClosed(0)
	s.c[0] = again
	again.cmdSN = s.sn
	again.ready()
}
