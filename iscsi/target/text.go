package target

import (
	"github.com/tandem-san/tandem/iscsi"
)

// textExchange is a sequence of Text Requests and Responses of full feature
// phase (RFC 7143 §11.10). The reader owns it; there is one at a time.
type textExchange struct {
	request  []byte // joined as long as the C bit is set
	response []byte // what is left to be sent
	open     bool
}

// textTag is the target transfer tag of text exchanges that go on.
const textTag uint32 = 1

// textRequest takes a Text Request and answers it.
func (c *connection) textRequest(h *iscsi.BHS) error {
	var p iscsi.TextRequest
	p.Decode(h)
	x := &c.text
	data, err := c.reader.Data()
	if err != nil {
		return err
	}
	switch {
	case p.InitiatorTaskTag == iscsi.NoTag:
		return violation(iscsi.RejectInvalidPDUField, "Text Request without a task tag")
	case p.Final && p.Continue:
		return violation(iscsi.RejectProtocolError, "Text Request with both F and C")
	case p.TargetTransferTag == iscsi.NoTag: // a new exchange ends an old one
		*x = textExchange{}
	case !x.open:
		return violation(iscsi.RejectInvalidPDUField, "Text Request with target transfer tag %d", p.TargetTransferTag)
	}
	if len(x.response) > 0 && len(data) > 0 {
		return violation(iscsi.RejectProtocolError, "text while the answer is still coming")
	}
	if len(x.request)+len(data) > c.server.limits.Text {
		return violation(iscsi.RejectOutOfResources, "more than %d bytes of text", c.server.limits.Text)
	}
	x.request = append(x.request, data...)
	if !p.Continue && len(x.response) == 0 {
		pairs, err := iscsi.ParseText(x.request, c.server.limits.text())
		if err != nil {
			return violation(iscsi.RejectProtocolError, "%v", err)
		}
		if x.response, err = c.answerText(pairs); err != nil {
			return err
		}
		x.request = nil
	}
	c.sendText(h, &p)
	return nil
}

// sendText sends as much of the answer as fits in one PDU.
func (c *connection) sendText(h *iscsi.BHS, p *iscsi.TextRequest) {
	x := &c.text
	part := x.response[:min(len(x.response), int(c.params.PeerMaxRecvDataSegmentLength))]
	x.response = x.response[len(part):]
	more := len(x.response) > 0
	final := p.Final && !more
	x.open = !final
	r := iscsi.TextResponse{
		Final:             final,
		Continue:          more,
		LUN:               p.LUN,
		InitiatorTaskTag:  p.InitiatorTaskTag,
		TargetTransferTag: textTag,
	}
	if final {
		r.TargetTransferTag = iscsi.NoTag
	}
	c.respond(h, func(o *pdu) {
		r.Encode(o.Header())
		o.Data = part
		o.copied = len(part)
	})
}

// answerText works out the answer to complete text.
func (c *connection) answerText(pairs []iscsi.KeyValue) ([]byte, error) {
	n := iscsi.NewNegotiator(iscsi.Target, c.server.wanted, c.session.params)
	var answers []iscsi.KeyValue
	for _, kv := range pairs {
		value, err := n.Receive(iscsi.FullFeaturePhase, kv)
		if err != nil {
			return nil, violation(iscsi.RejectProtocolError, "%v", err)
		}
		if value != "" {
			answers = append(answers, iscsi.KeyValue{Key: kv.Key, Value: value})
		}
	}
	if which, asked := n.Declared(iscsi.KeySendTargets); asked {
		answers = append(answers, c.sendTargets(which)...)
	}
	if n.Received(iscsi.KeyMaxRecvDataSegmentLength) {
		c.mu.Lock()
		c.params.PeerMaxRecvDataSegmentLength = n.Result().PeerMaxRecvDataSegmentLength
		c.mu.Unlock()
	}
	return iscsi.AppendText(nil, answers...), nil
}
