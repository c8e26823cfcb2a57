package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestThePairServesOnWithoutTheWitness(t *testing.T) {
	p := startPair(t)
	w := newWriter(t, p.b)
	w.write(t, 10)
	p.witness.kill(t)
	w.write(t, 10)
	if code := p.a.terminate(t); code != 0 {
		t.Errorf("status %d, expected 0", code)
	}
	w.alive(t)
	p.startWitness(t)
	p.b.awaitRole(t, "primary")
	w.write(t, 10)
	w.check(t, p.b)
}

func TestAControllerWithoutAMajorityStopsServingUntilThereIsOne(t *testing.T) {
	p := startPair(t)
	w := newWriter(t, p.a)
	w.write(t, 10)
	p.witness.kill(t)
	p.b.kill(t)
	eventually(t, "the controller that is left alone stops serving", func() bool { return !p.a.unit(t).Serving })
	p.a.alive(t)
	p.startWitness(t)
	p.a.awaitRole(t, "primary")
	w.write(t, 10)
	w.check(t, p.a)
	p.b.start(t)
	p.b.awaitRole(t, "secondary")
	w.check(t, p.b)
}

func TestWithoutAnArbiterOnlyTheOperatorMovesALogicalUnit(t *testing.T) {
	p := newPair(t)
	arbiter := regexp.MustCompile(`(?s)arbiter embedded \{.*?\}`)
	for _, c := range []*controller{p.a, p.b} {
		text, err := os.ReadFile(c.config)
		if err != nil {
			t.Fatal(err)
		}
		c.edit(t, arbiter.FindString(string(text)), "arbiter none")
	}
	p.a.launch(t)
	p.b.launch(t)
	p.a.awaitLine(t, "level=WARN", "no arbiter", "promote")
	p.a.awaitLine(t, "msg=ready")
	p.b.awaitLine(t, "msg=ready")
	w := newWriter(t, p.a)
	w.write(t, 50)
	p.a.kill(t)
	p.b.awaitLine(t, "HA link status changed from 2 to 1")
	if u := p.b.unit(t); u.Serving || u.Role != "secondary" {
		t.Errorf("the secondary took over by itself: %+v", u)
	}
	if r := run(t, tandem, "promote", lunName, "--socket", p.b.socket); r.code != 1 || !strings.Contains(r.stderr, "make sure that it is off, then use force: if it still writes, acknowledged data is lost") {
		t.Errorf("promoted without force: status %d: %s", r.code, r.stderr)
	}
	r := run(t, tandem, "promote", lunName, "--force", "--socket", p.b.socket)
	if r.code != 0 {
		t.Fatalf("promoted by force: status %d: %s", r.code, r.stderr)
	}
	contains(t, r.stdout, lunName+" is served by this controller")
	contains(t, r.stderr, "by force: controller 1 is not reached and not fenced", "acknowledged data of "+lunName+" is lost")
	p.b.awaitRole(t, "primary")
	w.check(t, p.b)

	// Who comes back follows, and can be made the primary again without force.
	p.a.start(t)
	p.a.awaitRole(t, "secondary")
	w.check(t, p.a)
	later := newWriter(t, p.b)
	later.write(t, 50)
	contains(t, succeed(t, tandem, "promote", lunName, "--socket", p.a.socket), lunName)
	p.a.awaitRole(t, "primary")
	later.write(t, 50)
	later.check(t, p.a)
	if !strings.Contains(succeed(t, tandem, "status", "--socket", p.b.socket), "arbiter: none") {
		t.Errorf("status does not say that there is no arbiter")
	}
}
