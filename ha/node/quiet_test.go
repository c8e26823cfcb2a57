package node

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// newActiveThree is three controllers in mode 1. Whom a fence was asked for
// stands in the file, one line each; it succeeds.
func newActiveThree(t *testing.T) (p *pair, fenced func() string) {
	p = newActivePair(t)
	p.third = true
	p.lease = 3 * time.Second // of which the ranks of those who take over are a tenth apart
	p.spare = 3 * time.Second
	p.paths[3] = &diskPath{Device: p.disk, entered: make(chan struct{}, 100)}
	list, script := filepath.Join(p.dir, "fenced"), filepath.Join(p.dir, "fence")
	if err := os.WriteFile(script, []byte(fmt.Sprintf("#!/bin/sh\necho $1 >> %s\n", list)), 0o755); err != nil {
		t.Fatal(err)
	}
	p.fence = &Fence{Command: script + " %d"}
	for id := ha.NodeID(1); id <= 3; id++ {
		p.start(id)
	}
	p.wait("three candidates", func() bool {
		g := p.grant(1)
		return g.Primary == 1 && len(g.Candidates) == 3 && p.route(2) == ha.RouteForward && p.route(3) == ha.RouteForward
	})
	return p, func() string {
		b, err := os.ReadFile(list)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(b)), " ")
	}
}

func TestInMode1ATakeoverSparesACandidateThatWritesNothing(t *testing.T) {
	p, fenced := newActiveThree(t)
	p.run(3, "host", write16(8, 16), fill(0xA5, 16))
	p.nodes[1].stop()
	p.wait("a takeover", func() bool { g := p.grant(3); return g.Primary != 1 && len(g.Candidates) == 2 && g.Unfenced == 0 })
	if got := fenced(); got != "1" {
		t.Errorf("fenced were %q, want 1 alone", got)
	}
	other := 5 - p.grant(3).Primary
	p.run(other, "host", write16(8, 16), fill(0x5A, 16))
	if n := p.paths[other].writes.Load(); n == 0 {
		t.Errorf("controller %d moves its data no more", other)
	}
	if got := p.run(5-other, "host", read16(8, 16), nil); !bytes.Equal(got, fill(0x5A, 16)) {
		t.Error("what was written through one is not read through the other")
	}
}

func TestInMode1ATakeoverFencesACandidateThatIsStillWriting(t *testing.T) {
	p, fenced := newActiveThree(t)
	p.run(3, "mover", read16(0, 1), nil) // takes the unit attentions
	release := p.paths[3].hold()
	t.Cleanup(release)
	c := p.submit(3, "mover", write16(0, 8), fill(7, 8), false)
	p.entered(3)
	p.nodes[1].stop()
	p.wait("a takeover", func() bool { return p.grant(2).Primary == 2 })
	p.wait("both fences", func() bool { return fenced() == "1 3" })
	release()
	p.finish(c)
}
