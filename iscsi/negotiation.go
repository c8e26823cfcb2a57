package iscsi

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// OperationalKeys are those an initiator offers to get the session it wants;
// a target need only state MaxRecvDataSegmentLength.
var OperationalKeys = []string{
	KeyHeaderDigest, KeyDataDigest, KeyMaxConnections, KeyInitialR2T, KeyImmediateData,
	KeyMaxRecvDataSegmentLength, KeyMaxBurstLength, KeyFirstBurstLength,
	KeyDefaultTime2Wait, KeyDefaultTime2Retain, KeyMaxOutstandingR2T,
	KeyDataPDUInOrder, KeyDataSequenceInOrder, KeyErrorRecoveryLevel,
}

// NegotiationError says which key broke which rule. A target answers it with
// a login reject (initiator error), an initiator drops the connection (§6.3).
type NegotiationError struct {
	Key, Value string
	Rule       string
}

// Error names the key, its value and the rule.
func (e *NegotiationError) Error() string {
	return fmt.Sprintf("key %s=%.60q: %s", e.Key, e.Value, e.Rule)
}

// Negotiator carries out the negotiation of one side over one login or one
// text exchange, by the table of keys. It is for one goroutine.
type Negotiator struct {
	role     Role
	wanted   Wanted
	result   Parameters
	offered  uint64 // bits by index into keys: sent by this side, unanswered
	sent     uint64 // sent by this side, as an offer or as an answer
	received uint64 // sent by the peer
	declared map[string]string
}

// NewNegotiator negotiates for role, wanting w, from what holds now: at login
// DefaultParameters.
func NewNegotiator(role Role, w Wanted, current Parameters) *Negotiator {
	return &Negotiator{role: role, wanted: w, result: current, declared: map[string]string{}}
}

// Receive takes a pair from the peer in stage s and returns the value to
// answer with; "" means that no answer is due. Security keys and declared
// names are checked against the table and kept for Declared. An error is a
// *NegotiationError.
func (n *Negotiator) Receive(s Stage, kv KeyValue) (answer string, err error) {
	i, known := keyIndex[kv.Key]
	if !known {
		if kv.Value == ValueNotUnderstood || kv.Value == ValueReject || kv.Value == ValueIrrelevant {
			return "", nil // the answer to an extension key
		}
		return ValueNotUnderstood, nil
	}
	k, bit := &keys[i], uint64(1)<<i
	fail := func(rule string) (string, error) {
		return "", &NegotiationError{kv.Key, kv.Value, rule}
	}
	isAnswer := n.offered&bit != 0
	switch {
	case !k.AllowedIn(s):
		return fail("not allowed in " + s.String())
	case k.Sender&^n.role == 0 && !isAnswer:
		return fail("not for this side to send")
	case n.received&bit != 0:
		// §6.3 forbids to say a thing twice. A name said again as it was is
		// forgiven: libiscsi repeats the names in the operational stage.
		if said, ok := n.declared[kv.Key]; ok && k.Kind == Declarative && said == kv.Value {
			return "", nil
		}
		return fail("sent twice in one negotiation")
	}
	n.received |= bit
	if isAnswer {
		n.offered &^= bit
		if rule := n.accept(k, kv.Value); rule != "" {
			return fail(rule)
		}
		return "", nil
	}
	answer, rule := n.answer(k, kv.Value)
	if rule != "" {
		return fail(rule)
	}
	if answer != "" {
		n.sent |= bit
	}
	return answer, nil
}

// answer works out the outcome of an offer of the peer. It gives the value to
// answer with or the rule that was broken.
func (n *Negotiator) answer(k *Key, value string) (answer, rule string) {
	switch {
	case k.Kind == Refused:
		return k.Default, ""
	case k.Kind == Security, k.Kind == Declarative && !k.numeric():
		n.declared[k.Name] = value
		return "", ""
	case k.Kind == List:
		return n.choose(k, value), ""
	case k.flag != nil:
		yes, ok := parseBool(value)
		if !ok {
			return ValueReject, ""
		}
		*k.flag(&n.result) = k.combineBool(yes, *k.flag(&n.wanted.Parameters))
		return formatBool(*k.flag(&n.result)), ""
	}
	v, err := k.parse(value)
	if err != nil {
		if k.Kind == Declarative {
			return "", err.Error()
		}
		return ValueReject, ""
	}
	if k.Kind == Declarative {
		n.result.PeerMaxRecvDataSegmentLength = v
		return "", ""
	}
	*k.number(&n.result) = k.combine(v, *k.number(&n.wanted.Parameters))
	return strconv.FormatUint(uint64(*k.number(&n.result)), 10), ""
}

// choose picks the first digest of the peer's list that this side accepts.
func (n *Negotiator) choose(k *Key, list string) string {
	for v := range strings.SplitSeq(list, ",") {
		for _, d := range n.wanted.digests(k) {
			if v == d.String() {
				*k.digest(&n.result) = d
				return v
			}
		}
	}
	return ValueReject
}

// accept takes the answer to an offer of this side. It returns the rule that
// was broken.
func (n *Negotiator) accept(k *Key, value string) (rule string) {
	if value == ValueReject || value == ValueNotUnderstood || value == ValueIrrelevant {
		if k.Kind == List && !slices.Contains(n.wanted.digests(k), NoDigest) {
			return "refused by the peer, required here"
		}
		return "" // the default stays
	}
	switch {
	case k.Kind == List:
		for _, d := range n.wanted.digests(k) {
			if value == d.String() {
				*k.digest(&n.result) = d
				return ""
			}
		}
		return "the answer was not offered"
	case k.flag != nil:
		yes, ok := parseBool(value)
		if !ok {
			return "neither Yes nor No"
		}
		if yes != k.combineBool(yes, *k.flag(&n.wanted.Parameters)) {
			return "the answer contradicts the offer"
		}
		*k.flag(&n.result) = yes
	case k.numeric():
		v, err := k.parse(value)
		if err != nil {
			return err.Error()
		}
		if v != k.combine(v, *k.number(&n.wanted.Parameters)) {
			return "the answer contradicts the offer"
		}
		*k.number(&n.result) = v
	}
	return ""
}

// Offer appends what this side wants for the named keys to dst, leaving out
// those that have been sent or answered already. Only keys the negotiator
// keeps the outcome of may be named; it panics on others.
func (n *Negotiator) Offer(dst []KeyValue, names ...string) []KeyValue {
	for _, name := range names {
		i, known := keyIndex[name]
		if !known {
			panic("iscsi: offer of unknown key " + name)
		}
		k, bit := &keys[i], uint64(1)<<i
		if n.sent&bit != 0 {
			continue
		}
		n.sent |= bit
		if k.Kind == Declarative {
			*k.number(&n.result) = *k.number(&n.wanted.Parameters)
		} else {
			n.offered |= bit
		}
		dst = append(dst, KeyValue{name, n.wanted.value(k)})
	}
	return dst
}

// value writes what is wanted for k.
func (w *Wanted) value(k *Key) string {
	switch {
	case k.digest != nil:
		var names []string
		for _, d := range w.digests(k) {
			names = append(names, d.String())
		}
		return strings.Join(names, ",")
	case k.flag != nil:
		return formatBool(*k.flag(&w.Parameters))
	case k.numeric():
		return strconv.FormatUint(uint64(*k.number(&w.Parameters)), 10)
	}
	panic("iscsi: key " + k.Name + " is not negotiated")
}

// Declared is what the peer stated for a declarative or security key, and
// whether it did.
func (n *Negotiator) Declared(name string) (string, bool) {
	v, ok := n.declared[name]
	return v, ok
}

// Received tells whether the peer sent the key, of any kind.
func (n *Negotiator) Received(name string) bool {
	i, known := keyIndex[name]
	return known && n.received&(1<<i) != 0
}

// Done tells whether every offer of this side has been answered.
func (n *Negotiator) Done() bool { return n.offered == 0 }

// Result is the outcome. A FirstBurstLength above MaxBurstLength is lowered
// to it (§13.14).
func (n *Negotiator) Result() Parameters {
	p := n.result
	p.FirstBurstLength = min(p.FirstBurstLength, p.MaxBurstLength)
	return p
}

// parse reads a number and checks it against the range of the key.
func (k *Key) parse(value string) (uint32, error) {
	v, err := parseNumber(value)
	if err != nil {
		return 0, err
	}
	if v < k.Min || v > k.Max {
		return 0, fmt.Errorf("not between %d and %d", k.Min, k.Max)
	}
	return v, nil
}

// combine is the outcome of two offers of a number.
func (k *Key) combine(a, b uint32) uint32 {
	if k.Kind == Maximum {
		return max(a, b)
	}
	return min(a, b)
}

// combineBool is the outcome of two offers of a boolean.
func (k *Key) combineBool(a, b bool) bool {
	if k.Kind == BooleanOr {
		return a || b
	}
	return a && b
}

func parseBool(s string) (yes, ok bool) { return s == ValueYes, s == ValueYes || s == ValueNo }

func formatBool(b bool) string {
	if b {
		return ValueYes
	}
	return ValueNo
}
