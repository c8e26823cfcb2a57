package target

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/iscsi"
)

// connection is a TCP connection of an initiator, from accept on. Its reader
// goroutine runs serve and owns what no comment gives to somebody else.
type connection struct {
	server  *Server
	portal  *portal
	net     net.Conn
	remote  netip.AddrPort
	local   netip.AddrPort
	log     *slog.Logger
	reader  *iscsi.Reader
	session *session // set under Server.mu when logged in
	cid     uint16
	params  iscsi.Parameters
	statSN  uint32     // the next one, while logging in
	header  *iscsi.BHS // of the PDU at hand

	// Guarded by Server.mu.
	places  [2]place // the portal's and the initiator address's
	counted bool

	leaving bool // guarded by members.mu
	// pings counts the pings sent, with mu held; pongs is the last answered.
	pings uint32
	pongs atomic.Uint32

	// alive is set with every PDU and cleared by the ticker.
	alive atomic.Bool
	quiet quiet // of the ticker

	closing sync.Once
	closed  chan struct{} // when it is
	cause   atomic.Pointer[error]
	// ended tells those who wait for functions of units that the session ends.
	ended     context.Context
	end       context.CancelFunc
	functions sync.WaitGroup // goroutines of task management

	text textExchange

	// mu guards what follows; it is held for moments only.
	mu          sync.Mutex
	tasks       map[uint32]*task // by initiator task tag, until they complete
	outstanding int              // tasks between their start and CommandComplete
	pending     int              // task management functions
	heldBytes   int              // of data-out buffers
	counters    Counters
	serial      uint32 // of the last task
	idleTasks   *task
	idlePDUs    *pdu
	queue       pduQueue
	// batching: the reader has more to do without waiting and wakes the
	// writer when it is through.
	batching bool
	stopping bool // the writer ends when the queue is empty
	dead     bool // the writer has ended: nothing is sent any more
	// toWriter wakes the writer; toReader wakes who waits for room in the
	// queue or for the last task.
	toWriter sync.Cond
	toReader sync.Cond
}

// flushTime is how long the last PDUs of a connection get to leave.
const flushTime = time.Second

func newConnection(p *portal, conn net.Conn) *connection {
	c := &connection{
		server: p.server,
		portal: p,
		closed: make(chan struct{}),
		net:    conn,
		remote: initiatorAddress(conn.RemoteAddr().(*net.TCPAddr).AddrPort()),
		local:  initiatorAddress(conn.LocalAddr().(*net.TCPAddr).AddrPort()),
	}
	c.log = p.server.log.With("initiator-address", c.remote.String())
	c.ended, c.end = context.WithCancel(context.Background())
	c.toWriter.L = &c.mu
	c.toReader.L = &c.mu
	return c
}

// close ends the connection at once. The first cause given is the one that
// counts.
func (c *connection) close(cause error) {
	c.closing.Do(func() {
		c.cause.Store(&cause)
		close(c.closed)
		_ = c.net.Close() // its reader and writer hear of it
	})
}

// loggedIn tells whether the connection has a session; Server.mu is held.
func (c *connection) loggedIn() bool { return c.session != nil }

// serve is the life of the connection.
func (c *connection) serve() {
	defer c.server.release(c)
	defer c.end()
	ses, err := c.login()
	if err != nil {
		if !errors.Is(err, errNotLogin) { // who speaks no iSCSI is not waited for
			c.linger()
		}
		c.close(err)
		if !errors.Is(err, io.EOF) {
			c.log.Info("login failed", "portal", c.local.String(), "error", *c.cause.Load())
		}
		return
	}
	log := c.log.With("initiator", ses.key.initiator, "isid", ses.key.isid.String(),
		"target", ses.targetName(), "tsih", ses.tsih, "cid", c.cid)
	log.Info("logged in", "portal", c.local.String(), "header-digest", ses.params.Digests.Header.String(),
		"data-digest", ses.params.Digests.Data.String())
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	err = c.fullFeature()
	if err == io.EOF {
		err = errHungUp
	}
	c.stopWriting(err)
	<-written
	event := "connection left its session"
	if c.leave() {
		event = "session ended"
	}
	c.linger()
	c.close(err)
	log.Info(event, "reason", *c.cause.Load())
}

// linger gives a client the chance to read what was sent last: closing with
// bytes unread would reset the connection.
func (c *connection) linger() {
	tcp, ok := c.net.(*net.TCPConn)
	if !ok || tcp.CloseWrite() != nil {
		return
	}
	_ = c.net.SetReadDeadline(time.Now().Add(flushTime)) // if it fails the next line does
	_, _ = io.CopyN(io.Discard, c.net, 64<<10)           // whatever comes, the connection is closed
}

// stopWriting lets the writer send what is queued and end. A protocol error
// is answered with a Reject first.
func (c *connection) stopWriting(err error) {
	var broken *protocolError
	if errors.As(err, &broken) && broken.reason != 0 {
		c.reject(broken.reason)
	}
	_ = c.net.SetWriteDeadline(time.Now().Add(flushTime)) // if it fails the write does
	c.mu.Lock()
	c.stopping = true
	c.batching = false
	c.toWriter.Signal()
	c.mu.Unlock()
}

// drop tells the initiator that the session is dropped (RFC 7143 §11.9.1) and
// closes the connection when that is sent, or soon after.
func (c *connection) drop(cause error) {
	p := iscsi.AsyncMessage{Event: iscsi.AsyncSessionDrop}
	c.sendAsync(p, func(o *pdu) { o.closes = cause })
	_ = c.net.SetWriteDeadline(time.Now().Add(flushTime)) // if it fails the write does
}

// requestLogout asks the initiator to log out within so many seconds.
func (c *connection) requestLogout(seconds uint16) {
	c.sendAsync(iscsi.AsyncMessage{Event: iscsi.AsyncLogoutRequest, Parameter3: seconds}, nil)
}

func (c *connection) sendAsync(m iscsi.AsyncMessage, with func(*pdu)) {
	c.mu.Lock()
	o := c.newPDU()
	m.Encode(o.Header())
	o.status = true
	if with != nil {
		with(o)
	}
	c.send(o)
	c.toWriter.Signal()
	c.mu.Unlock()
}

// reject answers the PDU that was read last (RFC 7143 §11.17).
func (c *connection) reject(reason iscsi.RejectReason) {
	c.mu.Lock()
	o := c.newPDU()
	iscsi.Reject{Reason: reason}.Encode(o.Header())
	o.Data = append(o.own[:0], c.header[:]...)
	o.status = true
	c.send(o)
	c.mu.Unlock()
}
