package target_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

const (
	targetName    = "iqn.2016-01.local.beast:target0"
	secretName    = "iqn.2016-01.local.beast:secret"
	initiatorName = "iqn.2016-01.local.beast:client"
	unitSize      = 16 << 20
	blockSize     = 512
	patience      = 10 * time.Second
)

var (
	anyone = target.AuthGroup{Name: "no-authentication", Kind: target.AuthNone}
	nobody = target.AuthGroup{Name: "default"}
	chap   = target.AuthGroup{Name: "ag0", Kind: target.AuthCHAP, Users: []target.User{
		{Name: "one-way", Secret: iscsi.NewSecret("iscsi0pass123456")},
		{Name: "mutual", Secret: iscsi.NewSecret("iscsi1pass123456"),
			MutualName: "target", MutualSecret: iscsi.NewSecret("iscsi2pass123456")},
	}}
)

type always struct{}

func (always) Valid() bool { return true }

// fixture is a server, its units, and the address of its first portal.
type fixture struct {
	*target.Server
	t      testing.TB
	pool   *block.Pool
	config target.Config
	unit   *lun.LogicalUnit
	portal string
}

// newUnit makes a logical unit over memory.
func newUnit(t testing.TB, pool *block.Pool, n uint16) *lun.LogicalUnit {
	t.Helper()
	u, err := lun.New(lun.Config{Name: fmt.Sprint(n), Identity: scsi.Identify("test", targetName, n), Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	u.SetAccess(lun.Access{Local: 1, Groups: []lun.PortGroup{{
		ID: 1, State: scsi.ActiveOptimized,
		Ports: []lun.Port{{Relative: 1, Name: iscsi.TargetPortName(targetName, 257)}},
	}}})
	if err := u.Activate(block.NewRamdisk(unitSize), always{}, lun.State{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Deactivate() })
	return u
}

// newFixture starts a server with a portal on loopback that offers targetName
// to anyone and secretName to those who know a secret; adjust may change that.
func newFixture(t testing.TB, adjust func(*target.Config, *target.Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, pool: block.NewPool(64 << 20)}
	f.unit = newUnit(t, f.pool, 0)
	f.config = target.Config{
		PortalGroups: []target.PortalGroup{
			{Name: "pg0", Tag: 257, Portals: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, DiscoveryAuth: anyone},
		},
		Targets: []target.Target{
			{Name: targetName, Alias: "a disk", Ports: []target.Port{{PortalGroup: "pg0", Auth: anyone, RelativePort: 1}}, LUNs: map[uint16]lun.Unit{0: f.unit}},
			{Name: secretName, Ports: []target.Port{{PortalGroup: "pg0", Auth: chap, RelativePort: 1}}, LUNs: map[uint16]lun.Unit{0: f.unit}},
		},
	}
	options := target.Options{Pool: f.pool}
	if adjust != nil {
		adjust(&f.config, &options)
	}
	var err error
	if f.Server, err = target.New(f.config, options); err != nil {
		t.Fatal(err)
	}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	f.portal = f.Portals()["pg0"][0].String()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = f.Shutdown(ctx) // the error says that sessions were left
		if held := f.pool.Stats().Lent; held != 0 {
			t.Errorf("%d bytes of the pool are still lent", held)
		}
	})
	return f
}

// dial opens a session with the library.
func (f *fixture) dial(adjust func(*initiator.Config)) *initiator.Session {
	f.t.Helper()
	s, err := f.tryDial(adjust)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *fixture) tryDial(adjust func(*initiator.Config)) (*initiator.Session, error) {
	c := initiator.Config{Portal: f.portal, TargetName: targetName, InitiatorName: initiatorName, PingInterval: -1}
	if adjust != nil {
		adjust(&c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := initiator.Dial(ctx, c)
	if err == nil {
		f.t.Cleanup(func() { _ = s.Close() })
	}
	return s, err
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// client is an initiator that does only what it is told, for tests of what no
// decent one would do.
type client struct {
	t       testing.TB
	conn    net.Conn
	reader  *iscsi.Reader
	digests iscsi.Digests
	cmdSN   uint32
	statSN  uint32 // the next one expected
	itt     uint32
	isid    iscsi.ISID
}

func (f *fixture) connect() *client {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.portal)
	if err != nil {
		f.t.Fatal(err)
	}
	c := &client{t: f.t, conn: conn, reader: iscsi.NewReader(conn, 64<<10, 1<<20), cmdSN: 100, isid: iscsi.ISID{0x80, 1, 2, 3, 4, 5}}
	f.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return c
}

// encoder is any PDU struct.
type encoder interface{ Encode(*iscsi.BHS) }

// send writes one PDU.
func (c *client) send(p encoder, data []byte) {
	c.t.Helper()
	o := iscsi.Outgoing{Data: data}
	p.Encode(o.Header())
	c.sendRaw(slices.Concat(o.AppendTo(nil, c.digests)...))
}

func (c *client) sendRaw(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// receive reads one PDU; StatSN must go on.
func (c *client) receive() (*iscsi.BHS, []byte) {
	c.t.Helper()
	h, _, err := c.reader.ReadHeader()
	if err != nil {
		c.t.Fatalf("receive: %v", err)
	}
	data, err := c.reader.Data()
	if err != nil {
		c.t.Fatalf("receive: %v", err)
	}
	return h, bytes.Clone(data)
}

// expect reads one PDU of a kind.
func (c *client) expect(op iscsi.Opcode) (*iscsi.BHS, []byte) {
	c.t.Helper()
	h, data := c.receive()
	if h.Opcode() != op {
		c.t.Fatalf("received %v, want %v: % x", h.Opcode(), op, h[:])
	}
	return h, data
}

// expectClosed demands that the target closes the connection, perhaps after a
// Reject with the reason given.
func (c *client) expectClosed(reason iscsi.RejectReason) {
	c.t.Helper()
	rejected := reason == 0
	for {
		h, _, err := c.reader.ReadHeader()
		if e, ok := err.(net.Error); ok && e.Timeout() {
			c.t.Fatal("the connection stays open")
		}
		if err != nil {
			break
		}
		if h.Opcode() == iscsi.OpReject {
			var r iscsi.Reject
			r.Decode(h)
			if r.Reason != reason {
				c.t.Errorf("rejected for %v, want %v", r.Reason, reason)
			}
			rejected = true
		}
	}
	if !rejected {
		c.t.Errorf("no Reject for %v", reason)
	}
}

// loginRequest is a request from stage to stage.
func (c *client) loginRequest(from, to iscsi.Stage) iscsi.LoginRequest {
	return iscsi.LoginRequest{
		Transit: true, CSG: from, NSG: to, ISID: c.isid, InitiatorTaskTag: 1, CID: 7, CmdSN: c.cmdSN,
	}
}

// pairs makes text of key, value, key, value, ...
func pairs(kv ...string) []byte {
	var b []byte
	for i := 0; i < len(kv); i += 2 {
		b = iscsi.AppendText(b, iscsi.KeyValue{Key: kv[i], Value: kv[i+1]})
	}
	return b
}

// answer reads a Login Response.
func (c *client) answer() (iscsi.LoginResponse, map[string]string) {
	c.t.Helper()
	h, data := c.expect(iscsi.OpLoginResponse)
	var p iscsi.LoginResponse
	p.Decode(h)
	c.statSN = p.StatSN + 1
	return p, texts(c.t, data)
}

func texts(t testing.TB, data []byte) map[string]string {
	t.Helper()
	list, err := iscsi.ParseText(data, iscsi.TextLimits{Pairs: 10000, Value: 2050})
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, kv := range list {
		m[kv.Key] = kv.Value
	}
	return m
}

// logIn goes to full feature phase with operational keys of its own.
func (c *client) logIn(kv ...string) iscsi.LoginResponse {
	c.t.Helper()
	text := pairs("InitiatorName", initiatorName, "TargetName", targetName)
	c.send(c.loginRequest(iscsi.LoginOperationalNegotiation, iscsi.FullFeaturePhase), append(text, pairs(kv...)...))
	p, said := c.answer()
	if p.Status != iscsi.LoginSuccess || !p.Transit || p.TSIH == 0 {
		c.t.Fatalf("login answered %v with %v", p, said)
	}
	if said["HeaderDigest"] == "CRC32C" {
		c.digests.Header = iscsi.CRC32C
	}
	if said["DataDigest"] == "CRC32C" {
		c.digests.Data = iscsi.CRC32C
	}
	c.reader.SetDigests(c.digests)
	return p
}

// command makes a command with the next numbers.
func (c *client) command(cdb []byte) iscsi.SCSICommand {
	p := iscsi.SCSICommand{Final: true, Attribute: scsi.AttributeSimple, InitiatorTaskTag: c.nextITT(), CmdSN: c.nextCmdSN(), ExpStatSN: c.statSN}
	copy(p.CDB[:], cdb)
	return p
}

func (c *client) nextITT() uint32 { c.itt++; return c.itt }

func (c *client) nextCmdSN() uint32 { c.cmdSN++; return c.cmdSN - 1 }

// write16 and read16 are CDBs for blocks at an LBA.
func write16(lba, blocks byte) []byte { return []byte{0x8a, 9: lba, 13: blocks, 15: 0} }
func read16(lba, blocks byte) []byte  { return []byte{0x88, 9: lba, 13: blocks, 15: 0} }

// ready takes the unit attention of a new nexus.
func (c *client) ready() {
	c.t.Helper()
	c.send(c.command(make([]byte, 6)), nil)
	c.expect(iscsi.OpSCSIResponse)
}

// ping proves that the connection still works.
func (c *client) ping() {
	c.t.Helper()
	tag := c.nextITT()
	c.send(iscsi.NOPOut{Immediate: true, InitiatorTaskTag: tag, TargetTransferTag: iscsi.NoTag, CmdSN: c.cmdSN, ExpStatSN: c.statSN}, []byte("ping"))
	h, data := c.expect(iscsi.OpNOPIn)
	if h.InitiatorTaskTag() != tag || string(data) != "ping" {
		c.t.Errorf("NOP-In for task %d with %q", h.InitiatorTaskTag(), data)
	}
}

// response reads a SCSI Response and its sense.
func (c *client) response() (iscsi.SCSIResponse, scsi.Sense) {
	c.t.Helper()
	h, data := c.expect(iscsi.OpSCSIResponse)
	var p iscsi.SCSIResponse
	p.Decode(h)
	if len(data) == 0 {
		return p, scsi.Sense{}
	}
	s, err := scsi.DecodeSense(data[2:])
	if err != nil {
		c.t.Fatal(err)
	}
	return p, s
}

// read reads blocks to the end of the command.
func (c *client) read(lba, blocks byte) (data []byte) {
	c.t.Helper()
	p := c.command(read16(lba, blocks))
	p.Read, p.ExpectedDataTransferLength = true, blockSize*uint32(blocks)
	c.send(p, nil)
	for {
		h, part := c.expect(iscsi.OpDataIn)
		data = append(data, part...)
		var d iscsi.DataIn
		if d.Decode(h); d.HasStatus {
			return data
		}
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
