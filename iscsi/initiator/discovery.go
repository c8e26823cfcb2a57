package initiator

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/tandem-san/tandem/iscsi"
)

// TargetPortal is a portal through which a target can be reached.
type TargetPortal struct {
	TargetName string
	Address    iscsi.TargetAddress
}

// Limits of discovery.
const (
	maxDiscoveryText  = 4 << 20 // bytes of all answers together
	maxDiscoveryPairs = 1 << 16
)

// Discover asks the portal of cfg for all its targets, with SendTargets=All
// in a discovery session (RFC 7143 §4.3, appendix C). A target that states no
// address is reachable through the portal asked.
func Discover(ctx context.Context, cfg Config) ([]TargetPortal, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	l, err := connect(ctx, cfg, iscsi.SessionDiscovery)
	if err != nil {
		return nil, err
	}
	defer reset(l.conn)
	ctx, cancel := context.WithTimeout(ctx, cfg.LoginTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	d := &discovery{login: l}
	if err := d.sendTargets(); err != nil {
		return nil, fmt.Errorf("discover at portal %s: %w", cfg.Portal, err)
	}
	d.logout()
	return d.portals()
}

// discovery is the full feature phase of a discovery session.
type discovery struct {
	*login
	text []byte
	tag  uint32
}

// sendTargets fetches the whole answer to SendTargets=All into d.text.
func (d *discovery) sendTargets() error {
	data := iscsi.AppendText(nil, iscsi.KeyValue{Key: iscsi.KeySendTargets, Value: "All"})
	transferTag := iscsi.NoTag
	d.tag++
	for {
		r := iscsi.TextRequest{
			Final:             true,
			InitiatorTaskTag:  d.tag,
			TargetTransferTag: transferTag,
			CmdSN:             d.cmdSN,
			ExpStatSN:         d.expStatSN,
		}
		d.cmdSN++
		var o iscsi.Outgoing
		r.Encode(o.Header())
		o.Data = data
		if err := d.write(&o); err != nil {
			return err
		}
		p, err := d.readText()
		if err != nil {
			return err
		}
		if p.Final && !p.Continue {
			return nil
		}
		if p.TargetTransferTag == iscsi.NoTag {
			return protocolErrorf(iscsi.OpTextResponse, "is not final and has no target transfer tag")
		}
		transferTag, data = p.TargetTransferTag, nil
	}
}

func (d *discovery) write(o *iscsi.Outgoing) error {
	v := net.Buffers(o.AppendTo(nil, d.params.Digests))
	if _, err := v.WriteTo(d.conn); err != nil {
		return fmt.Errorf("send to target: %w", err)
	}
	return nil
}

// readText reads the next Text Response into d.text, answering pings.
func (d *discovery) readText() (p iscsi.TextResponse, err error) {
	for range maxDiscoveryPairs {
		h, _, err := d.in.ReadHeader()
		if err != nil {
			return p, fmt.Errorf("receive from target: %w", err)
		}
		data, err := d.in.Data()
		if err != nil {
			return p, fmt.Errorf("receive from target: %w", err)
		}
		switch h.Opcode() {
		case iscsi.OpTextResponse:
			p.Decode(h)
			return p, d.take(&p, data)
		case iscsi.OpNOPIn:
			if err := d.pong(h); err != nil {
				return p, err
			}
		case iscsi.OpReject:
			var r iscsi.Reject
			r.Decode(h)
			return p, &RejectError{r.Reason}
		default:
			return p, protocolErrorf(h.Opcode(), "has no place in a discovery session")
		}
	}
	return p, protocolErrorf(iscsi.OpNOPIn, "too many pings before an answer")
}

// take checks a Text Response and keeps its text.
func (d *discovery) take(p *iscsi.TextResponse, data []byte) error {
	switch {
	case p.InitiatorTaskTag != d.tag:
		return protocolErrorf(iscsi.OpTextResponse, "initiator task tag %d, expected %d", p.InitiatorTaskTag, d.tag)
	case p.StatSN != d.expStatSN:
		return protocolErrorf(iscsi.OpTextResponse, "StatSN %d, expected %d", p.StatSN, d.expStatSN)
	case len(d.text)+len(data) > maxDiscoveryText:
		return protocolErrorf(iscsi.OpTextResponse, "answer is longer than %d bytes", maxDiscoveryText)
	case len(data) == 0 && !p.Final:
		return protocolErrorf(iscsi.OpTextResponse, "is empty and not final")
	}
	d.expStatSN++
	d.text = append(d.text, data...)
	return nil
}

// pong answers a ping of the target.
func (d *discovery) pong(h *iscsi.BHS) error {
	var p iscsi.NOPIn
	p.Decode(h)
	if p.TargetTransferTag == iscsi.NoTag {
		return nil
	}
	var o iscsi.Outgoing
	iscsi.NOPOut{
		Immediate:         true,
		LUN:               p.LUN,
		InitiatorTaskTag:  iscsi.NoTag,
		TargetTransferTag: p.TargetTransferTag,
		CmdSN:             d.cmdSN,
		ExpStatSN:         d.expStatSN,
	}.Encode(o.Header())
	return d.write(&o)
}

// logout takes leave; how the target answers does not matter any more.
func (d *discovery) logout() {
	var o iscsi.Outgoing
	iscsi.LogoutRequest{
		Immediate:        true,
		Reason:           iscsi.CloseSession,
		InitiatorTaskTag: d.tag + 1,
		CmdSN:            d.cmdSN,
		ExpStatSN:        d.expStatSN,
	}.Encode(o.Header())
	if d.write(&o) == nil {
		_, _, _ = d.in.ReadHeader()
	}
}

// portals reads the records: each TargetName is followed by its addresses
// (RFC 7143 appendix C).
func (d *discovery) portals() ([]TargetPortal, error) {
	pairs, err := iscsi.ParseText(d.text, iscsi.TextLimits{Pairs: maxDiscoveryPairs, Value: iscsi.DefaultTextLimits.Value})
	if err != nil {
		return nil, &ProtocolError{iscsi.OpTextResponse, err.Error()}
	}
	address, err := d.cfg.address()
	if err != nil {
		return nil, err
	}
	asked, err := iscsi.ParseTargetAddress(address)
	if err != nil {
		return nil, err
	}
	var found []TargetPortal
	name, stated := "", true
	flush := func() {
		if !stated {
			found = append(found, TargetPortal{name, asked})
		}
	}
	for _, kv := range pairs {
		switch kv.Key {
		case iscsi.KeyTargetName:
			flush()
			if name, err = iscsi.CanonicalName(kv.Value); err != nil {
				return nil, &ProtocolError{iscsi.OpTextResponse, err.Error()}
			}
			stated = false
		case iscsi.KeyTargetAddress:
			a, err := iscsi.ParseTargetAddress(kv.Value)
			if err != nil {
				return nil, &ProtocolError{iscsi.OpTextResponse, err.Error()}
			}
			if name == "" {
				return nil, protocolErrorf(iscsi.OpTextResponse, "an address before any target name")
			}
			found, stated = append(found, TargetPortal{name, a}), true
		}
	}
	flush()
	return found, nil
}
