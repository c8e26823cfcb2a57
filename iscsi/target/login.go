package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/lun"
)

// login is the login phase of one connection (RFC 7143 §6.3).
type login struct {
	c          *connection
	config     *snapshot
	group      *PortalGroup
	negotiator *iscsi.Negotiator
	ctx        context.Context // ends with the time for the login

	request   iscsi.LoginRequest // the one at hand
	stage     iscsi.Stage
	text      []byte // of the requests joined by the C bit
	exchanges int

	identified bool
	session    *session
	joins      *session // the session a connection is added to
	params     iscsi.Parameters
	auth       *AuthGroup
	proof      proof
}

// refusal is a login that is answered with a status other than success.
type refusal struct {
	status iscsi.LoginStatus
	why    string
	// address is the TargetAddress of a redirection.
	address string
}

func (r *refusal) Error() string { return fmt.Sprintf("refused, %v: %s", r.status, r.why) }

func refuse(status iscsi.LoginStatus, format string, args ...any) error {
	return &refusal{status: status, why: fmt.Sprintf(format, args...)}
}

// loginBuffer is the size of the read buffer before full feature phase: many
// connections may be there that never log in.
const loginBuffer = 2 << 10

// login conducts the login phase and registers the session. A refusal has
// been sent when it returns.
func (c *connection) login() (*session, error) {
	limits := &c.server.limits
	deadline := time.Now().Add(limits.LoginTime)
	if err := c.net.SetDeadline(deadline); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadline(c.ended, deadline)
	defer cancel()
	c.reader = iscsi.NewReader(c.net, loginBuffer, limits.LoginPDU)
	l := &login{
		c:      c,
		ctx:    ctx,
		config: c.server.config.Load(),
		group:  c.portal.group.Load(),
	}
	wanted := c.server.wanted
	wanted.MaxConnections = uint32(max(1, l.group.MaxConnections))
	l.negotiator = iscsi.NewNegotiator(iscsi.Target, wanted, iscsi.DefaultParameters())
	ses, err := l.run()
	var r *refusal
	if errors.As(err, &r) {
		return nil, errors.Join(err, l.sendRefusal(r))
	}
	if err != nil {
		return nil, err
	}
	c.params = l.params
	c.mu.Lock() // the other connections of the session look into it
	c.tasks = make(map[uint32]*task)
	c.mu.Unlock()
	c.reader.Resize(limits.ReadBuffer)
	c.reader.SetMaxDataSegmentLength(int(c.params.MaxRecvDataSegmentLength))
	c.reader.SetDigests(c.params.Digests)
	_ = c.net.SetDeadline(time.Time{}) // if it fails reading does too
	return ses, nil
}

// run goes from request to response until full feature phase.
func (l *login) run() (*session, error) {
	for {
		pairs, err := l.receive()
		if err != nil {
			return nil, err
		}
		answers, done, err := l.step(pairs)
		if err != nil {
			return nil, err
		}
		last := done && l.request.Transit && l.request.NSG == iscsi.FullFeaturePhase
		if last {
			if err := l.finish(); err != nil {
				return nil, err
			}
		}
		if err := l.respond(answers, done); err != nil {
			return nil, err
		}
		if last {
			return l.session, nil
		}
	}
}

// receive takes requests until one completes the text, and parses it.
func (l *login) receive() ([]iscsi.KeyValue, error) {
	l.text = l.text[:0]
	for {
		if err := l.receivePDU(); err != nil {
			return nil, err
		}
		if !l.request.Continue {
			break
		}
		// The text goes on in the next request (§6.2).
		if err := l.send(nil, false, iscsi.LoginSuccess); err != nil {
			return nil, err
		}
	}
	pairs, err := iscsi.ParseText(l.text, l.c.server.limits.text())
	if err != nil {
		return nil, refuse(iscsi.LoginInitiatorError, "%v", err)
	}
	return pairs, nil
}

// receivePDU takes one Login Request and checks its header, before anything
// that follows the header is read.
func (l *login) receivePDU() error {
	h, err := l.c.reader.PeekHeader()
	if err != nil {
		return err
	}
	first := l.exchanges == 0
	if h.Opcode() != iscsi.OpLoginRequest {
		if first {
			return fmt.Errorf("%w but %v", errNotLogin, h.Opcode())
		}
		return refuse(iscsi.LoginInvalidDuringLogin, "%v during login", h.Opcode())
	}
	previous := l.request
	l.request.Decode(h)
	if first {
		if err := l.begin(); err != nil {
			return err
		}
	}
	if n := h.AHSLength(); n > 0 {
		return refuse(iscsi.LoginInitiatorError, "a Login Request with %d bytes of additional header segments", n)
	}
	_, _, err = l.c.reader.ReadHeader()
	if err != nil && !errors.Is(err, iscsi.ErrTooLong) {
		return err
	}
	if l.exchanges++; l.exchanges > l.c.server.limits.Exchanges {
		return refuse(iscsi.LoginInitiatorError, "more than %d Login Requests", l.c.server.limits.Exchanges)
	}
	if err != nil {
		return refuse(iscsi.LoginInitiatorError, "%v", err)
	}
	if err := l.checkHeader(first, previous); err != nil {
		return err
	}
	data, err := l.c.reader.Data()
	if err != nil {
		return err
	}
	if len(l.text)+len(data) > l.c.server.limits.Text {
		return refuse(iscsi.LoginInitiatorError, "more than %d bytes of text", l.c.server.limits.Text)
	}
	l.text = append(l.text, data...)
	return nil
}

// begin takes from the first request what holds for the whole login.
func (l *login) begin() error {
	l.c.cid = l.request.CID
	l.c.statSN = l.request.ExpStatSN
	l.stage = l.request.CSG
	if !l.c.server.mayLogIn() {
		return refuse(iscsi.LoginServiceUnavailable, "more than %d logins a second", l.c.server.limits.LoginsPerSecond)
	}
	if l.request.VersionMin > iscsi.Version {
		return refuse(iscsi.LoginUnsupportedVersion, "version %d to %d, %d is spoken here",
			l.request.VersionMin, l.request.VersionMax, iscsi.Version)
	}
	return nil
}

// checkHeader checks the fields that have to agree with each other and with
// the requests before (§11.12).
func (l *login) checkHeader(first bool, previous iscsi.LoginRequest) error {
	r := &l.request
	switch {
	case r.CSG != iscsi.SecurityNegotiation && r.CSG != iscsi.LoginOperationalNegotiation:
		return refuse(iscsi.LoginInitiatorError, "current stage is %v", r.CSG)
	case r.CSG != l.stage:
		return refuse(iscsi.LoginInitiatorError, "current stage is %v, should be %v", r.CSG, l.stage)
	case r.Transit && r.Continue:
		return refuse(iscsi.LoginInitiatorError, "both T and C are set")
	case r.Transit && (r.NSG <= r.CSG || r.NSG == 2):
		return refuse(iscsi.LoginInitiatorError, "transit from %v to %v", r.CSG, r.NSG)
	case !first && (r.ISID != previous.ISID || r.CID != previous.CID || r.TSIH != previous.TSIH):
		return refuse(iscsi.LoginInitiatorError, "ISID, TSIH or CID changed")
	}
	return nil
}

// step works on the text of one complete request. It gives the answers and
// whether this side is ready for the next stage.
func (l *login) step(pairs []iscsi.KeyValue) (answers []iscsi.KeyValue, done bool, err error) {
	for _, kv := range pairs {
		value, err := l.negotiator.Receive(l.stage, kv)
		if err != nil {
			return nil, false, refuse(iscsi.LoginInitiatorError, "%v", err)
		}
		if value != "" {
			answers = append(answers, iscsi.KeyValue{Key: kv.Key, Value: value})
		}
	}
	if !l.identified {
		if err := l.identify(); err != nil {
			return nil, false, err
		}
		if l.session.target != nil {
			answers = append(answers, iscsi.KeyValue{Key: iscsi.KeyTargetPortalGroupTag, Value: fmt.Sprint(l.group.Tag)})
			if a := l.session.target.Alias; a != "" {
				answers = append(answers, iscsi.KeyValue{Key: iscsi.KeyTargetAlias, Value: a})
			}
		}
	}
	if l.stage == iscsi.SecurityNegotiation {
		say, err := l.authenticate(pairs)
		if err != nil {
			return nil, false, err
		}
		return append(answers, say...), l.proof.done, nil
	}
	if !l.proof.done {
		return nil, false, refuse(iscsi.LoginAuthenticationFailure, "the initiator skips authentication")
	}
	answers = l.negotiator.Offer(answers, iscsi.KeyMaxRecvDataSegmentLength)
	return answers, l.negotiator.Done(), nil
}

// identify finds out from the first complete request who wants what, and
// refuses what is to be refused before authentication (§6.3.1).
func (l *login) identify() error {
	l.identified = true
	name, given := l.negotiator.Declared(iscsi.KeyInitiatorName)
	if !given {
		return refuse(iscsi.LoginMissingParameter, "InitiatorName is missing")
	}
	initiator, err := iscsi.CanonicalName(name)
	if err != nil {
		return refuse(iscsi.LoginInitiatorError, "%v", err)
	}
	ses := &session{
		server:     l.c.server,
		group:      l.group,
		connection: l.c,
		done:       make(chan struct{}),
		started:    time.Now(),
	}
	ses.alias, _ = l.negotiator.Declared(iscsi.KeyInitiatorAlias)
	ses.key = sessionKey{initiator: initiator, isid: l.request.ISID, tag: l.group.Tag}
	l.session = ses
	switch kind, given := l.negotiator.Declared(iscsi.KeySessionType); {
	case !given || kind == iscsi.SessionNormal:
		if err := l.findTarget(); err != nil {
			return err
		}
	case kind == iscsi.SessionDiscovery:
		ses.discovery = true
		l.auth = &l.group.DiscoveryAuth
	default:
		return refuse(iscsi.LoginSessionTypeNotSupported, "SessionType is %.40q", kind)
	}
	if l.group.Redirect.IsValid() {
		return l.redirect(l.group.Redirect)
	}
	if err := l.checkTSIH(); err != nil {
		return err
	}
	if l.auth.Kind == AuthDeny || !l.auth.allowsName(initiator) || !l.auth.allowsAddress(l.c.remote.Addr()) {
		return refuse(iscsi.LoginAuthorizationFailure, "auth group %q does not let %s at %v in", l.auth.Name, initiator, l.c.remote.Addr())
	}
	l.proof.done = l.auth.Kind == AuthNone
	return nil
}

// findTarget looks up the target of a normal session.
func (l *login) findTarget() error {
	name, given := l.negotiator.Declared(iscsi.KeyTargetName)
	if !given {
		return refuse(iscsi.LoginMissingParameter, "TargetName is missing")
	}
	canonical, err := iscsi.CanonicalName(name)
	if err != nil {
		return refuse(iscsi.LoginNotFound, "%v", err)
	}
	t := l.config.targets[canonical]
	if t == nil {
		return refuse(iscsi.LoginNotFound, "there is no target %s", canonical)
	}
	port := t.port(l.group.Name)
	if port == nil {
		return refuse(iscsi.LoginNotFound, "target %s is not offered through portal group %s", canonical, l.group.Name)
	}
	ses := l.session
	ses.target = t
	ses.port = *port
	ses.key.target = t.Name
	ses.nexus = lun.Nexus{
		InitiatorPort: iscsi.InitiatorPortName(ses.key.initiator, ses.key.isid),
		TargetPort:    port.RelativePort,
	}
	l.auth = &port.Auth
	return nil
}

// checkTSIH finds the session that a connection is to be added to (§6.3.1), or
// in which it takes the place of one (§6.3.4).
func (l *login) checkTSIH() error {
	tsih := l.request.TSIH
	if tsih == 0 {
		return nil
	}
	if !l.session.discovery {
		l.joins = l.c.server.known(tsih, l.session.key)
	}
	if l.joins == nil {
		return refuse(iscsi.LoginSessionDoesNotExist, "there is no session %d of this initiator", tsih)
	}
	return nil
}

// redirect refuses with another portal to go to.
func (l *login) redirect(to netip.AddrPort) error {
	return &refusal{
		status:  iscsi.LoginTargetMovedTemporarily,
		why:     "redirected to " + to.String(),
		address: iscsi.TargetAddress{Host: to.Addr().String(), Port: to.Port()}.String(),
	}
}

// finish makes the session real: it is registered under a TSIH and may begin
// with the CmdSN the login carried (§11.12.8).
func (l *login) finish() error {
	ses := l.session
	if t := ses.target; t != nil && t.Redirect.IsValid() {
		return l.redirect(t.Redirect)
	}
	if l.joins != nil {
		return l.join()
	}
	ses.params = l.negotiator.Result()
	if ses.discovery {
		ses.params.MaxConnections = 1
	}
	l.params = ses.params
	ses.expCmdSN.Store(l.request.CmdSN)
	ses.maxCmdSN.Store(l.request.CmdSN + uint32(l.c.server.limits.Commands) - 1)
	switch err := l.c.server.register(l.ctx, ses); {
	case errors.Is(err, errTooManySessions):
		return refuse(iscsi.LoginOutOfResources, "%v", err)
	case err != nil:
		return refuse(iscsi.LoginServiceUnavailable, "%v", err)
	}
	return nil
}

// join adds the connection to its session. Only digests and the length of data
// segments are its own (§13: keys whose scope is the connection).
func (l *login) join() error {
	if l.session.user != l.joins.user {
		return refuse(iscsi.LoginAuthorizationFailure, "session %d is of another CHAP user", l.joins.tsih)
	}
	own := l.negotiator.Result()
	l.params = l.joins.params
	l.params.Digests = own.Digests
	l.params.MaxRecvDataSegmentLength = own.MaxRecvDataSegmentLength
	l.params.PeerMaxRecvDataSegmentLength = own.PeerMaxRecvDataSegmentLength
	switch err := l.c.server.join(l.ctx, l.c, l.joins); {
	case errors.Is(err, errTooManyConnections):
		return refuse(iscsi.LoginTooManyConnections, "%v", err)
	case errors.Is(err, errSessionOver):
		return refuse(iscsi.LoginSessionDoesNotExist, "%v", err)
	case err != nil:
		return refuse(iscsi.LoginServiceUnavailable, "%v", err)
	}
	l.session = l.joins
	return nil
}

// respond sends the answers and goes over to the next stage when both sides
// are ready.
func (l *login) respond(answers []iscsi.KeyValue, done bool) error {
	transit := done && l.request.Transit
	err := l.send(iscsi.AppendText(nil, answers...), transit, iscsi.LoginSuccess)
	if transit {
		l.stage = l.request.NSG
	}
	if err != nil && l.session.tsih != 0 {
		// The session is registered; nobody else will end it.
		l.c.leave()
	}
	return err
}

func (l *login) sendRefusal(r *refusal) error {
	var text []byte
	if r.address != "" {
		text = iscsi.AppendText(nil, iscsi.KeyValue{Key: iscsi.KeyTargetAddress, Value: r.address})
	}
	return l.send(text, false, r.status)
}

// send writes one Login Response.
func (l *login) send(text []byte, transit bool, status iscsi.LoginStatus) error {
	r := &l.request
	p := iscsi.LoginResponse{
		Transit:          transit,
		CSG:              r.CSG,
		VersionMax:       iscsi.Version,
		VersionActive:    iscsi.Version,
		ISID:             r.ISID,
		TSIH:             r.TSIH,
		InitiatorTaskTag: r.InitiatorTaskTag,
		StatSN:           l.c.statSN,
		ExpCmdSN:         r.CmdSN,
		MaxCmdSN:         r.CmdSN,
		Status:           status,
	}
	if transit {
		p.NSG = r.NSG
	}
	if l.session != nil && l.session.tsih != 0 {
		p.TSIH = l.session.tsih
		p.ExpCmdSN = l.session.expCmdSN.Load()
		p.MaxCmdSN = l.session.maxCmdSN.Load()
	}
	l.c.statSN++
	out := iscsi.Outgoing{Data: text}
	p.Encode(out.Header())
	buffers := net.Buffers(out.AppendTo(nil, iscsi.Digests{}))
	_, err := buffers.WriteTo(l.c.net)
	return err
}
