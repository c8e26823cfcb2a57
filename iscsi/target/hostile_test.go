package target_test

import (
	"bytes"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/scsi"
)

func TestABrokenInitiatorHurtsItselfOnly(t *testing.T) {
	f := newFixture(t, nil)
	good := f.connect()
	good.logIn()
	good.ready()
	for _, x := range []struct {
		name   string
		keys   []string
		do     func(c *client)
		reason iscsi.RejectReason // 0: closed without a Reject
	}{
		{"gap in CmdSN", nil, func(c *client) {
			c.nextCmdSN()
			c.send(c.command(make([]byte, 6)), nil)
		}, iscsi.RejectProtocolError},
		{"task tag in use", nil, func(c *client) {
			w, _ := c.pendingWrite()
			p := c.command(make([]byte, 6))
			p.InitiatorTaskTag = w.InitiatorTaskTag
			c.send(p, nil)
		}, iscsi.RejectProtocolError},
		{"reserved task tag", nil, func(c *client) {
			p := c.command(make([]byte, 6))
			p.InitiatorTaskTag = iscsi.NoTag
			c.send(p, nil)
		}, iscsi.RejectInvalidPDUField},
		{"malformed AHS", nil, func(c *client) {
			o := iscsi.Outgoing{AHS: []byte{0, 200, 1, 0}}
			c.command(make([]byte, 6)).Encode(o.Header())
			c.sendRaw(slices.Concat(o.AppendTo(nil, c.digests)...))
		}, iscsi.RejectInvalidPDUField},
		{"data segment too long", nil, func(c *client) {
			c.send(iscsi.NOPOut{Immediate: true, InitiatorTaskTag: 1, TargetTransferTag: iscsi.NoTag}, make([]byte, 256<<10+1))
		}, iscsi.RejectProtocolError},
		{"SNACK", nil, func(c *client) { c.send(iscsi.SNACK{InitiatorTaskTag: 1}, nil) }, iscsi.RejectSNACK},
		{"Data-Out that no R2T asked for", nil, func(c *client) {
			w, r := c.pendingWrite()
			c.send(iscsi.DataOut{Final: true, InitiatorTaskTag: w.InitiatorTaskTag, TargetTransferTag: r.TargetTransferTag + 1}, make([]byte, 512))
		}, iscsi.RejectInvalidPDUField},
		{"Data-Out for another LUN", nil, func(c *client) {
			w, r := c.pendingWrite()
			c.send(iscsi.DataOut{Final: true, LUN: iscsi.NewLUN(1), InitiatorTaskTag: w.InitiatorTaskTag, TargetTransferTag: r.TargetTransferTag}, make([]byte, 512))
		}, iscsi.RejectInvalidPDUField},
		{"Data-Out without F at its end", nil, func(c *client) {
			w, r := c.pendingWrite()
			c.send(iscsi.DataOut{InitiatorTaskTag: w.InitiatorTaskTag, TargetTransferTag: r.TargetTransferTag}, make([]byte, 512))
		}, iscsi.RejectInvalidPDUField},
		{"header digest", []string{"HeaderDigest", "CRC32C"}, func(c *client) {
			c.digests.Header = iscsi.NoDigest
			c.send(c.command(make([]byte, 6)), nil)
			c.sendRaw([]byte{1, 2, 3, 4})
			c.digests.Header = iscsi.CRC32C
		}, 0},
		{"digest of immediate data", []string{"DataDigest", "CRC32C"}, func(c *client) {
			w := c.command(write16(0, 1))
			w.Write, w.ExpectedDataTransferLength = true, 512
			c.spoil(w, bytes.Repeat([]byte{0xee}, 512))
		}, iscsi.RejectDataDigestError},
		{"text with F and C", nil, func(c *client) {
			r := c.textRequest()
			r.Continue = true
			c.send(r, nil)
		}, iscsi.RejectProtocolError},
		{"text that is none", nil, func(c *client) { c.send(c.textRequest(), []byte("nonsense")) }, iscsi.RejectProtocolError},
		{"text of an exchange that is not open", nil, func(c *client) {
			r := c.textRequest()
			r.TargetTransferTag = 77
			c.send(r, nil)
		}, iscsi.RejectInvalidPDUField},
		{"endless text", nil, func(c *client) {
			r := c.textRequest()
			r.Final, r.Continue = false, true
			for range 2 {
				c.send(r, make([]byte, 8<<10))
				h, _ := c.expect(iscsi.OpTextResponse)
				var a iscsi.TextResponse
				a.Decode(h)
				r.TargetTransferTag, r.CmdSN = a.TargetTransferTag, c.nextCmdSN()
			}
			c.send(r, []byte("X"))
		}, iscsi.RejectOutOfResources},
		{"login in full feature phase", nil, func(c *client) { c.send(c.loginRequest(security, operational), nil) }, iscsi.RejectProtocolError},
		{"logout for an unknown reason", nil, func(c *client) {
			c.send(iscsi.LogoutRequest{Reason: 9, InitiatorTaskTag: 1, CmdSN: c.nextCmdSN()}, nil)
		}, iscsi.RejectInvalidPDUField},
		{"end inside a PDU", nil, func(c *client) {
			c.sendRaw(make([]byte, 20))
			_ = c.conn.(*net.TCPConn).CloseWrite()
		}, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := f.connect()
			c.t = t
			c.isid[4] = 99
			c.logIn(x.keys...)
			c.ready()
			x.do(c)
			c.expectClosed(x.reason)
		})
	}
	good.ping()
	if bytes.Contains(good.read(0, 1), []byte{0xee}) {
		t.Error("data of a broken initiator was written")
	}
	eventually(t, "the others end", func() bool { return len(f.Sessions()) == 1 })
}

// spoil sends a PDU whose data digest is wrong.
func (c *client) spoil(p encoder, data []byte) {
	c.t.Helper()
	o := iscsi.Outgoing{Data: data}
	p.Encode(o.Header())
	b := slices.Concat(o.AppendTo(nil, c.digests)...)
	b[len(b)-1] ^= 1
	c.sendRaw(b)
}

func TestASpoiltDataOutEndsItsCommand(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn("DataDigest", "CRC32C")
	c.ready()
	w, r := c.pendingWrite()
	c.spoil(iscsi.DataOut{Final: true, InitiatorTaskTag: w.InitiatorTaskTag, TargetTransferTag: r.TargetTransferTag}, bytes.Repeat([]byte{0xee}, 512))
	h, rejected := c.expect(iscsi.OpReject)
	var p iscsi.Reject
	if p.Decode(h); p.Reason != iscsi.RejectDataDigestError || len(rejected) != iscsi.BHSLength || iscsi.Opcode(rejected[0]) != iscsi.OpDataOut {
		t.Errorf("%+v with % x", p, rejected)
	}
	if r, sense := c.response(); r.Status != scsi.StatusCheckCondition || sense.ASC != 0x4705 {
		t.Errorf("%v, %v", r.Status, sense)
	}
	if bytes.Contains(c.read(0, 1), []byte{0xee}) {
		t.Error("spoilt data was written")
	}
}

func TestCommandsOutsideTheWindowAreIgnored(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	c.ready()
	for _, sn := range []uint32{c.cmdSN - 1, c.cmdSN + 128, c.cmdSN + 1<<30} {
		p := c.command(write16(0, 1))
		c.cmdSN--
		p.CmdSN, p.Write, p.ExpectedDataTransferLength = sn, true, 512
		c.send(p, make([]byte, 512))
		c.ping() // the next PDU is its answer
	}
	c.read(0, 1)
}

func TestUnknownOpcodesAreRejected(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	for _, op := range []byte{0x07, 0x1c, 0x3e, 0x21} {
		h := iscsi.BHS{0: op | 0x40, 1: 0x80, 19: 5}
		h.SetLengths(0, 8)
		c.sendRaw(append(h[:], "whatever"...))
		r, data := c.expect(iscsi.OpReject)
		var p iscsi.Reject
		if p.Decode(r); p.Reason != iscsi.RejectCommandNotSupported || !bytes.Equal(data, h[:]) {
			t.Errorf("opcode %02xh: %+v with % x", op, p, data)
		}
	}
	c.ping()
}

func TestDataOfUnknownTasksIsSkipped(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	for range 3 {
		c.send(iscsi.DataOut{Final: true, InitiatorTaskTag: 4711, TargetTransferTag: 1}, make([]byte, 8192))
	}
	c.ping()
}

func TestTooManyImmediateCommandsAreRejected(t *testing.T) {
	f := newFixture(t, func(_ *target.Config, o *target.Options) { o.Limits.Commands = 2 })
	c := f.connect()
	c.logIn()
	c.ready()
	for i := range 6 {
		w := c.command(write16(byte(i), 1))
		c.cmdSN--
		w.Immediate, w.Write, w.ExpectedDataTransferLength = true, true, 512
		c.send(w, nil)
		if i < 4 {
			c.expect(iscsi.OpR2T)
			continue
		}
		h, _ := c.expect(iscsi.OpReject)
		var p iscsi.Reject
		if p.Decode(h); p.Reason != iscsi.RejectTooManyImmediate {
			t.Errorf("%+v", p)
		}
	}
}

func TestABurstOfPingsIsAnsweredToTheLast(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	o := iscsi.Outgoing{}
	iscsi.NOPOut{Immediate: true, InitiatorTaskTag: 1, TargetTransferTag: iscsi.NoTag}.Encode(o.Header())
	const count = 5000 // more than may be queued
	burst := bytes.Repeat(slices.Concat(o.AppendTo(nil, c.digests)...), count)
	sent := make(chan error)
	go func() {
		_, err := c.conn.Write(burst)
		sent <- err
	}()
	for range count {
		c.expect(iscsi.OpNOPIn)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestAnInitiatorThatNeverReadsIsHeldUp(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect()
	c.logIn()
	done := make(chan int)
	go func() {
		// Pings are not bound by the command window: the connection must be.
		o := iscsi.Outgoing{Data: make([]byte, 8192)}
		iscsi.NOPOut{Immediate: true, InitiatorTaskTag: 1, TargetTransferTag: iscsi.NoTag}.Encode(o.Header())
		wire := slices.Concat(o.AppendTo(nil, c.digests)...)
		sent := 0
		_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second))
		for {
			n, err := c.conn.Write(wire)
			if sent += n; err != nil {
				done <- sent
				return
			}
		}
	}()
	if sent := <-done; sent > 64<<20 {
		t.Errorf("%d MiB of pings were taken without an answer being read", sent>>20)
	}
}
