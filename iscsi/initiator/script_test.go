package initiator

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/scsi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	initiatorName = "iqn.2020-01.com.example:initiator"
	targetName    = "iqn.2020-01.com.example:target"
)

// script is one connection as a target that does what a test tells it, right
// or wrong, sees it.
type script struct {
	t       testing.TB
	conn    net.Conn
	in      *iscsi.Reader
	digests iscsi.Digests
	statSN  uint32
	cmdSN   uint32 // expected next
	window  uint32 // MaxCmdSN is cmdSN + window - 1
}

// listen serves each connection with one of plays, in turn, and returns the
// portal. A play returns when it is done with its connection.
func listen(t testing.TB, plays ...func(*script)) (portal string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, play := range plays {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				play(&script{t: t, conn: conn, in: iscsi.NewReader(conn, 64<<10, 1<<20), statSN: 100, window: 32})
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

func testConfig(portal string) Config {
	return Config{Portal: portal, TargetName: targetName, InitiatorName: initiatorName, LoginTimeout: 5 * time.Second}
}

// read takes the next PDU; ok is false when the initiator hung up.
func (s *script) read() (h *iscsi.BHS, data []byte, ok bool) {
	h, _, err := s.in.ReadHeader()
	if err == nil {
		data, err = s.in.Data()
	}
	if err != nil {
		var n net.Error
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && errors.As(err, &n) && n.Timeout() {
			s.t.Errorf("scripted target: %v", err)
		}
		return nil, nil, false
	}
	return h, data, true
}

// expect takes PDUs until one with opcode op comes; ok is false when the
// initiator hung up instead.
func (s *script) expect(op iscsi.Opcode) (h *iscsi.BHS, data []byte, ok bool) {
	for {
		h, data, ok = s.read()
		if !ok || h.Opcode() == op {
			return h, data, ok
		}
	}
}

// command takes the next SCSI Command.
func (s *script) command() (c iscsi.SCSICommand, data []byte, ok bool) {
	h, data, ok := s.expect(iscsi.OpSCSICommand)
	if ok {
		c.Decode(h)
		s.cmdSN = c.CmdSN + 1
	}
	return c, data, ok
}

// encoder is any PDU of package iscsi.
type encoder interface{ Encode(*iscsi.BHS) }

// send writes a PDU with the numbers a target stamps; advance tells whether
// it takes a StatSN.
func (s *script) send(p encoder, data []byte, advance bool) {
	var o iscsi.Outgoing
	p.Encode(o.Header())
	o.Header().SetSequence(s.statSN, s.cmdSN, s.cmdSN+s.window-1)
	if advance {
		s.statSN++
	}
	o.Data = data
	v := net.Buffers(o.AppendTo(nil, s.digests))
	_, _ = v.WriteTo(s.conn) // the initiator may have hung up, as it should
}

// login plays the target's part of a login without authentication, answering
// the keys it is offered as a target with wanted would. It tells whether the
// full feature phase was reached.
func (s *script) login(extra ...iscsi.KeyValue) bool {
	n := iscsi.NewNegotiator(iscsi.Target, iscsi.FastWanted(), iscsi.DefaultParameters())
	for {
		h, data, ok := s.expect(iscsi.OpLoginRequest)
		if !ok {
			return false
		}
		var r iscsi.LoginRequest
		r.Decode(h)
		s.cmdSN = r.CmdSN
		pairs, err := iscsi.ParseText(data, iscsi.DefaultTextLimits)
		if err != nil {
			s.t.Errorf("login text: %v", err)
		}
		var answers []iscsi.KeyValue
		for _, kv := range pairs {
			a, err := n.Receive(r.CSG, kv)
			if err != nil {
				s.t.Errorf("login key: %v", err)
			}
			if kv.Key == iscsi.KeyAuthMethod {
				a = iscsi.ValueNone
			}
			if a != "" {
				answers = append(answers, iscsi.KeyValue{Key: kv.Key, Value: a})
			}
		}
		if r.CSG == iscsi.LoginOperationalNegotiation {
			answers = n.Offer(answers, iscsi.KeyMaxRecvDataSegmentLength)
			answers = append(answers, extra...)
		}
		s.send(iscsi.LoginResponse{
			Transit: r.Transit, CSG: r.CSG, NSG: r.NSG, ISID: r.ISID, TSIH: 1, InitiatorTaskTag: r.InitiatorTaskTag,
			StatSN: s.statSN, ExpCmdSN: s.cmdSN, MaxCmdSN: s.cmdSN + s.window - 1,
		}, iscsi.AppendText(nil, answers...), true)
		if r.Transit && r.NSG == iscsi.FullFeaturePhase {
			s.digests = n.Result().Digests
			s.in.SetDigests(s.digests)
			return true
		}
	}
}

// good answers a command with status GOOD.
func (s *script) good(c iscsi.SCSICommand) {
	s.send(iscsi.SCSIResponse{InitiatorTaskTag: c.InitiatorTaskTag}, nil, true)
}

// check answers a command with CHECK CONDITION.
func (s *script) check(c iscsi.SCSICommand, sense scsi.Sense) {
	b := scsi.AppendSense(make([]byte, 2), sense)
	b[1] = byte(len(b) - 2)
	s.send(iscsi.SCSIResponse{InitiatorTaskTag: c.InitiatorTaskTag, Status: scsi.StatusCheckCondition}, b, true)
}

// drain takes PDUs until the initiator hangs up, answering logouts.
func (s *script) drain() {
	for {
		h, _, ok := s.read()
		if !ok {
			return
		}
		if h.Opcode() == iscsi.OpLogoutRequest {
			s.send(iscsi.LogoutResponse{InitiatorTaskTag: h.InitiatorTaskTag()}, nil, true)
		}
	}
}

// dial logs in to a target that plays in the full feature phase.
func dial(t *testing.T, change func(*Config), play func(*script)) *Session {
	t.Helper()
	cfg := testConfig(listen(t, func(s *script) {
		if s.login() {
			play(s)
		}
	}))
	if change != nil {
		change(&cfg)
	}
	s, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
