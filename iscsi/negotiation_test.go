package iscsi

import (
	"errors"
	"testing"
)

func TestOffersOfTheInitiatorAreAnswered(t *testing.T) {
	for _, c := range []struct{ key, value, answer string }{
		{KeyHeaderDigest, "CRC32C,None", "CRC32C"},
		{KeyHeaderDigest, "None,CRC32C", "None"},
		{KeyDataDigest, "SHA,CRC32C", "CRC32C"},
		{KeyDataDigest, "SHA", "Reject"},
		{KeyMaxConnections, "4", "1"},
		{KeyMaxConnections, "0", "Reject"},
		{KeyInitialR2T, "No", "No"},
		{KeyInitialR2T, "Yes", "Yes"},
		{KeyInitialR2T, "Perhaps", "Reject"},
		{KeyImmediateData, "Yes", "Yes"},
		{KeyImmediateData, "No", "No"},
		{KeyMaxBurstLength, "16776192", "1048576"},
		{KeyMaxBurstLength, "0x1000", "4096"},
		{KeyMaxBurstLength, "511", "Reject"},
		{KeyMaxBurstLength, "16777216", "Reject"},
		{KeyMaxBurstLength, "many", "Reject"},
		{KeyFirstBurstLength, "65536", "65536"},
		{KeyDefaultTime2Wait, "7", "7"},
		{KeyDefaultTime2Wait, "0", "2"},
		{KeyDefaultTime2Retain, "20", "0"},
		{KeyMaxOutstandingR2T, "1", "1"},
		{KeyErrorRecoveryLevel, "2", "0"},
		{KeyDataPDUInOrder, "No", "Yes"},
		{KeyProtocolLevel, "2", "2"},
		{KeyMaxRecvDataSegmentLength, "65536", ""},
		{KeyTaskReporting, "FastAbort,RFC3720", "RFC3720"},
		{"OFMarker", "No", "No"},
		{"IFMarkInt", "1~2", "Reject"},
		{"X-com.example.Colour", "red", "NotUnderstood"},
		{KeyInitiatorAlias, "me", ""},
	} {
		n := NewNegotiator(Target, FastWanted(), DefaultParameters())
		got, err := n.Receive(LoginOperationalNegotiation, KeyValue{c.key, c.value})
		if err != nil || got != c.answer {
			t.Errorf("%s=%s: %q, %v; want %q", c.key, c.value, got, err, c.answer)
		}
	}
}

func TestBrokenRulesOfNegotiationAreErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		role  Role
		stage Stage
		pairs []KeyValue
	}{
		{"operational key in the security stage", Target, SecurityNegotiation, []KeyValue{{KeyMaxBurstLength, "512"}}},
		{"security key in the operational stage", Target, LoginOperationalNegotiation, []KeyValue{{KeyAuthMethod, "None"}}},
		{"login key in the full feature phase", Target, FullFeaturePhase, []KeyValue{{KeyHeaderDigest, "None"}}},
		{"key of the target from an initiator", Target, LoginOperationalNegotiation, []KeyValue{{KeyTargetAlias, "x"}}},
		{"key of the initiator from a target", Initiator, LoginOperationalNegotiation, []KeyValue{{KeyInitiatorName, "x"}}},
		{"key sent twice", Target, LoginOperationalNegotiation, []KeyValue{{KeyMaxBurstLength, "512"}, {KeyMaxBurstLength, "512"}}},
		{"name declared twice", Target, LoginOperationalNegotiation, []KeyValue{{KeyInitiatorName, "iqn.2001-04.a.b"}, {KeyInitiatorName, "iqn.2001-04.a.c"}}},
		{"security key sent twice", Target, SecurityNegotiation, []KeyValue{{KeyCHAPC, "0x01"}, {KeyCHAPC, "0x01"}}},
		{"declared length out of range", Target, LoginOperationalNegotiation, []KeyValue{{KeyMaxRecvDataSegmentLength, "511"}}},
	} {
		n := NewNegotiator(c.role, FastWanted(), DefaultParameters())
		var err error
		for _, kv := range c.pairs {
			_, err = n.Receive(c.stage, kv)
		}
		if target := (*NegotiationError)(nil); !errors.As(err, &target) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestANameMayBeRepeatedAsItWas(t *testing.T) {
	n := NewNegotiator(Target, FastWanted(), DefaultParameters())
	for _, s := range []Stage{SecurityNegotiation, LoginOperationalNegotiation} {
		if answer, err := n.Receive(s, KeyValue{KeyInitiatorName, "iqn.2001-04.a.b"}); answer != "" || err != nil {
			t.Errorf("%v: %q, %v", s, answer, err)
		}
	}
}

func TestAnswersThatContradictTheOfferAreErrors(t *testing.T) {
	for _, kv := range []KeyValue{
		{KeyMaxBurstLength, "2000000"}, // more than offered
		{KeyMaxBurstLength, "1"},
		{KeyDefaultTime2Wait, "1"}, // less than offered
		{KeyImmediateData, "maybe"},
		{KeyHeaderDigest, "SHA"},
		{KeyDataPDUInOrder, "No"}, // Yes was offered, and either decides
	} {
		n := NewNegotiator(Initiator, FastWanted(), DefaultParameters())
		n.Offer(nil, OperationalKeys...)
		if _, err := n.Receive(LoginOperationalNegotiation, kv); err == nil {
			t.Errorf("%s=%s was accepted", kv.Key, kv.Value)
		}
	}
	w := FastWanted()
	w.HeaderDigests = []Digest{CRC32C}
	n := NewNegotiator(Initiator, w, DefaultParameters())
	n.Offer(nil, KeyHeaderDigest)
	if _, err := n.Receive(LoginOperationalNegotiation, KeyValue{KeyHeaderDigest, ValueReject}); err == nil {
		t.Error("a refusal of the only digest was accepted")
	}
}

func TestBothSidesComeToTheSameResult(t *testing.T) {
	fast := FastWanted()
	modest := Wanted{Parameters: DefaultParameters(), HeaderDigests: []Digest{CRC32C}}
	modest.MaxBurstLength = 4096
	modest.FirstBurstLength = 4096
	modest.ImmediateData = false
	modest.MaxRecvDataSegmentLength = 512
	for _, c := range []struct{ initiator, target Wanted }{{fast, fast}, {fast, modest}, {modest, fast}, {modest, modest}} {
		i := NewNegotiator(Initiator, c.initiator, DefaultParameters())
		tg := NewNegotiator(Target, c.target, DefaultParameters())
		var answers []KeyValue
		for _, kv := range i.Offer(nil, OperationalKeys...) {
			a, err := tg.Receive(LoginOperationalNegotiation, kv)
			if err != nil {
				t.Fatal(err)
			}
			if a != "" {
				answers = append(answers, KeyValue{kv.Key, a})
			}
		}
		answers = tg.Offer(answers, KeyMaxRecvDataSegmentLength, KeyMaxBurstLength)
		for _, kv := range answers {
			if _, err := i.Receive(LoginOperationalNegotiation, kv); err != nil {
				t.Fatal(err)
			}
		}
		if !i.Done() || !tg.Done() {
			t.Error("something is unanswered")
		}
		a, b := i.Result(), tg.Result()
		a.MaxRecvDataSegmentLength, a.PeerMaxRecvDataSegmentLength = a.PeerMaxRecvDataSegmentLength, a.MaxRecvDataSegmentLength
		if a != b {
			t.Errorf("initiator %+v\ntarget %+v", a, b)
		}
		if b.MaxRecvDataSegmentLength != c.target.MaxRecvDataSegmentLength || b.PeerMaxRecvDataSegmentLength != c.initiator.MaxRecvDataSegmentLength {
			t.Errorf("segment lengths %d, %d", b.MaxRecvDataSegmentLength, b.PeerMaxRecvDataSegmentLength)
		}
	}
}

// Defaults stand in the table and in DefaultParameters: they must agree.
func TestTheTableAndTheDefaultParametersAgree(t *testing.T) {
	for i := range keys {
		k := &keys[i]
		if LookupKey(k.Name) != k {
			t.Errorf("%s is not found", k.Name)
		}
		w := Wanted{Parameters: DefaultParameters()}
		if k.number != nil || k.flag != nil || k.digest != nil {
			if got := w.value(k); got != k.Default {
				t.Errorf("%s: default %s in the table, %s in the parameters", k.Name, k.Default, got)
			}
		}
	}
	if len(keys) > 64 {
		t.Error("a Negotiator has 64 bits for keys")
	}
}
