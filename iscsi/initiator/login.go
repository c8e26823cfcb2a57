package initiator

import (
	"fmt"
	"net"
	"strconv"

	"github.com/tandem-san/tandem/iscsi"
)

// Params are the parameters a session works with.
type Params struct {
	iscsi.Digests
	ImmediateData bool
	InitialR2T    bool
	// All in bytes.
	MaxBurstLength           int
	FirstBurstLength         int
	MaxSendDataSegmentLength int // what the target takes in one PDU
	// TargetPortalGroupTag is what the target stated at login (RFC 7143
	// §13.9), when HasTargetPortalGroupTag.
	TargetPortalGroupTag    uint16
	HasTargetPortalGroupTag bool
}

// Limits of the login phase.
const (
	// loginSegment is the longest data segment of a login PDU (RFC 7143
	// §13.12: the default, since nothing is negotiated yet).
	loginSegment = 8192
	// maxLoginText bounds the text of one answer of the target in bytes.
	maxLoginText = 64 << 10
	// maxLoginRounds bounds the requests of one login.
	maxLoginRounds = 32
	firstCmdSN     = 1
	loginTag       = 1
)

// login is a login under way (RFC 7143 §6.3, §11.12). One goroutine does it.
type login struct {
	cfg         Config
	conn        net.Conn
	in          *iscsi.Reader
	sessionType string
	params      Params

	negotiator *iscsi.Negotiator
	wanted     iscsi.Wanted
	stage      iscsi.Stage
	rounds     int
	answered   bool // the target has answered once
	tsih       uint16
	cmdSN      uint32
	expStatSN  uint32
	expCmdSN   uint32
	maxCmdSN   uint32
	text       []byte // of the answer being read
}

func newLogin(cfg Config, conn net.Conn, sessionType string) *login {
	w := iscsi.Wanted{Parameters: iscsi.DefaultParameters()}
	w.InitialR2T = cfg.InitialR2T
	w.ImmediateData = !cfg.NoImmediateData
	w.MaxBurstLength = uint32(cfg.MaxBurstLength)
	w.FirstBurstLength = uint32(cfg.FirstBurstLength)
	w.MaxRecvDataSegmentLength = uint32(cfg.MaxRecvDataSegmentLength)
	w.DefaultTime2Wait = 0
	w.DefaultTime2Retain = 0
	w.HeaderDigests = digests(cfg.HeaderDigest)
	w.DataDigests = digests(cfg.DataDigest)
	return &login{
		cfg:         cfg,
		conn:        conn,
		in:          iscsi.NewReader(conn, loginSegment+1024, loginSegment),
		sessionType: sessionType,
		wanted:      w,
		negotiator:  iscsi.NewNegotiator(iscsi.Initiator, w, iscsi.DefaultParameters()),
		cmdSN:       firstCmdSN,
	}
}

func digests(demanded bool) []iscsi.Digest {
	if demanded {
		return []iscsi.Digest{iscsi.CRC32C}
	}
	return []iscsi.Digest{iscsi.NoDigest}
}

// run carries the login through, up to the full feature phase.
func (l *login) run() error {
	names := []iscsi.KeyValue{
		{Key: iscsi.KeyInitiatorName, Value: l.cfg.InitiatorName},
		{Key: iscsi.KeySessionType, Value: l.sessionType},
	}
	if l.sessionType == iscsi.SessionNormal {
		names = append(names, iscsi.KeyValue{Key: iscsi.KeyTargetName, Value: l.cfg.TargetName})
	}
	if err := l.authenticate(names); err != nil {
		return err
	}
	if err := l.negotiate(); err != nil {
		return err
	}
	p := l.negotiator.Result()
	l.params = Params{
		Digests:                  p.Digests,
		ImmediateData:            p.ImmediateData,
		InitialR2T:               p.InitialR2T,
		MaxBurstLength:           int(p.MaxBurstLength),
		FirstBurstLength:         int(p.FirstBurstLength),
		MaxSendDataSegmentLength: int(p.PeerMaxRecvDataSegmentLength),
	}
	if tag, stated := l.negotiator.Declared(iscsi.KeyTargetPortalGroupTag); stated {
		n, err := strconv.ParseUint(tag, 10, 16)
		if err != nil {
			return protocolErrorf(iscsi.OpLoginResponse, "TargetPortalGroupTag=%.40q is not a number of 16 bits", tag)
		}
		l.params.TargetPortalGroupTag, l.params.HasTargetPortalGroupTag = uint16(n), true
	}
	l.in.SetDigests(p.Digests)
	l.in.SetMaxDataSegmentLength(l.cfg.MaxRecvDataSegmentLength)
	return nil
}

// negotiate goes through the operational stage: everything is offered at
// once, and what the target asks for is answered until both sides are content.
func (l *login) negotiate() error {
	keys := iscsi.OperationalKeys
	if l.sessionType == iscsi.SessionDiscovery {
		keys = []string{iscsi.KeyHeaderDigest, iscsi.KeyDataDigest, iscsi.KeyMaxRecvDataSegmentLength}
	}
	say := l.negotiator.Offer(nil, keys...)
	for {
		heard, transit, err := l.exchange(say, true, iscsi.FullFeaturePhase)
		if err != nil {
			return err
		}
		if say, err = l.receive(nil, heard); err != nil {
			return err
		}
		if !transit {
			continue
		}
		if !l.negotiator.Done() || len(say) > 0 {
			return protocolErrorf(iscsi.OpLoginResponse, "transit to the full feature phase while keys are not answered")
		}
		return nil
	}
}

// receive takes the pairs of an answer and appends what is to be answered to
// them.
func (l *login) receive(say, heard []iscsi.KeyValue) ([]iscsi.KeyValue, error) {
	for _, kv := range heard {
		answer, err := l.negotiator.Receive(l.stage, kv)
		if err != nil {
			return nil, &ProtocolError{iscsi.OpLoginResponse, err.Error()}
		}
		if answer != "" {
			say = append(say, iscsi.KeyValue{Key: kv.Key, Value: answer})
		}
	}
	return say, nil
}

// exchange sends a request with the pairs and returns those of the answer.
// With ask it proposes to go to stage next; transit tells that the target
// agreed.
func (l *login) exchange(pairs []iscsi.KeyValue, ask bool, next iscsi.Stage) (heard []iscsi.KeyValue, transit bool, err error) {
	data := iscsi.AppendText(nil, pairs...)
	if len(data) > loginSegment {
		return nil, false, fmt.Errorf("initiator: login text of %d bytes, at most %d fit", len(data), loginSegment)
	}
	l.text = l.text[:0]
	for {
		if err := l.send(data, ask, next); err != nil {
			return nil, false, err
		}
		p, err := l.answer(ask, next)
		if err != nil {
			return nil, false, err
		}
		transit = p.Transit
		if !p.Continue {
			break
		}
		data, ask = nil, false // the rest is fetched with empty requests (RFC 7143 §6.2)
	}
	heard, err = iscsi.ParseText(l.text, iscsi.DefaultTextLimits)
	if err != nil {
		return nil, false, &ProtocolError{iscsi.OpLoginResponse, err.Error()}
	}
	return heard, transit, nil
}

// send writes one Login Request.
func (l *login) send(data []byte, ask bool, next iscsi.Stage) error {
	if l.rounds++; l.rounds > maxLoginRounds {
		return protocolErrorf(iscsi.OpLoginResponse, "login is not over after %d rounds", maxLoginRounds)
	}
	r := iscsi.LoginRequest{
		Transit:          ask,
		CSG:              l.stage,
		ISID:             l.cfg.ISID,
		InitiatorTaskTag: loginTag,
		CmdSN:            l.cmdSN,
		ExpStatSN:        l.expStatSN,
	}
	if ask {
		r.NSG = next
	}
	var o iscsi.Outgoing
	r.Encode(o.Header())
	o.Data = data
	v := net.Buffers(o.AppendTo(nil, iscsi.Digests{}))
	if _, err := v.WriteTo(l.conn); err != nil {
		return fmt.Errorf("send login request: %w", err)
	}
	return nil
}

// answer reads one Login Response, checks it and adds its text to l.text.
func (l *login) answer(ask bool, next iscsi.Stage) (p iscsi.LoginResponse, err error) {
	h, _, err := l.in.ReadHeader()
	if err != nil {
		return p, fmt.Errorf("read login response: %w", err)
	}
	data, err := l.in.Data()
	if err != nil {
		return p, fmt.Errorf("read login response: %w", err)
	}
	if h.Opcode() != iscsi.OpLoginResponse {
		return p, protocolErrorf(h.Opcode(), "has no place in the login phase")
	}
	p.Decode(h)
	if p.Status != iscsi.LoginSuccess {
		return p, refusal(p.Status, data)
	}
	switch {
	case p.InitiatorTaskTag != loginTag:
		err = protocolErrorf(h.Opcode(), "initiator task tag %d, expected %d", p.InitiatorTaskTag, loginTag)
	case p.VersionActive != iscsi.Version:
		err = protocolErrorf(h.Opcode(), "version %d, offered was only %d", p.VersionActive, iscsi.Version)
	case p.CSG != l.stage:
		err = protocolErrorf(h.Opcode(), "current stage %v, expected %v", p.CSG, l.stage)
	case l.answered && p.StatSN != l.expStatSN:
		err = protocolErrorf(h.Opcode(), "StatSN %d, expected %d", p.StatSN, l.expStatSN)
	case p.Transit && (!ask || p.NSG != next):
		err = protocolErrorf(h.Opcode(), "transit to %v, which was not asked for", p.NSG)
	case p.Transit && p.Continue:
		err = protocolErrorf(h.Opcode(), "both the T and the C bit are set")
	case p.Transit && p.NSG == iscsi.FullFeaturePhase && p.TSIH == 0:
		err = protocolErrorf(h.Opcode(), "the session has TSIH 0")
	case len(l.text)+len(data) > maxLoginText:
		err = protocolErrorf(h.Opcode(), "text is longer than %d bytes", maxLoginText)
	}
	if err != nil {
		return p, err
	}
	l.text = append(l.text, data...)
	l.answered = true
	l.expStatSN, l.expCmdSN, l.maxCmdSN, l.tsih = p.StatSN+1, p.ExpCmdSN, p.MaxCmdSN, p.TSIH
	return p, nil
}

// refusal makes the error of a login that was refused.
func refusal(status iscsi.LoginStatus, data []byte) error {
	e := &LoginError{Status: status}
	if status == iscsi.LoginTargetMovedTemporarily || status == iscsi.LoginTargetMovedPermanently {
		pairs, _ := iscsi.ParseText(data, iscsi.DefaultTextLimits)
		for _, kv := range pairs {
			if kv.Key == iscsi.KeyTargetAddress {
				e.Address = kv.Value
			}
		}
	}
	return e
}
