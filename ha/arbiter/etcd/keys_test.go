package etcd_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter/etcd"
)

func TestAStoredGrantIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.SliceOfNDistinct(rapid.Uint8Range(1, ha.MaxNodes), 1, ha.MaxNodes, rapid.ID).Draw(t, "candidates")
		slices.Sort(nodes)
		g := ha.Grant{Epoch: rapid.Uint64Min(1).Draw(t, "epoch"), Primary: ha.NodeID(rapid.SampledFrom(nodes).Draw(t, "primary"))}
		for _, n := range nodes {
			g.Candidates = append(g.Candidates, ha.NodeID(n))
		}
		for _, n := range rapid.SliceOfDistinct(rapid.Uint8Range(1, ha.MaxNodes), rapid.ID).Draw(t, "unfenced") {
			if n := ha.NodeID(n); n != g.Primary {
				g.Unfenced |= ha.Nodes(n)
			}
		}
		got, err := etcd.DecodeGrant([]byte(etcd.EncodeGrant(g)))
		if err != nil || !got.Equal(g) {
			t.Fatalf("%v became %v, %v", g, got, err)
		}
	})
}

func TestTheStoredFormOfAGrantStays(t *testing.T) {
	const want = `{"epoch":4,"primary":1,"candidates":[1,2]}`
	if got := etcd.EncodeGrant(grant(4, 1, 1, 2)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	g := grant(4, 1, 1)
	g.Unfenced = ha.Nodes(3, 2)
	const unfenced = `{"epoch":4,"primary":1,"candidates":[1],"unfenced":[2,3]}`
	if got := etcd.EncodeGrant(g); got != unfenced {
		t.Errorf("got %s, want %s", got, unfenced)
	}
}

func FuzzDecodeGrant(f *testing.F) {
	for _, s := range []string{
		`{"epoch":4,"primary":1,"candidates":[1,2]}`,
		`{"epoch":0,"primary":1,"candidates":[1]}`,
		`{"epoch":1,"primary":65536,"candidates":[257]}`,
		`{"epoch":4,"primary":1,"candidates":[1],"unfenced":[2,3]}`,
		`{"epoch":4,"primary":1,"candidates":[1],"unfenced":[0]}`,
		`{"epoch":1,"primary":9,"candidates":[9]}`,
		`{"epoch":1,"primary":1,"candidates":[2,1]}`,
		`{"epoch":-1}`, `[]`, `null`, ``, `{`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := etcd.DecodeGrant(b)
		if err != nil {
			return
		}
		if g.Epoch == 0 || g.Primary < 1 || g.Primary > ha.MaxNodes || !g.Has(g.Primary) || !slices.IsSorted(g.Candidates) {
			t.Fatalf("%q was read as %v", b, g)
		}
		again, err := etcd.DecodeGrant([]byte(etcd.EncodeGrant(g)))
		if err != nil || !again.Equal(g) {
			t.Fatalf("%v became %v, %v", g, again, err)
		}
	})
}
