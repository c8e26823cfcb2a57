package ha

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawMessage draws a message that a controller may send.
func drawMessage(t *rapid.T) Message {
	m := Message{
		Kind: MessageKind(rapid.IntRange(1, int(maxMessageKind)).Draw(t, "kind")),
		Boot: rapid.Uint64().Draw(t, "boot"), Seq: rapid.Uint64().Draw(t, "seq"),
		Drained: rapid.Bool().Draw(t, "drained"), Reason: rapid.StringN(0, -1, maxReason).Draw(t, "reason"),
	}
	for range rapid.IntRange(0, 20).Draw(t, "claims") {
		m.Claims = append(m.Claims, Claim{LUN: rapid.StringN(0, -1, MaxName).Draw(t, "lun"), Grant: drawGrant(t)})
	}
	return m
}

func drawGrant(t *rapid.T) Grant {
	candidates := NodeSet(rapid.IntRange(0, 255).Draw(t, "candidates")) << 1
	if candidates == 0 {
		return Grant{}
	}
	g := Grant{Epoch: rapid.Uint64Min(1).Draw(t, "epoch"), Candidates: candidates.List()}
	g.Primary = rapid.SampledFrom(g.Candidates).Draw(t, "primary")
	g.Unfenced = NodeSet(rapid.IntRange(0, 255).Draw(t, "unfenced")) << 1 &^ Nodes(g.Primary)
	return g
}

func TestAMessageIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		got, err := DecodeMessage(m.Encode())
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("%+v, %v, expected %+v", got, err, m)
		}
	})
}

func TestTheHeartbeatOfAFullClusterIsShort(t *testing.T) {
	m := Message{Kind: MessageHeartbeat, Boot: 1, Seq: 1}
	for range 1000 {
		m.Claims = append(m.Claims, Claim{"unit1234", Grant{Epoch: 100, Primary: 1, Candidates: []NodeID{1, 2}}})
	}
	if n := len(m.Encode()); n > 14_000 {
		t.Errorf("%d bytes for 1,000 logical units", n)
	}
}

func TestAMessageThatNoControllerSendsIsRefused(t *testing.T) {
	good := Message{
		Kind: MessageHeartbeat, Boot: 1, Seq: 2, Reason: "none",
		Claims: []Claim{{"lun0", Grant{Epoch: 300, Primary: 1, Candidates: []NodeID{1, 2}, Unfenced: Nodes(3)}}},
	}.Encode()
	for n := range good {
		if _, err := DecodeMessage(good[:n]); err == nil {
			t.Errorf("%d of %d bytes are taken", n, len(good))
		}
	}
	claims := len(good) - 11 // where their number is
	change := func(at int, to ...byte) []byte {
		b := append([]byte{}, good...)
		return append(b[:at], append(to, b[at+len(to):]...)...)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"kind 0", change(0, 0), "kind 0 is not 1 to 7"},
		{"a kind of a later version", change(0, byte(maxMessageKind)+1), "kind 8 is not 1 to 7"},
		{"a flag of a later version", change(1, 2), "flags 0x2 are not known"},
		{"too many bytes", append(change(0), 0), "1 bytes too many"},
		{"too many claims", append(append([]byte{}, good[:claims]...), 0x81, 0x20), "number of claims 4097: at most 4096"},
		{"a long reason", append(append([]byte{}, good[:18]...), 0x81, 0x08), "length of reason 1025: at most 1024"},
		{"a long name", append(append([]byte{}, good[:claims+1]...), 0x80, 0x02), "length of name 256: at most 255"},
		{"a primary that is no candidate", change(len(good)-3, 3), `logical unit "lun0": primary 3: is not among the candidates`},
		{"no candidates", change(len(good)-2, 0), `logical unit "lun0": primary 1: is not among the candidates`},
		{"a primary that is to be fenced", change(len(good)-1, 1), `logical unit "lun0": unfenced 1: must not have the primary`},
	} {
		if m, err := DecodeMessage(c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v, expected %q", c.name, m, err, c.want)
		}
	}
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add(Message{Kind: MessageUndrain}.Encode())
	f.Add(Message{Kind: MessagePromise, Boot: 1, Seq: 1 << 40, Drained: true, Claims: []Claim{{LUN: "lun0"}}}.Encode())
	f.Add(Message{Kind: MessageHeartbeat, Claims: []Claim{{"lun0", Grant{Epoch: 1, Primary: 2, Candidates: []NodeID{1, 2}, Unfenced: Nodes(1)}}}}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMessage(b)
		if err != nil {
			return
		}
		again, err := DecodeMessage(m.Encode())
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}
